//! Captions that an application feeds, as WebVTT segments beside the programme's.
//!
//! A caption segment has the number, the date and the length of the leading rendition's and comes with it. X-TIMESTAMP-MAP binds its
//! cues to the media's own time. A cue stands in every segment that it is shown in, and one that comes too late for its own in the
//! next one, so that a recording has it.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use minamo_media::Timestamp;

use crate::segment::{Segment, SegmentHead};
use crate::timeline::WallMap;

/// Cues of one track that wait for their segments, and those of the last ones; beyond, the oldest go.
const CUES_MAX: usize = 1_000;
/// MPEGTS in X-TIMESTAMP-MAP has 33 bits (RFC 8216 §3.5).
const MPEGTS: i64 = 1 << 33;

/// One language, offered in the multivariant playlist from the first version on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptionTrack {
    /// RFC 5646. No quotation marks, no line ends.
    pub language: String,
    /// For viewers to choose by; likewise.
    pub name: String,
}

/// When a cue is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CueTime {
    /// Since the Unix epoch, as EXT-X-PROGRAM-DATE-TIME.
    Wall(Duration),
    /// Since the programme's beginning.
    Programme(Duration),
}

/// One caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// From then on.
    pub start: CueTime,
    /// Until then.
    pub end: CueTime,
    /// WebVTT cue text (§4.2.2 there): lines, `<b>`, `&amp;`.
    pub text: String,
}

#[derive(Debug)]
struct Waiting {
    /// Nanoseconds of wall time.
    start: i128,
    end: i128,
    text: String,
    written: bool,
}

/// One track's cues and segments.
#[derive(Debug, Default)]
pub(crate) struct Captions {
    cues: VecDeque<Waiting>,
    segments: VecDeque<Arc<Segment>>,
}

impl Captions {
    pub(crate) fn add(&mut self, cue: &Cue, wall: WallMap) {
        let at = |time: CueTime| match time {
            CueTime::Wall(since) => nanos(since),
            CueTime::Programme(since) => nanos(wall.unix_at_zero) + nanos(since),
        };
        let (start, end) = (at(cue.start), at(cue.end));
        self.cues.push_back(Waiting { start, end: end.max(start + 1_000_000), text: clean(&cue.text), written: false });
        self.cues.drain(..self.cues.len().saturating_sub(CUES_MAX));
    }

    /// Segments beside these: each is made once, when its leader is complete.
    pub(crate) fn beside(&mut self, leaders: &[Arc<Segment>]) -> Vec<Arc<Segment>> {
        let first = leaders.first().map_or(u64::MAX, |leader| leader.head.msn);
        while self.segments.front().is_some_and(|segment| segment.head.msn < first) {
            self.segments.pop_front();
        }
        let known = self.segments.back().map_or(0, |segment| segment.head.msn + 1);
        for leader in leaders.iter().filter(|leader| leader.head.msn >= known) {
            let segment = self.segment(leader);
            self.segments.push_back(segment);
        }
        self.segments.iter().cloned().collect()
    }

    fn segment(&mut self, leader: &Segment) -> Arc<Segment> {
        let begins = nanos(leader.head.date);
        let ends = begins + nanos(leader.duration);
        let mut text = header(leader.head.start);
        for cue in self.cues.iter_mut().filter(|cue| cue.start < ends && (cue.end > begins || !cue.written)) {
            cue.written = true;
            let media = |wall: i128| wall - begins + media_nanos(leader.head.start);
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{} --> {}\n{}\n", clock(media(cue.start)), clock(media(cue.end)), cue.text);
        }
        self.cues.retain(|cue| !cue.written || cue.end > ends);
        let key = leader.head.key.clone();
        let bytes = key.as_ref().map_or_else(|| text.clone().into(), |key| key.encrypt(text.as_bytes()));
        let head = SegmentHead { init: None, ..leader.head.clone() };
        Arc::new(Segment { head, parts: Vec::new(), duration: leader.duration, bytes: Some(bytes) })
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

fn media_nanos(at: Timestamp) -> i128 {
    at.rescale(1_000_000_000).ticks.into()
}

fn header(start: Timestamp) -> String {
    let ticks = start.rescale(90_000).ticks.rem_euclid(MPEGTS);
    format!("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{ticks},LOCAL:{}\n", clock(media_nanos(start)))
}

/// `hh:mm:ss.mmm`, hours with as many digits as they have. Nothing is before zero.
pub(crate) fn clock(nanos: i128) -> String {
    let millis = (nanos.max(0) + 500_000) / 1_000_000;
    let (seconds, minutes) = (millis / 1000, millis / 60_000);
    format!("{:02}:{:02}:{:02}.{:03}", minutes / 60, minutes % 60, seconds % 60, millis % 1000)
}

/// Nothing in the text may end the cue or begin another.
fn clean(text: &str) -> String {
    let lines = text.split(['\r', '\n']).map(str::trim_end).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n").replace("-->", "--&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Duration = Duration::from_secs(1_795_000_000);

    fn leader(msn: u64, seconds: u64) -> Arc<Segment> {
        let start = Timestamp::new(i64::try_from(seconds).unwrap() * 90_000, 90_000);
        let head =
            SegmentHead { msn, discontinuity: false, date: T0 + Duration::from_secs(seconds), start, init: None, key: None };
        Arc::new(Segment { head, parts: Vec::new(), duration: Duration::from_secs(2), bytes: None })
    }

    fn cue(start: u64, end: u64, text: &str) -> Cue {
        let at = |ms| CueTime::Wall(T0 + Duration::from_millis(ms));
        Cue { start: at(start), end: at(end), text: text.into() }
    }

    fn text(segment: &Segment) -> String {
        String::from_utf8(segment.bytes.clone().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_cue_stands_in_every_segment_that_it_is_shown_in() {
        let mut captions = Captions::default();
        let wall = WallMap { unix_at_zero: T0 };
        captions.add(&cue(11_000, 13_500, "one\r\n\r\n--> two"), wall);
        captions.add(&Cue { start: CueTime::Programme(Duration::from_millis(12_250)), ..cue(0, 13_000, "three") }, wall);
        let all = captions.beside(&[leader(5, 10), leader(6, 12), leader(7, 14)]);
        let (first, second, third) = (text(&all[0]), text(&all[1]), text(&all[2]));
        let head = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:10.000\n";
        assert_eq!(first, format!("{head}\n00:00:11.000 --> 00:00:13.500\none\n--&gt; two\n"));
        assert!(
            second.contains("\n00:00:11.000 --> 00:00:13.500\none\n")
                && second.contains("\n00:00:12.250 --> 00:00:13.000\nthree\n")
        );
        assert!(!third.contains("-->"), "{third}");
    }

    #[test]
    fn a_late_cue_comes_in_the_next_segment_once() {
        let mut captions = Captions::default();
        let made = captions.beside(&[leader(5, 10)]);
        captions.add(&cue(10_500, 11_000, "late"), WallMap { unix_at_zero: T0 });
        let again = captions.beside(&[leader(5, 10), leader(6, 12), leader(7, 14)]);
        assert!(Arc::ptr_eq(&made[0], &again[0]), "what was made is never made again");
        assert!(text(&again[1]).contains("late") && !text(&again[2]).contains("late"));
        assert_eq!(captions.beside(&[leader(7, 14)]).len(), 1);
    }

    #[test]
    fn times_go_on_after_a_day_and_mpegts_wraps() {
        let day = Timestamp::new(100_000 * 90_000, 90_000);
        assert_eq!(header(day), "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:410065408,LOCAL:27:46:40.000\n");
    }

    #[test]
    fn cues_are_bounded() {
        let mut captions = Captions::default();
        for number in 0..3 * CUES_MAX as u64 {
            captions.add(&cue(number, number + 1, "x"), WallMap { unix_at_zero: T0 });
        }
        assert_eq!(captions.cues.len(), CUES_MAX);
    }
}
