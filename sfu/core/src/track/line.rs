//! From the publisher's sequence numbers to the track's own, which have no gap where a packet carried only padding and go on
//! when the publisher counts anew.

use std::collections::VecDeque;

/// Steps remembered; packets from before the oldest are too late.
const STEPS_MAX: usize = 64;

/// From `from` on, the track's number is the publisher's plus `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    from: u64,
    offset: i64,
}

/// A step function over the publisher's extended sequence numbers. At [`STEPS_MAX`] the oldest step is forgotten.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    steps: VecDeque<Step>,
    /// The highest publisher's number that was given out, and its place.
    highest: Option<(u64, u64)>,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self { steps: VecDeque::from([Step { from: 0, offset: 0 }]), highest: None }
    }

    /// The place of a packet with content; `None` if it is too late.
    pub(crate) fn place(&mut self, seq: u64) -> Option<u64> {
        let place = self.peek(seq)?;
        if self.highest.is_none_or(|(highest, _)| seq > highest) {
            self.highest = Some((seq, place));
        }
        Some(place)
    }

    /// A packet of padding only came: the numbers behind it move down. `Some` is its place when a later packet has already been
    /// given one, so that the hole stays and must be filled.
    pub(crate) fn skip(&mut self, seq: u64) -> Option<u64> {
        if self.highest.is_some_and(|(highest, _)| highest > seq) {
            return self.peek(seq);
        }
        let at = self.steps.partition_point(|step| step.from <= seq);
        let before = at.checked_sub(1).and_then(|at| self.steps.get(at)).copied()?;
        for step in self.steps.iter_mut().skip(at) {
            step.offset -= 1;
        }
        let step = Step { from: seq + 1, offset: before.offset - 1 };
        let known = self.steps.get(at).is_some_and(|next| next.from == step.from);
        match (before.from == seq, known) {
            // The step before served only this packet.
            (true, true) => drop(self.steps.remove(at - 1)),
            (true, false) => self.steps[at - 1] = step,
            (false, true) => {}
            (false, false) => self.steps.insert(at, step),
        }
        if self.steps.len() > STEPS_MAX {
            self.steps.pop_front();
        }
        None
    }

    /// The publisher counts anew from `seq`: it takes the place behind the highest.
    pub(crate) fn restart(&mut self, seq: u64) {
        let Some((_, place)) = self.highest else { return *self = Self::new() };
        self.steps = VecDeque::from([Step { from: seq, offset: (place + 1) as i64 - seq as i64 }]);
        // What comes next is the highest, whatever its number.
        self.highest = Some((seq.saturating_sub(1), place));
    }

    fn peek(&self, seq: u64) -> Option<u64> {
        let at = self.steps.partition_point(|step| step.from <= seq).checked_sub(1)?;
        seq.checked_add_signed(self.steps[at].offset)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padding_in_order_leaves_no_gap() {
        let mut line = Line::new();
        assert_eq!(line.place(100), Some(100));
        for padding in 101..=300 {
            assert_eq!(line.skip(padding), None);
        }
        assert_eq!(line.place(301), Some(101));
        assert!(line.steps.len() <= 2);
    }

    #[test]
    fn a_lost_packet_before_padding_keeps_its_place() {
        let mut line = Line::new();
        line.place(10);
        line.skip(12);
        assert_eq!(line.place(13), Some(12));
        assert_eq!(line.place(11), Some(11));
    }

    #[test]
    fn padding_that_was_overtaken_fills_its_hole() {
        let mut line = Line::new();
        line.place(10);
        assert_eq!(line.place(12), Some(12));
        assert_eq!(line.skip(11), Some(11));
    }

    #[test]
    fn a_restart_goes_on_behind_the_highest() {
        let mut line = Line::new();
        line.place(500);
        line.restart(70_000);
        assert_eq!(line.place(70_000), Some(501));
        assert_eq!(line.place(69_999), None);
        assert_eq!(line.place(70_001), Some(502));
    }

    proptest! {
        /// Whatever is padding and in whatever order within a burst it comes, contents keep their order and no two share a place.
        #[test]
        fn places_are_unique_and_ordered(kinds in prop::collection::vec(any::<bool>(), 1..60), swaps in prop::collection::vec(0usize..60, 0..40)) {
            let mut order: Vec<usize> = (0..kinds.len()).collect();
            for at in swaps {
                if at + 1 < order.len() {
                    order.swap(at, at + 1);
                }
            }
            let mut line = Line::new();
            let mut places = std::collections::BTreeMap::new();
            for at in order {
                let seq = 1000 + at as u64;
                let place = if kinds[at] { line.skip(seq) } else { line.place(seq) };
                if let Some(place) = place {
                    prop_assert!(places.insert(seq, place).is_none());
                }
            }
            let list: Vec<u64> = places.values().copied().collect();
            prop_assert!(list.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", list);
            // No hole: every place between the first and the last is taken.
            if let (Some(first), Some(last)) = (list.first(), list.last()) {
                prop_assert_eq!((last - first) as usize + 1, list.len());
            }
        }
    }
}
