//! What a publisher is asked to send again, when, and when it is given up.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::budget::Budget;

/// A packet may be overtaken by this much before it counts as lost.
const REORDER_TOLERANCE: Duration = Duration::from_millis(10);
/// A wider gap is not repaired packet by packet: a key frame is cheaper and comes sooner.
const GAP_MAX: u64 = 256;
/// Missing packets at once; at the bound the oldest is given up.
const MISSING_MAX: usize = 512;
/// A packet asked for this often will not come.
const TRIES_MAX: u8 = 8;
/// Nor one that has been away for longer than players wait.
const AGE_MAX: Duration = Duration::from_secs(1);
/// Requests of one sequence number; more wait.
const BUDGET: Budget = Budget::new(600, 200);
/// Until a retransmission has been seen.
const RTT_FIRST: Duration = Duration::from_millis(60);
const RETRY_MIN: Duration = Duration::from_millis(25);
const RETRY_MAX: Duration = Duration::from_millis(400);

#[derive(Clone, Copy, Debug)]
struct Gap {
    since: Instant,
    due: Instant,
    asked: Option<Instant>,
    tries: u8,
}

/// The missing packets of one track.
#[derive(Clone, Debug)]
pub(crate) struct Missing {
    gaps: BTreeMap<u64, Gap>,
    due: Option<Instant>,
    budget: Budget,
    rtt: Duration,
    lost: u64,
}

impl Missing {
    pub(crate) fn new() -> Self {
        Self { gaps: BTreeMap::new(), due: None, budget: BUDGET, rtt: RTT_FIRST, lost: 0 }
    }

    /// These did not come in order. False when there are so many that asking would be a storm: then a key frame is needed.
    pub(crate) fn open(&mut self, now: Instant, range: Range<u64>) -> bool {
        if range.end - range.start > GAP_MAX {
            self.lost += range.end - range.start;
            return false;
        }
        let due = now + REORDER_TOLERANCE;
        for seq in range {
            self.gaps.insert(seq, Gap { since: now, due, asked: None, tries: 0 });
            self.due = Some(self.due.map_or(due, |at| at.min(due)));
        }
        while self.gaps.len() > MISSING_MAX {
            self.gaps.pop_first();
            self.lost += 1;
        }
        true
    }

    /// This one came after all. Whether it had been asked for.
    pub(crate) fn close(&mut self, now: Instant, seq: u64) -> bool {
        let Some(gap) = self.gaps.remove(&seq) else { return false };
        if self.gaps.is_empty() {
            self.due = None;
        }
        let Some(asked) = gap.asked else { return false };
        // Only the answer to a single question says how long an answer takes.
        if gap.tries == 1 {
            self.rtt = (self.rtt * 7 + now.saturating_duration_since(asked)) / 8;
        }
        true
    }

    /// The sender counts anew.
    pub(crate) fn clear(&mut self) {
        self.gaps.clear();
        self.due = None;
    }

    /// When [`Self::ask`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Those to be asked for now, in rising order, within the budget; what is hopeless is given up.
    pub(crate) fn ask(&mut self, now: Instant, out: &mut Vec<u16>) {
        let retry = (self.rtt * 3 / 2).clamp(RETRY_MIN, RETRY_MAX);
        let before = self.gaps.len();
        self.gaps.retain(|_, gap| gap.due > now || (gap.tries < TRIES_MAX && now.saturating_duration_since(gap.since) < AGE_MAX));
        self.lost += (before - self.gaps.len()) as u64;
        for (seq, gap) in self.gaps.iter_mut().filter(|(_, gap)| gap.due <= now) {
            gap.due = now + retry;
            if self.budget.take(now) {
                gap.tries += 1;
                gap.asked = Some(now);
                out.push(*seq as u16);
            }
        }
        self.due = self.gaps.values().map(|gap| gap.due).min();
    }

    /// Packets given up since the last call.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.gaps.len()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn asked(missing: &mut Missing, now: Instant) -> Vec<u16> {
        let mut out = Vec::new();
        missing.ask(now, &mut out);
        out
    }

    #[test]
    fn a_swapped_pair_is_not_asked_for() {
        let (mut missing, start) = (Missing::new(), Instant::now());
        missing.open(start, 5..6);
        assert!(!missing.close(start + ms(2), 5));
        assert_eq!(missing.due(), None);
        assert!(asked(&mut missing, start + ms(50)).is_empty());
    }

    #[test]
    fn asked_again_until_it_is_hopeless() {
        let (mut missing, start) = (Missing::new(), Instant::now());
        missing.open(start, 70_000..70_002);
        let mut times = 0;
        while let Some(due) = missing.due() {
            times += asked(&mut missing, due).len();
        }
        assert_eq!(times, 2 * usize::from(TRIES_MAX));
        assert_eq!(missing.take_lost(), 2);
    }

    #[test]
    fn a_gap_of_thousands_makes_no_storm() {
        let (mut missing, start) = (Missing::new(), Instant::now());
        assert!(!missing.open(start, 0..3000));
        assert_eq!(missing.due(), None);
        for gap in 0..100 {
            missing.open(start, gap * 300..gap * 300 + 256);
        }
        assert!(missing.len() <= MISSING_MAX);
        let mut total = 0;
        for tick in 0..100 {
            total += asked(&mut missing, start + ms(20 + tick * 10)).len();
        }
        assert!(total <= 200 + 610, "{total}");
    }
}
