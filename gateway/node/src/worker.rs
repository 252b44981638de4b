//! One thread that owns its programmes: takes tap events, looks after timers, reads the clock for them.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use minamo_media::{ChannelId, ConnectionId, TapEvent, Upstream};
use minamo_packager::{Cue, DateRange, DateRangeRefused};
use minamo_transcode::Pool;
use tokio::sync::oneshot;
use tracing::{error, warn};

use crate::clock::Clock;
use crate::config::GatewayConfig;
use crate::origin::{Origin, ProgrammeKey};
use crate::programme::{Programme, Surroundings};
use crate::telemetry;

/// Events taken in one go before timers are looked at.
const BATCH: usize = 256;
/// Without anything to wait for, programmes are still looked after this often (deleted channels, latency).
const IDLE: Duration = Duration::from_secs(1);
/// Timers are looked at no more often than this, however many programmes have one in the past.
const BREATH: Duration = Duration::from_millis(2);
/// Programmes that one worker holds at most, live and ended; a publisher beyond gets no programme, which is counted.
const PROGRAMMES_MAX: usize = 4096;

/// What a worker is told.
pub(crate) enum Job {
    Tap(ProgrammeKey, ConnectionId, TapEvent),
    Deleted(ChannelId),
    Captions(ProgrammeKey, usize, Arc<[Cue]>, oneshot::Sender<Option<bool>>),
    Metadata(ProgrammeKey, Box<DateRange>, oneshot::Sender<Option<Result<(), DateRangeRefused>>>),
    Shutdown(oneshot::Sender<()>),
    #[cfg(test)]
    Settle(oneshot::Sender<()>),
}

/// The way to one worker.
pub(crate) struct Queue {
    sender: Sender<Job>,
    /// Queue length from which media is dropped.
    media_max: usize,
    warned: AtomicBool,
}

impl Queue {
    /// Takes a tap event or drops it; never blocks.
    pub(crate) fn push(&self, key: ProgrammeKey, publisher: ConnectionId, event: TapEvent) {
        let media = matches!(event, TapEvent::AccessUnit(..) | TapEvent::SenderReport(..));
        if media && self.sender.len() >= self.media_max {
            return self.dropped("queue_full");
        }
        if self.offer(Job::Tap(key, publisher, event)).is_some() {
            self.dropped("queue_full_control");
        }
    }

    /// Gives the job back when there is no room for it.
    pub(crate) fn offer(&self, job: Job) -> Option<Job> {
        match self.sender.try_send(job) {
            // A worker that is gone takes nothing and never will: the job is dropped.
            Ok(()) | Err(TrySendError::Disconnected(_)) => None,
            Err(TrySendError::Full(job)) => Some(job),
        }
    }

    fn dropped(&self, reason: &'static str) {
        telemetry::tap_dropped(reason);
        if !self.warned.swap(true, Ordering::Relaxed) {
            warn!(reason, "HLS falls behind: tap events are dropped (counted from now on, not logged)");
        }
    }
}

/// The thread's state.
pub(crate) struct Worker {
    receiver: Receiver<Job>,
    clock: Arc<dyn Clock>,
    surroundings: Surroundings,
    programmes: HashMap<ProgrammeKey, Programme>,
    /// No programme needs anything before this.
    next_timer: Instant,
    looked_at: Instant,
    closing: bool,
    /// Told once every programme has its ENDLIST.
    goodbyes: Vec<oneshot::Sender<()>>,
}

impl Worker {
    pub(crate) fn spawn(
        index: usize,
        config: &GatewayConfig,
        clock: Arc<dyn Clock>,
        origin: Arc<Origin>,
        upstream: Arc<OnceLock<Arc<dyn Upstream>>>,
        pool: Pool,
    ) -> Queue {
        let capacity = config.queue_events_max.max(16);
        let (sender, receiver) = bounded(capacity);
        let now = clock.now();
        let surroundings = Surroundings {
            origin,
            upstream,
            pool,
            reconnect_window: config.reconnect_window,
            ended_retention: config.ended_retention,
        };
        let programmes = HashMap::new();
        let worker = Self {
            receiver,
            clock,
            surroundings,
            programmes,
            next_timer: now,
            looked_at: now,
            closing: false,
            goodbyes: Vec::new(),
        };
        let thread = std::thread::Builder::new().name(format!("hls-{index}"));
        #[allow(clippy::expect_used)] // at start, and said in `Gateway::start`
        thread.spawn(move || worker.run()).expect("the machine refuses a thread");
        Queue { sender, media_max: capacity - capacity / 8, warned: AtomicBool::new(false) }
    }

    fn run(mut self) {
        loop {
            let patience = self.next_timer.saturating_duration_since(self.clock.now());
            match self.receiver.recv_timeout(patience) {
                Ok(job) => self.take_batch(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = self.clock.now();
            if now >= self.next_timer {
                self.look_after(now);
            }
        }
    }

    fn take_batch(&mut self, first: Job) {
        self.take(first);
        for _ in 1..BATCH {
            let Ok(job) = self.receiver.try_recv() else { return };
            self.take(job);
        }
    }

    fn take(&mut self, job: Job) {
        let now = self.clock.now();
        match job {
            Job::Tap(key, publisher, event) => self.tap(now, &key, &publisher, event),
            Job::Deleted(channel) => self.programmes.retain(|key, _| key.channel != channel),
            Job::Captions(key, track, cues, told) => {
                let done = self.programmes.get_mut(&key).and_then(|programme| programme.add_captions(track, &cues));
                let _ = told.send(done);
            }
            Job::Metadata(key, range, told) => {
                let done = self.programmes.get_mut(&key).and_then(|programme| programme.add_date_range(&range));
                let _ = told.send(done);
            }
            Job::Shutdown(done) => {
                self.closing = true;
                self.each(|programme, surroundings| programme.finish(now, surroundings));
                self.goodbyes.push(done);
                self.look_after(now);
            }
            #[cfg(test)]
            Job::Settle(done) => {
                self.look_after(now);
                let _ = done.send(());
            }
        }
    }

    fn tap(&mut self, now: Instant, key: &ProgrammeKey, publisher: &ConnectionId, event: TapEvent) {
        if self.closing {
            return telemetry::tap_dropped("closing");
        }
        if !self.programmes.contains_key(key) {
            let Some(settings) = self.surroundings.origin.settings(&key.channel) else {
                return telemetry::tap_dropped("channel_not_open");
            };
            if !matches!(event, TapEvent::TrackAdded(_)) {
                return telemetry::tap_dropped("no_track");
            }
            if self.programmes.len() >= PROGRAMMES_MAX {
                return telemetry::tap_dropped("too_many_programmes");
            }
            self.programmes.insert(key.clone(), Programme::new(key.clone(), settings));
        }
        let Some(programme) = self.programmes.get_mut(key) else { return };
        let unix = self.clock.unix();
        let surroundings = &self.surroundings;
        let done = catch_unwind(AssertUnwindSafe(|| {
            programme.handle(now, unix, publisher, event, surroundings);
            programme.poll_timeout()
        }));
        match done {
            Ok(Some(timer)) => self.next_timer = self.next_timer.min(timer.max(self.looked_at + BREATH)),
            Ok(None) => {}
            Err(_) => self.lost(key),
        }
    }

    /// Every programme's timers, and when to look again.
    fn look_after(&mut self, now: Instant) {
        let unix = self.clock.unix();
        self.each(|programme, surroundings| programme.handle_timeout(now, unix, surroundings));
        let origin = &self.surroundings.origin;
        self.programmes.retain(|key, programme| !programme.is_over() && origin.is_open(&key.channel));
        let timers = self.programmes.values().filter_map(Programme::poll_timeout);
        self.next_timer = timers.min().map_or(now + IDLE, |timer| timer.clamp(now + BREATH, now + IDLE));
        self.looked_at = now;
        if self.closing && !self.programmes.values().any(Programme::is_ending) {
            for done in self.goodbyes.drain(..) {
                let _ = done.send(());
            }
        }
    }

    fn each(&mut self, work: impl Fn(&mut Programme, &Surroundings)) {
        let mut failed = Vec::new();
        for (key, programme) in &mut self.programmes {
            if catch_unwind(AssertUnwindSafe(|| work(programme, &self.surroundings))).is_err() {
                failed.push(key.clone());
            }
        }
        for key in failed {
            self.lost(&key);
        }
    }

    /// One programme's failure ends one programme.
    fn lost(&mut self, key: &ProgrammeKey) {
        error!(channel = %key.channel, "a programme failed inside and was ended");
        telemetry::programme_failure();
        if let Some(programme) = self.programmes.remove(key) {
            programme.abandon(&self.surroundings);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minamo_media::{AccessUnit, TrackId};

    fn key() -> ProgrammeKey {
        ProgrammeKey { channel: "c".into(), publisher: None }
    }

    fn unit() -> TapEvent {
        let unit = AccessUnit {
            layer: 0,
            rtp: 0,
            arrival: Instant::now(),
            key: true,
            after_loss: false,
            data: bytes::Bytes::from_static(&[0xf8]),
        };
        TapEvent::AccessUnit(TrackId(1), unit)
    }

    #[test]
    fn a_full_queue_drops_media_and_keeps_room_for_what_cannot_be_repeated() {
        let (sender, receiver) = bounded(16);
        let queue = Queue { sender, media_max: 14, warned: AtomicBool::new(false) };
        for _ in 0..100 {
            queue.push(key(), "P".into(), unit());
        }
        assert_eq!(receiver.len(), 14);
        assert!(queue.warned.load(Ordering::Relaxed));
        queue.push(key(), "P".into(), TapEvent::PublisherGone { clean: true });
        assert_eq!(receiver.len(), 15);
        // Even those have a bound: nothing here blocks.
        for _ in 0..100 {
            queue.push(key(), "P".into(), TapEvent::TrackRemoved(TrackId(1)));
        }
        assert_eq!(receiver.len(), 16);
        while receiver.try_recv().is_ok() {}
        queue.push(key(), "P".into(), unit());
        assert_eq!(receiver.len(), 1);
    }
}
