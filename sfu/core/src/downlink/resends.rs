//! Which packets were sent again lately, so that NACKs repeated within a round trip, and storms of them, cost nothing.

use std::time::{Duration, Instant};

use crate::budget::Budget;

/// Sequence numbers remembered; a newer one takes the slot of one with the same remainder.
const SLOTS: usize = 128;
/// Retransmissions to one subscriber of one track: more than 10 % of any sane video, less than a flood.
const BUDGET: Budget = Budget::new(500, 250);
const REPEAT_MIN: Duration = Duration::from_millis(10);

/// A sequence number, and when its packet was sent again: milliseconds after [`Resends::first`].
type Slot = Option<(u16, u32)>;

/// The retransmissions of one downlink. Allocates only when the first is served: 1.5 KB.
#[derive(Clone, Debug)]
pub(super) struct Resends {
    slots: Box<[Slot]>,
    first: Option<Instant>,
    budget: Budget,
}

impl Resends {
    pub(super) fn new() -> Self {
        Self { slots: Box::default(), first: None, budget: BUDGET }
    }

    /// Whether to send `seq` again now; true counts as sent.
    pub(super) fn allow(&mut self, now: Instant, seq: u16, rtt: Duration) -> bool {
        if self.slots.is_empty() {
            self.slots = vec![None; SLOTS].into();
        }
        // A NACK that left before our answer came in arrives up to a round trip after it; a little less lets the next question through.
        let repeat = (rtt * 4 / 5).max(REPEAT_MIN);
        let first = *self.first.get_or_insert(now);
        let ms = now.saturating_duration_since(first).as_millis() as u32;
        let slot = &mut self.slots[usize::from(seq) % SLOTS];
        if slot.is_some_and(|(sent, at)| sent == seq && u128::from(ms.wrapping_sub(at)) < repeat.as_millis()) {
            return false;
        }
        if !self.budget.take(now) {
            return false;
        }
        *slot = Some((seq, ms));
        true
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use super::*;

    #[test]
    fn a_repeated_question_is_answered_once_in_a_round_trip() {
        let (mut resends, start, rtt) = (Resends::new(), Instant::now(), Duration::from_millis(50));
        assert!(resends.allow(start, 5, rtt));
        assert!(!resends.allow(start + Duration::from_millis(30), 5, rtt));
        assert!(resends.allow(start + Duration::from_millis(30), 6, rtt));
        assert!(resends.allow(start + Duration::from_millis(41), 5, rtt));
    }

    #[test]
    fn a_storm_is_cut() {
        let (mut resends, start) = (Resends::new(), Instant::now());
        let served = (0..10_000).filter(|seq| resends.allow(start, *seq, Duration::ZERO)).count();
        assert_eq!(served, 250);
    }
}
