//! A text for many: compressed once at most, however many data channels it goes out on.

use std::sync::{Arc, OnceLock};

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;

use super::zlib;

/// A JSON text, shared with all who get the same. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Notice(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    text: Utf8Bytes,
    deflated: OnceLock<Bytes>,
}

impl Notice {
    /// As it goes over a WebSocket.
    #[must_use]
    pub fn text(&self) -> &Utf8Bytes {
        &self.0.text
    }

    /// As it goes over a compressing data channel (RFC 1950).
    #[must_use]
    pub fn deflated(&self) -> Bytes {
        self.0.deflated.get_or_init(|| zlib::deflate(self.0.text.as_bytes())).clone()
    }
}

impl From<String> for Notice {
    fn from(text: String) -> Self {
        Self(Arc::new(Inner { text: text.into(), deflated: OnceLock::new() }))
    }
}
