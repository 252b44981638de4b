//! Media over TCP: ICE-TCP (RFC 6544, passive) and TURN over TCP and TLS, on a thread of its own.
//!
//! System calls per connection and their buffers stay off the media thread. Datagrams cross over bounded queues that drop and count when
//! they are full: media that is late is worth nothing.

mod connection;
mod framing;
mod socket;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use minamo_sfu_core::transport::{Route, Transmit, Via};
use minamo_sfu_core::turn::{TurnServer, Turned};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};

use self::connection::{Connection, ReadEnd};
pub use self::framing::{Framing, OPENING_BYTES, Opening, opening};
pub use self::socket::MediaStream;
use self::socket::Socket;

/// Connections at once, in all and of one address; further ones are closed.
const CONNECTIONS_MAX: usize = 4096;
const CONNECTIONS_PER_ADDRESS: usize = 128;
/// Datagrams on their way to the media thread, and groups of them on their way back.
const QUEUE: usize = 4096;
/// Connections that somebody else accepted and that wait to be taken.
const HANDED_MAX: usize = 256;
/// Between two looks at who is silent.
const SWEEP: Duration = Duration::from_secs(1);
/// Groups sent before something is read.
const BURST: usize = 512;

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const FIRST: usize = 2;

/// The media thread's end. When it is dropped the streams' thread ends.
pub(crate) struct StreamLink {
    inbound: Receiver<(Route, BytesMut)>,
    outbound: Option<Sender<Transmit>>,
    waker: Arc<Waker>,
    woken: bool,
    pub(crate) dropped: u64,
}

/// For whoever accepts connections on the same port; cheap to clone.
#[derive(Clone)]
pub(crate) struct Handover {
    handed: Sender<MediaStream>,
    waker: Arc<Waker>,
}

/// The thread's state.
pub(crate) struct Streams {
    poll: Poll,
    listener: Option<TcpListener>,
    handed: Receiver<MediaStream>,
    inbound: Sender<(Route, BytesMut)>,
    outbound: Receiver<Transmit>,
    /// Of the media thread.
    media: Arc<Waker>,
    turn: Option<TurnServer>,
    connections: HashMap<u32, Connection>,
    per_address: HashMap<IpAddr, usize>,
    next: u32,
    sweep_at: Instant,
    unread: Vec<u32>,
    /// More waits in `outbound` than was sent in one turn.
    unsent: bool,
    dropped: u64,
}

/// The three ends of a new thread that does not run yet.
pub(crate) fn streams(
    now: Instant,
    listener: Option<std::net::TcpListener>,
    media: Arc<Waker>,
    turn: Option<TurnServer>,
) -> io::Result<(Streams, StreamLink, Handover)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let mut listener = listener.map(TcpListener::from_std);
    if let Some(listener) = &mut listener {
        poll.registry().register(listener, LISTENER, Interest::READABLE)?;
    }
    let (to_media, inbound) = bounded(QUEUE);
    let (outbound, from_media) = bounded(QUEUE);
    let (hand, handed) = bounded(HANDED_MAX);
    let streams = Streams {
        poll,
        listener,
        handed,
        inbound: to_media,
        outbound: from_media,
        media,
        turn,
        connections: HashMap::new(),
        per_address: HashMap::new(),
        next: 0,
        sweep_at: now + SWEEP,
        unread: Vec::new(),
        unsent: false,
        dropped: 0,
    };
    let link = StreamLink { inbound, outbound: Some(outbound), waker: waker.clone(), woken: false, dropped: 0 };
    Ok((streams, link, Handover { handed: hand, waker }))
}

impl StreamLink {
    pub(crate) fn receive(&self) -> Option<(Route, BytesMut)> {
        self.inbound.try_recv().ok()
    }

    /// Never blocks. Call [`Self::wake`] after the last.
    pub(crate) fn send(&mut self, transmit: Transmit) {
        let count = transmit.count() as u64;
        let sent = self.outbound.as_ref().is_some_and(|outbound| outbound.try_send(transmit).is_ok());
        self.dropped += if sent { 0 } else { count };
        self.woken |= sent;
    }

    pub(crate) fn wake(&mut self) {
        if std::mem::take(&mut self.woken) {
            wake(&self.waker);
        }
    }
}

impl Drop for StreamLink {
    fn drop(&mut self) {
        self.outbound = None;
        wake(&self.waker);
    }
}

impl Handover {
    /// False if it was not taken: too many wait. The connection is then closed.
    pub(crate) fn hand(&self, stream: MediaStream) -> bool {
        let taken = self.handed.try_send(stream).is_ok();
        wake(&self.waker);
        taken
    }
}

fn wake(waker: &Waker) {
    if let Err(error) = waker.wake() {
        tracing::error!(%error, "cannot wake a thread of the SFU");
    }
}

impl Streams {
    /// Until the media thread is gone.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(256);
        loop {
            let now = Instant::now();
            let busy = std::mem::take(&mut self.unsent) || !self.unread.is_empty();
            let wait = if busy { Duration::ZERO } else { self.sweep_at.saturating_duration_since(now) };
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "media over TCP ends: its thread cannot wait");
                return;
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    WAKER => {}
                    Token(token) => self.on_ready((token - FIRST) as u32, event.is_readable(), event.is_writable()),
                }
            }
            for number in std::mem::take(&mut self.unread) {
                self.on_ready(number, true, false);
            }
            while let Ok(stream) = self.handed.try_recv() {
                self.take(stream.into());
            }
            if !self.send() {
                return;
            }
            self.sweep(Instant::now());
        }
    }

    fn accept(&mut self) {
        while let Some(Ok((stream, _))) = self.listener.as_ref().map(TcpListener::accept) {
            self.take(stream.into());
        }
    }

    fn take(&mut self, mut stream: Socket) {
        let (Ok(remote), Ok(local)) = (stream.tcp.peer_addr(), stream.tcp.local_addr()) else { return };
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let of_address = self.per_address.get(&remote.ip()).copied().unwrap_or(0);
        if self.connections.len() >= CONNECTIONS_MAX || of_address >= CONNECTIONS_PER_ADDRESS {
            metrics::counter!("minamo_sfu_tcp_refused_total").increment(1);
            return;
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let token = Token(number as usize + FIRST);
        if self.poll.registry().register(&mut stream.tcp, token, Interest::READABLE | Interest::WRITABLE).is_err() {
            return;
        }
        // Only a hint: without it datagrams wait for company.
        let _ = stream.tcp.set_nodelay(true);
        let route = Route { remote, local: Some(local.ip().to_canonical()), via: Via::Tcp(number) };
        *self.per_address.entry(remote.ip()).or_default() += 1;
        self.connections.insert(number, Connection::new(Instant::now(), stream, route));
        // What came before it was registered raises no event of its own.
        self.unread.push(number);
    }

    fn on_ready(&mut self, number: u32, readable: bool, writable: bool) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let (turn, inbound, dropped, now) = (&mut self.turn, &self.inbound, &mut self.dropped, Instant::now());
        let mut delivered = false;
        let mut deliver = |route: Route, data: BytesMut| {
            let sent = inbound.try_send((route, data)).is_ok();
            delivered |= sent;
            *dropped += u64::from(!sent);
        };
        let mut end = ReadEnd::Empty;
        if readable {
            end = connection.read(now, |route, framing, data, answers| match (framing, turn.as_mut()) {
                (Framing::Ice, _) => deliver(route, data),
                (Framing::Turn, Some(turn)) => match turn.handle(now, route, data) {
                    Turned::Inner(route, data) => deliver(route, data),
                    Turned::Answer(answer) => answers.push(answer),
                    Turned::Other(_) | Turned::Dropped => {}
                },
                (Framing::Turn, None) => {}
            });
        }
        let broken = writable && connection.flush().is_err();
        if delivered {
            wake(&self.media);
        }
        match end {
            _ if broken => self.close(number),
            ReadEnd::Closed => self.close(number),
            ReadEnd::More => self.unread.push(number),
            ReadEnd::Empty => {}
        }
    }

    /// What the media thread has sent. False when it is gone and everything was sent.
    fn send(&mut self) -> bool {
        let now = Instant::now();
        for _ in 0..BURST {
            let transmit = match self.outbound.try_recv() {
                Ok(transmit) => transmit,
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            };
            let wrapped = match transmit.route.via {
                Via::Turn { .. } => self.turn.as_mut().and_then(|turn| turn.wrap(now, &transmit)),
                _ => Some(transmit),
            };
            let Some(Transmit { route: Route { via: Via::Tcp(number), .. }, payload, segment }) = wrapped else { continue };
            let Some(connection) = self.connections.get_mut(&number) else { continue };
            for datagram in payload.chunks(segment.max(1)) {
                self.dropped += u64::from(!connection.write(datagram));
            }
            if connection.flush().is_err() {
                self.close(number);
            }
        }
        self.unsent = true;
        true
    }

    fn sweep(&mut self, now: Instant) {
        if now < self.sweep_at {
            return;
        }
        self.sweep_at = now + SWEEP;
        if let Some(turn) = &mut self.turn
            && turn.poll_timeout().is_some_and(|at| at <= now)
        {
            turn.handle_timeout(now);
        }
        let turn = self.turn.as_ref();
        let keeps = |connection: &Connection| turn.is_some_and(|turn| turn.knows(&connection.route));
        let dead = self.connections.iter().filter(|(_, connection)| connection.is_dead(now, keeps(connection)));
        let dead: Vec<u32> = dead.map(|(number, _)| *number).collect();
        dead.into_iter().for_each(|number| self.close(number));
        metrics::gauge!("minamo_sfu_tcp_connections").set(self.connections.len() as f64);
        metrics::counter!("minamo_sfu_tcp_dropped_total").absolute(self.dropped);
        if let Some(turn) = &self.turn {
            metrics::gauge!("minamo_sfu_turn_allocations", "transport" => "tcp").set(turn.len() as f64);
        }
    }

    fn close(&mut self, number: u32) {
        let Some(mut connection) = self.connections.remove(&number) else { return };
        let ip = connection.route.remote.ip();
        if let Some(count) = self.per_address.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&ip);
            }
        }
        if let Some(turn) = &mut self.turn {
            turn.forget(&connection.route);
        }
        // The descriptor is closed in any case.
        let _ = self.poll.registry().deregister(&mut connection.socket.tcp);
    }
}
