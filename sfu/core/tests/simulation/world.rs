//! One shard, one publisher, some subscribers, a link to each, one virtual clock: always the earliest event first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use minamo_media::TapEvent;
use minamo_sfu_core::model::{Command, Fingerprint, IceCredentials, PeerEvent, PeerId};
use minamo_sfu_core::shard::{Shard, ShardConfig, ShardEvent, TapInput};
use minamo_sfu_core::tap::Assembler;
use minamo_sfu_core::transport::Route;

use crate::link::{Dice, Weather};
use crate::null::{Fault, NullTransport, check};
use crate::publisher::{Habits, Publisher};
use crate::subscriber::Subscriber;

pub const PUBLISHER: PeerId = PeerId(0);
/// Datagrams that one event may cause: a key frame to all, or a burst of repairs. More would be a storm.
const TRANSMITS_MAX: usize = 2000;

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub habits: Habits,
    pub up: Weather,
    pub down: Weather,
    pub fault: Fault,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    at: Instant,
    /// Keeps the order of those that arrive together.
    number: u64,
    to_server: bool,
    peer: PeerId,
    data: Vec<u8>,
}

pub struct World {
    pub now: Instant,
    pub start: Instant,
    pub plan: Plan,
    pub shard: Shard<NullTransport>,
    pub publisher: Publisher,
    pub subscribers: BTreeMap<PeerId, Subscriber>,
    pub tap: Tap,
    pub peer_events: Vec<(PeerId, PeerEvent)>,
    pub violations: Vec<String>,
    /// While set, nothing passes from the publisher.
    pub silenced: bool,
    dice: Dice,
    flights: BinaryHeap<Reverse<Flight>>,
    flown: u64,
    digest: DefaultHasher,
}

impl World {
    #[allow(clippy::disallowed_methods)] // the one look at a clock: everything after is counted from here
    pub fn new(plan: Plan) -> Self {
        let now = Instant::now();
        let mut dice = Dice::new(plan.seed);
        let publisher = Publisher::new(now, plan.habits, Dice::new(dice.next()));
        let fault = plan.fault;
        let mut world = Self {
            now,
            start: now,
            plan,
            shard: Shard::new(ShardConfig::default(), move |_, ice| NullTransport::new(ice, fault)),
            publisher,
            subscribers: BTreeMap::new(),
            tap: Tap::default(),
            peer_events: Vec::new(),
            violations: Vec::new(),
            silenced: false,
            dice,
            flights: BinaryHeap::new(),
            flown: 0,
            digest: DefaultHasher::new(),
        };
        world.connect(PUBLISHER);
        for uplink in world.publisher.uplinks(Some(("channel", "publisher"))) {
            world.command(Command::AddUplink(PUBLISHER, uplink));
        }
        world
    }

    pub fn command(&mut self, command: Command) {
        self.shard.handle_command(self.now, command);
        self.drain();
    }

    /// Adds a peer and lets its first check through, whatever the weather.
    pub fn connect(&mut self, peer: PeerId) {
        let ufrag = format!("ufrag{}", peer.0);
        self.command(Command::AddPeer { peer, ice: IceCredentials { ufrag: ufrag.clone(), pwd: "p".repeat(22) } });
        self.command(Command::SetRemote { peer, fingerprint: Fingerprint([0; 32]) });
        self.deliver(peer, &check(&ufrag));
    }

    pub fn join(&mut self, number: u32) -> PeerId {
        let peer = PeerId(u64::from(number));
        let subscriber = Subscriber::new(self.now, number, self.plan.habits.rtx);
        let downlinks = subscriber.downlinks();
        self.subscribers.insert(peer, subscriber);
        self.connect(peer);
        for downlink in downlinks {
            self.command(Command::AddDownlink(peer, downlink));
        }
        peer
    }

    /// A datagram of a peer reaches the shard now.
    pub fn deliver(&mut self, peer: PeerId, data: &[u8]) {
        self.shard.handle_datagram(self.now, route(peer), BytesMut::from(data));
        self.drain();
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.next_event().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.step();
        }
        self.now = end;
    }

    fn next_event(&self) -> Option<Instant> {
        let flight = self.flights.peek().map(|Reverse(flight)| flight.at);
        let ticks = self.subscribers.values().map(Subscriber::next).chain([self.publisher.next()]).min();
        [flight, ticks, self.shard.poll_timeout(), self.tap.assembler.poll_timeout()].into_iter().flatten().min()
    }

    fn step(&mut self) {
        while let Some(Reverse(flight)) = self.flights.pop() {
            if flight.at > self.now {
                self.flights.push(Reverse(flight));
                break;
            }
            self.land(&flight);
        }
        // What arrives together is drained together, as the media thread does.
        self.drain();
        if self.shard.poll_timeout().is_some_and(|due| due <= self.now) {
            self.shard.handle_timeout(self.now);
            if self.shard.poll_timeout().is_some_and(|due| due <= self.now) {
                self.violations.push("the shard spins".into());
            }
            self.drain();
        }
        self.tap.handle_timeout(self.now, &mut self.violations);
        self.ticks();
    }

    fn ticks(&mut self) {
        if self.publisher.next() <= self.now {
            for data in self.publisher.tick(self.now) {
                self.fly(true, PUBLISHER, &data);
            }
        }
        let due: Vec<PeerId> =
            self.subscribers.iter().filter(|(_, subscriber)| subscriber.next() <= self.now).map(|(id, _)| *id).collect();
        for peer in due {
            let sent = self.subscribers.get_mut(&peer).map(|subscriber| subscriber.tick(self.now)).unwrap_or_default();
            for data in sent {
                self.fly(true, peer, &data);
            }
        }
    }

    pub fn fly(&mut self, to_server: bool, peer: PeerId, data: &[u8]) {
        if self.silenced && peer == PUBLISHER && to_server {
            return;
        }
        let weather = if peer == PUBLISHER { self.plan.up } else { self.plan.down };
        for at in weather.arrivals(self.now, &mut self.dice) {
            self.flown += 1;
            self.flights.push(Reverse(Flight { at, number: self.flown, to_server, peer, data: data.to_vec() }));
        }
    }

    fn land(&mut self, flight: &Flight) {
        if flight.to_server {
            self.shard.handle_datagram(self.now, route(flight.peer), BytesMut::from(&flight.data[..]));
        } else if flight.peer == PUBLISHER {
            for data in self.publisher.receive(self.now, &flight.data) {
                self.fly(true, PUBLISHER, &data);
            }
        } else if let Some(subscriber) = self.subscribers.get_mut(&flight.peer) {
            subscriber.receive(self.now, &flight.data, &self.publisher.sent);
            let found = subscriber.violations.drain(..).map(|found| format!("{:?}: {found}", flight.peer));
            self.violations.extend(found);
        }
    }

    fn drain(&mut self) {
        let mut transmits = 0;
        while let Some(transmit) = self.shard.poll_transmit() {
            let peer = PeerId(u64::from(transmit.route.remote.port()) - 1000);
            for datagram in transmit.datagrams() {
                transmits += 1;
                (self.now - self.start, peer, datagram).hash(&mut self.digest);
                self.fly(false, peer, datagram);
            }
            if transmits > TRANSMITS_MAX {
                self.violations.push(format!("a storm of more than {TRANSMITS_MAX} datagrams"));
                break;
            }
        }
        while let Some(event) = self.shard.poll_event() {
            match event {
                ShardEvent::Peer(peer, event) => self.peer_events.push((peer, event)),
                ShardEvent::Tap(input) => self.tap.feed(self.now, input, &mut self.violations),
                ShardEvent::Relay(..) => self.violations.push("a lone shard has nobody to tell".into()),
            }
        }
        while let Some(track) = self.tap.assembler.poll_wish() {
            self.shard.handle_command(self.now, Command::RequestKeyFrame(track));
            self.drain();
        }
    }

    /// What came out, in order and with times: equal for equal seeds.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }
}

pub fn route(peer: PeerId) -> Route {
    Route::udp(SocketAddr::from(([10, 0, 0, 1], 1000 + peer.0 as u16)), None)
}

/// The tap's thread: the assembler and what came of it.
#[derive(Default)]
pub struct Tap {
    pub assembler: Assembler,
    pub events: Vec<TapEvent>,
    pub inputs: Vec<String>,
    newest: BTreeMap<minamo_media::TrackId, i64>,
}

impl Tap {
    fn feed(&mut self, now: Instant, input: TapInput, violations: &mut Vec<String>) {
        match input {
            TapInput::TrackAdded { info, .. } => {
                self.inputs.push(format!("added {}", info.track));
                self.assembler.add_track(info);
            }
            TapInput::Cut { track, sequence } => self.assembler.cut(track, sequence),
            TapInput::Packet { track, layer, arrival, packet } => self.assembler.push_packet(arrival, track, layer, packet),
            TapInput::Report { track, layer, rtp32, ntp, arrival } => {
                self.assembler.push_report(arrival, track, layer, rtp32, ntp);
            }
            TapInput::TrackRemoved { track } => {
                self.inputs.push(format!("removed {track}"));
                self.assembler.remove_track(track);
            }
            TapInput::PublisherGone { clean, .. } => self.inputs.push(format!("gone clean={clean}")),
        }
        self.collect(now, violations);
    }

    fn handle_timeout(&mut self, now: Instant, violations: &mut Vec<String>) {
        if self.assembler.poll_timeout().is_some_and(|due| due <= now) {
            self.assembler.handle_timeout(now);
        }
        self.collect(now, violations);
    }

    fn collect(&mut self, now: Instant, violations: &mut Vec<String>) {
        while let Some(event) = self.assembler.poll_event() {
            if let TapEvent::AccessUnit(track, unit) = &event {
                let before = self.newest.insert(*track, unit.rtp);
                if before.is_some_and(|before| before >= unit.rtp) {
                    violations.push(format!("tap {track}: {} after {before:?}", unit.rtp));
                }
                if now - unit.arrival > Duration::from_secs(1) {
                    violations.push(format!("tap {track}: a unit waited {:?}", now - unit.arrival));
                }
            }
            self.events.push(event);
        }
    }
}
