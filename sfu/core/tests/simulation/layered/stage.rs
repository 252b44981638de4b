//! A shard between a layered source and its viewers, in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use minamo_media::Codec;
use minamo_media::rtp::Packet;
use minamo_sfu_core::model::{Command, Fingerprint, IceCredentials, Layer, LayerWish, PeerEvent, PeerId};
use minamo_sfu_core::shard::{Shard, ShardConfig, ShardEvent, TapInput};

use super::shape::{Numbers, Slice};
use super::source::{Habits, Source, TRACK};
use super::viewer::Viewer;
use crate::link::{CLEAR, Dice, Weather};
use crate::null::{Fault, NullTransport, check};
use crate::world::route;

/// Datagrams that one event may cause. More would be a storm.
const TRANSMITS_MAX: usize = 4000;
pub const PUBLISHER: PeerId = PeerId(0);

pub const SIMULCAST: Habits = Habits { codec: Codec::Vp8, layers: 3, temporal: true, reports: true };

type Flight = Reverse<(Instant, u64, bool, PeerId, Vec<u8>)>;

/// What the tap was given: packets with what they are, and reports.
#[derive(Default)]
pub struct Tapped {
    /// The layer that each packet is said to be of, and the one that it is of.
    pub layers: Vec<(u8, u8)>,
    pub packets: Vec<(u16, u32, Slice, Numbers)>,
    pub reports: Vec<(u32, minamo_media::NtpTime)>,
    /// Numbers before which a picture was cut short.
    pub cuts: Vec<u16>,
}

pub struct Stage {
    pub now: Instant,
    pub start: Instant,
    pub shard: Shard<NullTransport>,
    pub source: Source,
    pub viewers: BTreeMap<PeerId, Viewer>,
    pub up: Weather,
    pub down: Weather,
    pub events: Vec<(Instant, PeerId, PeerEvent)>,
    pub tapped: Tapped,
    /// Packets to viewers that vanish without a trace, for negative controls.
    pub swallow: Option<fn(&Slice) -> bool>,
    dice: Dice,
    flights: BinaryHeap<Flight>,
    flown: u64,
}

impl Stage {
    #[allow(clippy::disallowed_methods)] // the one look at a clock: everything after is counted from here
    pub fn new(seed: u64, habits: Habits, tap: bool, fault: Fault) -> Self {
        let now = Instant::now();
        let mut dice = Dice::new(seed);
        let source = Source::new(now, habits, Dice::new(dice.next()));
        let mut stage = Self {
            now,
            start: now,
            shard: Shard::new(ShardConfig::default(), move |_, ice| NullTransport::new(ice, fault)),
            source,
            viewers: BTreeMap::new(),
            up: CLEAR,
            down: CLEAR,
            events: Vec::new(),
            tapped: Tapped::default(),
            swallow: None,
            dice,
            flights: BinaryHeap::new(),
            flown: 0,
        };
        stage.connect(PUBLISHER);
        stage.command(Command::AddUplink(PUBLISHER, stage.source.uplink(tap)));
        stage
    }

    pub fn command(&mut self, command: Command) {
        self.shard.handle_command(self.now, command);
        self.drain();
    }

    fn connect(&mut self, peer: PeerId) {
        let ufrag = format!("ufrag{}", peer.0);
        self.command(Command::AddPeer { peer, ice: IceCredentials { ufrag: ufrag.clone(), pwd: "p".repeat(22) } });
        self.command(Command::SetRemote { peer, fingerprint: Fingerprint([0; 32]) });
        self.shard.handle_datagram(self.now, route(peer), BytesMut::from(&check(&ufrag)[..]));
        self.drain();
    }

    pub fn join(&mut self, number: u32, wish: LayerWish) -> PeerId {
        let peer = PeerId(u64::from(number));
        let viewer = Viewer::new(self.now, number, self.source.habits.codec, wish);
        let downlink = viewer.downlink();
        self.viewers.insert(peer, viewer);
        self.connect(peer);
        self.command(Command::AddDownlink(peer, downlink));
        peer
    }

    pub fn wish(&mut self, peer: PeerId, wish: LayerWish) {
        self.command(Command::SetLayer(peer, TRACK, wish));
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
        let flight = self.flights.peek().map(|Reverse((at, ..))| *at);
        let ticks = self.viewers.values().map(Viewer::next).chain([self.source.next()]).min();
        [flight, ticks, self.shard.poll_timeout()].into_iter().flatten().min()
    }

    fn step(&mut self) {
        while self.flights.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
            let Some(Reverse((_, _, to_server, peer, data))) = self.flights.pop() else { break };
            if to_server {
                self.shard.handle_datagram(self.now, route(peer), BytesMut::from(&data[..]));
            } else if peer == PUBLISHER {
                for data in self.source.receive(self.now, &data) {
                    self.fly(true, PUBLISHER, &data);
                }
            } else if let Some(viewer) = self.viewers.get_mut(&peer) {
                viewer.receive(self.now, &data);
            }
        }
        self.drain();
        if self.shard.poll_timeout().is_some_and(|due| due <= self.now) {
            self.shard.handle_timeout(self.now);
            self.drain();
        }
        if self.source.next() <= self.now {
            for data in self.source.tick(self.now) {
                self.fly(true, PUBLISHER, &data);
            }
        }
        let due: Vec<PeerId> = self.viewers.iter().filter(|(_, viewer)| viewer.next() <= self.now).map(|(id, _)| *id).collect();
        for peer in due {
            let sent = self.viewers.get_mut(&peer).map(|viewer| viewer.tick(self.now)).unwrap_or_default();
            sent.iter().for_each(|data| self.fly(true, peer, data));
        }
    }

    fn fly(&mut self, to_server: bool, peer: PeerId, data: &[u8]) {
        let weather = if peer == PUBLISHER { self.up } else { self.down };
        for at in weather.arrivals(self.now, &mut self.dice) {
            self.flown += 1;
            self.flights.push(Reverse((at, self.flown, to_server, peer, data.to_vec())));
        }
    }

    fn drain(&mut self) {
        let mut transmits = 0;
        while let Some(transmit) = self.shard.poll_transmit() {
            transmits += transmit.count();
            assert!(transmits <= TRANSMITS_MAX, "a storm of more than {TRANSMITS_MAX} datagrams");
            let peer = PeerId(u64::from(transmit.route.remote.port()) - 1000);
            for datagram in transmit.datagrams() {
                if !self.swallowed(peer, datagram) {
                    self.fly(false, peer, datagram);
                }
            }
        }
        while let Some(event) = self.shard.poll_event() {
            match event {
                ShardEvent::Peer(peer, event) => self.events.push((self.now, peer, event)),
                ShardEvent::Tap(TapInput::Packet { packet, layer, .. }) => {
                    let Ok(packet) = Packet::parse(&packet) else { continue };
                    let content = Slice::read(self.source.habits.codec, packet.payload(), packet.extension(8));
                    let Some((slice, numbers)) = content else { continue };
                    self.tapped.layers.push((layer, slice.layer));
                    self.tapped.packets.push((packet.sequence(), packet.timestamp(), slice, numbers));
                }
                ShardEvent::Tap(TapInput::Cut { sequence, .. }) => self.tapped.cuts.push(sequence),
                ShardEvent::Tap(TapInput::Report { rtp32, ntp, .. }) => self.tapped.reports.push((rtp32, ntp)),
                ShardEvent::Tap(_) | ShardEvent::Relay(..) => {}
            }
        }
    }

    fn swallowed(&self, peer: PeerId, datagram: &[u8]) -> bool {
        let Some(swallow) = self.swallow.filter(|_| peer != PUBLISHER && !rtcp(datagram)) else { return false };
        let Ok(packet) = Packet::parse(datagram) else { return false };
        let payload = if packet.payload_type() == 120 { packet.payload() } else { packet.payload().get(2..).unwrap_or_default() };
        Slice::read(self.source.habits.codec, payload, packet.extension(10)).is_some_and(|(slice, _)| swallow(&slice))
    }

    /// Violations of all viewers.
    pub fn violations(&self) -> Vec<String> {
        self.viewers
            .iter()
            .flat_map(|(peer, viewer)| viewer.violations.iter().map(move |found| format!("{peer:?}: {found}")))
            .collect()
    }

    /// What signaling was told of a subscriber's switches.
    pub fn switches(&self, peer: PeerId) -> Vec<(Option<u8>, Option<u8>, minamo_sfu_core::model::LayerCause)> {
        let number = |layer: Option<Layer>| layer.map(|layer| layer.0);
        let switch = |event: &(Instant, PeerId, PeerEvent)| match event {
            (_, of, PeerEvent::LayerSwitched { track: TRACK, from, to, cause }) if *of == peer => {
                Some((number(*from), number(*to), *cause))
            }
            _ => None,
        };
        self.events.iter().filter_map(switch).collect()
    }
}

fn rtcp(datagram: &[u8]) -> bool {
    datagram.first().is_none_or(|first| first >> 6 != 2) || minamo_sfu_core::rtcp::is_rtcp(datagram)
}
