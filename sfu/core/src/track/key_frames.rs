//! One wish for a key frame out of many: merged, spaced, repeated until one comes, and given up in the end.
//!
//! A key frame costs every subscriber's link, so they are budgeted. Who can wait for one waits until the last one is
//! [`SPACING`] old, so that a crowd that joins costs one in that time. Who has lost the picture may have a few in a row, and then as
//! many as their size allows.

use std::time::{Duration, Instant};

/// Between two PLI. A browser answers in 5–45 ms plus the way; less would only make it encode key frames in a row.
pub(crate) const ASK_INTERVAL: Duration = Duration::from_millis(400);
/// After [`TRIES_FAST`] without an answer.
const ASK_INTERVAL_SLOW: Duration = Duration::from_secs(2);
const TRIES_FAST: u32 = 5;
/// Then the wish is dropped; the next one starts over.
const TRIES_MAX: u32 = 20;
/// Between two key frames for those who can wait.
const SPACING: Duration = Duration::from_secs(2);
/// Key frames in a row for those who cannot, before the budget holds them back.
const BURST: u32 = 4;
/// The budget: key frames take at most a tenth of what the source sends, within these bounds. The upper one stays below the two seconds
/// at which HLS wants its segments cut.
const SHARE: u32 = 10;
const REFILL_MIN: Duration = Duration::from_secs(1);
const REFILL_MAX: Duration = Duration::from_millis(1500);

/// How badly a key frame is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Somebody joins, or could be sent a better layer.
    Soon,
    /// Somebody's picture stands still.
    Now,
}

/// The state of one source's key-frame wish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyFrames {
    wanted: Option<Urgency>,
    asked: Option<Instant>,
    came: Option<Instant>,
    tries: u32,
    /// How often in all.
    asked_so_far: u64,
    /// The budget is whole again from this time on.
    whole_at: Option<Instant>,
    refill: Duration,
}

impl Default for KeyFrames {
    fn default() -> Self {
        Self { wanted: None, asked: None, came: None, tries: 0, asked_so_far: 0, whole_at: None, refill: REFILL_MIN }
    }
}

impl KeyFrames {
    /// Somebody needs one.
    pub(crate) fn wish(&mut self, urgency: Urgency) {
        if self.wanted.is_none() {
            self.tries = 0;
        }
        self.wanted = self.wanted.max(Some(urgency));
    }

    /// How badly one is needed, if it is.
    pub(crate) fn urgency(&self) -> Option<Urgency> {
        self.wanted
    }

    /// The publisher is heard again after a silence: it has not heard the questions of the meantime.
    pub(crate) fn revive(&mut self) {
        self.tries = 0;
    }

    /// One has come.
    pub(crate) fn came(&mut self, now: Instant) {
        self.wanted = None;
        self.came = Some(now);
    }

    /// How large a key frame was, and what its source sends.
    pub(crate) fn weigh(&mut self, key_frame_bytes: u64, bits_per_second: u64) {
        let cost = Duration::from_millis(key_frame_bytes * 8000 / bits_per_second.max(1));
        self.refill = cost.saturating_mul(SHARE).clamp(REFILL_MIN, REFILL_MAX);
    }

    /// When to ask; not later than `now` where it may be at once.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let interval = if self.tries < TRIES_FAST { ASK_INTERVAL } else { ASK_INTERVAL_SLOW };
        let urgency = self.wanted?;
        let repeated = self.asked.map_or(now, |asked| asked + interval);
        if self.tries > 0 {
            return Some(repeated);
        }
        Some(match urgency {
            Urgency::Soon => repeated.max(self.came.map_or(now, |came| came + SPACING.max(self.refill))),
            Urgency::Now => repeated.max(self.whole_at.and_then(|at| at.checked_sub((BURST - 1) * self.refill)).unwrap_or(now)),
        })
    }

    /// How often one was asked for since the beginning.
    pub(crate) fn asked_so_far(&self) -> u64 {
        self.asked_so_far
    }

    /// Whether to ask now; true counts as asked.
    pub(crate) fn ask(&mut self, now: Instant) -> bool {
        if self.due(now).is_none_or(|due| due > now) {
            return false;
        }
        if self.tries == 0 {
            self.whole_at = Some(self.whole_at.map_or(now, |at| at.max(now)) + self.refill);
        }
        self.tries += 1;
        if self.tries > TRIES_MAX {
            self.wanted = None;
            return false;
        }
        self.asked = Some(now);
        self.asked_so_far += 1;
        true
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn many_wishes_are_one_and_are_repeated_until_it_comes() {
        let (mut keys, start) = (KeyFrames::default(), Instant::now());
        let mut asked = Vec::new();
        for at in 0..1000 {
            let now = start + ms(at);
            if at < 300 {
                keys.wish(Urgency::Now);
            }
            if keys.ask(now) {
                asked.push(at);
            }
            if at == 850 {
                keys.came(now);
            }
        }
        assert_eq!(asked, [0, 400, 800]);
        keys.wish(Urgency::Now);
        assert!(!keys.ask(start + ms(1100)));
        assert!(keys.ask(start + ms(1200)));
    }

    /// Wishes every 10 ms for a minute, each answered after 50 ms. How many were asked for, and how many in the first two seconds.
    fn a_minute_of(urgency: Urgency, bytes: u64) -> (usize, usize) {
        let (mut keys, start) = (KeyFrames::default(), Instant::now());
        let mut asked = Vec::new();
        for at in (0..60_000).step_by(10) {
            let now = start + ms(at);
            keys.weigh(bytes, 1_000_000);
            keys.wish(urgency);
            if keys.ask(now) {
                asked.push(at);
            }
            if asked.last().is_some_and(|asked| asked + 50 == at) {
                keys.came(now);
            }
        }
        (asked.len(), asked.iter().filter(|at| **at < 2000).count())
    }

    #[test]
    fn who_can_wait_costs_one_in_two_seconds() {
        assert_eq!(a_minute_of(Urgency::Soon, 10_000), (30, 1));
    }

    #[test]
    fn who_cannot_wait_gets_a_few_and_then_what_their_size_allows() {
        let (light, first) = a_minute_of(Urgency::Now, 5000);
        assert!((60..=64).contains(&light) && first >= 4, "{light} {first}");
        let (heavy, first) = a_minute_of(Urgency::Now, 50_000);
        assert!((40..=44).contains(&heavy) && first == 5, "{heavy} {first}");
    }

    #[test]
    fn a_publisher_that_is_back_is_asked_soon() {
        let (mut keys, mut now) = (KeyFrames::default(), Instant::now());
        keys.wish(Urgency::Now);
        for _ in 0..8 {
            now = keys.due(now).unwrap();
            assert!(keys.ask(now));
        }
        assert_eq!(keys.due(now), Some(now + ASK_INTERVAL_SLOW));
        keys.revive();
        assert_eq!(keys.due(now), Some(now + ASK_INTERVAL));
    }

    #[test]
    fn a_publisher_that_never_answers_is_left_alone() {
        let (mut keys, mut now) = (KeyFrames::default(), Instant::now());
        keys.wish(Urgency::Soon);
        let mut asked = 0;
        while let Some(due) = keys.due(now) {
            now = due;
            asked += u32::from(keys.ask(now));
        }
        assert_eq!(asked, TRIES_MAX);
    }
}
