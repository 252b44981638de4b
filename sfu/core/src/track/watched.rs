//! Which layers of a track somebody watches, told to its publisher when it has stayed so for a while.

use std::time::{Duration, Instant};

/// A layer that nobody watches is given up only after this long: who switches down may switch up again.
const LINGER: Duration = Duration::from_secs(5);

/// One bit for each layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched {
    layers: usize,
    told: u8,
    /// When each layer was watched last.
    last: [Option<Instant>; 8],
}

impl Watched {
    /// A publisher that was told nothing sends all of its layers.
    pub(super) fn new(layers: usize) -> Self {
        Self { layers, told: u8::MAX >> (8 - layers.clamp(1, 8)), last: [None; 8] }
    }

    /// These are watched now. What to tell the publisher, if it is news.
    pub(crate) fn note(&mut self, now: Instant, watched: u8) -> Option<Vec<bool>> {
        let mut lasting = 0;
        for layer in 0..self.layers {
            let last = &mut self.last[layer];
            if watched >> layer & 1 == 1 || last.is_none() {
                *last = Some(now);
            }
            let recent = last.is_some_and(|last| now.saturating_duration_since(last) < LINGER);
            lasting |= u8::from(recent) << layer;
        }
        let news = lasting != self.told;
        self.told = lasting;
        news.then(|| (0..self.layers).map(|layer| lasting >> layer & 1 == 1).collect())
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use super::*;

    #[test]
    fn what_nobody_watches_is_told_late_and_what_somebody_watches_at_once() {
        let (mut watched, start) = (Watched::new(3), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        assert_eq!(watched.note(at(0), 0b100), None);
        assert_eq!(watched.note(at(2), 0b100), None);
        assert_eq!(watched.note(at(3), 0b001), None);
        assert_eq!(watched.note(at(5), 0b001), Some(vec![true, false, true]));
        assert_eq!(watched.note(at(8), 0b001), Some(vec![true, false, false]));
        assert_eq!(watched.note(at(9), 0b001), None);
        assert_eq!(watched.note(at(9), 0b101), Some(vec![true, false, true]));
    }
}
