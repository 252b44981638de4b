//! Where the Periods of an MPD begin. A Period is an unbroken run of one timeline: another begins behind each discontinuity (the
//! format or the time jumps), behind each hole in the pictures, and where the dates have drifted away from the media time, because
//! DASH players ask by the clock.

use std::collections::VecDeque;
use std::time::Duration;

use crate::boundary::nanos;
use crate::segment::SegmentHead;
use crate::snapshot::Snapshot;

/// Between when a segment is there by its Period's arithmetic and when it was dated.
const DRIFT_MAX: Duration = Duration::from_millis(250);

/// Periods at most: a programme that jumps with every segment loses its oldest ones early. A window has fewer segments.
const PERIODS_MAX: usize = 256;

/// One Period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Period {
    /// Media sequence number of its first segment; also its id.
    pub first: u64,
    /// Number behind its last one, when that is known.
    pub end: Option<u64>,
    /// Wall time since the Unix epoch.
    pub date: Duration,
    /// Programme time in nanoseconds.
    pub at_nanos: i64,
}

/// Bound: the Periods that have a segment in the leading playlist.
#[derive(Debug, Default)]
pub(super) struct Periods {
    anchor: Option<Duration>,
    periods: VecDeque<Period>,
    /// Number of the last complete segment that was placed.
    placed: Option<u64>,
    /// Number of the open segment that was placed.
    open: Option<u64>,
    /// What comes next does not follow what was placed last.
    broken: bool,
}

impl Periods {
    pub(super) fn anchor(&self) -> Duration {
        self.anchor.unwrap_or_default()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Period> {
        self.periods.iter()
    }

    pub(super) fn follow(&mut self, leading: &Snapshot) {
        let new = match self.placed {
            Some(placed) => leading.segments_after(placed),
            None => leading.listed(),
        };
        for segment in new {
            self.complete(segment.head(), segment.is_gap());
        }
        if let Some(open) = leading.open().filter(|open| super::is_live(open.parts()) && open.head().init().is_some()) {
            self.begin(open.head());
        }
        let first = leading.listed().first().map_or(0, |segment| segment.head().msn());
        while self.periods.len() > PERIODS_MAX
            || self.periods.front().is_some_and(|period| period.end.is_some_and(|end| end <= first))
        {
            self.periods.pop_front();
        }
    }

    fn complete(&mut self, head: &SegmentHead, gap: bool) {
        self.placed = Some(head.msn());
        if !gap && head.init().is_some() {
            return self.begin(head);
        }
        // An open one that ended as a gap never was.
        self.periods.pop_back_if(|period| period.first == head.msn());
        self.close(head.msn());
        self.broken = true;
    }

    /// A segment with media; once when it begins, once when it is complete.
    fn begin(&mut self, head: &SegmentHead) {
        if self.open == Some(head.msn()) {
            return;
        }
        self.open = Some(head.msn());
        let (date, at_nanos) = (head.date(), nanos(head.start().ticks, head.start().scale));
        self.anchor.get_or_insert(date);
        let follows = self.periods.back().is_some_and(|period| {
            let due = period.date.as_nanos() as i128 + i128::from(at_nanos - period.at_nanos);
            (date.as_nanos() as i128 - due).unsigned_abs() <= DRIFT_MAX.as_nanos()
        });
        if follows && !head.discontinuity() && !self.broken {
            return;
        }
        self.broken = false;
        self.close(head.msn());
        self.periods.push_back(Period { first: head.msn(), end: None, date, at_nanos });
    }

    fn close(&mut self, msn: u64) {
        if let Some(period) = self.periods.back_mut() {
            period.end.get_or_insert(msn);
        }
    }
}
