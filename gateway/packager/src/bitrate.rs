//! BANDWIDTH and FRAME-RATE as measured (rule 9; rfc8216bis §4.4.6.2: the peak over runs of 0.5–1.5 TARGETDURATION).

use std::collections::VecDeque;
use std::time::Duration;

/// What one rendition has cost so far.
#[derive(Debug)]
pub(crate) struct Bitrate {
    target: Duration,
    recent: VecDeque<(Duration, u64)>,
    peak_bps: u64,
    total: Duration,
    total_bits: u64,
}

impl Bitrate {
    pub(crate) fn new(target_duration: Duration) -> Self {
        Self { target: target_duration, recent: VecDeque::new(), peak_bps: 0, total: Duration::ZERO, total_bits: 0 }
    }

    pub(crate) fn segment(&mut self, duration: Duration, bytes: usize) {
        let bits = bytes as u64 * 8;
        self.total += duration;
        self.total_bits += bits;
        self.recent.push_back((duration, bits));
        let mut span: Duration = self.recent.iter().map(|(duration, _)| *duration).sum();
        while self.recent.len() > 1 && span > self.target * 3 / 2 {
            span -= self.recent.pop_front().map_or(Duration::ZERO, |(duration, _)| duration);
        }
        self.note_peak();
    }

    /// All runs that end with the newest segment.
    fn note_peak(&mut self) {
        let (mut span, mut bits) = (Duration::ZERO, 0);
        for (duration, more) in self.recent.iter().rev() {
            span += *duration;
            bits += more;
            if span >= self.target / 2 && span <= self.target * 3 / 2 {
                self.peak_bps = self.peak_bps.max(rate(bits, span));
            }
        }
    }

    /// Bits per second of the dearest run; the average while there was none.
    pub(crate) fn peak_bps(&self) -> u64 {
        if self.peak_bps > 0 { self.peak_bps } else { self.average_bps() }
    }

    pub(crate) fn average_bps(&self) -> u64 {
        rate(self.total_bits, self.total)
    }

    pub(crate) fn measured(&self) -> Duration {
        self.total
    }
}

fn rate(bits: u64, span: Duration) -> u64 {
    if span.is_zero() { 0 } else { (bits as f64 / span.as_secs_f64()).ceil() as u64 }
}

/// Segments in the average of the frame rate.
const RATE_SEGMENTS: usize = 8;

/// Pictures per second of the last segments.
#[derive(Debug, Default)]
pub(crate) struct FrameRate {
    pictures: u32,
    recent: VecDeque<(Duration, u32)>,
}

impl FrameRate {
    pub(crate) fn pictures(&mut self, count: usize) {
        self.pictures += u32::try_from(count).unwrap_or(0);
    }

    /// A segment ended. Gaps say nothing.
    pub(crate) fn segment(&mut self, duration: Duration) {
        let pictures = std::mem::take(&mut self.pictures);
        if pictures > 0 {
            self.recent.push_back((duration, pictures));
        }
        if self.recent.len() > RATE_SEGMENTS {
            self.recent.pop_front();
        }
    }

    /// Rounded, at least 1.
    pub(crate) fn per_second(&self) -> f64 {
        let seconds: f64 = self.recent.iter().map(|(duration, _)| duration.as_secs_f64()).sum();
        let pictures: u32 = self.recent.iter().map(|(_, pictures)| pictures).sum();
        if seconds > 0.0 { (f64::from(pictures) / seconds).round().max(1.0) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_over_runs_of_half_to_one_and_a_half_targets() {
        let mut bitrate = Bitrate::new(Duration::from_secs(4));
        let second = Duration::from_secs(1);
        for bytes in [1_000, 1_000, 9_000, 1_000] {
            bitrate.segment(second, bytes);
        }
        // The dearest run of two seconds, not the dearest second.
        assert_eq!(bitrate.peak_bps(), 10_000 * 8 / 2);
        assert_eq!(bitrate.average_bps(), 12_000 * 8 / 4);
    }
}
