//! The engine alone: one shard with real transports, driven in virtual time by light peers in the same process. What the light peers do
//! is not counted. Repeatable enough for callgrind: `valgrind --tool=callgrind --toggle-collect='*measured*' minamo-fanout engine 64`.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::BytesMut;
use minamo_sfu_core::model::{Command, IceCredentials, PeerId};
use minamo_sfu_core::shard::{Shard, ShardConfig};
use minamo_sfu_core::transport::{Identity, Route, Transport};

use crate::clock::thread_cpu;
use crate::light::{GLANCE, Kit, Light};
use crate::media::Source;
use crate::sink::Sink;

const TICK: Duration = Duration::from_millis(1);
/// Datagrams that the server takes by one call.
const BATCH: usize = 32;

/// Until nobody's way is probed any more: what the beginning costs is not what a packet costs.
const WARM_UP: Duration = Duration::from_secs(5);

/// Who publishes and who is sent what.
#[derive(Clone, Copy, Debug)]
pub enum Scene {
    /// Peer 0 publishes to so many.
    Fanout(usize),
    /// So many rooms of so many, everybody sending to everybody.
    Rooms(usize, usize),
}

impl Scene {
    /// All peers, publishers included.
    #[must_use]
    pub fn peers(self) -> usize {
        match self {
            Self::Fanout(subscribers) => subscribers + 1,
            Self::Rooms(rooms, size) => rooms * size,
        }
    }

    /// Who publishes.
    #[must_use]
    pub fn publishers(self) -> usize {
        match self {
            Self::Fanout(_) => 1,
            Self::Rooms(rooms, size) => rooms * size,
        }
    }

    /// Whom a peer is sent.
    #[must_use]
    pub fn heard_by(self, peer: usize) -> Vec<u64> {
        match self {
            Self::Fanout(_) if peer == 0 => Vec::new(),
            Self::Fanout(_) => vec![0],
            Self::Rooms(_, size) => {
                let first = peer - peer % size;
                (first..first + size).filter(|other| *other != peer).map(|other| other as u64).collect()
            }
        }
    }
}

impl std::fmt::Display for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fanout(subscribers) => write!(f, "1 to {subscribers}"),
            Self::Rooms(rooms, size) => write!(f, "{rooms} rooms of {size}"),
        }
    }
}

/// Our credentials toward a peer of the bench.
#[must_use]
pub fn credentials(peer: usize) -> IceCredentials {
    IceCredentials { ufrag: format!("u{peer:05}"), pwd: format!("password-of-22-characters-{peer}") }
}

/// What came out.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Nanoseconds of CPU for each forwarded packet.
    pub per_packet: f64,
    /// Nanoseconds of CPU for each join: checks and handshake.
    pub per_join: f64,
    /// Packets that were forwarded.
    pub packets: u64,
    /// System calls for them and for everything else that went out.
    pub calls: u64,
}

struct Engine {
    shard: Shard<Transport>,
    sink: Sink,
    /// What went out in this turn, for the light peers to look at: whose, how long, and the first bytes. Copies, for a buffer that was
    /// sent must be free for the next one, as it is in the server.
    sent: Vec<(u16, usize)>,
    bytes: Vec<u8>,
    spent: u64,
}

impl Engine {
    /// What is counted: everything that a media thread does in one turn, receiving excepted.
    #[inline(never)]
    fn measured(&mut self, now: Instant, inputs: &mut Vec<(Route, BytesMut)>) {
        let before = thread_cpu();
        self.sent.clear();
        self.bytes.clear();
        for (number, (route, datagram)) in inputs.drain(..).enumerate() {
            self.shard.handle_datagram(now, route, datagram);
            if number % BATCH == BATCH - 1 {
                self.drain();
            }
        }
        self.drain();
        if self.shard.poll_timeout().is_some_and(|due| due <= now) {
            self.shard.handle_timeout(now);
            self.drain();
        }
        self.spent += thread_cpu() - before;
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.shard.poll_transmit() {
            self.sink.send_segments(transmit.route.remote, &transmit.payload, transmit.segment);
            for datagram in transmit.datagrams() {
                let media = datagram[0] >= 128 && datagram.len() > 300;
                let length = if media && self.sent.len() % 50 != 7 { GLANCE } else { datagram.len() };
                self.sent.push((transmit.route.remote.port(), length));
                self.bytes.extend_from_slice(&datagram[..length]);
            }
            self.shard.recycle(transmit);
        }
        while self.shard.poll_event().is_some() {}
    }
}

struct World {
    now: Instant,
    scene: Scene,
    engine: Engine,
    kit: Kit,
    peers: Vec<Light>,
    routes: Vec<Route>,
    /// Which peer listens on a port.
    ports: Vec<u32>,
    sources: Vec<Source>,
    inputs: Vec<(Route, BytesMut)>,
    spoken: Vec<BytesMut>,
}

/// Joins everybody, lets media flow for [`WARM_UP`], then measures `measure` of virtual time. Without `sends` nothing reaches
/// the kernel.
///
/// # Errors
/// When somebody cannot connect or is not sent what it should be.
pub fn run(scene: Scene, measure: Duration, sends: bool) -> Result<Outcome> {
    let mut world = World::new(scene)?;
    world.engine.sink.sends = false;
    let per_join = world.join()?;
    world.subscribe();
    world.play(WARM_UP)?;
    world.engine.sink.sends = sends;
    (world.engine.spent, world.engine.sink.calls) = (0, 0);
    let before = world.engine.shard.stats().rtp_out;
    world.play(measure)?;
    let packets = world.engine.shard.stats().rtp_out - before;
    let (expected, came) = (world.expected(measure), world.peers.iter().map(|peer| peer.packets).sum::<u64>());
    if packets * 100 < expected * 95 || came < packets || world.peers.iter().any(|peer| peer.broken > 0) {
        bail!("{scene}: {packets} packets went out, {expected} were expected, {came} came");
    }
    Ok(Outcome { per_packet: world.engine.spent as f64 / packets as f64, per_join, packets, calls: world.engine.sink.calls })
}

impl World {
    fn new(scene: Scene) -> Result<Self> {
        let (identity, kit, now) = (Identity::generate()?, Kit::new()?, Instant::now());
        let shard = Shard::new(ShardConfig::default(), move |now, ice| Transport::new(now, &identity, ice));
        let sink = Sink::new(scene.peers())?;
        let addresses = sink.addresses()?;
        let mut ports = vec![u32::MAX; 65_536];
        for (peer, address) in addresses.iter().enumerate() {
            ports[usize::from(address.port())] = peer as u32;
        }
        let phase = |peer: usize| (peer as f64 * 0.618_034).fract();
        let peers = (0..scene.peers()).map(|peer| Light::new(now, credentials(peer), phase(peer))).collect::<Result<_>>()?;
        let routes = addresses.into_iter().map(|remote| Route::udp(remote, None)).collect();
        let sources = (0..scene.publishers()).map(|publisher| Source::new(publisher as u64)).collect();
        let engine = Engine { shard, sink, sent: Vec::new(), bytes: Vec::new(), spent: 0 };
        Ok(Self { now, scene, engine, kit, peers, routes, ports, sources, inputs: Vec::new(), spoken: Vec::new() })
    }

    fn command(&mut self, command: Command) {
        self.engine.shard.handle_command(self.now, command);
    }

    /// Everybody connects, one after another. Answers nanoseconds for each.
    fn join(&mut self) -> Result<f64> {
        for peer in 0..self.peers.len() {
            let (id, before) = (PeerId(peer as u64), thread_cpu());
            self.command(Command::AddPeer { peer: id, ice: credentials(peer) });
            self.command(Command::SetRemote { peer: id, fingerprint: self.kit.fingerprint });
            self.engine.spent += thread_cpu() - before;
            self.peers[peer].begin(self.now, &self.kit, &mut self.spoken)?;
            for _ in 0..20 {
                self.inputs.extend(self.spoken.drain(..).map(|datagram| (self.routes[peer], datagram)));
                self.now += Duration::from_micros(100);
                self.turn()?;
            }
            if !self.peers[peer].is_connected() {
                bail!("peer {peer} did not connect");
            }
        }
        Ok(self.engine.spent as f64 / self.peers.len() as f64)
    }

    fn subscribe(&mut self) {
        for publisher in 0..self.scene.publishers() as u64 {
            for uplink in Source::uplinks(publisher) {
                self.command(Command::AddUplink(PeerId(publisher), uplink));
            }
        }
        for peer in 0..self.peers.len() {
            for (nth, publisher) in self.scene.heard_by(peer).into_iter().enumerate() {
                for downlink in Source::downlinks(publisher, nth as u32) {
                    self.command(Command::AddDownlink(PeerId(peer as u64), downlink));
                }
            }
        }
    }

    /// The server's turn, then what the light peers make of it.
    fn turn(&mut self) -> Result<()> {
        self.engine.measured(self.now, &mut self.inputs);
        let mut rest = &self.engine.bytes[..];
        for (port, length) in &self.engine.sent {
            let (datagram, behind) = rest.split_at(*length);
            rest = behind;
            let peer = self.ports[usize::from(*port)] as usize;
            self.peers[peer].handle(self.now, datagram, &self.kit, &mut self.spoken)?;
        }
        Ok(())
    }

    fn play(&mut self, length: Duration) -> Result<()> {
        let ticks = length.as_millis() as u64;
        for tick in 0..ticks {
            self.now += TICK;
            for publisher in 0..self.sources.len() {
                // Publishers do not all send in the same millisecond.
                let phase = tick + publisher as u64 * 7;
                let mut packets = Vec::new();
                if phase * 30 % 1000 < 30 {
                    packets = self.sources[publisher].picture();
                }
                if phase % 20 == 3 {
                    packets.push(self.sources[publisher].sound());
                }
                for packet in packets {
                    self.inputs.push((self.routes[publisher], self.peers[publisher].seal_rtp(&packet)?));
                }
            }
            for peer in 0..self.peers.len() {
                self.peers[peer].speak(self.now, &self.kit, &mut self.spoken)?;
                self.inputs.extend(self.spoken.drain(..).map(|datagram| (self.routes[peer], datagram)));
            }
            let due = self.engine.shard.poll_timeout().is_some_and(|due| due <= self.now);
            if due || !self.inputs.is_empty() {
                self.turn()?;
                self.spoken.clear();
            }
        }
        Ok(())
    }

    fn expected(&self, length: Duration) -> u64 {
        let flows: usize = (0..self.peers.len()).map(|peer| self.scene.heard_by(peer).len()).sum();
        (flows as f64 * crate::media::PER_SECOND as f64 * length.as_secs_f64()) as u64
    }
}
