//! What arrives at the receiver, in bits per second.

/// Buckets of arrival time and their length: a rate over 400 ms, twelve pictures.
const BUCKETS: usize = 8;
const BUCKET_US: i64 = 50_000;

/// A sliding window over the receiver's clock.
#[derive(Debug, Default)]
pub(super) struct Goodput {
    bytes: [u32; BUCKETS],
    /// The newest bucket, counted from the clock's beginning.
    newest: Option<i64>,
    /// Buckets that were filled since the beginning.
    filled: usize,
}

impl Goodput {
    pub(super) fn arrived(&mut self, arrived_us: i64, size: u16) {
        let bucket = arrived_us.div_euclid(BUCKET_US);
        let newest = *self.newest.get_or_insert(bucket);
        if newest - bucket >= BUCKETS as i64 {
            return;
        }
        let steps = bucket - newest;
        for step in 1..=steps.min(BUCKETS as i64) {
            self.bytes[slot(newest + step)] = 0;
        }
        if steps > 0 {
            if steps >= BUCKETS as i64 {
                self.bytes = [0; BUCKETS];
            }
            self.newest = Some(bucket);
            self.filled = (self.filled + steps as usize).min(BUCKETS);
        }
        self.bytes[slot(bucket)] += u32::from(size);
    }

    /// Over the full buckets; `None` until there are some.
    pub(super) fn bps(&self) -> Option<f64> {
        let full = self.filled.min(BUCKETS - 1);
        let newest = self.newest.filter(|_| full >= 3)?;
        let bytes: u32 = (1..=full as i64).map(|back| self.bytes[slot(newest - back)]).sum();
        Some(f64::from(bytes) * 8e6 / (full as f64 * BUCKET_US as f64))
    }
}

fn slot(bucket: i64) -> usize {
    bucket.rem_euclid(BUCKETS as i64) as usize
}
