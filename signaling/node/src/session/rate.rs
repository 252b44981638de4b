//! How fast a client may send messages to others: each is multiplied by those who receive it.

use std::time::{Duration, Instant};

/// Messages that may come at once. The rest waits for nobody: it is dropped.
const BURST: u32 = 1000;
/// One more is allowed after so long: 200 in a second.
const EVERY: Duration = Duration::from_millis(5);

/// A bucket that fills by and by.
pub(super) struct Rate {
    left: u32,
    filled: Instant,
}

impl Rate {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, filled: now }
    }

    /// Whether one more may pass.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.filled).as_nanos() / EVERY.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(BURST).min(BURST);
        self.left = (self.left + earned).min(BURST);
        self.filled += EVERY * earned;
        if self.left == BURST {
            self.filled = now;
        }
        let passes = self.left > 0;
        self.left = self.left.saturating_sub(1);
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
    fn a_burst_and_then_so_many_per_second() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        let mut passed = |at: Duration, tries: u32| (0..tries).filter(|_| rate.take(start + at)).count();
        assert_eq!(passed(Duration::ZERO, 2000), 1000);
        assert_eq!(passed(Duration::from_millis(4), 10), 0);
        assert_eq!(passed(Duration::from_secs(1), 1000), 200);
        assert_eq!(passed(Duration::from_secs(3600), 2000), 1000);
    }
}
