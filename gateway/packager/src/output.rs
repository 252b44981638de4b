//! One rendition's way out: cuts become bytes, bytes become segments, segments become snapshots.

use std::sync::Arc;
use std::time::Duration;

use minamo_media::Timestamp;
use minamo_media::fmp4::Sample;

use crate::bitrate::Bitrate;
use crate::boundary::nanos;
use crate::config::Limits;
use crate::container::{Fragments, layout};
use crate::rendition::Rendition;
use crate::segment::{Part, SegmentHead};
use crate::snapshot::{Extras, Report, Snapshot};
use crate::store::Store;

#[derive(Debug)]
pub(crate) struct Output {
    scale: u32,
    limits: Limits,
    fragments: Fragments,
    pub store: Store,
    pub bitrate: Bitrate,
    pub snapshot: Option<Arc<Snapshot>>,
    /// Something was added since the last snapshot.
    pub grown: bool,
    pub parts: u64,
    pub segments: u64,
    pub gaps: u64,
}

impl Output {
    pub(crate) fn new(rendition: Rendition, scale: u32, limits: Limits, first_msn: u64, first_discontinuity: u64) -> Self {
        Self {
            scale,
            limits,
            fragments: Fragments::default(),
            store: Store::new(rendition, limits, first_msn, first_discontinuity),
            bitrate: Bitrate::new(Duration::from_secs(limits.target_duration_secs)),
            snapshot: None,
            grown: false,
            parts: 0,
            segments: 0,
            gaps: 0,
        }
    }

    pub(crate) fn begin(&mut self, head: SegmentHead) {
        self.store.begin(head);
    }

    /// No samples: a gap. So is what cannot be written.
    pub(crate) fn part(&mut self, start: i64, duration: i64, samples: &[Sample]) {
        let bytes = if samples.is_empty() { None } else { self.fragments.write(start, samples).ok() };
        self.parts += u64::from(bytes.is_some());
        self.gaps += u64::from(bytes.is_none());
        let independent = bytes.is_some() && samples.first().is_some_and(|sample| sample.key);
        let duration = Duration::from_nanos(nanos(duration, self.scale).max(0).unsigned_abs());
        let samples = bytes.as_ref().map(|bytes| layout(bytes, samples)).unwrap_or_default();
        let start = Timestamp::new(start.max(0), self.scale);
        let key = self.store.open.as_ref().and_then(|open| open.head.key.as_deref());
        let (bytes, plain) = match (key, bytes) {
            (Some(key), Some(plain)) => (Some(key.encrypt(&plain)), Some(plain)),
            (_, bytes) => (bytes, None),
        };
        self.store.part(Part { duration, independent, start, bytes, plain, samples });
        self.grown = true;
    }

    /// Duration of the segment that ended, if there was one.
    pub(crate) fn end(&mut self) -> Option<Duration> {
        let segment = self.store.end()?;
        self.segments += 1;
        self.grown = true;
        if segment.bytes.is_some() {
            self.bitrate.segment(segment.duration, segment.len_bytes());
        }
        Some(segment.duration)
    }

    pub(crate) fn report(&self) -> Option<Report> {
        let (msn, part) = self.store.last_part()?;
        Some(Report { rendition: self.store.rendition, msn, part: Some(part) })
    }

    /// A new version; `others` are what the other renditions' latest parts are at this moment (rule 23).
    pub(crate) fn publish(&mut self, others: Vec<Report>, extras: &Arc<Extras>, ended: bool, hint: bool) {
        let extras = Arc::clone(extras);
        self.snapshot = Some(Arc::new(Snapshot::new(&self.store, self.limits, others, extras, ended, hint)));
        self.grown = false;
    }
}
