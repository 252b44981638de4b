//! How a rung follows the one that leads.
//!
//! * The leader's decision waits here for a key frame near it. None within half a segment: the segment begins with a gap, and
//!   the rung comes back at the next decision.
//! * Of one picture the key frame of a smaller rung comes first. So a key frame that may begin a segment ends the part before
//!   it, and what follows is held until the leader has decided, or has not for too long.
//! * A stall ends no segment: its number is the others' too. Gap parts fill it up.

use super::{Boundary, Decision, Jump, Picture, Role, STEP_MIN, State, VideoCutter};
use crate::boundary::{VIDEO_SCALE, ticks};

/// Pictures from a key frame on that may begin a segment.
#[derive(Debug)]
pub(super) struct Hold {
    /// The first is the key frame.
    pictures: Vec<Picture>,
    /// They cannot go into the open segment: another format or time, or nothing before them.
    apart: bool,
}

impl Hold {
    /// Where the key frame stands.
    fn at(&self) -> i64 {
        self.pictures.first().map_or(0, |key| key.pts)
    }

    /// Another key frame changes nothing: what is held can go nowhere without its own.
    pub(super) fn keeps(&self, apart: bool) -> bool {
        self.apart && !apart
    }

    pub(super) fn push(&mut self, mut picture: Picture) {
        picture.pts = picture.pts.max(self.pictures.last().map_or(i64::MIN, |last| last.pts + STEP_MIN));
        self.pictures.push(picture);
    }
}

impl VideoCutter {
    /// What it is from now on. Who begins to lead stands by what it has held.
    pub(crate) fn set_role(&mut self, role: Role) {
        let led = std::mem::replace(&mut self.role, role) != Role::Follow;
        if !led && role != Role::Follow && self.hold.is_some() {
            let key = self.hold.as_ref().and_then(|hold| hold.pictures.first());
            let discontinuity = key.is_some_and(|key| self.changes(key));
            self.stand(Decision::Own { discontinuity });
        }
    }

    /// The leader begins a segment.
    pub(crate) fn boundary(&mut self, boundary: Boundary) {
        while !self.pending.is_empty() {
            self.give_up();
        }
        let at = ticks(boundary.at_nanos, VIDEO_SCALE);
        match &self.hold {
            Some(hold) if (hold.at() - at).abs() <= self.tolerance(boundary.discontinuity) => {
                return self.stand(Decision::Followed(boundary));
            }
            Some(_) => self.release(),
            None => {}
        }
        if self.state == (State::Gap { begun: false }) {
            return self.begin_gap(self.part_start, Decision::Followed(boundary));
        }
        self.pending.push_back(boundary);
    }

    /// How far from the leader's its own key frame may be. What lies behind a discontinuity must not lie before it elsewhere.
    fn tolerance(&self, discontinuity: bool) -> i64 {
        self.segment_target / if discontinuity { 4 } else { 2 }
    }

    /// Until when it waits for a key frame, or for the leader.
    pub(super) fn patience(&self) -> Option<i64> {
        let tolerated = |boundary: &Boundary| ticks(boundary.at_nanos, VIDEO_SCALE) + self.tolerance(boundary.discontinuity) + 1;
        let held = self.hold.as_ref().map(Hold::at);
        let waits = self.pending.front().map(tolerated);
        // Not at the price of a segment longer than TARGETDURATION.
        let waits = waits.map(|until| if self.state == State::Waiting { until } else { until.min(self.latest_end()) });
        [waits, held.map(|at| at + self.tolerance(false) + 1)].into_iter().flatten().min()
    }

    /// One more part behind this would make the segment longer than TARGETDURATION.
    fn latest_end(&self) -> i64 {
        self.segment_start + self.segment_max - self.part_max
    }

    pub(super) fn expire(&mut self, time: i64) {
        while self.patience().is_some_and(|until| until <= time) {
            if self.pending.is_empty() {
                self.release();
            } else {
                self.give_up();
            }
        }
    }

    /// A key frame is missing here since longer than the rungs' pictures are apart.
    pub(crate) fn misses_key(&self) -> bool {
        let seen = self.pictures.last().map_or(self.part_start, |picture| picture.pts);
        let late = |boundary: &Boundary| seen - ticks(boundary.at_nanos, VIDEO_SCALE) > self.segment_target / 8;
        self.state == State::Open && self.pending.front().is_some_and(late)
    }

    pub(super) fn push_key_as_follower(&mut self, picture: Picture, jump: Jump, changes: bool) {
        let apart = changes || jump == Jump::Time;
        let near =
            |boundary: &Boundary| picture.pts + self.tolerance(boundary.discontinuity) >= ticks(boundary.at_nanos, VIDEO_SCALE);
        match self.pending.front().copied() {
            Some(boundary) if near(&boundary) && apart && !boundary.discontinuity => {
                // The leader had not heard of the jump: it will decide once more.
                self.give_up();
                match self.role {
                    Role::Follow => self.begin_hold(picture, apart),
                    Role::Alone | Role::Lead => self.push_at_its_place(picture, true),
                }
            }
            Some(boundary) if near(&boundary) => self.cut(picture, Decision::Own { discontinuity: apart }),
            _ if self.role != Role::Follow => self.push_at_its_place(picture, changes || jump != Jump::None),
            _ if matches!(self.state, State::Waiting | State::Gap { begun: false }) => self.dropped += 1,
            _ if changes || jump != Jump::None || self.state != State::Open || self.is_due(picture.pts) => {
                self.begin_hold(picture, apart);
            }
            _ => self.append(picture, false),
        }
    }

    /// Begins a segment with this key frame, whatever was before. Whose decision it is, [`VideoCutter::in_turn`] says.
    fn cut(&mut self, picture: Picture, by: Decision) {
        self.release();
        match self.state {
            State::Waiting => self.begin(picture, by),
            State::Gap { .. } => self.resume(picture, by),
            State::Open => {
                self.close_part(picture.pts);
                self.finish_segment();
                self.begin(picture, by);
            }
        }
    }

    fn begin_hold(&mut self, picture: Picture, apart: bool) {
        self.gap_to(picture.pts);
        let apart = apart || self.state != State::Open;
        self.hold = Some(Hold { pictures: vec![picture], apart });
    }

    /// What is held begins a segment.
    fn stand(&mut self, by: Decision) {
        let Some(hold) = self.hold.take() else { return };
        let mut pictures = hold.pictures.into_iter();
        let Some(key) = pictures.next() else { return };
        self.cut(key, by);
        pictures.for_each(|picture| self.go_on(picture));
    }

    /// Nobody decided that a segment begins at what is held: it goes on with the open one, or is not shown.
    pub(super) fn release(&mut self) {
        let Some(hold) = self.hold.take() else { return };
        if !hold.apart {
            return hold.pictures.into_iter().for_each(|picture| self.go_on(picture));
        }
        self.dropped += hold.pictures.len() as u64;
        if self.state == State::Open {
            self.interrupt(hold.at());
        }
        self.gap_to(hold.pictures.last().map_or(self.part_start, |last| last.pts));
    }

    /// One more picture of the open segment, where that still flows.
    fn go_on(&mut self, mut picture: Picture) {
        if self.state == State::Open {
            self.place(&mut picture);
        }
        if self.state == State::Open {
            self.add(picture);
        } else {
            self.dropped += 1;
        }
    }

    /// No key frame came near the leader's: a gap stands for this segment.
    fn give_up(&mut self) {
        let Some(boundary) = self.pending.pop_front() else { return };
        let at = ticks(boundary.at_nanos, VIDEO_SCALE);
        self.release();
        match self.state {
            State::Waiting => self.part_start = at,
            State::Open => {
                let end = self.pictures.last().map_or(self.part_start, |last| last.pts + STEP_MIN);
                self.close_part(end.max(self.part_start + STEP_MIN));
                self.finish_segment();
            }
            State::Gap { begun } => {
                self.gap_to(at.min(self.latest_end() + self.part_max));
                if begun {
                    self.finish_segment();
                }
            }
        }
        self.dropped += self.pictures.len() as u64;
        self.pictures.clear();
        self.begin_gap(self.part_start, Decision::Followed(boundary));
    }

    /// Gap parts up to exactly `time`.
    fn gap_to(&mut self, time: i64) {
        while self.state == (State::Gap { begun: true }) && self.part_start < time {
            let end = (self.part_start + self.part_max).min(time);
            self.part(end, Vec::new());
        }
    }
}
