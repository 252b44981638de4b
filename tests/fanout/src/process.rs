//! The whole process under load: the server in one process, all its light peers on one thread of this one. Each peer has a loopback
//! address of its own, and all of them share one socket.

use std::io::{BufRead, BufReader, IoSliceMut, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use nix::sys::socket::{setsockopt, sockopt};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use crate::engine::{Scene, credentials};
use crate::flood;
use crate::light::{Kit, Light};
use crate::media::{PER_SECOND, Source};

/// Handshakes at once.
const AT_ONCE: usize = 8;
const JOIN_LIMIT: Duration = Duration::from_secs(120);
const RECEIVE: usize = 65_536;

/// What came out.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Nanoseconds of CPU of the process for each forwarded packet.
    pub per_packet: f64,
    /// Nanoseconds of CPU of the process for each join.
    pub per_join: f64,
    /// Memory of a peer that is connected and sent nothing, in KiB.
    pub idle_kib: f64,
    /// Memory of a peer that is sent media.
    pub active_kib: f64,
    /// Of the packets that were sent, how many the load saw.
    pub seen: f64,
    /// How much of the pace the load kept, on a machine that others use, too.
    pub pace: f64,
}

/// CPU in nanoseconds, resident KiB, packets forwarded.
type Counts = [u64; 3];

pub(crate) struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(kit: &Kit, threads: usize) -> Result<Self> {
        let fingerprint: String = kit.fingerprint.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", &fingerprint, &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("no stdin")?;
        let mut output = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut port = String::new();
        output.read_line(&mut port)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port.trim().parse()?));
        Ok(Self { child, input, output, address })
    }

    pub(crate) fn say(&mut self, line: &str) -> Result<String> {
        writeln!(self.input, "{line}")?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        if answer.is_empty() {
            bail!("the server ended at {line:?}");
        }
        Ok(answer.trim().to_owned())
    }

    pub(crate) fn count(&mut self) -> Result<Counts> {
        let numbers = self.say("count")?.split(' ').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
        numbers.try_into().map_err(|_| anyhow::anyhow!("three numbers"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Load {
    socket: UdpSocket,
    state: UdpSocketState,
    server: SocketAddr,
    kit: Kit,
    peers: Vec<Light>,
    sources: Vec<Source>,
    begun: Instant,
    /// Pictures and sounds that each publisher has sent.
    sent: Vec<[u64; 2]>,
    buffer: Vec<u8>,
    metas: Vec<RecvMeta>,
    out: Vec<BytesMut>,
    /// Everything that publishers send comes twice, cut off, and beside garbage.
    pub(crate) hostile: bool,
    /// Publishers leave the first packet of each picture out.
    pub(crate) leaves_out: bool,
}

fn address(peer: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 1, (peer >> 8) as u8, peer as u8))
}

fn peer_at(address: Option<IpAddr>) -> Option<usize> {
    match address {
        Some(IpAddr::V4(ip)) => Some(usize::from(ip.octets()[2]) << 8 | usize::from(ip.octets()[3])),
        _ => None,
    }
}

impl Load {
    pub(crate) fn new(scene: Scene, kit: Kit, server: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        socket.set_nonblocking(true)?;
        // Beyond the system's limit where that is allowed: the load must not be what loses packets.
        if setsockopt(&socket, sockopt::RcvBufForce, &(256 << 20)).is_err() {
            state.set_recv_buffer_size(UdpSockRef::from(&socket), 8 << 20)?;
        }
        let now = Instant::now();
        let phase = |peer: usize| (peer as f64 * 0.618_034).fract();
        let peers = (0..scene.peers()).map(|peer| Light::new(now, credentials(peer), phase(peer))).collect::<Result<_>>()?;
        let sources: Vec<_> = (0..scene.publishers()).map(|publisher| Source::new(publisher as u64)).collect();
        let sent = vec![[0; 2]; sources.len()];
        let (buffer, metas) = (vec![0; RECEIVE * BATCH_SIZE], vec![RecvMeta::default(); BATCH_SIZE]);
        Ok(Self {
            socket,
            state,
            server,
            kit,
            peers,
            sources,
            begun: now,
            sent,
            buffer,
            metas,
            out: Vec::new(),
            hostile: false,
            leaves_out: false,
        })
    }

    fn flush(&mut self, peer: usize) {
        for datagram in self.out.drain(..) {
            let transmit = Transmit {
                destination: self.server,
                ecn: None,
                contents: &datagram,
                segment_size: None,
                src_ip: Some(address(peer)),
            };
            let _ = self.state.try_send(UdpSockRef::from(&self.socket), &transmit);
        }
    }

    /// Takes what is there. False if nothing was.
    fn receive(&mut self) -> Result<bool> {
        let mut buffers: Vec<IoSliceMut<'_>> = self.buffer.chunks_exact_mut(RECEIVE).map(IoSliceMut::new).collect();
        let Ok(count) = self.state.recv(UdpSockRef::from(&self.socket), &mut buffers, &mut self.metas) else { return Ok(false) };
        let now = Instant::now();
        for index in 0..count {
            let meta = self.metas[index];
            let Some(peer) = peer_at(meta.dst_ip).filter(|peer| *peer < self.peers.len()) else { continue };
            let whole = index * RECEIVE..index * RECEIVE + meta.len;
            for at in whole.clone().step_by(meta.stride.max(1)) {
                let datagram = &self.buffer[at..whole.end.min(at + meta.stride)];
                self.peers[peer].handle(now, datagram, &self.kit, &mut self.out)?;
            }
            self.flush(peer);
        }
        Ok(true)
    }

    pub(crate) fn join(&mut self) -> Result<()> {
        let (began, mut begun) = (Instant::now(), 0);
        let mut retry = began + Duration::from_secs(1);
        loop {
            let now = Instant::now();
            let open = self.peers[..begun].iter().filter(|peer| !peer.is_connected()).count();
            if begun == self.peers.len() && open == 0 {
                return Ok(());
            }
            if now - began > JOIN_LIMIT {
                bail!("{open} of {begun} peers did not connect");
            }
            if begun < self.peers.len() && open < AT_ONCE {
                self.peers[begun].begin(now, &self.kit, &mut self.out)?;
                self.flush(begun);
                begun += 1;
            }
            if now > retry {
                retry = now + Duration::from_secs(1);
                for peer in 0..begun {
                    self.peers[peer].retry(now, &self.kit, &mut self.out)?;
                    self.flush(peer);
                }
            }
            if !self.receive()? {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }

    /// Publishes, if `media`, and listens for so long.
    pub(crate) fn play(&mut self, length: Duration, media: bool) -> Result<()> {
        let end = Instant::now() + length;
        let mut tick = Instant::now();
        while Instant::now() < end {
            if tick <= Instant::now() {
                tick = Instant::now() + Duration::from_millis(1);
                if media {
                    self.publish()?;
                }
                for peer in 0..self.peers.len() {
                    self.peers[peer].speak(tick, &self.kit, &mut self.out)?;
                    self.flush(peer);
                }
            }
            if !self.receive()? {
                std::thread::sleep(Duration::from_micros(300));
            }
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<()> {
        for publisher in 0..self.sources.len() {
            // Publishers do not all send in the same millisecond.
            let at = self.begun.elapsed() + Duration::from_millis(publisher as u64 * 7);
            let [pictures, sounds] = [at.as_millis() as u64 * 30 / 1000, at.as_millis() as u64 / 20];
            let (sent, source) = (&mut self.sent[publisher], &mut self.sources[publisher]);
            let mut packets = Vec::new();
            if pictures > sent[0] {
                sent[0] = if sent[0] == 0 { pictures } else { sent[0] + 1 };
                packets = source.picture();
                packets.drain(..usize::from(self.leaves_out));
            }
            if sounds > sent[1] {
                sent[1] = if sent[1] == 0 { sounds } else { sent[1] + 1 };
                packets.push(source.sound());
            }
            for packet in packets {
                self.out.push(self.peers[publisher].seal_rtp(&packet)?);
            }
            if self.hostile {
                self.out = flood::corrupted(&self.out);
            }
            self.flush(publisher);
        }
        Ok(())
    }

    fn packets(&self) -> u64 {
        self.peers.iter().map(|peer| peer.packets).sum()
    }

    /// Packets that the subscribers miss.
    pub(crate) fn lost(&self) -> u64 {
        self.peers.iter().map(Light::lost).sum()
    }
}

/// Joins everybody to a server of so many media threads, then lets media flow and counts for `measure`.
///
/// # Errors
/// When somebody cannot connect or is not sent what it should be.
pub fn run(scene: Scene, threads: usize, measure: Duration) -> Result<Outcome> {
    let kit = Kit::new()?;
    let mut server = Server::start(&kit, threads)?;
    let mut load = Load::new(scene, kit, server.address)?;
    // Threads and buffers are there after a moment.
    std::thread::sleep(Duration::from_millis(500));
    let peers = scene.peers();
    let empty = server.count()?;
    server.say(&format!("join 0 {peers}"))?;
    load.join()?;
    load.play(Duration::from_secs(1), false)?;
    let idle = server.count()?;
    connect_tracks(scene, &mut server)?;
    load.play(Duration::from_secs(4), true)?;
    let (before, seen) = (server.count()?, load.packets());
    load.play(measure, true)?;
    let (after, seen) = (server.count()?, load.packets() - seen);
    let packets = after[2] - before[2];
    let flows: usize = (0..peers).map(|peer| scene.heard_by(peer).len()).sum();
    let expected = flows as f64 * PER_SECOND as f64 * measure.as_secs_f64();
    let broken: u64 = load.peers.iter().map(|peer| peer.broken).sum();
    let pace = packets as f64 / expected;
    if pace < 0.1 || broken > 0 {
        bail!("{scene}: {packets} packets went out of {expected:.0}, {seen} came, {broken} did not open");
    }
    Ok(Outcome {
        per_packet: (after[0] - before[0]) as f64 / packets as f64,
        per_join: (idle[0] - empty[0]) as f64 / peers as f64,
        idle_kib: idle[1].saturating_sub(empty[1]) as f64 / peers as f64,
        active_kib: after[1].saturating_sub(empty[1]) as f64 / peers as f64,
        seen: seen as f64 / packets as f64,
        pace,
    })
}

/// Lets the publishers publish and everybody hear whom the scene says.
pub(crate) fn connect_tracks(scene: Scene, server: &mut Server) -> Result<()> {
    for publisher in 0..scene.publishers() {
        server.say(&format!("publish {publisher}"))?;
    }
    for peer in 0..scene.peers() {
        for (nth, publisher) in scene.heard_by(peer).into_iter().enumerate() {
            server.say(&format!("hear {peer} {publisher} {nth}"))?;
        }
    }
    Ok(())
}
