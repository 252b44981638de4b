//! The media thread: one poll, one socket, one shard.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use minamo_sfu_core::model::{CloseReason, Command, PeerEvent, PeerId};
use minamo_sfu_core::shard::{Shard, ShardEvent, ShardIndex};
use minamo_sfu_core::transport::{Route, Transmit, Transport, Via};
use minamo_sfu_core::turn::{TurnServer, Turned};
use mio::{Events, Poll, Token};

use crate::commands::{OnEvent, Order, Orders};
use crate::counts::{self, Board, ThreadCounts};
use crate::heartbeat::{BEAT, Heart};
use crate::lanes::Crossing;
use crate::others::{Others, Place, pin};
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
/// Crossings taken before the socket gets its turn: as many as wait at most.
const CROSSINGS: usize = 8192;
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
    /// Where there are other media threads.
    others: Option<Box<Others>>,
    callbacks: HashMap<PeerId, OnEvent>,
    tap: TapQueue,
    counts: ThreadCounts,
    undrained: usize,
    rest_until: Option<Instant>,
}

/// The ways in and out besides plain UDP.
pub(crate) struct Relays {
    pub(crate) turn: Option<TurnServer>,
    pub(crate) streams: Option<StreamLink>,
    /// The other media threads.
    pub(crate) others: Option<Box<Others>>,
}

pub(crate) struct MediaThread {
    poll: Poll,
    socket: MediaSocket,
    orders: Orders,
    engine: Engine,
    /// Of all media threads, and which one this is.
    board: (Arc<Board>, usize),
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
        board: (Arc<Board>, usize),
        heart: Heart,
    ) -> Self {
        let Relays { turn, streams, others } = relays;
        let (callbacks, counts) = (HashMap::new(), ThreadCounts::default());
        let engine = Engine { shard, turn, streams, others, callbacks, tap, counts, undrained: 0, rest_until: None };
        Self {
            poll,
            socket,
            orders,
            engine,
            board,
            heart,
            publish_at: Instant::now(),
            turned_at: Instant::now(),
            readable: false,
        }
    }

    /// Until [`Commands::stop`](crate::commands::Commands::stop).
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(8);
        if self.engine.others.is_some() {
            pin(self.board.1);
        }
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
        self.engine.receive_crossings(&mut self.socket);
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
        let others = self.engine.others.as_mut().is_none_or(|others| others.lanes.catch_up());
        let backlog = (!self.engine.tap.catch_up() || !others).then(|| now + BACKLOG_RETRY);
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
        let (engine, socket, (board, index)) = (&mut self.engine, &self.socket, &self.board);
        board.write(*index, |tally| tally.stats = *engine.shard.stats());
        if due {
            self.publish_at = now + PUBLISH;
            engine.counts.tap_drops = engine.tap.dropped;
            engine.counts.stream_drops = engine.streams.as_ref().map_or(0, |streams| streams.dropped);
            engine.counts.crossing_drops = engine.others.as_ref().map_or(0, |others| others.lanes.dropped);
            board.write(*index, |tally| {
                (tally.socket, tally.thread) = (socket.counts, engine.counts);
                engine.turn.iter().for_each(|turn| tally.count_turn(turn));
            });
            // One speaks for all.
            if *index == 0 {
                counts::publish(&board.sum());
            }
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
        if let Some(others) = self.others.as_mut().filter(|_| self.shard.is_strange(&route, &data)) {
            match others.place(now, &route, &data) {
                Place::Claimed(orders) => orders.into_iter().for_each(|order| self.order(order, now)),
                Place::There(thread) => return others.hand(thread, route, data),
                Place::Nowhere => {}
            }
        }
        self.own(socket, now, route, data);
    }

    /// A datagram of a peer that lives here, or of nobody.
    fn own(&mut self, socket: &mut MediaSocket, now: Instant, route: Route, data: BytesMut) {
        self.guarded(|engine| engine.shard.handle_datagram(now, route, data));
        self.undrained += 1;
        if self.undrained >= DRAIN_EVERY {
            self.drain(socket);
        }
    }

    /// What the other media threads gave.
    fn receive_crossings(&mut self, socket: &mut MediaSocket) {
        let now = Instant::now();
        for _ in 0..CROSSINGS {
            let Some(others) = &mut self.others else { return };
            let Some((from, crossing)) = others.lanes.receive() else { return };
            match crossing {
                Crossing::Datagram(route, data) => {
                    others.came(now, from, &route);
                    self.own(socket, now, route, data);
                }
                Crossing::Transmit(transmit) => self.send_here(socket, Some(now), transmit),
                Crossing::Relay(message) => {
                    let from = ShardIndex(from as u16);
                    self.guarded(|engine| engine.shard.handle_relay(now, from, message));
                }
            }
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
        let late = self.others.as_mut().map(|others| others.sweep(now)).unwrap_or_default();
        for on_event in late {
            self.guarded(|_| on_event(PeerEvent::Closed(CloseReason::IceTimeout)));
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
            // What other threads are to forward does not wait until everybody here is served.
            if self.others.is_some() {
                self.tell_all();
            }
        }
        if let Some(streams) = &mut self.streams {
            streams.wake();
        }
        self.tell_all();
        if let Some(others) = &mut self.others {
            others.lanes.wake();
        }
    }

    fn tell_all(&mut self) {
        while let Some(event) = self.shard.poll_event() {
            match event {
                ShardEvent::Peer(peer, event) => self.tell(peer, event),
                ShardEvent::Tap(input) => self.tap.push(input),
                ShardEvent::Relay(to, message) => {
                    if let Some(others) = &mut self.others {
                        others.lanes.relay(to, message);
                    }
                }
            }
        }
    }

    fn send(&mut self, socket: &mut MediaSocket, now: Option<Instant>, transmit: Transmit) {
        let here = match &mut self.others {
            Some(others) => others.send(transmit),
            None => Some(transmit),
        };
        if let Some(transmit) = here {
            self.send_here(socket, now, transmit);
        }
    }

    fn send_here(&mut self, socket: &mut MediaSocket, now: Option<Instant>, transmit: Transmit) {
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
        if last && self.callbacks.remove(&peer).is_some() {
            self.others.iter().for_each(|others| others.forget(peer));
        }
    }

    /// Nothing in here is meant to panic. Should it, one datagram, command or timer is lost, not everybody's stream. False if it did.
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) -> bool {
        let fine = catch_unwind(AssertUnwindSafe(|| work(self))).is_ok();
        self.counts.panics += u64::from(!fine);
        fine
    }
}
