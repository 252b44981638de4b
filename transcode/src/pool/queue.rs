//! What waits for one job. At the bound whole groups of pictures go, and are counted.

use std::collections::VecDeque;

use crate::ladder::{LADDER_SCALE, SourceUnit};

/// Source time that may wait. More than that is behind by more than a playlist's patience.
const TICKS_MAX: i64 = LADDER_SCALE;
/// Behind by so much, every second picture is decoded but not encoded.
const TICKS_THIN: i64 = LADDER_SCALE / 3;
/// Units that may wait, whatever their times say.
const UNITS_MAX: usize = 128;

/// One unit, and whether there is time to encode it.
pub(super) struct Next {
    pub(super) unit: SourceUnit,
    pub(super) encode: bool,
    /// Units were dropped before this one.
    pub(super) after_loss: bool,
}

#[derive(Default)]
pub(super) struct Queue {
    units: VecDeque<SourceUnit>,
    /// Until a key frame comes.
    dropping: bool,
    lost: bool,
    odd: bool,
}

impl Queue {
    /// One more unit; returns how many went instead. At the bound everything before the newest key frame goes; without one,
    /// everything does, and what comes up to the next key frame.
    pub(super) fn push(&mut self, unit: SourceUnit) -> u64 {
        if self.dropping && !unit.key {
            return 1;
        }
        self.dropping = false;
        self.units.push_back(unit);
        if self.span() <= TICKS_MAX && self.units.len() <= UNITS_MAX {
            return 0;
        }
        let before = self.units.len();
        match self.units.iter().rposition(|unit| unit.key) {
            Some(key) if key > 0 => drop(self.units.drain(..key)),
            // The key frame is the oldest already: its group is too long to be worked off.
            _ => {
                self.units.clear();
                self.dropping = true;
            }
        }
        self.lost = true;
        (before - self.units.len()) as u64
    }

    pub(super) fn pop(&mut self) -> Option<Next> {
        let behind = self.span() > TICKS_THIN;
        let unit = self.units.pop_front()?;
        self.odd = behind && !self.odd;
        Some(Next { unit, encode: !self.odd, after_loss: std::mem::take(&mut self.lost) })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// A key frame is needed to go on.
    pub(super) fn starved(&self) -> bool {
        self.dropping
    }

    fn span(&self) -> i64 {
        match (self.units.front(), self.units.back()) {
            (Some(first), Some(last)) => last.pts.saturating_sub(first.pts).saturating_abs(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(n: i64, key: bool) -> SourceUnit {
        SourceUnit { pts: n * 3000, key, boundary: false, data: bytes::Bytes::new() }
    }

    fn drain(queue: &mut Queue) -> Vec<(i64, bool)> {
        std::iter::from_fn(|| queue.pop()).map(|next| (next.unit.pts / 3000, next.encode)).collect()
    }

    #[test]
    fn what_keeps_up_is_never_dropped_nor_thinned() {
        let mut queue = Queue::default();
        for n in 0..1000 {
            assert_eq!(queue.push(unit(n, n % 60 == 0)), 0);
            if n >= 5 {
                let next = queue.pop().unwrap();
                assert!(next.encode && !next.after_loss && next.unit.pts == (n - 5) * 3000);
            }
        }
    }

    #[test]
    fn at_the_bound_old_groups_go_and_the_newest_stays() {
        let mut queue = Queue::default();
        let dropped: u64 = (0..40).map(|n| queue.push(unit(n, n == 0 || n == 20))).sum();
        assert_eq!(dropped, 20);
        assert!(queue.pop().unwrap().after_loss);
        assert_eq!(queue.pop().unwrap().unit.pts, 21 * 3000);
        assert!(!queue.starved());
    }

    #[test]
    fn without_a_key_frame_all_goes_up_to_the_next() {
        let mut queue = Queue::default();
        let dropped: u64 = (0..100).map(|n| queue.push(unit(n, n == 0))).sum();
        assert_eq!(dropped, 100);
        assert!(queue.starved() && queue.is_empty());
        assert_eq!(queue.push(unit(100, true)), 0);
        assert_eq!(queue.push(unit(101, false)), 0);
        assert!(!queue.starved() && queue.pop().unwrap().after_loss && !queue.pop().unwrap().after_loss);
    }

    #[test]
    fn behind_by_a_third_of_a_second_every_second_picture_is_left_out() {
        let mut queue = Queue::default();
        (0..20).for_each(|n| assert_eq!(queue.push(unit(n, n == 0)), 0));
        let encoded: Vec<bool> = drain(&mut queue).into_iter().map(|(_, encode)| encode).collect();
        assert_eq!(encoded[..9], [false, true, false, true, false, true, false, true, false]);
        assert!(encoded[9..].iter().all(|encode| *encode));
    }

    #[test]
    fn times_that_stand_still_do_not_fill_memory() {
        let mut queue = Queue::default();
        for _ in 0..10_000 {
            queue.push(unit(7, true));
            assert!(queue.units.len() <= UNITS_MAX);
        }
    }
}
