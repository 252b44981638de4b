//! One rendition's segments: what is listed, what is only still fetchable, what is being written.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Limits;
use crate::rendition::Rendition;
use crate::segment::{Init, OpenSegment, Part, Segment, SegmentHead};

/// A segment in memory.
#[derive(Debug)]
struct Kept {
    segment: Arc<Segment>,
    /// Local time after which it leaves memory; set when it leaves the playlist (rule 4).
    until: Option<Duration>,
}

/// Bound: `window` segments but at least 3 × TARGETDURATION of content listed, and what left the playlist within the last
/// (its duration + the longest playlist) seconds. With segments as short as one picture that is still under 30 s of media.
#[derive(Debug)]
pub(crate) struct Store {
    pub rendition: Rendition,
    limits: Limits,
    kept: VecDeque<Kept>,
    /// Index into `kept` of the first listed segment.
    listed: usize,
    pub discontinuity_sequence: u64,
    pub open: Option<OpenSegment>,
    /// Number of the segment that begins next.
    pub next_msn: u64,
    longest: Duration,
}

impl Store {
    pub(crate) fn new(rendition: Rendition, limits: Limits, first_msn: u64, first_discontinuity: u64) -> Self {
        Self {
            rendition,
            limits,
            kept: VecDeque::new(),
            listed: 0,
            discontinuity_sequence: first_discontinuity,
            open: None,
            next_msn: first_msn,
            longest: Duration::ZERO,
        }
    }

    pub(crate) fn begin(&mut self, head: SegmentHead) {
        // A rendition may start later than the other, but then never leaves out a number.
        debug_assert!(head.msn == self.next_msn || self.kept.is_empty());
        self.next_msn = head.msn + 1;
        self.open = Some(OpenSegment { head, parts: Vec::new() });
    }

    /// The rendition's first init segment holds for the gaps before it, too; nobody has seen them without it.
    pub(crate) fn adopt_init(&mut self, init: &Init) {
        for kept in self.kept.iter_mut().filter(|kept| kept.segment.head.init.is_none()) {
            Arc::make_mut(&mut kept.segment).head.init = Some(init.clone());
        }
    }

    /// Ignored without an open segment.
    pub(crate) fn part(&mut self, part: Part) {
        if let Some(open) = &mut self.open {
            open.parts.push(part);
        }
    }

    /// Completes the open segment. One without parts never was, and its number is used again.
    pub(crate) fn end(&mut self) -> Option<Arc<Segment>> {
        let open = self.open.take()?;
        if open.parts.is_empty() {
            self.next_msn = open.head.msn;
            return None;
        }
        let segment = Arc::new(Segment::seal(open.head, open.parts));
        self.kept.push_back(Kept { segment: Arc::clone(&segment), until: None });
        self.longest = self.longest.max(self.listed_duration() + self.open_duration());
        Some(segment)
    }

    pub(crate) fn complete(&self) -> usize {
        self.kept.len() - self.listed
    }

    pub(crate) fn listed(&self) -> impl DoubleEndedIterator<Item = &Arc<Segment>> {
        self.kept.iter().skip(self.listed).map(|kept| &kept.segment)
    }

    fn listed_duration(&self) -> Duration {
        self.listed().map(|segment| segment.duration).sum()
    }

    fn open_duration(&self) -> Duration {
        self.open.iter().flat_map(|open| &open.parts).map(|part| part.duration).sum()
    }

    /// The first msn that this rendition must go on listing (rule 3).
    pub(crate) fn must_list_from(&self) -> u64 {
        let mut left = self.listed_duration();
        let mut count = self.complete();
        for segment in self.listed() {
            left = left.saturating_sub(segment.duration);
            if count <= self.limits.window || left < self.limits.three_targets() {
                return segment.head.msn;
            }
            count -= 1;
        }
        self.next_msn
    }

    /// Takes segments before `msn` out of the playlist, and old ones out of memory. `now`: local time.
    pub(crate) fn trim(&mut self, msn: u64, now: Duration) {
        while let Some(kept) = self.kept.get_mut(self.listed)
            && kept.segment.head.msn < msn
        {
            kept.until = Some(now + kept.segment.duration + self.longest + Duration::from_secs(1));
            self.discontinuity_sequence += u64::from(kept.segment.head.discontinuity);
            self.listed += 1;
        }
        while self.listed > 0 && self.kept.front().is_some_and(|kept| kept.until.is_some_and(|until| until < now)) {
            self.kept.pop_front();
            self.listed -= 1;
        }
    }

    /// Nothing has begun yet.
    pub(crate) fn is_new(&self) -> bool {
        self.kept.is_empty() && self.open.is_none()
    }

    /// The first msn that can be listed.
    pub(crate) fn first_msn(&self) -> u64 {
        self.listed().next().map_or(self.next_msn, |segment| segment.head.msn)
    }

    /// The last part there is: (msn, index).
    pub(crate) fn last_part(&self) -> Option<(u64, u64)> {
        let open = self.open.as_ref().filter(|open| !open.parts.is_empty());
        let (msn, count) = match open {
            Some(open) => (open.head.msn, open.parts.len()),
            None => self.kept.back().map(|kept| (kept.segment.head.msn, kept.segment.parts.len()))?,
        };
        Some((msn, count.saturating_sub(1) as u64))
    }

    /// Everything fetchable, and how many of it are no longer listed.
    pub(crate) fn all(&self) -> (Vec<Arc<Segment>>, usize) {
        (self.kept.iter().map(|kept| Arc::clone(&kept.segment)).collect(), self.listed)
    }
}
