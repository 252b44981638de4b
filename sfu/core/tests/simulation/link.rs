//! A seeded link: loss, duplication, delay and, out of differing delays, reordering.

use std::time::{Duration, Instant};

/// SplitMix64: small, seedable, good enough to choose which packet dies.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `below` − 1.
    pub fn below(&mut self, below: u64) -> u64 {
        self.next() % below
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        (self.next() >> 11) as f64 / ((1u64 << 53) as f64) < probability
    }
}

/// How bad a link is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub loss: f64,
    pub duplication: f64,
    pub delay: Duration,
    /// Added to the delay, evenly spread: more than the packets' distance reorders them.
    pub jitter: Duration,
    /// Bits per second that pass; none for as many as there are.
    pub rate: Option<u64>,
}

/// A link with a rate keeps so much waiting, and drops what comes beyond.
const QUEUE_MAX: Duration = Duration::from_millis(250);

pub const CLEAR: Weather =
    Weather { loss: 0.0, duplication: 0.0, delay: Duration::from_millis(15), jitter: Duration::ZERO, rate: None };
pub const BAD: Weather =
    Weather { loss: 0.05, duplication: 0.01, delay: Duration::from_millis(20), jitter: Duration::from_millis(8), rate: None };

impl Weather {
    /// When a datagram of so many bytes has passed the link's rate; `None` if its queue is full. `busy` is when the one before has.
    pub fn leaves(&self, now: Instant, bytes: usize, busy: &mut Option<Instant>) -> Option<Instant> {
        let Some(rate) = self.rate else { return Some(now) };
        let free = busy.map_or(now, |busy| busy.max(now));
        if free - now > QUEUE_MAX {
            return None;
        }
        let leaves = free + Duration::from_micros(bytes as u64 * 8_000_000 / rate);
        *busy = Some(leaves);
        Some(leaves)
    }

    /// When copies of a datagram that leaves now arrive: none, one or two.
    pub fn arrivals(&self, now: Instant, dice: &mut Dice) -> Vec<Instant> {
        if dice.chance(self.loss) {
            return Vec::new();
        }
        let copies = 1 + usize::from(dice.chance(self.duplication));
        let jitter = self.jitter.as_micros() as u64 + 1;
        (0..copies).map(|_| now + self.delay + Duration::from_micros(dice.below(jitter))).collect()
    }
}
