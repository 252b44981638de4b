//! What a packet to a subscriber needs lies all over memory once there are many of them, and the processor waits for each piece that leads to
//! the next. The pieces of several subscribers do not lead to each other: read together, they are waited for together.

use std::hint::black_box;

use minamo_media::TrackId;

use super::{PeerTransport, Shard};
use crate::downlink::Downlink;
use crate::peer::Peer;

/// Subscribers whose state is fetched at once. It must stay in the first cache until they are served.
const AHEAD: usize = 8;
/// With fewer peers all of it stays in a near cache anyway.
const PEERS_MIN: usize = 128;

impl<T: PeerTransport> Shard<T> {
    /// Fetches the state of those to whom a track goes next, when those before are served.
    pub(super) fn warm(&self, track: TrackId, served: usize) {
        if self.peers.len() < PEERS_MIN || !served.is_multiple_of(AHEAD) {
            return;
        }
        let next = self.subscribers.get(&track).and_then(|subscribers| subscribers.get(served..));
        let mut peers: [Option<&Peer<T>>; AHEAD] = [None; AHEAD];
        for (place, id) in peers.iter_mut().zip(next.unwrap_or_default()) {
            *place = self.peers.get(id).map(|peer| &**peer);
        }
        for peer in peers.into_iter().flatten() {
            let downlink = peer.downlinks.iter().find(|downlink| downlink.spec.track == track);
            let downlink = downlink.map_or(0, Downlink::warm);
            black_box(downlink ^ peer.way.as_ref().map_or(0, |way| way.warm()) ^ peer.transport.warm());
        }
    }
}
