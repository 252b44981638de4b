//! Which media thread a peer lives on: the one where its first authentic connectivity check arrives. Until then it is unclaimed, and what
//! it is told waits here. The lock is taken for commands, and for checks whose ufrag a thread does not know; never for media.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use minamo_media::TrackId;
use minamo_sfu_core::model::{Command, IceCredentials, PeerId};
use minamo_sfu_core::transport::{Identity, is_authentic_check, stun_ufrag};

use crate::commands::{Commands, OnEvent, Order, Overloaded};

/// As long as a transport waits to be connected.
const UNCLAIMED_MAX: Duration = Duration::from_secs(30);
/// Peers for each thread; further ones are refused as overload.
const PEERS_PER_THREAD: usize = 10_000;
/// Commands that wait for an unclaimed peer; further ones are refused.
const ORDERS_MAX: usize = 1024;
/// Credentials of one peer that are known at once: those in use, and of ICE restarts. Beyond that the oldest are forgotten.
const CREDENTIALS_MAX: usize = 3;

enum Place {
    Unclaimed { since: Instant, on_event: Option<OnEvent>, orders: Vec<Command> },
    At(usize),
}

struct Entry {
    place: Place,
    credentials: Vec<IceCredentials>,
}

#[derive(Default)]
struct Book {
    peers: HashMap<PeerId, Entry>,
    ufrags: HashMap<String, PeerId>,
    /// Who publishes a track.
    tracks: HashMap<TrackId, PeerId>,
}

/// Whose a check is.
pub(crate) enum Claim {
    /// Ours from now on; these are its orders so far.
    Ours(Vec<Order>),
    /// It lives there.
    At(usize),
    /// Nobody's, or not authentic.
    Nobodys,
}

/// The shared table.
#[derive(Default)]
pub(crate) struct Claims(Mutex<Book>);

impl Claims {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out an order, or keeps it until its peer comes. Unknown peers and tracks are ignored: they may have gone meanwhile.
    pub(crate) fn send(&self, now: Instant, order: Order, threads: &[Commands]) -> Result<(), Overloaded> {
        match order {
            Order::AddPeer(peer, ice, on_event) => self.lock().add(now, peer, ice, on_event, threads.len()),
            // What is dropped with an unclaimed peer is the caller's: not under the lock.
            Order::Command(command) => {
                let gone = self.lock().command(command, threads)?;
                drop(gone);
                Ok(())
            }
        }
    }

    /// A thread does not know the ufrag of this check.
    pub(crate) fn claim(&self, index: usize, data: &[u8], identity: &Identity) -> Claim {
        let Some(ufrag) = stun_ufrag(data) else { return Claim::Nobodys };
        let Some((peer, ice)) = self.lock().credentials(ufrag) else { return Claim::Nobodys };
        if !is_authentic_check(data, &ice, identity) {
            return Claim::Nobodys;
        }
        self.lock().claim(index, peer)
    }

    /// The peer is over.
    pub(crate) fn forget(&self, peer: PeerId) {
        let gone = self.lock().forget(peer);
        drop(gone);
    }

    /// Peers that nobody claimed in time. They are forgotten.
    pub(crate) fn expire(&self, now: Instant) -> Vec<OnEvent> {
        self.lock().expire(now)
    }
}

impl Book {
    fn add(&mut self, now: Instant, peer: PeerId, ice: IceCredentials, event: OnEvent, threads: usize) -> Result<(), Overloaded> {
        if self.peers.len() >= threads * PEERS_PER_THREAD || self.ufrags.contains_key(&ice.ufrag) {
            return Err(Overloaded);
        }
        if self.peers.contains_key(&peer) {
            return Ok(());
        }
        self.ufrags.insert(ice.ufrag.clone(), peer);
        let place = Place::Unclaimed { since: now, on_event: Some(event), orders: Vec::new() };
        self.peers.insert(peer, Entry { place, credentials: vec![ice] });
        Ok(())
    }

    /// Returns what is to be dropped.
    fn command(&mut self, command: Command, threads: &[Commands]) -> Result<Option<Entry>, Overloaded> {
        let publisher = || self.tracks.get(&command.track()?).copied();
        let Some(peer) = command.peer().or_else(publisher) else { return Ok(None) };
        let Some(entry) = self.peers.get_mut(&peer) else { return Ok(None) };
        let noted = command.clone();
        match &mut entry.place {
            Place::At(index) => threads.get(*index).ok_or(Overloaded)?.send(Order::Command(command))?,
            Place::Unclaimed { orders, .. } if orders.len() < ORDERS_MAX => orders.push(command),
            Place::Unclaimed { .. } if matches!(command, Command::RemovePeer { .. }) => {}
            Place::Unclaimed { .. } => return Err(Overloaded),
        }
        Ok(self.note(peer, noted))
    }

    /// What a command that was taken means here.
    fn note(&mut self, peer: PeerId, command: Command) -> Option<Entry> {
        match command {
            Command::AddUplink(_, uplink) => drop(self.tracks.insert(uplink.track, peer)),
            Command::RemoveUplink(_, track) => drop(self.tracks.remove(&track)),
            Command::RestartIce { ice, .. } => self.restart(peer, ice),
            Command::RemovePeer { .. } => return self.forget(peer),
            _ => {}
        }
        None
    }

    fn restart(&mut self, peer: PeerId, ice: IceCredentials) {
        let Some(entry) = self.peers.get_mut(&peer).filter(|_| !self.ufrags.contains_key(&ice.ufrag)) else { return };
        self.ufrags.insert(ice.ufrag.clone(), peer);
        entry.credentials.push(ice);
        if entry.credentials.len() > CREDENTIALS_MAX {
            self.ufrags.remove(&entry.credentials.remove(0).ufrag);
        }
    }

    fn credentials(&self, ufrag: &str) -> Option<(PeerId, IceCredentials)> {
        let peer = *self.ufrags.get(ufrag)?;
        let ice = self.peers.get(&peer)?.credentials.iter().find(|ice| ice.ufrag == ufrag)?;
        Some((peer, ice.clone()))
    }

    fn claim(&mut self, index: usize, peer: PeerId) -> Claim {
        let Some(entry) = self.peers.get_mut(&peer) else { return Claim::Nobodys };
        if let Place::At(index) = entry.place {
            return Claim::At(index);
        }
        let Place::Unclaimed { on_event, orders, .. } = std::mem::replace(&mut entry.place, Place::At(index)) else {
            return Claim::Nobodys;
        };
        // With the credentials that it was added with: restarts are among the orders.
        let first = entry.credentials.first().cloned().zip(on_event).map(|(ice, on_event)| Order::AddPeer(peer, ice, on_event));
        Claim::Ours(first.into_iter().chain(orders.into_iter().map(Order::Command)).collect())
    }

    fn forget(&mut self, peer: PeerId) -> Option<Entry> {
        let entry = self.peers.remove(&peer)?;
        self.ufrags.retain(|_, holder| *holder != peer);
        self.tracks.retain(|_, publisher| *publisher != peer);
        Some(entry)
    }

    fn expire(&mut self, now: Instant) -> Vec<OnEvent> {
        let late = |entry: &Entry| match entry.place {
            Place::Unclaimed { since, .. } => now.saturating_duration_since(since) >= UNCLAIMED_MAX,
            Place::At(_) => false,
        };
        let late: Vec<PeerId> = self.peers.iter().filter(|(_, entry)| late(entry)).map(|(peer, _)| *peer).collect();
        let on_event = |entry: Entry| match entry.place {
            Place::Unclaimed { on_event, .. } => on_event,
            Place::At(_) => None,
        };
        late.into_iter().filter_map(|peer| self.forget(peer).and_then(on_event)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use minamo_sfu_core::model::PeerEvent;

    use super::*;

    fn ice(name: &str) -> IceCredentials {
        IceCredentials { ufrag: name.to_owned(), pwd: "p".repeat(22) }
    }

    fn command(claims: &Claims, command: Command) -> Result<(), Overloaded> {
        claims.send(Instant::now(), Order::Command(command), &[])
    }

    #[test]
    fn who_is_not_claimed_in_time_is_told_once() {
        let (claims, now, told) = (Claims::default(), Instant::now(), Arc::new(AtomicUsize::new(0)));
        let counter = told.clone();
        let on_event = move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        // Nobody can be taken where there is no thread.
        let refused = claims.send(now, Order::AddPeer(PeerId(1), ice("ufrag1"), Box::new(|_| {})), &[]);
        assert_eq!(refused, Err(Overloaded));
        claims.lock().add(now, PeerId(1), ice("ufrag1"), Box::new(on_event), 1).unwrap();
        assert!(claims.expire(now + UNCLAIMED_MAX - Duration::from_millis(1)).is_empty());
        for on_event in claims.expire(now + UNCLAIMED_MAX) {
            on_event(PeerEvent::Connected);
        }
        assert!(claims.expire(now + 2 * UNCLAIMED_MAX).is_empty());
        assert_eq!(told.load(Ordering::Relaxed), 1);
        assert!(claims.lock().ufrags.is_empty());
    }

    #[test]
    fn orders_wait_in_order_and_not_without_end() {
        let (claims, now, peer) = (Claims::default(), Instant::now(), PeerId(1));
        claims.lock().add(now, peer, ice("ufrag1"), Box::new(|_| {}), 1).unwrap();
        claims.lock().tracks.insert(TrackId(5), peer);
        for bits in 0..ORDERS_MAX as u64 {
            command(&claims, Command::RequestBitrate(TrackId(5), bits)).unwrap();
        }
        assert_eq!(command(&claims, Command::CloseChannels(peer)), Err(Overloaded));
        assert_eq!(command(&claims, Command::CloseChannels(PeerId(2))), Ok(()), "a stranger is ignored");
        let Claim::Ours(orders) = claims.lock().claim(3, peer) else { panic!("it is free") };
        assert!(matches!(orders[0], Order::AddPeer(PeerId(1), ..)));
        let bits = orders[1..].iter().map(|order| match order {
            Order::Command(Command::RequestBitrate(_, bits)) => *bits,
            _ => u64::MAX,
        });
        assert!(bits.eq(0..ORDERS_MAX as u64));
        assert!(matches!(claims.lock().claim(4, peer), Claim::At(3)));
    }

    #[test]
    fn who_is_removed_before_it_comes_leaves_nothing() {
        let (claims, peer) = (Claims::default(), PeerId(1));
        claims.lock().add(Instant::now(), peer, ice("ufrag1"), Box::new(|_| {}), 1).unwrap();
        command(&claims, Command::RestartIce { peer, ice: ice("ufrag2") }).unwrap();
        assert_eq!(claims.lock().ufrags.len(), 2);
        command(&claims, Command::RemovePeer { peer, clean: true }).unwrap();
        let book = claims.lock();
        assert!(book.peers.is_empty() && book.ufrags.is_empty());
    }
}
