//! Whether memory and descriptors stay flat. Pure: samples in, judgement out.

use std::fmt;
use std::time::Duration;

/// What a process holds at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Since the soak's start.
    pub at: Duration,
    /// Resident memory in KiB.
    pub resident_kib: u64,
    /// Open file descriptors.
    pub descriptors: usize,
}

/// The first part of a soak fills caches, arenas and pools: it is not judged.
const WARM_UP: f64 = 0.3;
/// Growth between the median of the first judged third and that of the last that is still called flat: a tenth, and at least 6 MiB, for an
/// allocator never gives every page back.
const SLACK_SHARE: f64 = 0.10;
const SLACK_KIB: f64 = 6.0 * 1024.0;
/// Descriptors may differ by the connections of one moment.
const SLACK_DESCRIPTORS: usize = 24;

/// How a soak went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// Median resident memory of the first judged third, in KiB.
    pub memory_before: f64,
    /// Of the last third.
    pub memory_after: f64,
    /// Largest number of descriptors in the first judged third.
    pub descriptors_before: usize,
    /// In the last third.
    pub descriptors_after: usize,
}

impl Growth {
    /// Judges samples in the order of their times. `None` for fewer than nine after the warm-up: nothing can be said then.
    #[must_use]
    pub fn of(samples: &[Sample]) -> Option<Self> {
        let end = samples.last()?.at.as_secs_f64();
        let judged: Vec<_> = samples.iter().filter(|sample| sample.at.as_secs_f64() >= end * WARM_UP).collect();
        if judged.len() < 9 {
            return None;
        }
        let third = judged.len() / 3;
        let (first, last) = (&judged[..third], &judged[judged.len() - third..]);
        let most = |part: &[&Sample]| part.iter().map(|sample| sample.descriptors).max().unwrap_or(0);
        Some(Self {
            memory_before: median(first),
            memory_after: median(last),
            descriptors_before: most(first),
            descriptors_after: most(last),
        })
    }

    /// Neither memory nor descriptors have grown beyond what one moment differs from another.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        let slack = (self.memory_before * SLACK_SHARE).max(SLACK_KIB);
        self.memory_after <= self.memory_before + slack && self.descriptors_after <= self.descriptors_before + SLACK_DESCRIPTORS
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (self.memory_before / 1024.0, self.memory_after / 1024.0);
        write!(f, "memory {before:.1} → {after:.1} MiB, descriptors {} → {}", self.descriptors_before, self.descriptors_after)
    }
}

fn median(samples: &[&Sample]) -> f64 {
    let mut values: Vec<_> = samples.iter().map(|sample| sample.resident_kib).collect();
    values.sort_unstable();
    values[values.len() / 2] as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(resident_kib: impl Fn(u64) -> u64, descriptors: impl Fn(u64) -> usize) -> Vec<Sample> {
        let at = |second| Sample {
            at: Duration::from_secs(second),
            resident_kib: resident_kib(second),
            descriptors: descriptors(second),
        };
        (0..600).step_by(10).map(at).collect()
    }

    #[test]
    fn a_start_that_fills_and_then_stays_is_flat() {
        let fills = |second: u64| 40_000 + second.min(150) * 100 + second * 7919 % 1500;
        assert!(Growth::of(&samples(fills, |second| 30 + (second * 31 % 20) as usize)).unwrap().is_flat());
    }

    #[test]
    fn leaks_are_found() {
        let (memory, handles) = (|second: u64| 40_000 + second * 60, |second: u64| 30 + (second / 8) as usize);
        assert!(!Growth::of(&samples(memory, |_| 30)).unwrap().is_flat(), "60 KiB a second");
        assert!(!Growth::of(&samples(|_| 40_000, handles)).unwrap().is_flat(), "a descriptor every 8 s");
    }

    #[test]
    fn too_little_is_no_judgement() {
        assert_eq!(Growth::of(&samples(|_| 1, |_| 1)[..8]), None);
        assert_eq!(Growth::of(&[]), None);
    }
}
