//! How long packets stand in the way's queue: their time under way beyond the least that was seen lately. It tells of a link that
//! became narrow with the first feedback, before any slope is certain. What stands there makes sound wait, so video is held meanwhile.
//! And where some packets do not wait at all nothing stands there, whatever slope jitter pretends.

use std::time::{Duration, Instant};

use super::ledger::Arrival;

/// The least time under way is that of the last one or two of these.
const EPOCH: Duration = Duration::from_secs(5);
/// Latest arrivals of which the least delayed counts for [`Standing::conclude`]: one alone may be jitter; and for
/// [`Standing::is_queue`], where jitter would be taken for congestion.
const LAST: usize = 4;
const LAST_LONG: usize = 20;
/// A queue is at least so long.
const QUEUE_US: i32 = 10_000;
/// Video is held from so much on, and until it is less than that.
const HOLD_US: i32 = 100_000;
const GO_US: i32 = 40_000;
/// A queue that nothing but sound comes to drains; if it does not within this time, it is another's, or the way has become longer.
const DRAINS: Duration = Duration::from_millis(350);
/// Of what stood there, in percent, this is still there then.
const STUCK_PERCENT: i32 = 80;
/// Without further feedback video is let go after this.
const SILENCE: Duration = Duration::from_millis(250);

/// The delay in the queue. Times wrap as those of [`Arrival`] do: only differences are looked at.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// The least of this epoch and of the one before.
    least: Option<(u32, u32)>,
    epoch: Option<Instant>,
    /// A ring of the latest.
    last: [u32; LAST_LONG],
    count: usize,
    /// Since when video is held, and what stood in the queue then.
    held: Option<(Instant, i32)>,
}

impl Standing {
    pub(super) fn arrived(&mut self, arrival: &Arrival) {
        let took = (arrival.arrived_us as u32).wrapping_sub(arrival.sent_us);
        self.last[self.count % LAST_LONG] = took;
        self.count += 1;
        let lower = |one: u32, other: u32| if (one.wrapping_sub(other) as i32) < 0 { one } else { other };
        self.least = Some(self.least.map_or((took, took), |(now, before)| (lower(took, now), lower(took, before))));
    }

    /// A feedback message is at its end: until when to hold video, if at all.
    pub(super) fn conclude(&mut self, now: Instant) -> Option<Instant> {
        let (least, base) = self.least?;
        let stands = self.stands(base, LAST);
        if now.saturating_duration_since(*self.epoch.get_or_insert(now)) > EPOCH {
            // The next epoch begins with what stands there now, the one before keeps what it saw.
            (self.least, self.epoch) = (Some((base.wrapping_add(stands as u32), least)), Some(now));
        }
        self.held = match self.held {
            None if stands > HOLD_US => Some((now, stands)),
            Some((since, stood)) if stands > GO_US => {
                if now.saturating_duration_since(since) > DRAINS && stands > stood * STUCK_PERCENT / 100 {
                    let took = base.wrapping_add(stands as u32);
                    self.least = Some((took, took));
                    return self.release();
                }
                Some((since, stood.max(stands)))
            }
            _ => None,
        };
        self.held.map(|_| now + SILENCE)
    }

    /// Whether all that came lately has waited, or so much that video is held.
    pub(super) fn is_queue(&self) -> bool {
        self.held.is_some() || self.least.is_some_and(|(_, base)| self.stands(base, LAST_LONG) > QUEUE_US)
    }

    /// The least delayed of the latest few, in microseconds beyond `base`.
    fn stands(&self, base: u32, latest: usize) -> i32 {
        let latest = (1..=latest.min(self.count)).map(|back| self.last[(self.count - back) % LAST_LONG]);
        latest.map(|took| took.wrapping_sub(base) as i32).min().unwrap_or(0)
    }

    fn release(&mut self) -> Option<Instant> {
        self.held = None;
        None
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use super::*;

    struct Bench {
        standing: Standing,
        start: Instant,
        ms: u64,
    }

    impl Bench {
        fn new() -> Self {
            Self { standing: Standing::default(), start: Instant::now(), ms: 0 }
        }

        /// Feedback every 50 ms on ten packets each, so many milliseconds under way; whether video is held after the last.
        fn pass(&mut self, messages: u64, delay_ms: impl Fn(u64) -> i64) -> bool {
            let mut held = false;
            for _ in 0..messages {
                for _ in 0..10 {
                    self.ms += 5;
                    let sent_us = (self.ms as u32).wrapping_mul(1000).wrapping_sub(3_000_000);
                    let arrived_us = (self.ms as i64 + delay_ms(self.ms)) * 1000 + 77_000_000_000;
                    self.standing.arrived(&Arrival { sent_us, arrived_us, size: 1000, probe: 0 });
                }
                held = self.standing.conclude(self.start + Duration::from_millis(self.ms)).is_some();
            }
            held
        }
    }

    #[test]
    fn a_queue_holds_video_until_it_has_drained() {
        let mut bench = Bench::new();
        assert!(!bench.pass(200, |_| 50));
        assert!(!bench.pass(1, |_| 120), "jitter");
        assert!(bench.pass(1, |_| 200));
        let from = bench.ms as i64;
        assert!(bench.pass(4, |ms| 400 - (ms as i64 - from)), "it drains");
        assert!(!bench.pass(1, |_| 80));
    }

    #[test]
    fn a_longer_way_is_no_queue() {
        let mut bench = Bench::new();
        bench.pass(200, |_| 50);
        assert!(bench.pass(1, |_| 250));
        assert!(!bench.pass(8, |_| 250));
        assert!(!bench.pass(300, |_| 250));
        assert!(bench.pass(1, |_| 400), "and a queue on it is one");
    }

    #[test]
    fn jitter_and_batches_are_no_queue() {
        let mut bench = Bench::new();
        for ms in [40, 90] {
            for _ in 0..200 {
                assert!(!bench.pass(1, |at| 50 + (at.wrapping_mul(2_654_435_761) >> 7) as i64 % ms));
            }
        }
    }
}
