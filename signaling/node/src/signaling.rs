//! The shell: rooms, sockets and the SFU brought together.

use std::sync::Arc;

use minamo_catalog::Catalog;
use minamo_media::ChannelId;

use crate::{ConnectionSummary, MediaPlane, Programmes, SignalingConfig};

/// Signaling of all channels. Cheap to clone.
#[derive(Clone)]
pub struct Signaling {
    shared: Arc<Shared>,
}

#[expect(dead_code)]
struct Shared {
    media: Box<dyn MediaPlane>,
    catalog: Catalog,
    programmes: Arc<dyn Programmes>,
    config: SignalingConfig,
}

impl Signaling {
    /// Signaling over that SFU.
    pub fn new(
        media: impl MediaPlane + 'static,
        catalog: Catalog,
        programmes: Arc<dyn Programmes>,
        config: SignalingConfig,
    ) -> Self {
        Self { shared: Arc::new(Shared { media: Box::new(media), catalog, programmes, config }) }
    }

    /// `GET /signaling`
    pub fn router(&self) -> axum::Router {
        axum::Router::new()
    }

    /// Disconnects everybody in the channel with 1000 `DISCONNECTED-API`.
    pub async fn close_channel(&self, _channel: &ChannelId) {}

    /// Everybody in the channel.
    #[must_use]
    pub fn connections(&self, _channel: &ChannelId) -> Vec<ConnectionSummary> {
        let _ = &self.shared;
        Vec::new()
    }

    /// Closes every connection cleanly and waits until all are gone.
    pub async fn shutdown(&self) {}
}
