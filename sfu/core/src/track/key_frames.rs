//! One wish for a key frame out of many: merged, spaced, repeated until one comes, and given up in the end.

use std::time::{Duration, Instant};

/// Between two PLI. A browser answers in 5–45 ms plus the way; less would only make it encode key frames in a row.
pub(crate) const ASK_INTERVAL: Duration = Duration::from_millis(400);
/// After [`TRIES_FAST`] without an answer.
const ASK_INTERVAL_SLOW: Duration = Duration::from_secs(2);
const TRIES_FAST: u32 = 5;
/// Then the wish is dropped; the next one starts over.
const TRIES_MAX: u32 = 20;

/// The state of a track's key-frame wish.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyFrames {
    wanted: bool,
    asked: Option<Instant>,
    tries: u32,
}

impl KeyFrames {
    /// Somebody needs one.
    pub(crate) fn wish(&mut self) {
        if !self.wanted {
            self.wanted = true;
            self.tries = 0;
        }
    }

    /// The publisher is heard again after a silence: it has not heard the questions of the meantime.
    pub(crate) fn revive(&mut self) {
        self.tries = 0;
    }

    /// One has come.
    pub(crate) fn came(&mut self) {
        self.wanted = false;
    }

    /// When to ask; `now` where it may be at once.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let interval = if self.tries < TRIES_FAST { ASK_INTERVAL } else { ASK_INTERVAL_SLOW };
        self.wanted.then(|| self.asked.map_or(now, |asked| asked + interval))
    }

    /// Whether to ask now; true counts as asked.
    pub(crate) fn ask(&mut self, now: Instant) -> bool {
        if self.due(now).is_none_or(|due| due > now) {
            return false;
        }
        self.tries += 1;
        if self.tries > TRIES_MAX {
            self.wanted = false;
            return false;
        }
        self.asked = Some(now);
        true
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use super::*;

    #[test]
    fn many_wishes_are_one_and_are_repeated_until_it_comes() {
        let (mut keys, start) = (KeyFrames::default(), Instant::now());
        let mut asked = Vec::new();
        for ms in 0..1000 {
            let now = start + Duration::from_millis(ms);
            if ms < 300 {
                keys.wish();
            }
            if keys.ask(now) {
                asked.push(ms);
            }
            if ms == 850 {
                keys.came();
            }
        }
        assert_eq!(asked, [0, 400, 800]);
        keys.wish();
        assert!(!keys.ask(start + Duration::from_millis(1100)));
        assert!(keys.ask(start + Duration::from_millis(1200)));
    }

    #[test]
    fn a_publisher_that_is_back_is_asked_soon() {
        let (mut keys, mut now) = (KeyFrames::default(), Instant::now());
        keys.wish();
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
        keys.wish();
        let mut asked = 0;
        while let Some(due) = keys.due(now) {
            now = due;
            asked += u32::from(keys.ask(now));
        }
        assert_eq!(asked, TRIES_MAX);
    }
}
