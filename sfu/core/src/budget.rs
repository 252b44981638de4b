//! A token bucket: how much of something may be done now, so that no peer can make us work or send without end.

use std::time::{Duration, Instant};

/// Lets `per_second` through on average and `burst` at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    per_second: u32,
    burst: u32,
    /// The bucket is full again from this time on; how far ahead of now it lies says how empty it is.
    full_at: Option<Instant>,
}

impl Budget {
    pub(crate) const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst, full_at: None }
    }

    /// Takes one token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + Duration::from_secs(1) / self.per_second;
        if full_at.saturating_duration_since(now) > Duration::from_secs(1) * self.burst / self.per_second {
            return false;
        }
        self.full_at = Some(full_at);
        true
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut budget = Budget::new(100, 10);
        assert_eq!((0..50).filter(|_| budget.take(start)).count(), 10);
        let later = (1..=1000).filter(|ms| budget.take(start + Duration::from_millis(*ms))).count();
        assert!((99..=101).contains(&later), "{later}");
    }
}
