//! User messages (`#…` labels): opaque bytes from one connection to others of its channel.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use minamo_media::ConnectionId;

use super::zlib;

/// The largest payload that is passed on, inflated, in bytes: with the header before it, it still fits into the 262,144 bytes that
/// every client takes (`a=max-message-size`). A larger one is dropped and counted.
pub const PAYLOAD_BYTES_MAX: usize = 262_144 - HEADER_BYTES;
/// A `sender_connection_id` header: the length of a connection id.
pub const HEADER_BYTES: usize = 26;

/// One message on its way to all who receive its label. Every form in which it goes out is made once at most.
#[derive(Debug)]
pub struct UserMessage {
    label: Arc<str>,
    sender: ConnectionId,
    payload: Bytes,
    with_header: OnceLock<Bytes>,
    deflated: OnceLock<Bytes>,
    deflated_with_header: OnceLock<Bytes>,
}

impl UserMessage {
    /// `payload` is inflated and at most [`PAYLOAD_BYTES_MAX`] long.
    #[must_use]
    pub fn new(label: Arc<str>, sender: ConnectionId, payload: Bytes) -> Self {
        let empty = OnceLock::new;
        Self { label, sender, payload, with_header: empty(), deflated: empty(), deflated_with_header: empty() }
    }

    /// The channel's label.
    #[must_use]
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Bytes of payload.
    #[must_use]
    pub fn len(&self) -> usize {
        self.payload.len()
    }

    /// As one receiver agreed to get it. The header stands before the payload inside of what is compressed.
    #[must_use]
    pub fn form(&self, header: bool, compress: bool) -> Bytes {
        match (header, compress) {
            (false, false) => self.payload.clone(),
            (true, false) => self.with_header(),
            (false, true) => self.deflated.get_or_init(|| zlib::deflate(&self.payload)).clone(),
            (true, true) => self.deflated_with_header.get_or_init(|| zlib::deflate(&self.with_header())).clone(),
        }
    }

    fn with_header(&self) -> Bytes {
        let make = || [self.sender.as_str().as_bytes(), &self.payload].concat().into();
        self.with_header.get_or_init(make).clone()
    }
}
