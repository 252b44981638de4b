//! Datagrams from an address that two peers claim.
//!
//! It happens when a page is loaded anew behind the same NAT before its old connection is known to be gone, and when somebody forges
//! another's address. Nobody has to wait for a time-out: only the rightful peer's packets can be decrypted.

use std::time::Instant;

use bytes::BytesMut;

use super::addresses::Held;
use super::{PeerTransport, Shard};
use crate::model::PeerId;
use crate::transport::Route;

impl<T: PeerTransport> Shard<T> {
    /// To the holder. What it cannot decrypt goes to the rival, which becomes the holder when it can. DTLS goes to both: a stray
    /// record harms neither.
    pub(super) fn handle_contested(&mut self, now: Instant, route: Route, data: BytesMut, held: &Held) {
        let Some(rival) = held.rival else { return };
        let is_dtls = data.first().is_some_and(|byte| *byte < 128);
        if self.feed(now, held.peer, route, data.clone()) && !is_dtls {
            return;
        }
        if self.feed(now, rival, route, data) && !is_dtls {
            self.addresses.hand_over(now, &route.origin());
        }
    }

    /// Whether the peer's transport has taken it for one of its own.
    fn feed(&mut self, now: Instant, id: PeerId, route: Route, data: BytesMut) -> bool {
        self.contained(now, id, |shard| shard.feed_one(now, id, route, data)).unwrap_or(false)
    }

    fn feed_one(&mut self, now: Instant, id: PeerId, route: Route, data: BytesMut) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let foreign = |peer: &T| {
            let counters = peer.counters();
            counters.undecryptable + counters.before_keys + counters.unknown_route
        };
        let before = foreign(&peer.transport);
        let bytes = data.len() as u64;
        peer.transport.handle_datagram(now, route, data);
        let taken = foreign(&peer.transport) == before;
        peer.traffic.bytes_in += if taken { bytes } else { 0 };
        self.after_input(now, id);
        taken
    }
}
