//! Whether the media thread moves: it notes the time in each of its turns, others look how long ago that was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The thread takes a turn at least this often, also when nothing happens.
pub(crate) const BEAT: Duration = Duration::from_millis(500);
/// Without a turn for so long the thread is stuck or starved: it forwards nothing, and peers begin to notice.
const STALL: Duration = Duration::from_secs(2);
/// Noted when the thread has ended.
const ENDED: u64 = u64::MAX;

/// The thread's end. Dropped with the thread, however that ends.
pub(crate) struct Heart(Pulse);

/// Everybody else's end.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    start: Instant,
    /// Milliseconds after `start`.
    last: Arc<AtomicU64>,
}

/// The first beat counts as now: a thread that never comes to its first turn is found out, too.
pub(crate) fn heart(now: Instant) -> (Heart, Pulse) {
    let pulse = Pulse { start: now, last: Arc::default() };
    (Heart(pulse.clone()), pulse)
}

impl Heart {
    pub(crate) fn beat(&self, now: Instant) {
        self.0.last.store(self.0.since_start(now), Ordering::Relaxed);
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.0.last.store(ENDED, Ordering::Relaxed);
    }
}

impl Pulse {
    pub(crate) fn is_felt(&self, now: Instant) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        last != ENDED && u128::from(self.since_start(now).saturating_sub(last)) < STALL.as_millis()
    }

    fn since_start(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_turns_is_alive_and_one_that_stops_turning_is_not() {
        let start = Instant::now();
        let (heart, pulse) = heart(start);
        assert!(pulse.is_felt(start + BEAT));
        assert!(!pulse.is_felt(start + STALL), "it never came to its first turn");
        heart.beat(start + STALL);
        assert!(pulse.is_felt(start + STALL + 3 * BEAT));
        assert!(!pulse.is_felt(start + 2 * STALL));
    }

    #[test]
    fn a_thread_that_ended_is_not_alive_at_once() {
        let start = Instant::now();
        let (heart, pulse) = heart(start);
        let ended = std::thread::spawn(move || {
            let _heart = heart;
            std::panic::resume_unwind(Box::new("a bug, on purpose"));
        });
        assert!(ended.join().is_err());
        assert!(!pulse.is_felt(start));
    }
}
