//! Cuts AAC frames into parts and segments. The video leads: its boundaries come in, and the audio cuts at the nearest
//! frame, or, where parts beyond it are already out, at the end of those: less than a part later.
//! Without video it cuts by itself.

use std::collections::VecDeque;

use bytes::Bytes;
use minamo_media::fmp4::Sample;

use crate::boundary::{Boundary, ticks};

/// Frames that wait for the programme's first boundary: 3 s, because the first key frame may come late. Older ones go.
const BACKLOG_MAX: usize = 144;
/// A hole in the frames is filled by gap parts up to this many frames (a minute); beyond it the time simply jumps.
const HOLE_MAX: i64 = 2_880;
/// Boundaries that wait for their frames. Beyond, frames are taken for lost and gap parts stand for them.
const PENDING_MAX: usize = 16;

/// What the cutter decided, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AudioCut {
    /// A segment begins at this sample.
    Begin { at: i64, boundary: Boundary },
    /// A part; no samples: a gap.
    Part { start: i64, duration: i64, samples: Vec<Sample> },
    /// The open segment is complete.
    End,
}

#[derive(Debug)]
pub(crate) struct AudioCutter {
    scale: u32,
    frame: i64,
    frames_per_part: usize,
    /// Cuts by itself after so many samples; `None`: the video leads.
    alone: Option<i64>,
    started: bool,
    backlog: VecDeque<(i64, Bytes)>,
    pending: VecDeque<Boundary>,
    /// Frames of the open part; `None`: missing ones. All of one kind.
    units: Vec<Option<Bytes>>,
    part_start: i64,
    segment_start: i64,
    /// The open segment has a part.
    has_part: bool,
    /// Alone: number of the next segment, and whether a discontinuity was asked for.
    next_msn: u64,
    discontinuity: bool,
    cuts: Vec<AudioCut>,
    /// Frames that came twice, or before the programme's start.
    pub dropped: u64,
    /// Discontinuities of the segments that the video had and the audio did not, before it started.
    pub discontinuities_missed: u64,
}

impl AudioCutter {
    /// `part_max_nanos`: PART-TARGET. `alone_nanos`: segment target where there is no video.
    pub(crate) fn new(scale: u32, part_max_nanos: i64, alone_nanos: Option<i64>, first_msn: u64) -> Self {
        let frame = i64::from(minamo_media::aac::FRAME_SAMPLES);
        let frames = (ticks(part_max_nanos, scale) / frame).max(1);
        Self {
            scale,
            frame,
            frames_per_part: usize::try_from(frames).unwrap_or(1),
            alone: alone_nanos.map(|nanos| ticks(nanos, scale)),
            started: false,
            backlog: VecDeque::new(),
            pending: VecDeque::new(),
            units: Vec::new(),
            part_start: 0,
            segment_start: 0,
            has_part: false,
            next_msn: first_msn,
            discontinuity: false,
            cuts: Vec::new(),
            dropped: 0,
            discontinuities_missed: 0,
        }
    }

    pub(crate) fn take_cuts(&mut self) -> Vec<AudioCut> {
        std::mem::take(&mut self.cuts)
    }

    /// Samples of the open segment that are already out.
    pub(crate) fn out(&self) -> i64 {
        if self.started { self.part_start - self.segment_start } else { 0 }
    }

    /// One frame. Frames follow each other; a hole becomes gap parts, an overlap is dropped.
    pub(crate) fn push(&mut self, pts: i64, data: Bytes) {
        if !self.started && !self.start_with(pts, &data) {
            return;
        }
        let missing = pts - self.end_of_units();
        if missing <= -self.frame {
            self.dropped += 1;
            return;
        }
        self.fill_hole(missing / self.frame);
        self.unit(Some(data));
    }

    /// True when the frame is to be appended now.
    fn start_with(&mut self, pts: i64, data: &Bytes) -> bool {
        if self.alone.is_some() {
            let boundary = self.own_boundary(pts);
            self.begin(boundary, pts);
            return true;
        }
        self.backlog.push_back((pts, data.clone()));
        if self.backlog.len() > BACKLOG_MAX {
            self.backlog.pop_front();
            self.dropped += 1;
        }
        self.start_from_backlog();
        false
    }

    fn start_from_backlog(&mut self) {
        let Some(first) = self.pending.front().copied() else { return };
        let at = ticks(first.at_nanos, self.scale) - self.frame / 2;
        while self.backlog.front().is_some_and(|(pts, _)| *pts < at) {
            self.backlog.pop_front();
            self.dropped += 1;
        }
        let Some(&(pts, _)) = self.backlog.front() else { return };
        self.pending.pop_front();
        self.begin(first, pts);
        for (pts, data) in std::mem::take(&mut self.backlog) {
            self.push(pts, data);
        }
    }

    /// The video begins a segment.
    pub(crate) fn boundary(&mut self, boundary: Boundary) {
        self.pending.push_back(boundary);
        if self.started {
            self.cut_pending();
        } else {
            self.start_from_backlog();
        }
        if self.pending.len() > PENDING_MAX {
            self.give_up_oldest();
        }
    }

    fn give_up_oldest(&mut self) {
        let Some(oldest) = self.pending.front() else { return };
        if self.started {
            let missing = ticks(oldest.at_nanos, self.scale) - self.end_of_units();
            self.fill_hole(missing.max(0) / self.frame + 1);
        } else {
            self.discontinuities_missed += u64::from(oldest.discontinuity);
            self.pending.pop_front();
        }
    }

    /// Without video: the next segment begins behind a discontinuity.
    pub(crate) fn discontinuity(&mut self) {
        self.discontinuity = true;
    }

    /// The programme is over.
    pub(crate) fn end(&mut self) {
        if !self.started {
            return;
        }
        self.finish_part(self.units.len());
        if self.has_part {
            self.cuts.push(AudioCut::End);
            self.has_part = false;
        }
        self.started = false;
    }

    fn end_of_units(&self) -> i64 {
        self.part_start + self.units.len() as i64 * self.frame
    }

    fn fill_hole(&mut self, frames: i64) {
        for _ in 0..frames.min(HOLE_MAX) {
            self.unit(None);
        }
        if frames > HOLE_MAX {
            self.finish_part(self.units.len());
            self.part_start += (frames - HOLE_MAX) * self.frame;
        }
    }

    fn unit(&mut self, data: Option<Bytes>) {
        let other_kind = self.units.last().is_some_and(|last| last.is_some() != data.is_some());
        if other_kind {
            self.finish_part(self.units.len());
        }
        self.cut_alone();
        self.units.push(data);
        self.cut_pending();
        if self.units.len() >= self.frames_per_part {
            self.finish_part(self.units.len());
            self.cut_pending();
        }
    }

    /// Cuts at every boundary whose place is known by now. Each segment has at least one frame.
    fn cut_pending(&mut self) {
        while let Some(boundary) = self.pending.front().copied() {
            let at = ticks(boundary.at_nanos, self.scale);
            if at > self.end_of_units() + self.frame / 2 {
                return;
            }
            let before = (at - self.part_start + self.frame / 2).div_euclid(self.frame);
            let before = usize::try_from(before).unwrap_or(0).min(self.units.len());
            let before = if self.has_part { before } else { before.max(1) };
            if before > self.units.len() {
                return;
            }
            self.finish_part(before);
            self.pending.pop_front();
            self.cuts.push(AudioCut::End);
            self.begin(boundary, self.part_start);
        }
    }

    fn cut_alone(&mut self) {
        let Some(target) = self.alone else { return };
        let half_part = self.frames_per_part as i64 * self.frame / 2;
        let long = self.end_of_units() - self.segment_start >= target - half_part && self.units.is_empty();
        if self.has_part && (long || self.discontinuity) {
            self.finish_part(self.units.len());
            self.cuts.push(AudioCut::End);
            let boundary = self.own_boundary(self.part_start);
            self.begin(boundary, self.part_start);
        }
    }

    fn own_boundary(&mut self, at: i64) -> Boundary {
        let boundary = Boundary {
            msn: self.next_msn,
            at_nanos: crate::boundary::nanos(at, self.scale),
            discontinuity: std::mem::take(&mut self.discontinuity) && self.started,
            wall: None,
        };
        self.next_msn += 1;
        boundary
    }

    fn begin(&mut self, boundary: Boundary, at: i64) {
        if !self.started {
            self.part_start = at;
        }
        self.started = true;
        self.has_part = false;
        self.segment_start = at;
        self.cuts.push(AudioCut::Begin { at, boundary });
    }

    /// Ends the open part after `count` of its frames; the rest stays for the next.
    fn finish_part(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let rest = self.units.split_off(count);
        let units = std::mem::replace(&mut self.units, rest);
        let duration = units.len() as i64 * self.frame;
        let sample = |data| Sample { duration: self.frame as u32, key: true, composition_offset: 0, data };
        let samples = units.into_iter().flatten().map(sample).collect();
        self.cuts.push(AudioCut::Part { start: self.part_start, duration, samples });
        self.part_start += duration;
        self.has_part = true;
    }
}
