//! A downlink that takes the place of another one: under the same SSRC the subscriber sees one stream that goes on.

use std::time::Instant;

use minamo_media::rtp::picture;

use super::{Downlink, Spec};
use crate::track::ticks;

/// What another track leaves to its successor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Legacy {
    /// Where its timestamps were when it was over.
    clock: (Instant, u32),
}

impl Legacy {
    /// The timestamp for now.
    pub(super) fn timestamp(&self, now: Instant, rate: u32) -> u32 {
        let (at, timestamp) = self.clock;
        timestamp.wrapping_add(ticks(now.saturating_duration_since(at), rate))
    }
}

impl Downlink {
    /// This place for another track. Sequence numbers go on behind the highest, so that no SRTP index is used twice, and timestamps
    /// where the clock is when the new track begins.
    pub(crate) fn succeed(self, now: Instant, spec: Spec) -> Self {
        let rate = self.spec.payload.codec.clock_rate();
        let legacy = self.clock_out.map(|clock| Legacy { clock: (now, Legacy { clock }.timestamp(now, rate)) });
        let course = self.course.succeed(picture::closes_gaps(spec.payload.codec));
        let heir = Self::new(spec);
        Self { course, legacy: legacy.or(self.legacy), rtx_seq: self.rtx_seq, sent: self.sent, rtt: self.rtt, ..heir }
    }
}
