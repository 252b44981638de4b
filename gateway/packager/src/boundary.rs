//! Where a segment begins, in both renditions.

use crate::timeline::WallMap;

/// The video's clock: ticks of 1/90 000 s.
pub(crate) const VIDEO_SCALE: u32 = 90_000;

/// The beginning of a segment as the leading rendition decided it; the other follows (rule 5: same place, same number).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Boundary {
    /// Media sequence number of the segment that begins here.
    pub msn: u64,
    /// Nanoseconds of programme time.
    pub at_nanos: i64,
    /// The segment begins behind a discontinuity.
    pub discontinuity: bool,
    /// The wall clock of the leading rendition here, so that both date the same content alike (rule 6).
    pub wall: Option<WallMap>,
}

/// Nanoseconds of `ticks` at `scale`.
pub(crate) fn nanos(ticks: i64, scale: u32) -> i64 {
    minamo_media::Timestamp::new(ticks, scale).rescale(1_000_000_000).ticks
}

/// Ticks at `scale` of nanoseconds.
pub(crate) fn ticks(nanos: i64, scale: u32) -> i64 {
    minamo_media::Timestamp::new(nanos, 1_000_000_000).rescale(scale).ticks
}
