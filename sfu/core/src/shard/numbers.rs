//! The numbers of one peer, for signaling.

use std::time::Instant;

use super::{PeerTransport, Shard, ShardEvent};
use crate::downlink::Downlink;
use crate::model::{PeerEvent, PeerId, PeerReport};

impl<T: PeerTransport> Shard<T> {
    /// Answers [`Command::Report`](crate::model::Command::Report).
    pub(super) fn report(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else { return };
        let tracks = peer.uplinks.iter().filter_map(|track| self.tracks.get(track));
        let report = PeerReport {
            bytes_in: peer.traffic.bytes_in,
            bytes_out: peer.traffic.bytes_out,
            rtt: peer.rtt(),
            bandwidth: peer.way.as_ref().and_then(|way| way.estimate(now)),
            path: peer.transport.path().unwrap_or(peer.path),
            uplinks: tracks.flat_map(|track| track.reports(now)).collect(),
            downlinks: peer.downlinks.iter().map(Downlink::report).collect(),
        };
        self.outbox.push(ShardEvent::Peer(id, PeerEvent::Report(Box::new(report))));
    }
}
