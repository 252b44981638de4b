//! Cuts pictures into parts and segments: pure arithmetic on 90 kHz ticks, no bytes are touched.
//!
//! * A part ends before the picture that would make it longer than PART-TARGET. Where pictures stand so far apart that it
//!   would then be under 85 % (rule 10), the nearer one of the two pictures moves onto the edge, by less than its own length.
//! * A segment begins with an IDR, nothing else. An IDR that comes at least 3/4 of the target after the last one cuts.
//! * Without an IDR a segment goes on up to 2 × target = TARGETDURATION. Then it ends, and GAP=YES parts in GAP segments
//!   stand for the pictures, which cannot be shown to anyone who joins, until an IDR comes.
//! * The same when pictures stop: the last one is shown to the end of its part, one more part's time is waited, then gaps.

use bytes::Bytes;
use minamo_media::fmp4::Sample;

/// Least distance of two pictures: 1 ms.
const STEP_MIN: i64 = 90;

/// One picture, parameter sets taken off.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub pts: i64,
    pub key: bool,
    pub data: Bytes,
}

/// What the cutter decided, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A segment begins here.
    Begin { at: i64, discontinuity: bool, gap: bool },
    /// A part of the open segment; no samples: a gap.
    Part { start: i64, duration: i64, samples: Vec<Sample> },
    /// The open segment is complete.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first IDR.
    Waiting,
    Open,
    /// Pictures are away since `part_start`. `begun`: the gap segment has a part.
    Gap {
        begun: bool,
    },
}

/// Bound: the pictures of one part, at most 1 per ms.
#[derive(Debug)]
pub(crate) struct VideoCutter {
    part_max: i64,
    part_min: i64,
    segment_target: i64,
    segment_max: i64,
    state: State,
    segment_start: i64,
    part_start: i64,
    pictures: Vec<Picture>,
    cuts: Vec<Cut>,
    /// Pictures that nobody can be shown: before an IDR.
    pub dropped: u64,
}

impl VideoCutter {
    /// All in ticks. `segment_max` is TARGETDURATION.
    pub(crate) fn new(part_max: i64, segment_target: i64, segment_max: i64) -> Self {
        Self {
            part_max,
            // 85 % and a little, because the playlist rounds.
            part_min: part_max * 86 / 100,
            segment_target,
            segment_max,
            state: State::Waiting,
            segment_start: 0,
            part_start: 0,
            pictures: Vec::new(),
            cuts: Vec::new(),
            dropped: 0,
        }
    }

    pub(crate) fn take_cuts(&mut self) -> Vec<Cut> {
        std::mem::take(&mut self.cuts)
    }

    /// Nothing can be shown before an IDR comes.
    pub(crate) fn starved(&self) -> bool {
        self.state != State::Open
    }

    /// No next part may be hinted.
    pub(crate) fn in_gap(&self) -> bool {
        matches!(self.state, State::Gap { .. })
    }

    /// One picture. `discontinuity`: what it stands in is another format or time than before.
    pub(crate) fn push(&mut self, mut picture: Picture, discontinuity: bool) {
        if self.state == State::Open && discontinuity && !picture.key {
            self.interrupt(picture.pts);
        }
        if self.state == State::Open {
            let earliest = self.pictures.last().map_or(self.part_start, |last| last.pts + STEP_MIN);
            picture.pts = picture.pts.max(earliest);
            self.make_room(&mut picture);
        }
        match self.state {
            State::Open => self.append(picture, discontinuity),
            State::Waiting if picture.key => self.begin(picture, false),
            State::Gap { .. } if picture.key => self.resume(picture, discontinuity),
            State::Gap { .. } => {
                self.dropped += 1;
                self.gaps_until(picture.pts - self.part_max + 1);
            }
            State::Waiting => self.dropped += 1,
        }
    }

    /// When this programme time has passed without a picture, call [`Self::overdue`].
    pub(crate) fn deadline(&self) -> Option<i64> {
        (self.state != State::Waiting).then_some(self.part_start + self.part_max)
    }

    /// Pictures up to `time` should have come.
    pub(crate) fn overdue(&mut self, time: i64) {
        while self.deadline().is_some_and(|deadline| deadline <= time) {
            match self.state {
                State::Waiting => return,
                State::Open if !self.pictures.is_empty() => self.finish_part(self.part_start + self.part_max),
                State::Open => self.enter_gap(),
                State::Gap { .. } => self.gap(self.part_start + self.part_max),
            }
        }
    }

    /// The other rendition cannot go on without a boundary: end the segment and begin a gap.
    pub(crate) fn force_boundary(&mut self) {
        if self.state == State::Open {
            self.interrupt(self.part_start + self.part_max);
        }
        if let State::Gap { begun } = self.state {
            if begun {
                self.cuts.push(Cut::End);
                self.state = State::Gap { begun: false };
            }
            self.gap(self.part_start + self.part_max);
        }
    }

    /// The programme is over: everything that is there goes out.
    pub(crate) fn end(&mut self) {
        if let Some(last) = self.pictures.last() {
            let before = self.pictures.len().checked_sub(2).map_or(3_000, |index| last.pts - self.pictures[index].pts);
            let end = (last.pts + before).min(self.part_start + self.part_max);
            self.finish_part(end);
        }
        if matches!(self.state, State::Open | State::Gap { begun: true }) {
            self.cuts.push(Cut::End);
        }
        self.state = State::Waiting;
    }

    /// Leaves `picture` at most PART-TARGET after the part's start, ending parts as needed.
    fn make_room(&mut self, picture: &mut Picture) {
        while self.state == State::Open && picture.pts - self.part_start > self.part_max {
            if self.pictures.is_empty() {
                return self.enter_gap();
            }
            match self.later_edge(picture.pts) {
                Some(edge) => self.finish_part_before_last(edge),
                None => self.finish_part(self.part_start + self.part_max),
            }
        }
        if self.pictures.is_empty() {
            // The part before was stretched up to here. No hole: players stop at holes.
            picture.pts = self.part_start;
        }
    }

    /// Where to move the last picture to, if that is nearer than pulling `next` back to the part's end.
    fn later_edge(&self, next: i64) -> Option<i64> {
        let last = self.pictures.last().filter(|_| self.pictures.len() > 1)?;
        let edge = last.pts.max(self.part_start + self.part_min);
        let pulled = next - (self.part_start + self.part_max);
        (edge - last.pts < pulled).then_some(edge)
    }

    fn finish_part_before_last(&mut self, edge: i64) {
        let last = self.pictures.pop();
        self.finish_part(edge);
        if let (Some(mut last), State::Open) = (last, self.state) {
            last.pts = edge;
            self.pictures.push(last);
        }
    }

    fn append(&mut self, picture: Picture, discontinuity: bool) {
        let age = picture.pts - self.segment_start;
        if picture.key && (discontinuity || age >= self.segment_target * 3 / 4) {
            if !self.pictures.is_empty() {
                self.finish_part(picture.pts);
            }
            if self.state == State::Open {
                self.cuts.push(Cut::End);
            }
            return self.begin(picture, discontinuity);
        }
        if self.full_at(picture.pts) {
            self.finish_part(picture.pts);
        }
        if self.state == State::Open {
            self.pictures.push(picture);
        } else {
            self.dropped += 1;
        }
    }

    /// The part is long enough at `pts`, and one more picture as long as the last would be too much.
    fn full_at(&self, pts: i64) -> bool {
        let Some(last) = self.pictures.last() else { return false };
        let long = pts - self.part_start;
        long >= self.part_min && long + (pts - last.pts) > self.part_max
    }

    fn begin(&mut self, picture: Picture, discontinuity: bool) {
        self.state = State::Open;
        self.segment_start = picture.pts;
        self.part_start = picture.pts;
        self.cuts.push(Cut::Begin { at: picture.pts, discontinuity, gap: false });
        self.pictures.clear();
        self.pictures.push(picture);
    }

    fn finish_part(&mut self, end: i64) {
        let pictures = std::mem::take(&mut self.pictures);
        let ends = pictures.iter().skip(1).map(|next| next.pts).chain([end]);
        let samples = pictures
            .iter()
            .zip(ends)
            .map(|(picture, until)| Sample {
                duration: u32::try_from(until - picture.pts).unwrap_or(1).max(1),
                key: picture.key,
                composition_offset: 0,
                data: picture.data.clone(),
            })
            .collect();
        self.cuts.push(Cut::Part { start: self.part_start, duration: end - self.part_start, samples });
        self.part_start = end;
        if end - self.segment_start > self.segment_max - self.part_max {
            self.enter_gap();
        }
    }

    /// Pictures cannot go on: what is there goes out, and a gap begins.
    fn interrupt(&mut self, at: i64) {
        if let Some(last) = self.pictures.last() {
            let end = at.clamp(last.pts + STEP_MIN, (self.part_start + self.part_max).max(last.pts + STEP_MIN));
            self.finish_part(end);
        }
        if self.state == State::Open {
            self.enter_gap();
        }
    }

    fn enter_gap(&mut self) {
        self.dropped += self.pictures.len() as u64;
        self.pictures.clear();
        self.cuts.push(Cut::End);
        self.state = State::Gap { begun: false };
    }

    /// A gap part up to `end`.
    fn gap(&mut self, end: i64) {
        let State::Gap { begun } = self.state else { return };
        if begun && self.part_start - self.segment_start >= self.segment_target {
            self.cuts.push(Cut::End);
        }
        if !begun || self.part_start - self.segment_start >= self.segment_target {
            self.segment_start = self.part_start;
            self.cuts.push(Cut::Begin { at: self.part_start, discontinuity: false, gap: true });
            self.state = State::Gap { begun: true };
        }
        self.cuts.push(Cut::Part { start: self.part_start, duration: end - self.part_start, samples: Vec::new() });
        self.part_start = end;
    }

    fn gaps_until(&mut self, time: i64) {
        while self.part_start < time {
            self.gap(self.part_start + self.part_max);
        }
    }

    fn resume(&mut self, mut picture: Picture, discontinuity: bool) {
        self.gaps_until(picture.pts - self.part_max + 1);
        let left = picture.pts - self.part_start;
        let begun = self.state == State::Gap { begun: true };
        if left > self.part_max / 3 || (begun && left > 0) {
            self.gap(picture.pts);
        } else {
            picture.pts = self.part_start;
        }
        if self.state == (State::Gap { begun: true }) {
            self.cuts.push(Cut::End);
        }
        self.begin(picture, discontinuity);
    }
}
