//! Cuts pictures into parts and segments: pure arithmetic on 90 kHz ticks, no bytes are touched.
//!
//! * A part ends before the picture that would make it longer than PART-TARGET. Where pictures stand so far apart that it
//!   would then be under 85 % (rule 10), the nearer one of the two pictures moves onto the edge, by less than its own length.
//! * A segment begins with an IDR, nothing else. An IDR that comes at least 3/4 of the target after the last one cuts.
//! * Without an IDR a segment goes on up to 2 × target = TARGETDURATION. Then it ends, and GAP=YES parts in GAP segments
//!   stand for the pictures, which cannot be shown to anyone who joins, until an IDR comes.
//! * The same when pictures stop: the last one is shown to the end of its part, one more part's time is waited, then gaps.
//! * Of several rungs one leads, and so says where segments begin; how the others follow is in [`follow`].

mod follow;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use minamo_media::fmp4::Sample;

use crate::boundary::Boundary;
use crate::container::VideoInit;
use follow::Hold;

/// Least distance of two pictures: 1 ms.
const STEP_MIN: i64 = 90;

/// One picture, parameter sets taken off.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub pts: i64,
    pub key: bool,
    /// Of a key frame: what its decoder is set up with.
    pub init: Option<Arc<VideoInit>>,
    pub data: Bytes,
}

/// What the cutter decided, in order.
#[derive(Clone, Debug)]
pub(crate) enum Cut {
    /// A segment begins here. No init: with a gap.
    Begin { at: i64, by: Decision, init: Option<Arc<VideoInit>> },
    /// A part of the open segment; no samples: a gap.
    Part { start: i64, duration: i64, samples: Vec<Sample> },
    /// The open segment is complete.
    End,
}

/// Who decided that a segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// This rung: the others are to follow.
    Own { discontinuity: bool },
    /// The leading rung.
    Followed(Boundary),
}

/// What the programme's next decision stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Jump {
    None,
    /// One of the rungs has another format.
    Format,
    /// All that comes is of another time or publisher: nothing but a key frame can be shown.
    Time,
}

/// What a rung is among those of its programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// No other rung flows: both its key frames and its gaps begin segments.
    Alone,
    /// Its key frames begin segments. Should it stall, another takes over, so that a stall begins none.
    Lead,
    /// Segments begin where another says.
    Follow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first segment.
    Waiting,
    Open,
    /// Pictures are away since `part_start`. `begun`: there is an open segment that gap parts may go into.
    Gap {
        begun: bool,
    },
}

/// Bound: the pictures of one part, at most 1 per ms, and the parts that are held, at most a segment's.
#[derive(Debug)]
pub(crate) struct VideoCutter {
    part_max: i64,
    part_min: i64,
    segment_target: i64,
    segment_max: i64,
    role: Role,
    state: State,
    segment_start: i64,
    part_start: i64,
    /// The open segment has a part.
    has_part: bool,
    pictures: Vec<Picture>,
    /// What the open segment's pictures need.
    init: Option<Arc<VideoInit>>,
    /// The leader's decisions that wait for a key frame here.
    pending: VecDeque<Boundary>,
    hold: Option<Hold>,
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
            role: Role::Alone,
            state: State::Waiting,
            segment_start: 0,
            part_start: 0,
            has_part: false,
            pictures: Vec::new(),
            init: None,
            pending: VecDeque::new(),
            hold: None,
            cuts: Vec::new(),
            dropped: 0,
        }
    }

    pub(crate) fn take_cuts(&mut self) -> Vec<Cut> {
        std::mem::take(&mut self.cuts)
    }

    pub(crate) fn has_cuts(&self) -> bool {
        !self.cuts.is_empty()
    }

    /// Nothing can be shown before an IDR comes.
    pub(crate) fn starved(&self) -> bool {
        self.state != State::Open
    }

    /// It has pictures, and they are known to belong to a segment: it may lead.
    pub(crate) fn flows(&self) -> bool {
        self.state == State::Open && self.hold.is_none()
    }

    /// No next part may be hinted.
    pub(crate) fn in_gap(&self) -> bool {
        self.state != State::Open
    }

    /// One picture.
    pub(crate) fn push(&mut self, mut picture: Picture, jump: Jump) {
        self.expire(picture.pts);
        let changes = self.changes(&picture);
        if self.state == State::Open && jump == Jump::Time && !picture.key {
            self.interrupt(picture.pts);
        }
        let apart = changes || jump == Jump::Time;
        if let Some(hold) = self.hold.as_mut().filter(|hold| !picture.key || hold.keeps(apart)) {
            return hold.push(picture);
        }
        self.release();
        if self.state == State::Open {
            self.place(&mut picture);
        }
        if picture.key && (self.role == Role::Follow || !self.pending.is_empty()) {
            return self.push_key_as_follower(picture, jump, changes);
        }
        self.push_at_its_place(picture, changes || jump != Jump::None);
    }

    fn push_at_its_place(&mut self, picture: Picture, jump: bool) {
        match self.state {
            State::Open => self.append(picture, jump),
            State::Waiting if picture.key => self.begin(picture, Decision::Own { discontinuity: false }),
            State::Gap { .. } if picture.key => self.resume(picture, Decision::Own { discontinuity: jump }),
            State::Gap { .. } => {
                self.dropped += 1;
                self.gaps_until(picture.pts - self.part_max + 1);
            }
            State::Waiting => self.dropped += 1,
        }
    }

    /// Where the picture may stand in the open segment, which ends here when it cannot.
    fn place(&mut self, picture: &mut Picture) {
        let earliest = self.pictures.last().map_or(self.part_start, |last| last.pts + STEP_MIN);
        picture.pts = picture.pts.max(earliest);
        self.make_room(picture);
    }

    /// A key frame that needs another init section than what is there.
    pub(crate) fn changes(&self, picture: &Picture) -> bool {
        match (&self.init, &picture.init) {
            (Some(ours), Some(theirs)) => ours.format != theirs.format,
            _ => false,
        }
    }

    /// When this programme time has passed without a picture, call [`Self::overdue`].
    pub(crate) fn deadline(&self) -> Option<i64> {
        let part = match self.state {
            State::Waiting => None,
            // What is held decides how the open part ends.
            _ if self.hold.is_some() => None,
            // Nothing can be written until the leader says in which segment.
            State::Gap { begun: false } if self.role == Role::Follow => None,
            State::Open | State::Gap { .. } => Some(self.part_start + self.part_max),
        };
        [part, self.patience()].into_iter().flatten().min()
    }

    /// Pictures up to `time` should have come.
    pub(crate) fn overdue(&mut self, time: i64) {
        self.expire(time);
        while self.deadline().is_some_and(|deadline| deadline <= time) {
            match self.state {
                State::Waiting => return,
                State::Open if !self.pictures.is_empty() => self.finish_part(self.part_start + self.part_max),
                State::Open => self.enter_gap(),
                State::Gap { .. } => self.gap(self.part_start + self.part_max),
            }
        }
    }

    /// Another rendition cannot go on without a boundary: end the segment and begin a gap.
    pub(crate) fn force_boundary(&mut self) {
        if self.state == State::Open {
            self.interrupt(self.part_start + self.part_max);
        }
        if let State::Gap { begun } = self.state {
            if begun {
                self.finish_segment();
            }
            self.begin_gap(self.part_start, Decision::Own { discontinuity: false });
            self.gap(self.part_start + self.part_max);
        }
    }

    /// The programme is over: everything that is there goes out.
    pub(crate) fn end(&mut self) {
        self.release();
        if let Some(last) = self.pictures.last() {
            let before = self.pictures.len().checked_sub(2).map_or(3_000, |index| last.pts - self.pictures[index].pts);
            let end = (last.pts + before).min(self.part_start + self.part_max);
            self.finish_part(end);
        }
        if matches!(self.state, State::Open | State::Gap { begun: true }) {
            self.finish_segment();
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
        if self.state == State::Open && self.pictures.is_empty() {
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

    fn append(&mut self, picture: Picture, jump: bool) {
        let leads = self.role != Role::Follow;
        if picture.key && leads && (jump || self.is_due(picture.pts)) {
            self.close_part(picture.pts);
            if self.state == State::Open {
                self.finish_segment();
            }
            return self.begin(picture, Decision::Own { discontinuity: jump });
        }
        self.add(picture);
    }

    fn add(&mut self, picture: Picture) {
        if self.full_at(picture.pts) {
            self.finish_part(picture.pts);
        }
        if self.state == State::Open {
            self.pictures.push(picture);
        } else {
            self.dropped += 1;
        }
    }

    /// The open segment is so long that an IDR at `pts` may begin the next.
    fn is_due(&self, pts: i64) -> bool {
        pts - self.segment_start >= self.segment_target * 3 / 4
    }

    /// The part is long enough at `pts`, and one more picture as long as the last would be too much.
    fn full_at(&self, pts: i64) -> bool {
        let Some(last) = self.pictures.last() else { return false };
        let long = pts - self.part_start;
        long >= self.part_min && long + (pts - last.pts) > self.part_max
    }

    fn begin(&mut self, picture: Picture, by: Decision) {
        let by = self.in_turn(by);
        self.state = State::Open;
        self.segment_start = picture.pts;
        self.part_start = picture.pts;
        self.has_part = false;
        self.init.clone_from(&picture.init);
        self.cuts.push(Cut::Begin { at: picture.pts, by, init: picture.init.clone() });
        self.pictures.clear();
        self.pictures.push(picture);
    }

    fn begin_gap(&mut self, at: i64, by: Decision) {
        let by = self.in_turn(by);
        self.state = State::Gap { begun: true };
        self.segment_start = at;
        self.part_start = at;
        self.has_part = false;
        self.cuts.push(Cut::Begin { at, by, init: None });
    }

    /// No number is left out: what was decided before counts first.
    fn in_turn(&mut self, by: Decision) -> Decision {
        match by {
            Decision::Own { .. } => self.pending.pop_front().map_or(by, Decision::Followed),
            Decision::Followed(_) => by,
        }
    }

    /// Every segment has a part, or its number would be missing here.
    fn finish_segment(&mut self) {
        if !self.has_part {
            self.part(self.part_start + STEP_MIN, Vec::new());
        }
        self.cuts.push(Cut::End);
    }

    fn part(&mut self, end: i64, samples: Vec<Sample>) {
        self.cuts.push(Cut::Part { start: self.part_start, duration: end - self.part_start, samples });
        self.has_part = true;
        self.part_start = end;
    }

    fn close_part(&mut self, end: i64) {
        if !self.pictures.is_empty() {
            self.finish_part(end);
        }
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
        self.part(end, samples);
        if self.is_overlong() && self.role != Role::Follow {
            self.enter_hard_gap();
        }
    }

    /// One more part would make the segment longer than TARGETDURATION.
    pub(crate) fn is_overlong(&self) -> bool {
        self.state != State::Waiting && self.part_start - self.segment_start > self.segment_max - self.part_max
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

    /// Alone, the segment ends here. Else its number is the others' too, and gap parts fill it up.
    fn enter_gap(&mut self) {
        self.release();
        if self.state != State::Open {
            return;
        }
        if self.role == Role::Alone {
            return self.enter_hard_gap();
        }
        self.dropped += self.pictures.len() as u64;
        self.pictures.clear();
        self.state = State::Gap { begun: true };
    }

    fn enter_hard_gap(&mut self) {
        self.dropped += self.pictures.len() as u64;
        self.pictures.clear();
        self.finish_segment();
        self.state = State::Gap { begun: false };
    }

    /// A gap part up to `end`.
    fn gap(&mut self, end: i64) {
        let State::Gap { begun } = self.state else { return };
        if self.role != Role::Follow {
            let long = self.part_start - self.segment_start >= self.segment_target;
            if begun && long && self.has_part {
                self.finish_segment();
            }
            if !begun || (long && self.has_part) {
                self.begin_gap(self.part_start, Decision::Own { discontinuity: false });
            }
        } else if !begun {
            return;
        }
        self.part(end, Vec::new());
    }

    fn gaps_until(&mut self, time: i64) {
        while self.part_start < time && self.deadline().is_some() && self.in_gap() {
            let before = self.part_start;
            self.gap(self.part_start + self.part_max);
            if self.part_start == before {
                return;
            }
        }
    }

    fn resume(&mut self, mut picture: Picture, by: Decision) {
        self.gaps_until(picture.pts - self.part_max + 1);
        let left = picture.pts - self.part_start;
        let begun = self.state == State::Gap { begun: true };
        if left > self.part_max / 3 || (begun && left > 0) {
            self.gap(picture.pts);
        } else {
            picture.pts = self.part_start;
        }
        if self.state == (State::Gap { begun: true }) {
            self.finish_segment();
            picture.pts = self.part_start;
        }
        self.begin(picture, by);
    }
}
