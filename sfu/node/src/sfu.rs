//! The handle: start, commands, numbers, shutdown.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use minamo_media::{TapSink, TrackId, Upstream};
use minamo_sfu_core::model::{Command, Fingerprint, IceCredentials, PeerEvent, PeerId};
use minamo_sfu_core::shard::{Shard, ShardConfig, Stats};
use minamo_sfu_core::transport::{Identity, Transport, TransportError};
use minamo_sfu_core::turn::{RelayLogin, RelayLogins, Share, TurnServer};
use mio::{Interest, Poll, Waker};
use socket2::{Domain, Protocol, Socket, Type};

use crate::candidates::{candidates, one_of_each_family};
use crate::commands::{self, Commands, Order, Overloaded};
use crate::heartbeat::{self, Pulse};
use crate::media::{MediaThread, Relays, SOCKET, WAKER};
use crate::socket::MediaSocket;
use crate::streams::{Handover, streams};
use crate::tap;

/// The protocol crates recurse over fragments; virtual memory costs nothing.
const MEDIA_STACK: usize = 8 << 20;

const TCP_BACKLOG: i32 = 1024;

/// Where to listen, and how we are known outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SfuConfig {
    /// UDP address. Port 0 lets the system choose. A wildcard answers each peer from the address that the peer asked.
    pub listen: SocketAddr,
    /// Addresses under which clients reach us, when they are others than the interfaces' (behind NAT). May be empty.
    pub public_ips: Vec<IpAddr>,
    /// Whether media is taken over TCP, too, and by whom.
    pub tcp: Tcp,
    /// Whether there is a TURN server, over UDP and, if at all, over TCP.
    pub turn: bool,
}

impl SfuConfig {
    /// UDP and nothing else, at this machine's own addresses.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, public_ips: Vec::new(), tcp: Tcp::Off, turn: false }
    }
}

/// Media over TCP, on the port number of UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tcp {
    /// Not taken.
    Off,
    /// We listen ourselves.
    Listen,
    /// Somebody else listens there and gives us what is media: see [`opening`](crate::opening) and [`Sfu::take_stream`].
    Shared,
}

/// A TURN server that takes this login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// One address of each family.
    pub addresses: Vec<SocketAddr>,
    /// It listens on TCP, too.
    pub tcp: bool,
    /// Good for a day.
    pub login: RelayLogin,
}

/// Why the SFU does not start. The words are for the person who starts it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The UDP address is not to be had.
    #[error("{}", bind_words(*addr, source))]
    Bind {
        /// What was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The DTLS certificate could not be made.
    #[error(transparent)]
    Identity(#[from] TransportError),
    /// Out of threads, descriptors or the like.
    #[error("cannot start the media threads: {0}")]
    Threads(#[source] io::Error),
}

fn bind_words(addr: SocketAddr, source: &io::Error) -> String {
    let (ip, port) = (addr.ip(), addr.port());
    match source.kind() {
        io::ErrorKind::AddrInUse => format!("UDP port {port} on {ip} is already in use"),
        io::ErrorKind::AddrNotAvailable => format!("this machine has no address {ip} to listen on (UDP port {port})"),
        io::ErrorKind::PermissionDenied => format!("no permission to listen on UDP port {port} of {ip}"),
        _ => format!("cannot listen on UDP port {port} of {ip}: {source}"),
    }
}

fn warn_of_tcp(addr: SocketAddr, error: &io::Error) {
    tracing::warn!(%addr, %error, "media over TCP is not taken: its port is not to be had");
}

/// Non-blocking; `[::]` takes IPv4, too.
fn listen_tcp(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(!addr.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(TCP_BACKLOG)?;
    Ok(socket.into())
}

/// The running SFU. Clones are the same one; it stops at [`Sfu::shutdown`] or when the last clone is dropped.
#[derive(Clone)]
pub struct Sfu {
    inner: Arc<Inner>,
}

struct Inner {
    commands: Commands,
    candidates: Vec<SocketAddr>,
    tcp: bool,
    logins: Option<RelayLogins>,
    handover: Option<Handover>,
    fingerprint: Fingerprint,
    port: u16,
    stats: Arc<Mutex<Stats>>,
    pulse: Pulse,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Sfu {
    /// Binds the UDP socket and starts the media thread and the tap thread, which pours into `tap`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(config: SfuConfig, tap: Arc<dyn TapSink>) -> Result<Self, StartError> {
        let SfuConfig { listen, public_ips, tcp, turn } = config;
        let mut socket = MediaSocket::bind(listen).map_err(|source| StartError::Bind { addr: listen, source })?;
        let bound = socket.bound();
        let candidates = candidates(bound, &public_ips);
        let listener = if tcp == Tcp::Listen { listen_tcp(bound).map_err(|error| warn_of_tcp(bound, &error)).ok() } else { None };
        // The port may be somebody else's, such as that of HTTP on another address: UDP goes on alone.
        let tcp = if listener.is_none() && tcp == Tcp::Listen { Tcp::Off } else { tcp };
        let now = Instant::now();
        let logins = if turn { Some(RelayLogins::generate(now)?) } else { None };
        let turn = |index| {
            let share = Share { index, of: 2 };
            logins.as_ref().map(|logins| TurnServer::new(logins.clone(), candidates.clone(), share))
        };
        let identity = Identity::generate()?;
        let fingerprint = identity.fingerprint();
        let poll = Poll::new().map_err(StartError::Threads)?;
        poll.registry().register(socket.source(), SOCKET, Interest::READABLE).map_err(StartError::Threads)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(StartError::Threads)?);
        let streams = match tcp {
            Tcp::Off => None,
            _ => Some(streams(now, listener, waker.clone(), turn(1)).map_err(StartError::Threads)?),
        };
        let mut threads = Vec::new();
        let (link, handover) = match streams {
            Some((streams, link, handover)) => {
                let thread = std::thread::Builder::new().name("sfu-tcp".to_owned());
                threads.push(thread.spawn(move || streams.run()).map_err(StartError::Threads)?);
                (Some(link), Some(handover))
            }
            None => (None, None),
        };
        let (commands, orders) = commands::queue(waker);
        let (tap_queue, tap_inputs) = tap::queue();
        let stats = Arc::new(Mutex::new(Stats::default()));
        let shard = Shard::new(ShardConfig::default(), move |now, ice| Transport::new(now, &identity, ice));
        let (heart, pulse) = heartbeat::heart(Instant::now());
        let relays = Relays { turn: turn(0), streams: link };
        let media = MediaThread::new(poll, socket, orders, shard, relays, tap_queue, stats.clone(), heart);
        let tap_commands = commands.clone();
        let tap_thread = std::thread::Builder::new().name("sfu-tap".to_owned());
        let tap_thread = tap_thread.spawn(move || tap::run(&tap_inputs, tap, tap_commands)).map_err(StartError::Threads)?;
        let media_thread = std::thread::Builder::new().name("sfu-media".to_owned()).stack_size(MEDIA_STACK);
        let media_thread = media_thread.spawn(move || media.run()).map_err(StartError::Threads)?;
        // The media thread first: the others end with it.
        threads.splice(0..0, [media_thread, tap_thread]);
        let (threads, port, tcp) = (Mutex::new(threads), bound.port(), tcp != Tcp::Off);
        let inner = Inner { commands, candidates, tcp, logins, handover, fingerprint, port, stats, pulse, threads };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The addresses for `a=candidate` lines, best first: the public ones where configured; else the bound one; else, on a wildcard,
    /// every interface's, loopback last.
    #[must_use]
    pub fn candidates(&self) -> &[SocketAddr] {
        &self.inner.candidates
    }

    /// Whether the same addresses take media over TCP (RFC 6544, passive).
    #[must_use]
    pub fn takes_tcp(&self) -> bool {
        self.inner.tcp
    }

    /// The TURN server, with a login for one connection. `name` tells connections apart; no colon in it. `None` where there is none.
    #[must_use]
    pub fn relay(&self, name: &str) -> Option<Relay> {
        let login = self.inner.logins.as_ref()?.issue(Instant::now(), name);
        Some(Relay { addresses: one_of_each_family(&self.inner.candidates), tcp: self.inner.tcp, login })
    }

    /// Takes a connection that begins like media, see [`opening`](crate::opening); nothing may have been read from it. Non-blocking.
    /// Without [`Tcp::Shared`] or when too many wait it is closed.
    pub fn take_stream(&self, stream: std::net::TcpStream) {
        if let Some(handover) = &self.inner.handover {
            handover.hand(stream);
        }
    }

    /// SHA-256 of our certificate, for `a=fingerprint`.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.inner.fingerprint
    }

    /// The UDP port.
    #[must_use]
    pub fn local_port(&self) -> u16 {
        self.inner.port
    }

    /// A peer will come with these credentials of ours. `on_event` is called on the media thread and must not block; it may give
    /// commands. `Closed` is its last call; there is none after a `RemovePeer`.
    ///
    /// # Errors
    /// When the media thread does not keep up.
    pub fn add_peer(
        &self,
        peer: PeerId,
        ice: IceCredentials,
        on_event: Box<dyn Fn(PeerEvent) + Send + Sync>,
    ) -> Result<(), Overloaded> {
        self.inner.commands.send(Order::AddPeer(peer, ice, on_event))
    }

    /// Gives a command; commands are carried out in the order in which they were given.
    ///
    /// # Errors
    /// When the media thread does not keep up, or after shutdown.
    pub fn command(&self, command: Command) -> Result<(), Overloaded> {
        self.inner.commands.send(Order::Command(command))
    }

    /// Counts since the start, a moment old.
    #[must_use]
    pub fn stats(&self) -> Stats {
        *self.inner.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the media thread makes progress: it has taken a turn within the last two seconds. False after shutdown.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.inner.pulse.is_felt(Instant::now())
    }

    /// Says close_notify to all peers, tells the tap that they are gone, and waits for the threads. Not to be called from `on_event`
    /// or from the tap's sink. A second call does nothing.
    pub fn shutdown(&self) {
        self.inner.shutdown();
    }
}

impl Inner {
    fn shutdown(&self) {
        self.commands.stop();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let this = std::thread::current().id();
        // The last clone may be dropped by a callback: a thread cannot wait for itself.
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != this) {
            if thread.join().is_err() {
                tracing::error!("a thread of the SFU ended by a panic");
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Upstream for Sfu {
    fn request_key_frame(&self, track: TrackId) {
        // A wish that is refused by an overloaded thread is wished again by whoever still needs it.
        let _ = self.command(Command::RequestKeyFrame(track));
    }

    fn request_bitrate(&self, track: TrackId, bits_per_second: u64) {
        let _ = self.command(Command::RequestBitrate(track, bits_per_second));
    }
}

impl std::fmt::Debug for Sfu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sfu").field("candidates", &self.inner.candidates).finish_non_exhaustive()
    }
}
