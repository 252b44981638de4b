//! The media thread: one poll, one socket, one shard.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use minamo_sfu_core::model::{Command, PeerEvent, PeerId};
use minamo_sfu_core::shard::{Shard, ShardEvent, Stats};
use minamo_sfu_core::transport::{Route, Transmit, Transport, Via};
use minamo_sfu_core::turn::{TurnServer, Turned};
use mio::{Events, Poll, Token};

use crate::commands::{OnEvent, Order, Orders};
use crate::counts::{self, ThreadCounts};
use crate::heartbeat::{BEAT, Heart};
use crate::socket::MediaSocket;
use crate::streams::StreamLink;
use crate::tap::TapQueue;

pub(crate) const SOCKET: Token = Token(0);
pub(crate) const WAKER: Token = Token(1);

/// Between two publications of metrics.
const PUBLISH: Duration = Duration::from_secs(1);
/// When the tap's backlog is tried again.
const BACKLOG_RETRY: Duration = Duration::from_millis(5);
/// Receive calls in a row before commands and timers get their turn.
const RECEIVES: usize = 8;
/// Datagrams taken before what they caused is sent: many, so that one subscriber's datagrams come together; few, so that the
/// transports' queues do not fill.
const DRAIN_EVERY: usize = 64;
/// Datagrams taken from the queue of those that came over TCP before the socket gets its turn: as many as it holds.
const STREAM_BURST: usize = 4096;
/// From one turn to the next at least: what comes in between is taken together. Waking up costs as much as forwarding several packets.
/// It delays a packet that comes into a busy time by as much, and one that comes into a calm one not at all.
const PACE: Duration = Duration::from_micros(900);
/// After a panic in a timer that timer is left alone for so long: the thread must not spin on a bug.
const PANIC_REST: Duration = Duration::from_millis(100);

/// Everything that the thread owns besides the socket.
pub(crate) struct Engine {
    shard: Shard<Transport>,
    /// For clients that come over UDP.
    turn: Option<TurnServer>,
    streams: Option<StreamLink>,
    callbacks: HashMap<PeerId, OnEvent>,
    tap: TapQueue,
    counts: ThreadCounts,
    undrained: usize,
    rest_until: Option<Instant>,
}

/// The ways in besides plain UDP.
pub(crate) struct Relays {
    pub(crate) turn: Option<TurnServer>,
    pub(crate) streams: Option<StreamLink>,
}

pub(crate) struct MediaThread {
    poll: Poll,
    socket: MediaSocket,
    orders: Orders,
    engine: Engine,
    stats: Arc<Mutex<Stats>>,
    heart: Heart,
    publish_at: Instant,
    turned_at: Instant,
    readable: bool,
}

impl MediaThread {
    #[expect(clippy::too_many_arguments, reason = "all that a thread is made of, put together at one place")]
    pub(crate) fn new(
        poll: Poll,
        socket: MediaSocket,
        orders: Orders,
        shard: Shard<Transport>,
        relays: Relays,
        tap: TapQueue,
        stats: Arc<Mutex<Stats>>,
        heart: Heart,
    ) -> Self {
        let Relays { turn, streams } = relays;
        let (callbacks, counts) = (HashMap::new(), ThreadCounts::default());
        let engine = Engine { shard, turn, streams, callbacks, tap, counts, undrained: 0, rest_until: None };
        Self {
            poll,
            socket,
            orders,
            engine,
            stats,
            heart,
            publish_at: Instant::now(),
            turned_at: Instant::now(),
            readable: false,
        }
    }

    /// Until [`Commands::stop`](crate::commands::Commands::stop).
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(8);
        while !self.orders.stopped() {
            self.heart.beat(Instant::now());
            if let Err(error) = self.rest(&mut events) {
                tracing::error!(%error, "the media thread cannot wait for its socket and ends");
                break;
            }
            self.turn();
        }
        self.say_goodbye();
    }

    /// Until something comes or is due, and not too soon after the turn before. Without rest where something was left unread.
    fn rest(&mut self, events: &mut Events) -> std::io::Result<()> {
        let wait = if self.readable { Duration::ZERO } else { self.wait(Instant::now()) };
        self.wait_for(events, wait)?;
        if let Some(early) = PACE.checked_sub(self.turned_at.elapsed()).filter(|_| !wait.is_zero()) {
            std::thread::sleep(early);
            // What came meanwhile is taken in this turn and must not cause another.
            self.wait_for(events, Duration::ZERO)?;
        }
        self.turned_at = Instant::now();
        Ok(())
    }

    fn wait_for(&mut self, events: &mut Events, wait: Duration) -> std::io::Result<()> {
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error),
            _ => self.readable |= events.iter().any(|event| event.token() == SOCKET),
        }
        Ok(())
    }

    fn turn(&mut self) {
        while let Some(order) = self.orders.next() {
            self.engine.order(order, Instant::now());
        }
        self.engine.drain(&mut self.socket);
        self.read();
        self.engine.receive_streams(&mut self.socket);
        self.engine.tick(Instant::now());
        self.engine.drain(&mut self.socket);
        self.publish(Instant::now());
    }

    /// Takes what is there before anything is sent: a picture's packets come one right after another, and the more of them are
    /// taken together, the more go out to each subscriber in one send. Edge-triggered: what is left unread must be remembered.
    fn read(&mut self) {
        for _ in 0..RECEIVES {
            if !self.readable {
                return;
            }
            let engine = &mut self.engine;
            self.readable = self.socket.receive(|socket, now, route, data| engine.datagram(socket, now, route, data));
        }
    }

    fn wait(&mut self, now: Instant) -> Duration {
        let backlog = (!self.engine.tap.catch_up()).then(|| now + BACKLOG_RETRY);
        let next = [Some(self.publish_at), self.engine.next_timeout(), backlog].into_iter().flatten().min();
        next.map_or(BEAT, |at| at.saturating_duration_since(now)).min(BEAT)
    }

    fn publish(&mut self, now: Instant) {
        let due = now >= self.publish_at;
        if due {
            self.engine.shard.sum_transports();
            // Should the system ever keep a datagram without saying so, it lies no longer than this.
            self.readable = true;
        }
        let stats = self.engine.shard.stats();
        // Never wait for a reader.
        if let Ok(mut shared) = self.stats.try_lock() {
            *shared = *stats;
        }
        if due {
            self.publish_at = now + PUBLISH;
            self.engine.counts.tap_drops = self.engine.tap.dropped;
            self.engine.counts.stream_drops = self.engine.streams.as_ref().map_or(0, |streams| streams.dropped);
            if let Some(turn) = &self.engine.turn {
                counts::publish_turn(turn);
            }
            counts::publish(stats, &self.socket.counts, &self.engine.counts);
        }
    }

    fn say_goodbye(&mut self) {
        let peers: Vec<PeerId> = self.engine.callbacks.drain().map(|(peer, _)| peer).collect();
        for peer in peers {
            self.engine.command(Command::RemovePeer { peer, clean: true }, Instant::now());
            self.engine.drain(&mut self.socket);
        }
        self.publish_at = Instant::now();
        self.publish(self.publish_at);
        // The tap thread ends when this end of its queue is dropped; what still waits gets a last chance.
        for _ in 0..200 {
            if self.engine.tap.catch_up() {
                return;
            }
            std::thread::sleep(BACKLOG_RETRY);
        }
    }
}

impl Engine {
    fn order(&mut self, order: Order, now: Instant) {
        match order {
            Order::AddPeer(peer, ice, on_event) => {
                self.callbacks.insert(peer, on_event);
                self.command(Command::AddPeer { peer, ice }, now);
            }
            Order::Command(command) => {
                if let Command::RemovePeer { peer, .. } = command {
                    self.callbacks.remove(&peer);
                }
                self.command(command, now);
            }
        }
    }

    fn command(&mut self, command: Command, now: Instant) {
        self.guarded(|engine| engine.shard.handle_command(now, command));
    }

    fn datagram(&mut self, socket: &mut MediaSocket, now: Instant, route: Route, data: BytesMut) {
        let Some(turn) = &mut self.turn else { return self.inner(socket, now, route, data) };
        match turn.handle(now, route, data) {
            Turned::Other(data) => self.inner(socket, now, route, data),
            Turned::Inner(inner, data) => self.inner(socket, now, inner, data),
            Turned::Answer(answer) => socket.send(&Transmit::single(route, answer)),
            Turned::Dropped => {}
        }
    }

    /// What came over TCP. As many as the queue holds at most.
    fn receive_streams(&mut self, socket: &mut MediaSocket) {
        let now = Instant::now();
        for _ in 0..STREAM_BURST {
            let Some((route, data)) = self.streams.as_ref().and_then(StreamLink::receive) else { return };
            self.inner(socket, now, route, data);
        }
    }

    fn inner(&mut self, socket: &mut MediaSocket, now: Instant, route: Route, data: BytesMut) {
        self.guarded(|engine| engine.shard.handle_datagram(now, route, data));
        self.undrained += 1;
        if self.undrained >= DRAIN_EVERY {
            self.drain(socket);
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let at = self.shard.poll_timeout()?;
        Some(self.rest_until.map_or(at, |rest| at.max(rest)))
    }

    fn tick(&mut self, now: Instant) {
        // No deadline of its own: what has expired is not used, only remembered.
        if let Some(turn) = self.turn.as_mut().filter(|turn| turn.poll_timeout().is_some_and(|at| at <= now)) {
            turn.handle_timeout(now);
        }
        if self.next_timeout().is_some_and(|at| at <= now) {
            let fine = self.guarded(|engine| engine.shard.handle_timeout(now));
            self.rest_until = (!fine).then(|| now + PANIC_REST);
        }
    }

    fn drain(&mut self, socket: &mut MediaSocket) {
        self.undrained = 0;
        let now = self.turn.as_ref().is_some_and(|turn| !turn.is_empty()).then(Instant::now);
        while let Some(transmit) = self.shard.poll_transmit() {
            self.send(socket, now, transmit);
        }
        if let Some(streams) = &mut self.streams {
            streams.wake();
        }
        while let Some(event) = self.shard.poll_event() {
            match event {
                ShardEvent::Peer(peer, event) => self.tell(peer, event),
                ShardEvent::Tap(input) => self.tap.push(input),
            }
        }
    }

    fn send(&mut self, socket: &mut MediaSocket, now: Option<Instant>, transmit: Transmit) {
        match (transmit.route.via, &mut self.turn, &mut self.streams) {
            (Via::Udp, ..) => {
                socket.send(&transmit);
                self.shard.recycle(transmit);
            }
            (Via::Turn { tcp: false, .. }, Some(turn), _) => {
                if let Some(wrapped) = now.and_then(|now| turn.wrap(now, &transmit)) {
                    socket.send(&wrapped);
                }
            }
            (Via::Tcp(_) | Via::Turn { .. }, _, Some(streams)) => streams.send(transmit),
            _ => {}
        }
    }

    fn tell(&mut self, peer: PeerId, event: PeerEvent) {
        let last = matches!(event, PeerEvent::Closed(_));
        self.guarded(|engine| {
            if let Some(on_event) = engine.callbacks.get(&peer) {
                on_event(event);
            }
        });
        if last {
            self.callbacks.remove(&peer);
        }
    }

    /// Nothing in here is meant to panic. Should it, one datagram, command or timer is lost, not everybody's stream. False if it did.
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) -> bool {
        let fine = catch_unwind(AssertUnwindSafe(|| work(self))).is_ok();
        self.counts.panics += u64::from(!fine);
        fine
    }
}
