//! From places on the layers' lines to one unbroken count toward a subscriber: of packets, of pictures, and of time.
//!
//! A run is a stretch of one layer's places that goes out without a hole. A switch of layers begins another one, and so does a
//! picture that is left out. Within a run a sequence number is the place plus one constant, so the way back from a NACK is one
//! subtraction. Some runs are remembered behind the current one: packets of theirs may still come late, or be asked for again.

use std::collections::VecDeque;

use crate::model::Layer;
use crate::track::{Marks, Stored};

/// Runs remembered. Leaving out every other picture makes one for each: four seconds of video.
const OLDER_MAX: usize = 64;
/// Two pictures are at least so far apart in time: one millisecond of video. Only where clocks of layers do not agree.
const STEP_MIN: u32 = 90;
/// Cached pictures are shown so much faster, so that the subscriber is at once where the others are.
const SQUEEZE: u32 = 32;

#[derive(Clone, Copy, Debug)]
struct Run {
    layer: Layer,
    /// Places from `first` to before `end`.
    first: u64,
    end: u64,
    /// The number of `first`.
    out: u64,
    /// Numbers of pictures from `first_picture` to before `end_picture`; others were left out.
    first_picture: u32,
    end_picture: u32,
    /// The highest temporal layer that goes out, in pictures before that number. One above it that comes late refers to what was left
    /// out.
    temporal: u8,
    end_temporal: u32,
    picture_offset: u32,
    tl0_offset: u8,
    timestamp_offset: u32,
    /// The timestamp of now, where the run began with older pictures: these are moved together toward it.
    live: Option<u32>,
}

/// Where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Extended sequence number.
    pub out: u64,
    pub timestamp: u32,
    /// The picture's number and that of the base layer, where they are not those in the packet.
    pub numbers: Option<(u16, u8)>,
    /// Its picture was left out, but its number is already taken: an empty packet fills it.
    pub filler: bool,
}

/// The highest that went out so far.
#[derive(Clone, Copy, Debug, Default)]
struct Highest {
    out: u64,
    timestamp: u32,
    /// On the layer's count.
    picture: u32,
    /// The same as it went out, once there was one.
    picture_out: Option<u32>,
    tl0_out: Option<u8>,
}

/// One subscriber's count.
#[derive(Clone, Debug)]
pub(super) struct Course {
    first_out: u64,
    timestamp_start: u32,
    /// Another track went out before.
    succeeds: bool,
    current: Option<Run>,
    /// The place behind the highest that was seen of the current run.
    next: u64,
    older: VecDeque<Run>,
    highest: Highest,
    /// The highest temporal layer that goes out at present.
    temporal: u8,
    /// Whether pictures that are left out leave no gap in the numbers.
    closes_gaps: bool,
}

impl Course {
    pub(super) fn new(first_out: u64, timestamp_start: u32, closes_gaps: bool) -> Self {
        Self {
            first_out,
            timestamp_start,
            succeeds: false,
            current: None,
            next: 0,
            older: VecDeque::new(),
            highest: Highest { out: first_out, ..Highest::default() },
            temporal: u8::MAX,
            closes_gaps,
        }
    }

    /// The same count for another track, none of whose packets went out yet. Those of before are not known any more.
    pub(super) fn succeed(self, closes_gaps: bool) -> Self {
        let succeeds = self.succeeds || self.is_started();
        let first_out = if self.is_started() { self.highest.out + 1 } else { self.first_out };
        Self { succeeds, highest: self.highest, ..Self::new(first_out, self.timestamp_start, closes_gaps) }
    }

    /// Before the first run: what this timestamp of its layer becomes.
    pub(super) fn start_at(&mut self, timestamp: u32, becomes: u32) {
        self.timestamp_start = becomes.wrapping_sub(timestamp);
    }

    /// Whether anything of the track ever went out.
    pub(super) fn is_started(&self) -> bool {
        self.current.is_some()
    }

    /// The layer that went out last.
    pub(super) fn layer(&self) -> Option<Layer> {
        self.current.map(|run| run.layer)
    }

    /// Whether packets of this layer may still have a number.
    pub(super) fn knows(&self, layer: Layer) -> bool {
        self.current.is_some_and(|run| run.layer == layer) || self.older.iter().any(|run| run.layer == layer)
    }

    /// See [`super::Downlink::warm`].
    pub(super) fn warm(&self) -> u64 {
        self.next ^ self.highest.out ^ self.current.map_or(0, |run| run.out) ^ u64::from(self.temporal)
    }

    /// The place behind the highest that was seen of the current layer.
    pub(super) fn next_place(&self) -> u64 {
        self.next
    }

    /// The first numbers that ever went out here, up to so many, as long as it is the run that began with them.
    pub(super) fn opening(&self, packets: u64) -> std::ops::Range<u64> {
        let fresh = !self.succeeds && self.older.is_empty() && self.is_started();
        let end = self.highest.out.min(self.first_out + packets - 1) + 1;
        self.first_out..if fresh { end } else { self.first_out }
    }

    /// What is added to the timestamps of the current layer.
    pub(super) fn timestamp_offset(&self) -> Option<u32> {
        self.current.map(|run| run.timestamp_offset)
    }

    /// From this packet on, which is to be given to [`Self::slot`] right after, another run goes out. `shift` is what brings its
    /// layer's timestamps onto the line of the layer before; `live` is the newest timestamp of its layer, if the packet is an old
    /// one.
    pub(super) fn enter(&mut self, layer: Layer, stored: &Stored, shift: u32, live: Option<u32>, temporal: u8) {
        let mut timestamp_offset = self.timestamp_offset().unwrap_or(self.timestamp_start).wrapping_add(shift);
        let started = self.is_started();
        let mut run = Run {
            layer,
            first: stored.seq,
            end: u64::MAX,
            out: if started { self.highest.out + 1 } else { self.first_out },
            first_picture: stored.marks.number,
            end_picture: u32::MAX,
            temporal,
            end_temporal: u32::MAX,
            picture_offset: self.highest.picture_out.map_or(0, |out| out.wrapping_add(1).wrapping_sub(stored.marks.number)),
            tl0_offset: self.highest.tl0_out.zip(stored.marks.tl0).map_or(0, |(out, tl0)| out.wrapping_add(1).wrapping_sub(tl0)),
            timestamp_offset,
            live,
        };
        let step = run.timestamp(stored.timestamp).wrapping_sub(self.highest.timestamp) as i32;
        if (started || self.succeeds) && step < STEP_MIN as i32 {
            timestamp_offset = timestamp_offset.wrapping_add((STEP_MIN as i32 - step) as u32);
            run.timestamp_offset = timestamp_offset;
        }
        if let Some(before) = self.current.replace(run) {
            let end = self.next;
            self.remember(Run { end, ..before });
        }
        self.next = stored.seq;
        self.highest.picture = stored.marks.number.wrapping_sub(1);
        self.temporal = temporal;
    }

    fn remember(&mut self, run: Run) {
        if run.first == run.end {
            return;
        }
        if self.older.len() == OLDER_MAX {
            self.older.pop_front();
        }
        self.older.push_back(run);
    }

    /// Where a packet goes that has just come, or come late. `None` if it is not for this subscriber: of a temporal layer that is
    /// left out (above `temporal`), of a layer that is not the current one, or from before its time.
    pub(super) fn slot(&mut self, layer: Layer, stored: &Stored, temporal: u8) -> Option<Slot> {
        let run = self.current.filter(|run| run.layer == layer && stored.seq >= self.next);
        let Some(mut run) = run else { return self.find(layer, stored) };
        let marks = &stored.marks;
        if marks.bits > 0 {
            let before = self.temporal;
            self.choose_temporal(marks, temporal);
            if marks.temporal > self.temporal {
                self.leave_out(&run, stored);
                return None;
            }
            if self.temporal != before {
                run = self.go_on(run, stored);
            }
        }
        self.next = stored.seq + 1;
        let slot = run.slot(stored);
        self.advance(&run, stored, &slot);
        Some(slot)
    }

    /// Fewer temporal layers: from the next picture on. More: where the stream allows it.
    fn choose_temporal(&mut self, marks: &Marks, allowed: u8) {
        if marks.number <= self.highest.picture {
            return;
        }
        let highest = &mut self.temporal;
        if allowed < *highest {
            *highest = allowed;
        } else if marks.sync && marks.temporal > *highest && marks.temporal <= allowed {
            *highest = marks.temporal;
        } else if marks.switching_up && marks.temporal <= *highest {
            *highest = allowed;
        }
    }

    fn advance(&mut self, run: &Run, stored: &Stored, slot: &Slot) {
        self.highest.out = slot.out;
        self.highest.timestamp = slot.timestamp;
        if stored.marks.bits > 0 && stored.marks.number > self.highest.picture {
            self.highest.picture = stored.marks.number;
            self.highest.picture_out = Some(stored.marks.number.wrapping_add(run.picture_offset));
        }
        if let Some(tl0) = stored.marks.tl0 {
            self.highest.tl0_out = Some(tl0.wrapping_add(run.tl0_offset));
        }
    }

    /// From this picture on there are more temporal layers, or fewer; all counts go on.
    fn go_on(&mut self, run: Run, stored: &Stored) -> Run {
        self.remember(Run { end: stored.seq, end_temporal: stored.marks.number, ..run });
        let next = Run { first: stored.seq, out: run.out + (stored.seq - run.first), temporal: self.temporal, ..run };
        self.current = Some(next);
        next
    }

    /// Nothing of this packet goes out: the numbers behind it move down. Those of packets missing before it stay reserved.
    fn leave_out(&mut self, run: &Run, stored: &Stored) {
        let number = stored.marks.number;
        let another = number >= run.first_picture;
        let out = run.out + (stored.seq - run.first);
        let mut next = Run { first: stored.seq + 1, out, temporal: self.temporal, ..*run };
        if another {
            next.first_picture = number + 1;
            next.picture_offset = run.picture_offset.wrapping_sub(u32::from(self.closes_gaps));
        }
        self.remember(Run { end: stored.seq, end_picture: if another { number } else { run.first_picture }, ..*run });
        self.highest.out = self.highest.out.max(next.out.saturating_sub(1));
        if number > self.highest.picture.saturating_add(1) {
            // Those of whole pictures missing before it, too.
            self.highest.picture_out = Some((number - 1).wrapping_add(run.picture_offset));
        }
        if let Some(tl0) = stored.marks.tl0.filter(|_| number > self.highest.picture) {
            self.highest.tl0_out = Some(tl0.wrapping_add(run.tl0_offset));
        }
        self.highest.picture = self.highest.picture.max(number);
        self.current = Some(next);
        self.next = stored.seq + 1;
    }

    /// The number that a packet was given, or that was kept for it.
    pub(super) fn find(&self, layer: Layer, stored: &Stored) -> Option<Slot> {
        let has = |run: &&Run| run.layer == layer && (run.first..run.end).contains(&stored.seq);
        if let Some(run) = self.current.as_ref().filter(has) {
            return (stored.seq < self.next).then(|| run.slot(stored));
        }
        self.older.iter().rev().find(has).map(|run| run.slot(stored))
    }

    /// Which packet of which layer has a sequence number.
    pub(super) fn place(&self, sequence: u16) -> Option<(Layer, u64)> {
        let behind = (self.highest.out as u16).wrapping_sub(sequence);
        let out = self.highest.out.checked_sub(u64::from(behind)).filter(|_| behind < 0x8000)?;
        let runs = self.current.iter().chain(self.older.iter().rev());
        runs.filter(|run| run.out <= out).find_map(|run| {
            let place = run.first + (out - run.out);
            (place < run.end).then_some((run.layer, place))
        })
    }
}

impl Run {
    fn slot(&self, stored: &Stored) -> Slot {
        let marks = &stored.marks;
        let left_out = marks.bits > 0 && !(self.first_picture..self.end_picture).contains(&marks.number);
        let beyond = marks.bits > 0 && marks.temporal > self.temporal && marks.number < self.end_temporal;
        let moved = marks.shifted || self.picture_offset != 0 || self.tl0_offset != 0;
        let numbers = || {
            let picture = marks.number.wrapping_add(self.picture_offset) as u16;
            (picture, marks.tl0.unwrap_or(0).wrapping_add(self.tl0_offset))
        };
        Slot {
            out: self.out + stored.seq.saturating_sub(self.first),
            timestamp: self.timestamp(stored.timestamp),
            numbers: moved.then(numbers),
            filler: left_out || beyond,
        }
    }

    fn timestamp(&self, timestamp: u32) -> u32 {
        let ago = self.live.map_or(0, |live| (live.wrapping_sub(timestamp) as i32).max(0) as u32);
        timestamp.wrapping_add(ago - ago / SQUEEZE).wrapping_add(self.timestamp_offset)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const LOW: Layer = Layer(0);
    const HIGH: Layer = Layer(1);

    /// A packet of a picture on a count whose numbers have 15 bits.
    fn stored(seq: u64, number: u32, temporal: u8) -> Stored {
        let marks = Marks { number, bits: 15, tl0: Some(number as u8), temporal, ..Marks::default() };
        Stored { seq, timestamp: number * 3000, key: false, marks, packet: Bytes::new(), payload: 0..0 }
    }

    fn started(closes_gaps: bool) -> Course {
        let mut course = Course::new(70_000, 0, closes_gaps);
        course.enter(LOW, &stored(10, 100, 0), 0, None, u8::MAX);
        course
    }

    /// Sequence number less the first, picture's number, whether it only fills a hole.
    fn sent(course: &mut Course, seq: u64, number: u32, temporal: u8, allowed: u8) -> Option<(u64, u16, bool)> {
        let slot = course.slot(LOW, &stored(seq, number, temporal), allowed)?;
        Some((slot.out - 70_000, slot.numbers.map_or(number as u16, |(picture, _)| picture), slot.filler))
    }

    #[test]
    fn pictures_that_are_left_out_leave_no_gap() {
        let mut course = started(true);
        // One packet each: 0 2 1 2 0 2 1 2, of which the second temporal layer is not wanted.
        let got: Vec<_> =
            (0..8).filter_map(|n| sent(&mut course, 10 + u64::from(n), 100 + n, [0, 2, 1, 2][n as usize % 4], 1)).collect();
        assert_eq!(got, [(0, 100, false), (1, 101, false), (2, 102, false), (3, 103, false)]);
        for (out, place) in [(0, 10), (1, 12), (2, 14), (3, 16)] {
            assert_eq!(course.place((70_000 + out) as u16), Some((LOW, place)));
        }
        assert_eq!(course.place((70_004u32) as u16), None);
        assert_eq!(course.find(LOW, &stored(14, 104, 0)).map(|slot| slot.out), Some(70_002));
        assert_eq!(course.find(LOW, &stored(13, 103, 2)), None);
    }

    #[test]
    fn where_pictures_refer_by_difference_their_numbers_stay() {
        let mut course = started(false);
        let got: Vec<_> =
            (0..4).filter_map(|n| sent(&mut course, 10 + u64::from(n), 100 + n, [0, 2, 1, 2][n as usize], 1)).collect();
        assert_eq!(got, [(0, 100, false), (1, 102, false)]);
    }

    #[test]
    fn what_was_missing_keeps_its_number_even_if_its_picture_was_left_out() {
        let mut course = started(true);
        assert_eq!(sent(&mut course, 10, 100, 0, 0), Some((0, 100, false)));
        // 11, of the same unwanted picture as 12, is missing; so is 13, of a whole picture nobody has seen.
        assert_eq!(sent(&mut course, 12, 101, 1, 0), None);
        assert_eq!(sent(&mut course, 14, 103, 0, 0), Some((3, 102, false)));
        assert_eq!(sent(&mut course, 11, 101, 1, 0), Some((1, 101, true)));
        assert_eq!(sent(&mut course, 13, 102, 1, 0), Some((2, 101, true)));
        assert_eq!(sent(&mut course, 12, 101, 1, 0), None);
    }

    #[test]
    fn more_temporal_layers_begin_where_the_stream_allows_it() {
        let mut course = started(true);
        sent(&mut course, 10, 100, 0, 0);
        assert_eq!(sent(&mut course, 11, 101, 1, 0), None);
        assert_eq!(sent(&mut course, 12, 102, 1, 1), None, "no sync");
        let mut sync = stored(13, 103, 1);
        sync.marks.sync = true;
        assert!(course.slot(LOW, &sync, 1).is_some());
        assert!(sent(&mut course, 14, 104, 1, 1).is_some());
        assert_eq!(sent(&mut course, 15, 105, 2, 2), None);
        let mut up = stored(16, 106, 0);
        up.marks.switching_up = true;
        assert!(course.slot(LOW, &up, 2).is_some());
        assert!(sent(&mut course, 17, 107, 2, 2).is_some());
    }

    #[test]
    fn of_a_picture_that_is_left_out_nothing_goes_out_late() {
        let mut course = started(true);
        sent(&mut course, 10, 100, 0, 2);
        // 11, the first packet of the picture that is not wanted any more, comes after the second.
        assert_eq!(sent(&mut course, 12, 101, 1, 0), None);
        assert_eq!(sent(&mut course, 11, 101, 1, 0), Some((1, 101, true)));
        assert_eq!(sent(&mut course, 13, 101, 1, 0), None);
        assert_eq!(sent(&mut course, 14, 102, 0, 0), Some((2, 101, false)));
    }

    #[test]
    fn a_picture_that_may_still_come_keeps_its_number_over_a_switch() {
        for closes_gaps in [true, false] {
            let mut course = started(closes_gaps);
            sent(&mut course, 10, 100, 0, 0);
            // 101 of the base layer is missing, 102 refers to it and is left out.
            assert_eq!(sent(&mut course, 12, 102, 1, 0), None);
            let key = stored(900, 31_000, 0);
            course.enter(HIGH, &key, 0, None, 0);
            let (number, tl0) = course.slot(HIGH, &key, 0).unwrap().numbers.unwrap();
            assert_eq!(sent(&mut course, 11, 101, 0, 0), Some((1, 101, false)));
            assert_eq!((number, tl0), (102, 103), "neither is used twice");
        }
    }

    #[test]
    fn what_comes_late_and_refers_to_what_was_left_out_only_fills_a_hole() {
        let mut course = started(false);
        sent(&mut course, 10, 100, 0, 0);
        assert_eq!(sent(&mut course, 11, 101, 2, 0), None);
        assert_eq!(sent(&mut course, 12, 102, 1, 0), None);
        // The next of the base layer allows more, and has overtaken the last of those that refer to 102.
        let mut up = stored(14, 104, 0);
        up.marks.switching_up = true;
        assert_eq!(course.slot(LOW, &up, 2).map(|slot| (slot.out, slot.filler)), Some((70_002, false)));
        assert_eq!(sent(&mut course, 13, 103, 2, 2), Some((1, 103, true)));
        assert_eq!(sent(&mut course, 15, 105, 2, 2), Some((3, 105, false)));
        // Fewer again: what was under way before still goes out.
        assert_eq!(sent(&mut course, 17, 107, 0, 0), Some((5, 107, false)));
        assert_eq!(sent(&mut course, 16, 106, 2, 0), Some((4, 106, false)));
    }

    #[test]
    fn a_switch_goes_on_in_all_counts_and_the_layer_before_keeps_its_numbers() {
        let mut course = started(true);
        sent(&mut course, 10, 100, 0, 2);
        sent(&mut course, 12, 102, 0, 2);
        // The other layer's clock is 7000 ahead, its picture one after ours.
        let key = Stored { timestamp: 103 * 3000 + 7000, ..stored(900, 31_000, 0) };
        course.enter(HIGH, &key, 0u32.wrapping_sub(7000), None, 2);
        let slot = course.slot(HIGH, &key, 2).unwrap();
        assert_eq!((slot.out, slot.timestamp, slot.numbers), (70_003, 103 * 3000, Some((103, 103))));
        assert_eq!(course.place(70_003u32 as u16), Some((HIGH, 900)));
        assert_eq!(course.place(70_001u32 as u16), Some((LOW, 11)));
        // One that was missing comes; one behind the switch does not go out any more.
        assert_eq!(course.slot(LOW, &stored(11, 101, 0), 2).map(|slot| slot.out), Some(70_001));
        assert_eq!(course.slot(LOW, &stored(13, 103, 0), 2), None);
        // Back again, at the very same time: a step forward all the same.
        course.enter(LOW, &stored(14, 103, 0), 7000, None, 2);
        let slot = course.slot(LOW, &stored(14, 103, 0), 2).unwrap();
        assert_eq!((slot.out, slot.timestamp, slot.numbers), (70_004, 103 * 3000 + STEP_MIN, Some((104, 104))));
    }

    #[test]
    fn cached_pictures_are_moved_together_toward_now() {
        let mut course = Course::new(70_000, 0, true);
        course.enter(LOW, &stored(10, 100, 0), 0, Some(130 * 3000), 2);
        let timestamps: Vec<u32> =
            (0..=32).map(|n| course.slot(LOW, &stored(10 + u64::from(n), 100 + n, 0), 2).unwrap().timestamp).collect();
        assert!(timestamps.is_sorted_by(|a, b| a < b));
        assert_eq!((timestamps[0], timestamps[30], timestamps[32]), (130 * 3000 - 30 * 3000 / SQUEEZE, 130 * 3000, 132 * 3000));
    }

    #[test]
    fn a_successor_goes_on_behind_what_went_out() {
        let mut course = started(true);
        let first = course.slot(LOW, &stored(10, 100, 0), u8::MAX).unwrap();
        let last = course.slot(LOW, &stored(11, 101, 0), u8::MAX).unwrap();
        let mut course = course.succeed(true).succeed(true);
        assert_eq!((course.slot(LOW, &stored(12, 102, 0), u8::MAX), course.place(first.out as u16)), (None, None));
        let begin = stored(500, 7, 0);
        course.start_at(begin.timestamp, last.timestamp + 90_000);
        course.enter(HIGH, &begin, 0, None, u8::MAX);
        let next = course.slot(HIGH, &begin, u8::MAX).unwrap();
        assert_eq!((next.out, next.timestamp), (last.out + 1, last.timestamp + 90_000));
        assert_eq!(next.numbers.map(|(number, _)| number), Some(102), "pictures too");
        assert_eq!(course.slot(HIGH, &stored(499, 6, 0), u8::MAX), None, "its number is the other track's");
        assert_eq!(course.place(last.out as u16), None);
    }
}
