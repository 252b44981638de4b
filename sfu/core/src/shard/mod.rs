//! A shard: the peers of one media thread, the tracks between them, and the tables that find a datagram's peer.
//!
//! The five verbs: [`Shard::handle_command`] and [`Shard::handle_datagram`] put things in, [`Shard::handle_timeout`] moves the time,
//! [`Shard::poll_timeout`] says when, [`Shard::poll_transmit`] and [`Shard::poll_event`] take things out. Drain both after each input.

mod addresses;
mod bandwidth;
mod commands;
mod contain;
mod contested;
mod control;
mod data;
mod event;
mod fanout;
mod layers;
mod numbers;
mod outbox;
mod publish;
mod relay;
mod reports;
mod stats;
mod transport;
mod warm;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use minamo_media::TrackId;

use self::addresses::Addresses;
pub use self::event::{ShardEvent, TapInput};
use self::fanout::Fanout;
use self::outbox::Outbox;
pub use self::relay::{RelayMessage, ShardIndex};
pub use self::stats::Stats;
pub use self::transport::PeerTransport;
use crate::model::{CloseReason, IceCredentials, LayerCause, PeerEvent, PeerId};
use crate::peer::{Peer, REPORT_INTERVAL};
use crate::table::Table;
use crate::track::Track;
use crate::transport::{Input, Route, Transmit, TransportCounters};

/// Our SSRC in feedback and receiver reports: like browsers that send nothing themselves.
const OUR_SSRC: u32 = 1;
/// A deadline that stays in the past after it was served is looked at again after this long: nothing may spin.
const SPIN_GUARD: Duration = Duration::from_millis(1);

/// Bounds of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardConfig {
    /// Peers at once. A peer beyond is answered with `Closed(Refused)`.
    pub peers_max: usize,
    /// Packets waiting for the tap in [`Shard::poll_event`]; more are dropped and counted.
    pub tap_packets_max: usize,
}

impl Default for ShardConfig {
    fn default() -> Self {
        Self { peers_max: 10_000, tap_packets_max: 4096 }
    }
}

/// Makes a peer's transport.
pub type MakeTransport<T> = Box<dyn FnMut(Instant, IceCredentials) -> T + Send>;

/// The peers of one media thread.
pub struct Shard<T: PeerTransport> {
    config: ShardConfig,
    make_transport: MakeTransport<T>,
    peers: Table<PeerId, Box<Peer<T>>>,
    tracks: Table<TrackId, Track>,
    /// Who is sent a track. Kept apart from the tracks: a subscriber may come before its publisher's uplink.
    subscribers: Table<TrackId, Vec<PeerId>>,
    addresses: Addresses,
    timers: BTreeSet<(Instant, PeerId)>,
    fanout: Fanout,
    outbox: Outbox,
    /// Tracks of other shards here, and of ours there; `None` where this shard is the only one.
    relay: Option<Box<relay::Relay>>,
    stats: Stats,
    /// What the transports of peers that are gone had counted.
    departed: TransportCounters,
    /// Whose state is worked on: who is removed should that panic.
    at_work: Option<PeerId>,
    /// The last time that was told, for the one call that does not tell it.
    clock: Option<Instant>,
    /// One packet on its way out; its allocation is used again and again.
    scratch: Vec<u8>,
    /// A buffer that has been sent, for the next group of packets.
    spare: BytesMut,
}

impl<T: PeerTransport> Shard<T> {
    /// An empty shard. `make_transport` is called once for each peer.
    #[must_use]
    pub fn new(config: ShardConfig, make_transport: impl FnMut(Instant, IceCredentials) -> T + Send + 'static) -> Self {
        Self {
            config,
            make_transport: Box::new(make_transport),
            peers: Table::default(),
            tracks: Table::default(),
            subscribers: Table::default(),
            addresses: Addresses::default(),
            timers: BTreeSet::new(),
            fanout: Fanout::default(),
            outbox: Outbox::new(config.tap_packets_max),
            relay: None,
            stats: Stats::default(),
            departed: TransportCounters::default(),
            at_work: None,
            clock: None,
            scratch: Vec::with_capacity(2048),
            spare: BytesMut::new(),
        }
    }

    /// One datagram from the socket. Its peer is found by the ufrag in a connectivity check, else by the address.
    pub fn handle_datagram(&mut self, now: Instant, route: Route, data: BytesMut) {
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += data.len() as u64;
        let check = addresses::checked_ufrag(&data).and_then(|ufrag| self.addresses.by_ufrag(ufrag));
        let held = if check.is_none() { self.addresses.find(&route.origin()) } else { None };
        let Some(id) = check.or(held.map(|held| held.peer)) else {
            self.stats.dropped_unknown_address += 1;
            return;
        };
        self.clock = Some(now);
        if let Some(held) = held.filter(|held| held.rival.is_some()) {
            return self.handle_contested(now, route, data, &held);
        }
        self.contained(now, id, |shard| shard.uncontested(now, id, route, data, check.is_some()));
    }

    fn uncontested(&mut self, now: Instant, id: PeerId, route: Route, data: BytesMut, is_check: bool) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let restarts = peer.next_ufrag.is_some() && peer.next_ufrag.as_deref() == addresses::checked_ufrag(&data);
        let checks = peer.transport.counters().stun_answered;
        peer.traffic.bytes_in += data.len() as u64;
        peer.transport.handle_datagram(now, route, data);
        let authentic = peer.transport.counters().stun_answered > checks;
        if let Some(next) = peer.next_ufrag.take_if(|_| restarts && authentic) {
            self.addresses.forget_ufrag(&std::mem::replace(&mut peer.ufrag, next));
        }
        let connected = peer.connected;
        if is_check && authentic && !self.addresses.bind(now, route.origin(), peer) {
            self.stats.contested_addresses += 1;
        }
        if authentic && connected {
            self.tell_path(id);
        }
        self.after_input(now, id);
    }

    /// Only checks move a peer.
    fn tell_path(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let path = peer.transport.path().unwrap_or(peer.path);
        if path != std::mem::replace(&mut peer.path, path) {
            self.outbox.push(ShardEvent::Peer(id, PeerEvent::Path(path)));
        }
    }

    /// Time has come: feedback, reports, retries.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.clock = Some(now);
        self.fanout.handle_timeout(now);
        self.serve_relay(now);
        while let Some((due, id)) = self.timers.first().copied().filter(|(due, _)| *due <= now) {
            self.timers.remove(&(due, id));
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            peer.armed = None;
            self.contained(now, id, |shard| shard.serve_timeout(now, id));
        }
    }

    fn serve_timeout(&mut self, now: Instant, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id)
            && peer.transport.poll_timeout().is_some_and(|due| due <= now)
        {
            peer.transport.handle_timeout(now);
        }
        #[cfg(feature = "faults")]
        self.trip(id, crate::model::Fault::Timer);
        if self.peers.get(&id).and_then(|peer| peer.reports_due).is_some_and(|due| due <= now) {
            self.serve_watched(now, id);
            self.serve_loudness(now, id);
        }
        self.serve_catch_up(now, id);
        self.serve_feedback(now, id);
        self.serve_reports(now, id);
        self.serve_wishes(now, id);
        self.serve_way(now, id);
        self.after_input(now, id);
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(due, _)| *due);
        [timer, self.fanout.poll_timeout(), self.relay_due()].into_iter().flatten().min()
    }

    /// The next datagrams to send: those of one peer come together.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = loop {
            match self.next_queued() {
                Some(transmit) => break transmit,
                None if self.fan_out() => {}
                None => return None,
            }
        };
        self.stats.datagrams_out += transmit.count() as u64;
        self.stats.bytes_out += transmit.payload.len() as u64;
        Some(transmit)
    }

    /// Takes back what has been sent, for its buffer. Who keeps it costs an allocation, no more.
    pub fn recycle(&mut self, transmit: Transmit) {
        if transmit.payload.capacity() > self.spare.capacity() {
            self.spare = transmit.payload;
            self.spare.clear();
        }
    }

    /// The next datagrams that wait in a peer's transport.
    fn next_queued(&mut self) -> Option<Transmit> {
        loop {
            let (Some(now), Some(id)) = (self.clock, self.outbox.sender()) else { return self.outbox.transmit(&mut self.peers) };
            // None: that peer was given up. The others have their turn.
            if let Some(done) = self.contained(now, id, |shard| shard.outbox.transmit(&mut shard.peers)) {
                return done;
            }
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ShardEvent> {
        self.outbox.event()
    }

    /// Counts so far. Those of transports are as old as the last [`Self::sum_transports`].
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Whether nobody is here, and no table remembers anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let peers = self.peers.is_empty() && self.addresses.is_empty() && self.timers.is_empty();
        peers && self.tracks.is_empty() && self.subscribers.is_empty()
    }

    /// Brings [`Stats::transports`] up to date. Visits every peer: for once a second, not for every packet.
    pub fn sum_transports(&mut self) {
        let mut sum = self.departed;
        for peer in self.peers.values() {
            sum += peer.transport.counters();
        }
        self.stats.transports = sum;
    }

    /// Takes what a peer's transport has made of datagrams and time, then sets the peer's next deadline.
    fn after_input(&mut self, now: Instant, id: PeerId) {
        while let Some(input) = self.peers.get_mut(&id).and_then(|peer| peer.transport.poll_input()) {
            match input {
                Input::Connected => self.connected(now, id),
                Input::Rtp(packet) => self.publish(now, id, packet),
                Input::Rtcp(compound) => self.control(now, id, &compound),
                Input::ChannelOpen(label) => self.outbox.push(ShardEvent::Peer(id, PeerEvent::ChannelOpen(label))),
                Input::Data(message) => self.data_received(id, message),
                Input::ChannelClosed(label) => self.outbox.push(ShardEvent::Peer(id, PeerEvent::ChannelClosed(label))),
                Input::Closed(reason) => {
                    self.stats.panicked_peers += u64::from(reason == CloseReason::Internal);
                    self.remove_peer(now, id, false);
                    self.outbox.push(ShardEvent::Peer(id, PeerEvent::Closed(reason)));
                }
            }
        }
        self.rearm(now, id);
    }

    #[cfg(feature = "faults")]
    fn trip(&self, id: PeerId, here: crate::model::Fault) {
        if let Some(peer) = self.peers.get(&id) {
            peer.faults.trip(here);
        }
    }

    fn connected(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.connected = true;
        peer.reports_due = Some(now + REPORT_INTERVAL);
        let tracks: Vec<TrackId> = peer.downlinks.iter().map(|downlink| downlink.spec.track).collect();
        self.tell_path(id);
        self.outbox.push(ShardEvent::Peer(id, PeerEvent::Connected));
        for track in tracks {
            self.choose_layer(now, id, track, LayerCause::Wish);
        }
    }

    /// Brings the timer table in line with what the peer waits for, and lists it if it has something to send.
    fn rearm(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let tracks = peer.uplinks.iter().filter_map(|track| self.tracks.get(track)?.due(now)).min();
        let way = peer.way.as_ref().filter(|_| peer.connected).and_then(|way| way.due());
        let own = [peer.transport.poll_timeout(), peer.arrivals.due(), peer.reports_due, peer.catch_up_due, tracks, way];
        let due = own.into_iter().flatten().min().map(|due| if due <= now { now + SPIN_GUARD } else { due });
        if due != peer.armed {
            if let Some(before) = peer.armed {
                self.timers.remove(&(before, id));
            }
            self.timers.extend(due.map(|due| (due, id)));
            peer.armed = due;
        }
        self.outbox.list(peer);
    }
}
