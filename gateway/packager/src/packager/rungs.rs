//! The video renditions among each other: who leads, and how its decisions reach the others.

use super::sides::VideoSide;
use super::{Boundary, Duration, Limits, PackagerConfig, VIDEO_SCALE, WallMap, nanos};
use crate::rendition::RUNGS_MAX;
use crate::video::{Cut, Decision, Role};

/// The highest rung that flows leads: its key frames begin segments in all renditions. While none flows, the last that did goes
/// on leading.
#[derive(Debug)]
pub(super) struct Rungs {
    pub sides: Vec<VideoSide>,
    leader: usize,
    next_msn: u64,
}

/// A segment that began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub boundary: Boundary,
    pub gap: bool,
}

impl Rungs {
    /// `None` without video.
    pub(super) fn new(config: &PackagerConfig, limits: Limits) -> Option<Self> {
        let rungs = config.video.len().min(RUNGS_MAX) as u8;
        let sides: Vec<_> = (0..rungs).map(|rung| VideoSide::new(rung, config, limits)).collect();
        (!sides.is_empty()).then(|| {
            let mut made = Self { sides, leader: 0, next_msn: config.first_msn };
            made.elect();
            made
        })
    }

    pub(super) fn leads(&self, rung: usize) -> bool {
        self.leader == rung
    }

    pub(super) fn leader(&mut self) -> &mut VideoSide {
        &mut self.sides[self.leader]
    }

    /// By how much pictures of this rung are behind; of one that never flowed, what is known of others.
    pub(super) fn lag(&self, rung: usize) -> Option<i64> {
        self.sides[rung].lag().or_else(|| self.sides.iter().find_map(VideoSide::lag))
    }

    /// Nothing can be shown before an IDR comes.
    pub(super) fn starved(&self) -> bool {
        self.sides[self.leader].cutter.starved() && self.sides.iter().any(|side| side.lag().is_some())
    }

    /// A key frame of this rung comes while none flows: it begins the next segment.
    pub(super) fn nominate(&mut self, rung: usize) {
        if !self.sides.iter().any(|side| side.cutter.flows()) {
            self.leader = rung;
            self.assign();
        }
    }

    fn elect(&mut self) {
        if let Some(highest) = self.sides.iter().position(|side| side.cutter.flows()) {
            self.leader = highest;
        }
        self.assign();
    }

    fn assign(&mut self) {
        let flowing = self.sides.iter().filter(|side| side.cutter.flows()).count();
        let leader = self.leader;
        let others = flowing - usize::from(self.sides[leader].cutter.flows());
        for (rung, side) in self.sides.iter_mut().enumerate() {
            side.cutter.set_role(match rung == leader {
                true if others == 0 => Role::Alone,
                true => Role::Lead,
                false => Role::Follow,
            });
        }
    }

    /// A rung that follows cannot wait longer for the leader.
    pub(super) fn hurry(&mut self) {
        let leader = self.leader;
        let late = |(rung, side): (usize, &VideoSide)| rung != leader && side.cutter.is_overlong();
        if self.sides.iter().enumerate().any(late) && !self.sides[leader].cutter.is_overlong() {
            self.leader().cutter.force_boundary();
        }
    }

    /// Decisions become bytes. `date` gives the wall clock of a segment that begins behind a discontinuity, or not.
    pub(super) fn write(&mut self, mut date: impl FnMut(bool) -> WallMap) -> Vec<Begun> {
        let mut begun = Vec::new();
        // Each round either writes something or is the last; what one decision causes in others is bounded by what they hold.
        loop {
            let mut quiet = true;
            for rung in 0..self.sides.len() {
                for cut in self.sides[rung].cutter.take_cuts() {
                    quiet = false;
                    if let Some(new) = self.write_cut(rung, cut, &mut date) {
                        begun.push(new);
                    }
                }
            }
            if quiet {
                self.elect();
            }
            if quiet && self.sides.iter().all(|side| !side.cutter.has_cuts()) {
                return begun;
            }
        }
    }

    fn write_cut(&mut self, rung: usize, cut: Cut, date: &mut impl FnMut(bool) -> WallMap) -> Option<Begun> {
        let mut begun = None;
        match cut {
            Cut::Begin { at, by, init } => {
                let boundary = match by {
                    Decision::Followed(boundary) => boundary,
                    Decision::Own { discontinuity } => {
                        let boundary = self.decide(at, discontinuity, date(discontinuity));
                        self.tell(rung, boundary);
                        begun = Some(Begun { boundary, gap: init.is_none() });
                        boundary
                    }
                };
                self.sides[rung].begin(at, &boundary, init.as_deref());
            }
            Cut::Part { start, duration, samples } => {
                let side = &mut self.sides[rung];
                side.frame_rate.pictures(samples.len());
                side.output.part(start, duration, &samples);
            }
            Cut::End => {
                let side = &mut self.sides[rung];
                if let Some(duration) = side.output.end() {
                    side.frame_rate.segment(duration);
                }
            }
        }
        begun
    }

    fn decide(&mut self, at: i64, discontinuity: bool, wall: WallMap) -> Boundary {
        let msn = self.next_msn;
        self.next_msn += 1;
        Boundary { msn, at_nanos: nanos(at, VIDEO_SCALE), discontinuity, wall: Some(wall) }
    }

    fn tell(&mut self, leader: usize, boundary: Boundary) {
        for (rung, side) in self.sides.iter_mut().enumerate() {
            if rung != leader {
                side.cutter.boundary(boundary);
            }
        }
    }

    /// Nothing was written yet.
    pub(super) fn is_new(&self) -> bool {
        self.sides.iter().all(|side| side.output.store.is_new())
    }

    /// All that is there goes out.
    pub(super) fn end(&mut self) {
        for side in &mut self.sides {
            side.cutter.end();
        }
    }

    /// Gaps for pictures that do not come. `due`: local nanoseconds by which they should have come.
    pub(super) fn overdue(&mut self, due: i64) {
        for rung in 0..self.sides.len() {
            if let Some(lag) = self.lag(rung) {
                self.sides[rung].cutter.overdue(crate::boundary::ticks(due - lag, VIDEO_SCALE));
            }
        }
    }

    /// When [`Self::overdue`] has something to do: local time without any grace.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let due = |(rung, side): (usize, &VideoSide)| {
            let at = nanos(side.cutter.deadline()?, VIDEO_SCALE) + self.lag(rung)?;
            Some(Duration::from_nanos(at.max(0).unsigned_abs()))
        };
        self.sides.iter().enumerate().filter_map(due).min()
    }
}
