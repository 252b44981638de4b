//! What a media thread knows of the others, where there are several: which peers live there, and by which of them a way leads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use minamo_sfu_core::transport::{Identity, Origin, Route, Transmit, Via};

use crate::claims::{Claim, Claims};
use crate::commands::{OnEvent, Order};
use crate::lanes::{Crossing, Lanes};

/// Addresses whose datagrams are handed over, and ways that lead through other threads. Further ones are not remembered: of such a peer
/// only its checks arrive, until there is room.
const REMEMBERED_MAX: usize = 16_384;
/// Longer than a peer may be silent (RFC 7675).
const SILENCE: Duration = Duration::from_secs(40);
const SWEEP: Duration = Duration::from_secs(1);

/// Threads by where datagrams come from, and when one did last.
#[derive(Default)]
struct Known(HashMap<Origin, (usize, Instant)>);

impl Known {
    fn note(&mut self, now: Instant, origin: Origin, thread: usize) {
        if self.0.len() < REMEMBERED_MAX || self.0.contains_key(&origin) {
            self.0.insert(origin, (thread, now));
        }
    }

    fn sweep(&mut self, now: Instant) {
        self.0.retain(|_, (_, last)| now.saturating_duration_since(*last) < SILENCE);
    }
}

/// Where a datagram belongs that is nobody's here.
pub(crate) enum Place {
    /// Here: its peer has come, with these orders.
    Claimed(Vec<Order>),
    /// On that thread.
    There(usize),
    /// Nowhere.
    Nowhere,
}

pub(crate) struct Others {
    pub(crate) lanes: Lanes,
    claims: Arc<Claims>,
    identity: Identity,
    /// Whose datagrams come here, and who has them.
    elsewhere: Known,
    /// Ways other than UDP that lead through other threads.
    ways: Known,
    sweep_at: Instant,
}

impl Others {
    pub(crate) fn new(now: Instant, lanes: Lanes, claims: Arc<Claims>, identity: Identity) -> Self {
        Self { lanes, claims, identity, elsewhere: Known::default(), ways: Known::default(), sweep_at: now + SWEEP }
    }

    /// Where a datagram belongs that is nobody's in the shard here.
    pub(crate) fn place(&mut self, now: Instant, route: &Route, data: &[u8]) -> Place {
        let origin = route.origin();
        if data.first().is_some_and(|byte| *byte >= 4) {
            let Some((thread, last)) = self.elsewhere.0.get_mut(&origin) else { return Place::Nowhere };
            *last = now;
            return Place::There(*thread);
        }
        match self.claims.claim(self.lanes.index(), data, &self.identity) {
            Claim::Ours(orders) => {
                self.elsewhere.0.remove(&origin);
                Place::Claimed(orders)
            }
            Claim::At(thread) if thread != self.lanes.index() => {
                self.elsewhere.note(now, origin, thread);
                Place::There(thread)
            }
            Claim::At(_) | Claim::Nobodys => Place::Nowhere,
        }
    }

    /// A datagram was handed over from there. What is no UDP is answered through the same thread; UDP goes out of every socket.
    pub(crate) fn came(&mut self, now: Instant, from: usize, route: &Route) {
        if route.via != Via::Udp {
            self.ways.note(now, route.origin(), from);
        }
    }

    /// Gives it back if its way does not lead through another thread.
    pub(crate) fn send(&mut self, transmit: Transmit) -> Option<Transmit> {
        let Some((thread, _)) = self.ways.0.get(&transmit.route.origin()).filter(|_| transmit.route.via != Via::Udp) else {
            return Some(transmit);
        };
        self.lanes.hand(*thread, Crossing::Transmit(transmit));
        None
    }

    pub(crate) fn hand(&mut self, to: usize, route: Route, data: BytesMut) {
        self.lanes.hand(to, Crossing::Datagram(route, data));
    }

    /// The peer is over.
    pub(crate) fn forget(&self, peer: minamo_sfu_core::model::PeerId) {
        self.claims.forget(peer);
    }

    /// Forgets what was long silent. The first thread also ends the wait for peers that did not come: they are to be told.
    pub(crate) fn sweep(&mut self, now: Instant) -> Vec<OnEvent> {
        if now < self.sweep_at {
            return Vec::new();
        }
        self.sweep_at = now + SWEEP;
        self.elsewhere.sweep(now);
        self.ways.sweep(now);
        if self.lanes.index() == 0 { self.claims.expire(now) } else { Vec::new() }
    }
}

/// Ties the calling thread to the processor of that number among those that the process may use. Not possible everywhere: then the
/// system moves it around.
pub(crate) fn pin(index: usize) {
    #[cfg(target_os = "linux")]
    {
        use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
        let this = nix::unistd::Pid::from_raw(0);
        let Ok(allowed) = sched_getaffinity(this) else { return };
        let allowed: Vec<usize> = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
        let mut one = CpuSet::new();
        let set = allowed.get(index).is_some_and(|cpu| one.set(*cpu).is_ok() && sched_setaffinity(this, &one).is_ok());
        if !set {
            tracing::debug!(index, "a media thread has no processor of its own");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = index;
}
