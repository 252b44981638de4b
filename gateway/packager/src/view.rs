//! What storage, MPEG-TS, DASH and clips read of a snapshot. They pull: "what is above the number that I have".

use std::sync::Arc;

use crate::segment::{OpenSegment, Segment};
use crate::snapshot::Snapshot;

impl Snapshot {
    /// All complete segments in memory, in order of their numbers and without holes in them; also those that have left the
    /// playlist and are only still fetchable.
    #[must_use]
    pub fn segments(&self) -> &[Arc<Segment>] {
        &self.view().segments
    }

    /// Those of them that the playlist lists.
    #[must_use]
    pub fn listed(&self) -> &[Arc<Segment>] {
        self.view().listed_segments()
    }

    /// Those of them whose media sequence number is above `msn`.
    #[must_use]
    pub fn segments_after(&self, msn: u64) -> &[Arc<Segment>] {
        let segments = self.segments();
        let known = segments.partition_point(|segment| segment.head.msn <= msn);
        &segments[known..]
    }

    /// The segment that is being written, with the parts that are complete.
    #[must_use]
    pub fn open(&self) -> Option<&OpenSegment> {
        self.view().open.as_ref()
    }

    /// EXT-X-DISCONTINUITY-SEQUENCE.
    #[must_use]
    pub fn discontinuity_sequence(&self) -> u64 {
        self.view().discontinuity_sequence
    }
}
