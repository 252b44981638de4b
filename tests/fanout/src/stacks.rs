//! Two other stacks in the place of ours: one object for each subscriber, each packet written to each of them. Light peers connect to
//! them and report as they do to us. What the light peers do is not counted, and the publisher's side is left out: packets come in plain.

mod peer_connection;
mod str0m;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::BytesMut;

pub use self::peer_connection::PeerConnection;
pub use self::str0m::Str0m;
use crate::clock::thread_cpu;
use crate::engine::{Outcome, credentials};
use crate::light::{GLANCE, Kit, Light};
use crate::media::Source;
use crate::sink::Sink;

/// One subscriber in another stack.
pub trait Stack: Sized {
    /// Waits for a client at this address, with our credentials of that number and the light peers' certificate.
    ///
    /// # Errors
    /// When it cannot be made.
    fn new(now: Instant, number: usize, client: SocketAddr, kit: &Kit) -> Result<Self>;
    /// One datagram of the client.
    ///
    /// # Errors
    /// When the stack gives up.
    fn receive(&mut self, now: Instant, client: SocketAddr, datagram: BytesMut) -> Result<()>;
    /// Sends a plain packet of video.
    ///
    /// # Errors
    /// When the stack does not take it.
    fn forward(&mut self, now: Instant, packet: &[u8]) -> Result<()>;
    /// Time, and everything that is to be sent.
    ///
    /// # Errors
    /// When the stack gives up.
    fn drain(&mut self, now: Instant, send: &mut dyn FnMut(&[u8])) -> Result<()>;
    /// When it wants to be drained next.
    fn due(&mut self) -> Option<Instant>;
    /// The id of its transport-cc extension.
    fn transport_cc(&self) -> u8;
}

/// The server's address, as the stacks know it.
pub const SERVER: &str = "127.0.0.1:9";

struct World<S> {
    now: Instant,
    stacks: Vec<S>,
    peers: Vec<Light>,
    addresses: Vec<SocketAddr>,
    sink: Sink,
    kit: Kit,
    sent: Vec<(usize, BytesMut)>,
    spent: u64,
}

/// As [`crate::engine::run`], for so many subscribers; video only.
///
/// # Errors
/// When somebody cannot connect or is not sent what it should be.
pub fn run<S: Stack>(subscribers: usize, measure: Duration) -> Result<Outcome> {
    let sink = Sink::new(subscribers)?;
    let (now, kit, addresses) = (Instant::now(), Kit::new()?, sink.addresses()?);
    let mut world = World::<S> { now, stacks: Vec::new(), peers: Vec::new(), addresses, sink, kit, sent: Vec::new(), spent: 0 };
    world.sink.sends = false;
    for number in 0..subscribers {
        world.join(number)?;
    }
    let per_join = world.spent as f64 / subscribers as f64;
    let mut source = Source::new(0);
    world.play(Duration::from_secs(1), &mut source)?;
    world.sink.sends = true;
    (world.spent, world.sink.calls) = (0, 0);
    let before: u64 = world.peers.iter().map(|peer| peer.packets).sum();
    world.play(measure, &mut source)?;
    let packets = world.peers.iter().map(|peer| peer.packets).sum::<u64>() - before;
    let expected = (subscribers * 270) as f64 * measure.as_secs_f64();
    if (packets as f64) < expected * 0.9 {
        bail!("{packets} packets of {expected:.0} came through");
    }
    Ok(Outcome { per_packet: world.spent as f64 / packets as f64, per_join, packets, calls: world.sink.calls })
}

impl<S: Stack> World<S> {
    fn join(&mut self, number: usize) -> Result<()> {
        let phase = (number as f64 * 0.618_034).fract();
        let before = thread_cpu();
        let stack = S::new(self.now, number, self.addresses[number], &self.kit)?;
        self.spent += thread_cpu() - before;
        let mut peer = Light::new(self.now, credentials(number), phase)?;
        peer.transport_cc = stack.transport_cc();
        let mut spoken = Vec::new();
        peer.begin(self.now, &self.kit, &mut spoken)?;
        self.stacks.push(stack);
        self.peers.push(peer);
        for turn in 1..5000 {
            self.now += Duration::from_millis(1);
            // A stack may take DTLS only once its checks are answered.
            if turn % 200 == 0 {
                self.peers[number].retry(self.now, &self.kit, &mut spoken)?;
            }
            self.serve(number, &mut spoken, &[])?;
            self.listen(&mut spoken)?;
            if self.peers[number].is_connected() && spoken.is_empty() {
                return Ok(());
            }
        }
        bail!("subscriber {number} did not connect");
    }

    /// What is counted.
    fn serve(&mut self, number: usize, inputs: &mut Vec<BytesMut>, packets: &[Vec<u8>]) -> Result<()> {
        let (stack, sink, sent, client) = (&mut self.stacks[number], &mut self.sink, &mut self.sent, self.addresses[number]);
        let before = thread_cpu();
        for datagram in inputs.drain(..) {
            stack.receive(self.now, client, datagram)?;
        }
        for packet in packets {
            stack.forward(self.now, packet)?;
        }
        stack.drain(self.now, &mut |datagram| {
            sink.send(client, datagram);
            let glance = if datagram[0] >= 128 && datagram.len() > 300 { GLANCE } else { datagram.len() };
            sent.push((number, BytesMut::from(&datagram[..glance])));
        })?;
        self.spent += thread_cpu() - before;
        Ok(())
    }

    fn listen(&mut self, spoken: &mut Vec<BytesMut>) -> Result<()> {
        for (number, datagram) in std::mem::take(&mut self.sent) {
            self.peers[number].handle(self.now, &datagram, &self.kit, spoken)?;
        }
        Ok(())
    }

    fn play(&mut self, length: Duration, source: &mut Source) -> Result<()> {
        let mut spoken = Vec::new();
        for tick in 0..length.as_millis() as u64 {
            self.now += Duration::from_millis(1);
            let packets = if tick * 30 % 1000 < 30 { source.picture() } else { Vec::new() };
            for number in 0..self.stacks.len() {
                self.peers[number].speak(self.now, &self.kit, &mut spoken)?;
                let due = self.stacks[number].due().is_some_and(|due| due <= self.now);
                if due || !packets.is_empty() || !spoken.is_empty() {
                    self.serve(number, &mut spoken, &packets)?;
                }
            }
            self.listen(&mut spoken)?;
            spoken.clear();
        }
        Ok(())
    }
}
