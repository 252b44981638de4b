//! Which peer a datagram belongs to.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::model::PeerId;
use crate::peer::{ADDRESSES_MAX, Peer};
use crate::shard::{PeerTransport, Shard};
use crate::transport::{Origin, Route, stun_ufrag};

/// An address whose peer has not checked it for this long may go to another peer. Browsers check every 2.5 s or more often.
const CHECK_STALE: Duration = Duration::from_secs(10);

/// The ufrag of ours in a connectivity check; `None` for everything that is no STUN (RFC 7983 §7).
pub(super) fn checked_ufrag(data: &[u8]) -> Option<&str> {
    if data.first().is_some_and(|byte| *byte < 4) { stun_ufrag(data) } else { None }
}

impl<T: PeerTransport> Shard<T> {
    /// Whether no peer here is known by the ufrag of this connectivity check, or by the address of this other datagram: where there are
    /// several shards it may be another one's.
    #[must_use]
    pub fn is_strange(&self, route: &Route, data: &[u8]) -> bool {
        match checked_ufrag(data) {
            Some(ufrag) => self.addresses.by_ufrag(ufrag).is_none(),
            None => self.addresses.by_address(&route.origin()).is_none(),
        }
    }
}

/// Whose datagrams come from an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) peer: PeerId,
    /// Another peer that has checked from there while the holder was alive: a reloaded page behind the same NAT, or a forgery. Who can
    /// be decrypted decides. The latest such peer, one at most.
    pub(super) rival: Option<PeerId>,
    checked: Instant,
}

/// The tables. One ufrag, two during an ICE restart, and at most [`ADDRESSES_MAX`] addresses for each peer, so both are bounded by the
/// number of peers.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    by_ufrag: HashMap<String, PeerId>,
    by_address: HashMap<Origin, Held>,
    /// What was found last: a publisher's packets come in bursts.
    latest: Option<(Origin, Held)>,
}

impl Addresses {
    pub(super) fn is_empty(&self) -> bool {
        self.by_ufrag.is_empty() && self.by_address.is_empty()
    }

    pub(super) fn by_ufrag(&self, ufrag: &str) -> Option<PeerId> {
        self.by_ufrag.get(ufrag).copied()
    }

    pub(super) fn by_address(&self, address: &Origin) -> Option<Held> {
        self.by_address.get(address).copied()
    }

    /// As [`Self::by_address`], sooner for the address of the datagram before.
    pub(super) fn find(&mut self, address: &Origin) -> Option<Held> {
        if let Some((_, held)) = self.latest.filter(|(latest, _)| latest == address) {
            return Some(held);
        }
        let held = self.by_address(address)?;
        self.latest = Some((*address, held));
        Some(held)
    }

    /// False if the ufrag is another peer's already.
    pub(super) fn expect(&mut self, ufrag: &str, peer: PeerId) -> bool {
        let free = !self.by_ufrag.contains_key(ufrag);
        if free {
            self.by_ufrag.insert(ufrag.to_owned(), peer);
        }
        free
    }

    pub(super) fn forget_ufrag(&mut self, ufrag: &str) {
        self.by_ufrag.remove(ufrag);
    }

    /// An authentic check of this peer came from the address. False if another peer holds it: who knows one peer's password could
    /// otherwise draw another peer's datagrams to it by forging their source. Then it is the rival.
    pub(super) fn bind<T>(&mut self, now: Instant, address: Origin, peer: &mut Peer<T>) -> bool {
        self.latest = None;
        let held = self.by_address.entry(address).or_insert(Held { peer: peer.id, rival: None, checked: now });
        let foreign = held.peer != peer.id && now.saturating_duration_since(held.checked) < CHECK_STALE;
        if foreign {
            held.rival = Some(peer.id);
        } else {
            let rival = held.rival.filter(|rival| *rival != peer.id);
            *held = Held { peer: peer.id, rival, checked: now };
        }
        if !peer.addresses.contains(&address) {
            peer.addresses.push(address);
            if peer.addresses.len() > ADDRESSES_MAX {
                let oldest = peer.addresses.remove(0);
                self.forget(&oldest, peer.id);
            }
        }
        !foreign
    }

    /// The rival has shown that the address is its own now.
    pub(super) fn hand_over(&mut self, now: Instant, address: &Origin) {
        self.latest = None;
        if let Some(held) = self.by_address.get_mut(address)
            && let Some(peer) = held.rival
        {
            *held = Held { peer, rival: None, checked: now };
        }
    }

    /// The peer is gone.
    pub(super) fn remove<T>(&mut self, peer: &Peer<T>) {
        self.by_ufrag.remove(&peer.ufrag);
        if let Some(unused) = &peer.next_ufrag {
            self.by_ufrag.remove(unused);
        }
        for address in &peer.addresses {
            self.forget(address, peer.id);
        }
    }

    /// Forgets whatever names the peer.
    pub(super) fn sweep(&mut self, peer: PeerId) {
        self.by_ufrag.retain(|_, holder| *holder != peer);
        let addresses: Vec<Origin> = self.by_address.keys().copied().collect();
        addresses.iter().for_each(|address| self.forget(address, peer));
    }

    fn forget(&mut self, address: &Origin, peer: PeerId) {
        self.latest = None;
        let Some(held) = self.by_address.get_mut(address) else { return };
        match held.rival {
            Some(rival) if held.peer == peer => *held = Held { peer: rival, rival: None, checked: held.checked },
            Some(rival) if rival == peer => held.rival = None,
            None if held.peer == peer => {
                self.by_address.remove(address);
            }
            _ => {}
        }
    }
}
