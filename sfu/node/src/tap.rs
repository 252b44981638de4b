//! The tap: the lossy queue out of the media thread, and the thread that makes access units and pours them into the sink.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use minamo_media::{ChannelId, ConnectionId, TapEvent, TapSink, TrackId};
use minamo_sfu_core::model::Command;
use minamo_sfu_core::shard::TapInput;
use minamo_sfu_core::tap::Assembler;

use crate::commands::{Order, Router};

/// Inputs on their way to the tap thread: about a second of a hundred publishers.
const CAPACITY: usize = 16_384;

/// Kept free of packets, for what says that a track or publisher comes or goes.
const RESERVE: usize = 1024;

/// Comings and goings that wait here when even the reserve is full. Beyond that they are lost, and said so loudly.
const MAX_BACKLOG: usize = 65_536;

/// Inputs taken before assemblers' timers are looked at.
const BURST: usize = 256;

/// Rest between two turns. Waking up for every packet, here and behind the sink, costs several times what is done with it; to
/// programmes, whose parts are a third of a second long, this is little, and the packets' arrival times are kept.
const REST: Duration = Duration::from_millis(20);

/// A media thread's end: never blocks. Packets and reports are dropped when the tap lags; comings and goings are not.
#[derive(Clone)]
pub(crate) struct TapQueue {
    inputs: Sender<TapInput>,
    backlog: VecDeque<TapInput>,
    pub(crate) dropped: u64,
}

pub(crate) fn queue() -> (TapQueue, Receiver<TapInput>) {
    let (sender, receiver) = bounded(CAPACITY);
    (TapQueue { inputs: sender, backlog: VecDeque::new(), dropped: 0 }, receiver)
}

impl TapQueue {
    pub(crate) fn push(&mut self, input: TapInput) {
        self.catch_up();
        if matches!(input, TapInput::Packet { .. } | TapInput::Cut { .. } | TapInput::Report { .. }) {
            let room = self.backlog.is_empty() && self.inputs.len() < CAPACITY - RESERVE;
            if !room || self.inputs.try_send(input).is_err() {
                self.dropped += 1;
            }
        } else if self.backlog.len() < MAX_BACKLOG {
            self.backlog.push_back(input);
            self.catch_up();
        } else {
            tracing::error!("the tap hangs: a track's coming or going is lost");
        }
    }

    /// Sends on what had to wait. True when nothing waits any more.
    pub(crate) fn catch_up(&mut self) -> bool {
        while let Some(input) = self.backlog.pop_front() {
            if let Err(error) = self.inputs.try_send(input) {
                self.backlog.push_front(error.into_inner());
                return false;
            }
        }
        true
    }
}

type Publisher = (ChannelId, ConnectionId);

/// The tap thread's state.
struct Tap {
    sink: Arc<dyn TapSink>,
    commands: Router,
    publishers: HashMap<Publisher, Assembler>,
    tracks: HashMap<TrackId, Publisher>,
}

/// Runs until the media thread is gone and everything that it sent is poured out.
pub(crate) fn run(inputs: &Receiver<TapInput>, sink: Arc<dyn TapSink>, commands: Router) {
    let mut tap = Tap { sink, commands, publishers: HashMap::new(), tracks: HashMap::new() };
    loop {
        let first = match tap.publishers.values().filter_map(Assembler::poll_timeout).min() {
            Some(deadline) => inputs.recv_deadline(deadline),
            None => inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        if first == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        for input in first.into_iter().chain(inputs.try_iter().take(BURST)) {
            tap.guarded(|tap| tap.handle(input));
        }
        tap.guarded(|tap| tap.handle_timeouts(Instant::now()));
        if inputs.is_empty() {
            std::thread::sleep(REST);
        }
    }
}

impl Tap {
    /// A bug in a depacketizer or in the sink costs what it was working on, not everybody's programmes.
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            metrics::counter!("minamo_sfu_tap_panics_total").increment(1);
        }
    }

    fn handle(&mut self, input: TapInput) {
        match input {
            TapInput::TrackAdded { channel, publisher, info } => {
                let key = (channel, publisher);
                self.tracks.insert(info.track, key.clone());
                self.publishers.entry(key.clone()).or_default().add_track(info);
                self.pour(&key);
            }
            TapInput::Packet { track, layer, arrival, packet } => {
                self.with(track, |assembler| assembler.push_packet(arrival, track, layer, packet));
            }
            TapInput::Cut { track, sequence } => self.with(track, |assembler| assembler.cut(track, sequence)),
            TapInput::Report { track, layer, rtp32, ntp, arrival } => {
                self.with(track, |assembler| assembler.push_report(arrival, track, layer, rtp32, ntp));
            }
            TapInput::TrackRemoved { track } => {
                self.with(track, |assembler| assembler.remove_track(track));
                self.tracks.remove(&track);
            }
            TapInput::PublisherGone { channel, publisher, clean } => {
                let key = (channel, publisher);
                self.publishers.remove(&key);
                self.tracks.retain(|_, of| *of != key);
                self.sink.push(&key.0, &key.1, TapEvent::PublisherGone { clean });
            }
        }
    }

    fn with(&mut self, track: TrackId, work: impl FnOnce(&mut Assembler)) {
        let Some(key) = self.tracks.get(&track).cloned() else { return };
        if let Some(assembler) = self.publishers.get_mut(&key) {
            work(assembler);
            self.pour(&key);
        }
    }

    fn handle_timeouts(&mut self, now: Instant) {
        let due = |assembler: &Assembler| assembler.poll_timeout().is_some_and(|at| at <= now);
        let keys: Vec<Publisher> =
            self.publishers.iter().filter(|(_, assembler)| due(assembler)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            if let Some(assembler) = self.publishers.get_mut(&key) {
                assembler.handle_timeout(now);
            }
            self.pour(&key);
        }
    }

    fn pour(&mut self, key: &Publisher) {
        let Some(assembler) = self.publishers.get_mut(key) else { return };
        while let Some(event) = assembler.poll_event() {
            self.sink.push(&key.0, &key.1, event);
        }
        while let Some(track) = assembler.poll_wish() {
            // Refused when the media thread is overloaded: the assembler wishes again.
            let _ = self.commands.send(Order::Command(Command::RequestKeyFrame(track)));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn packet() -> TapInput {
        TapInput::Packet { track: TrackId(1), layer: 0, arrival: Instant::now(), packet: Bytes::from_static(b"x") }
    }

    #[test]
    fn a_full_queue_drops_packets_and_keeps_comings_and_goings() {
        let (mut queue, inputs) = queue();
        for _ in 0..CAPACITY {
            queue.push(packet());
        }
        assert_eq!(queue.dropped, RESERVE as u64);
        for track in 0..2 * RESERVE as u64 {
            queue.push(TapInput::TrackRemoved { track: TrackId(track) });
        }
        queue.push(packet());
        assert_eq!(queue.dropped, RESERVE as u64 + 1, "a packet must not overtake what waits");
        assert!(!queue.catch_up());
        let mut removed = Vec::new();
        while !queue.catch_up() || !inputs.is_empty() {
            removed.extend(
                inputs
                    .try_iter()
                    .filter_map(|input| if let TapInput::TrackRemoved { track } = input { Some(track.0) } else { None }),
            );
        }
        assert_eq!(removed, (0..2 * RESERVE as u64).collect::<Vec<_>>());
    }
}
