//! Data channels: signaling's words to the peers' transports, and what comes back.

use std::time::Instant;

use super::{PeerTransport, Shard, ShardEvent};
use crate::model::{DataChannelSpec, DataMessage, PeerEvent, PeerId};

impl<T: PeerTransport> Shard<T> {
    pub(super) fn open_channel(&mut self, now: Instant, id: PeerId, spec: DataChannelSpec) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.transport.open_channel(now, spec);
            self.after_input(now, id);
        }
    }

    pub(super) fn send_data(&mut self, now: Instant, id: PeerId, message: &DataMessage) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.transport.send_data(now, message);
            self.stats.data_messages_out += 1;
            self.after_input(now, id);
        }
    }

    pub(super) fn close_channels(&mut self, now: Instant, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.transport.close_channels(now);
            self.after_input(now, id);
        }
    }

    /// A peer's message, for signaling.
    pub(super) fn data_received(&mut self, id: PeerId, message: DataMessage) {
        self.stats.data_messages_in += 1;
        self.outbox.push(ShardEvent::Peer(id, PeerEvent::Data(message)));
    }
}
