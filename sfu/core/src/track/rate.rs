//! How many bits a second one layer takes at present, by temporal layer.

use std::time::{Duration, Instant};

/// Temporal layers that are told apart; higher ones count as the highest.
pub(crate) const TEMPORAL_MAX: usize = 4;
const BUCKETS: u64 = 8;
const BUCKET: Duration = Duration::from_millis(125);

/// Bytes of the last second, in eighths of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    start: Option<Instant>,
    /// Number of the newest bucket since the start.
    at: u64,
    bytes: [[u32; TEMPORAL_MAX]; BUCKETS as usize],
}

impl Rate {
    /// A packet of a temporal layer, in bytes.
    pub(crate) fn note(&mut self, now: Instant, bytes: usize, temporal: u8) {
        self.advance(now);
        let temporal = usize::from(temporal).min(TEMPORAL_MAX - 1);
        self.bytes[(self.at % BUCKETS) as usize][temporal] += bytes as u32;
    }

    fn advance(&mut self, now: Instant) {
        let start = *self.start.get_or_insert(now);
        let at = (now.saturating_duration_since(start).as_micros() / BUCKET.as_micros()) as u64;
        for bucket in (self.at + 1).max((at + 1).saturating_sub(BUCKETS))..=at {
            self.bytes[(bucket % BUCKETS) as usize] = [0; TEMPORAL_MAX];
        }
        self.at = self.at.max(at);
    }

    /// Bits per second of each temporal layer together with those below it.
    pub(crate) fn cumulative(&self, now: Instant) -> [u64; TEMPORAL_MAX] {
        let mut window = *self;
        window.advance(now);
        let Some(start) = window.start else { return [0; TEMPORAL_MAX] };
        let oldest = window.at.saturating_sub(BUCKETS - 1) as u32 * BUCKET;
        // In the first moments a burst would look like a multiple of what it is.
        let span = now.saturating_duration_since(start).saturating_sub(oldest).max(2 * BUCKET);
        let mut sum = 0;
        std::array::from_fn(|temporal| {
            sum += window.bytes.iter().map(|bucket| u64::from(bucket[temporal])).sum::<u64>();
            sum * 8_000_000 / (span.as_micros() as u64).max(1)
        })
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use super::*;

    #[test]
    fn a_second_is_remembered_and_no_more() {
        let (mut rate, start) = (Rate::default(), Instant::now());
        for ms in 0..3000u64 {
            rate.note(start + Duration::from_millis(ms), 125, (ms % 2) as u8);
        }
        let bits = rate.cumulative(start + Duration::from_millis(3000));
        assert!((480_000..520_000).contains(&bits[0]) && (960_000..1_040_000).contains(&bits[1]), "{bits:?}");
        assert_eq!(bits[3], bits[1]);
        assert_eq!(rate.cumulative(start + Duration::from_secs(5)), [0; TEMPORAL_MAX]);
    }

    #[test]
    fn the_first_packet_is_no_flood() {
        let (mut rate, now) = (Rate::default(), Instant::now());
        rate.note(now, 1000, 0);
        assert_eq!(rate.cumulative(now)[0], 32_000);
    }
}
