//! Clocks as values. Media time is a 64-bit count in a named scale; wall time enters only through sender reports and one injected clock.

use std::time::Duration;

/// A point on a media timeline: `ticks` of 1/`scale` second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timestamp {
    /// Count of ticks; may be negative.
    pub ticks: i64,
    /// Ticks per second, never zero.
    pub scale: u32,
}

impl Timestamp {
    /// A timestamp of `ticks` at `scale` ticks per second.
    #[must_use]
    pub const fn new(ticks: i64, scale: u32) -> Self {
        Self { ticks, scale }
    }

    /// The same instant in another scale, rounded to the nearest tick.
    #[must_use]
    pub fn rescale(self, scale: u32) -> Self {
        let wide = i128::from(self.ticks) * i128::from(scale);
        let from = i128::from(self.scale);
        let ticks = (2 * wide + from).div_euclid(2 * from);
        Self { ticks: ticks as i64, scale }
    }

    /// Seconds as a float, for reports and ratios, never for accumulation.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.ticks as f64 / f64::from(self.scale)
    }
}

/// An NTP timestamp (RFC 5905 §6): seconds since 1900 in the upper 32 bits, the fraction in the lower 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NtpTime(pub u64);

/// Seconds from 1900-01-01 to 1970-01-01.
const NTP_TO_UNIX_SECS: u64 = 2_208_988_800;

impl NtpTime {
    /// From time since the Unix epoch.
    #[must_use]
    pub fn from_unix(since_epoch: Duration) -> Self {
        let secs = since_epoch.as_secs().wrapping_add(NTP_TO_UNIX_SECS);
        let frac = (u64::from(since_epoch.subsec_nanos()) << 32) / 1_000_000_000;
        Self((secs << 32) | frac)
    }

    /// The middle 32 bits, as `lsr` in receiver reports (RFC 3550 §6.4.1).
    #[must_use]
    pub fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// Signed difference `self − earlier` in seconds.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        (self.0.wrapping_sub(earlier.0) as i64) as f64 / 4_294_967_296.0
    }
}
