//! Which peer a datagram belongs to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::model::PeerId;
use crate::peer::{ADDRESSES_MAX, Peer};
use crate::transport::stun_ufrag;

/// An address whose peer has not checked it for this long may go to another peer. Browsers check every 2.5 s or more often.
const CHECK_STALE: Duration = Duration::from_secs(10);

/// The ufrag of ours in a connectivity check; `None` for everything that is no STUN (RFC 7983 §7).
pub(super) fn checked_ufrag(data: &[u8]) -> Option<&str> {
    if data.first().is_some_and(|byte| *byte < 4) { stun_ufrag(data) } else { None }
}

/// The tables. One ufrag and at most [`ADDRESSES_MAX`] addresses for each peer, so both are bounded by the number of peers.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    by_ufrag: HashMap<String, PeerId>,
    by_address: HashMap<SocketAddr, (PeerId, Instant)>,
}

impl Addresses {
    pub(super) fn by_ufrag(&self, ufrag: &str) -> Option<PeerId> {
        self.by_ufrag.get(ufrag).copied()
    }

    pub(super) fn by_address(&self, address: &SocketAddr) -> Option<PeerId> {
        self.by_address.get(address).map(|(peer, _)| *peer)
    }

    /// False if the ufrag is another peer's already.
    pub(super) fn expect(&mut self, ufrag: &str, peer: PeerId) -> bool {
        let free = !self.by_ufrag.contains_key(ufrag);
        if free {
            self.by_ufrag.insert(ufrag.to_owned(), peer);
        }
        free
    }

    /// An authentic check of this peer came from the address. False if another peer holds it: who knows one peer's password could
    /// otherwise draw another peer's datagrams to it by forging their source.
    pub(super) fn bind<T>(&mut self, now: Instant, address: SocketAddr, peer: &mut Peer<T>) -> bool {
        let held = self.by_address.get(&address);
        if held.is_some_and(|(holder, checked)| *holder != peer.id && now.saturating_duration_since(*checked) < CHECK_STALE) {
            return false;
        }
        self.by_address.insert(address, (peer.id, now));
        if !peer.addresses.contains(&address) {
            peer.addresses.push(address);
            if peer.addresses.len() > ADDRESSES_MAX {
                let oldest = peer.addresses.remove(0);
                self.forget(&oldest, peer.id);
            }
        }
        true
    }

    /// The peer is gone.
    pub(super) fn remove<T>(&mut self, peer: &Peer<T>) {
        self.by_ufrag.remove(&peer.ufrag);
        for address in &peer.addresses {
            self.forget(address, peer.id);
        }
    }

    fn forget(&mut self, address: &SocketAddr, peer: PeerId) {
        if self.by_address(address) == Some(peer) {
            self.by_address.remove(address);
        }
    }
}
