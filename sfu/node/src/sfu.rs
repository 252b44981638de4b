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
use crate::claims::Claims;
use crate::commands::{self, Order, Overloaded, Router};
use crate::counts::Board;
use crate::heartbeat::{self, Pulse};
use crate::lanes::lanes;
use crate::media::{MediaThread, Relays, SOCKET, WAKER};
use crate::others::Others;
use crate::socket::MediaSocket;
use crate::streams::{Handover, MediaStream, streams};
use crate::tap;

/// The protocol crates recurse over fragments; virtual memory costs nothing.
const STACK: usize = 8 << 20;

const TCP_BACKLOG: i32 = 1024;

/// Media threads at most.
pub const THREADS_MAX: usize = 64;

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
    /// Media threads, 1 to [`THREADS_MAX`]. More than one are tied to processors of their own and share the UDP port.
    pub threads: usize,
}

impl SfuConfig {
    /// UDP and nothing else, at this machine's own addresses.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, public_ips: Vec::new(), tcp: Tcp::Off, turn: false, threads: 1 }
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

/// What a media thread waits with.
struct Seat {
    poll: Poll,
    socket: MediaSocket,
    waker: Arc<Waker>,
}

impl Seat {
    fn new(mut socket: MediaSocket) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.registry().register(socket.source(), SOCKET, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Self { poll, socket, waker })
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK);
    thread.spawn(work).map_err(StartError::Threads)
}

/// The running SFU. Clones are the same one; it stops at [`Sfu::shutdown`] or when the last clone is dropped.
#[derive(Clone)]
pub struct Sfu {
    inner: Arc<Inner>,
}

struct Inner {
    commands: Router,
    candidates: Vec<SocketAddr>,
    tcp: bool,
    logins: Option<RelayLogins>,
    handover: Option<Handover>,
    fingerprint: Fingerprint,
    port: u16,
    board: Arc<Board>,
    pulses: Vec<Pulse>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Sfu {
    /// Binds the UDP port and starts the media threads and the tap thread, which pours into `tap`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(config: SfuConfig, tap: Arc<dyn TapSink>) -> Result<Self, StartError> {
        let SfuConfig { listen, public_ips, tcp, turn, threads } = config;
        let threads = threads.clamp(1, THREADS_MAX);
        let sockets = MediaSocket::bind_all(listen, threads).map_err(|source| StartError::Bind { addr: listen, source })?;
        let bound = sockets.first().map_or(listen, MediaSocket::bound);
        let candidates = candidates(bound, &public_ips);
        let listener = if tcp == Tcp::Listen { listen_tcp(bound).map_err(|error| warn_of_tcp(bound, &error)).ok() } else { None };
        // The port may be somebody else's, such as that of HTTP on another address: UDP goes on alone.
        let tcp = if listener.is_none() && tcp == Tcp::Listen { Tcp::Off } else { tcp };
        let now = Instant::now();
        let logins = if turn { Some(RelayLogins::generate(now)?) } else { None };
        let turn = |index: usize| {
            let share = Share { index: index as u32, of: threads as u32 + 1 };
            logins.as_ref().map(|logins| TurnServer::new(logins.clone(), candidates.clone(), share))
        };
        let identity = Identity::generate()?;
        let fingerprint = identity.fingerprint();
        let seats = sockets.into_iter().map(Seat::new).collect::<io::Result<Vec<_>>>().map_err(StartError::Threads)?;
        let wakers: Vec<Arc<Waker>> = seats.iter().map(|seat| seat.waker.clone()).collect();
        let mut handles = Vec::new();
        let (mut link, mut handover) = (None, None);
        // The first media thread has the connections.
        if let Some(waker) = wakers.first().filter(|_| tcp != Tcp::Off) {
            let (streams, to_streams, hand) =
                streams(now, listener, waker.clone(), turn(threads)).map_err(StartError::Threads)?;
            (link, handover) = (Some(to_streams), Some(hand));
            handles.push(spawn("sfu-tcp", move || streams.run())?);
        }
        let (queues, orders): (Vec<_>, Vec<_>) = wakers.iter().cloned().map(commands::queue).unzip();
        let claims = (threads > 1).then(|| Arc::new(Claims::default()));
        let commands = Router::new(queues, claims.clone());
        let (tap_queue, tap_inputs) = tap::queue();
        let board = Arc::new(Board::new(threads));
        let tap_commands = commands.clone();
        handles.insert(0, spawn("sfu-tap", move || tap::run(&tap_inputs, tap, tap_commands))?);
        let mut pulses = Vec::new();
        let ends = seats.into_iter().zip(orders).zip(lanes(&wakers)).enumerate();
        for (index, ((Seat { poll, socket, .. }, orders), lanes)) in ends {
            let (heart, pulse) = heartbeat::heart(Instant::now());
            pulses.push(pulse);
            let others = claims.clone().map(|claims| Box::new(Others::new(now, lanes, claims, identity.clone())));
            let certificate = identity.clone();
            let shard = Shard::new(ShardConfig::default(), move |now, ice| Transport::new(now, &certificate, ice));
            let shard = if others.is_some() { shard.relaying() } else { shard };
            let relays = Relays { turn: turn(index), streams: link.take(), others };
            let media = MediaThread::new(poll, socket, orders, shard, relays, tap_queue.clone(), (board.clone(), index), heart);
            // The media threads first: the others end with them.
            let name = if threads == 1 { "sfu-media".to_owned() } else { format!("sfu-media-{index}") };
            handles.insert(index, spawn(&name, move || media.run())?);
        }
        let (threads, port, tcp) = (Mutex::new(handles), bound.port(), tcp != Tcp::Off);
        let inner = Inner { commands, candidates, tcp, logins, handover, fingerprint, port, board, pulses, threads };
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

    /// Takes a connection that begins like media. Without [`Tcp::Shared`] or when too many wait it is closed.
    pub fn take_stream(&self, stream: MediaStream) {
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

    /// Gives a command; commands about one peer are carried out in the order in which they were given, and with one media thread all
    /// are. With several, what is about a peer waits until that has sent its first authentic check.
    ///
    /// # Errors
    /// When the media thread does not keep up, or after shutdown.
    pub fn command(&self, command: Command) -> Result<(), Overloaded> {
        self.inner.commands.send(Order::Command(command))
    }

    /// Counts since the start, a moment old.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.board.sum().stats
    }

    /// The same of each media thread.
    #[must_use]
    pub fn stats_by_thread(&self) -> Vec<Stats> {
        self.inner.board.each().map(|tally| tally.stats).collect()
    }

    /// Whether the media threads make progress: each has taken a turn within the last two seconds. False after shutdown.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let now = Instant::now();
        self.inner.pulses.iter().all(|pulse| pulse.is_felt(now))
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
