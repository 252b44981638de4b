//! A media playlist as a strict client understands it.

use super::attributes::{Attributes, Date, Seconds};
use super::keys::Key;

/// One EXT-X-PART.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Relative to the playlist.
    pub uri: String,
    /// DURATION.
    pub duration: Seconds,
    /// INDEPENDENT=YES.
    pub independent: bool,
    /// GAP=YES.
    pub gap: bool,
    /// BYTERANGE is there: its bytes are not judged.
    pub ranged: bool,
}

/// A segment: complete, or the open one at the end that only has parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Media sequence number.
    pub msn: u64,
    /// Empty while it is open.
    pub uri: String,
    /// EXTINF; zero while it is open.
    pub duration: Seconds,
    /// EXT-X-DISCONTINUITY stands before it.
    pub discontinuity: bool,
    /// Discontinuities up to and with this segment, counted by EXT-X-DISCONTINUITY-SEQUENCE.
    pub discontinuity_number: u64,
    /// EXT-X-GAP.
    pub gap: bool,
    /// Its own EXT-X-PROGRAM-DATE-TIME.
    pub date: Option<Date>,
    /// Its own one, or the last one before it plus what lies between.
    pub placed: Option<Date>,
    /// URI of the EXT-X-MAP that holds for it.
    pub map: Option<String>,
    /// The EXT-X-KEY that holds for that EXT-X-MAP.
    pub map_key: Option<Key>,
    /// The EXT-X-KEY that holds for it.
    pub key: Option<Key>,
    /// In order.
    pub parts: Vec<Part>,
}

impl Segment {
    /// Nanoseconds that are listed of it: EXTINF, or its parts while it is open.
    #[must_use]
    pub fn length(&self) -> i64 {
        if self.uri.is_empty() { self.parts.iter().map(|part| part.duration.nanos).sum() } else { self.duration.nanos }
    }
}

/// One EXT-X-PRELOAD-HINT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// TYPE.
    pub kind: String,
    /// URI.
    pub uri: String,
}

/// One EXT-X-RENDITION-REPORT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// URI.
    pub uri: String,
    /// LAST-MSN.
    pub msn: Option<u64>,
    /// LAST-PART.
    pub part: Option<u64>,
}

/// Everything that is judged of one version of a media playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaPlaylist {
    /// EXT-X-VERSION.
    pub version: Option<u64>,
    /// EXT-X-TARGETDURATION in seconds.
    pub target_duration: Option<u64>,
    /// EXT-X-MEDIA-SEQUENCE.
    pub media_sequence: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE.
    pub discontinuity_sequence: Option<u64>,
    /// EXT-X-SERVER-CONTROL.
    pub server_control: Option<Attributes>,
    /// PART-TARGET of EXT-X-PART-INF.
    pub part_target: Option<Seconds>,
    /// EXT-X-PLAYLIST-TYPE.
    pub playlist_type: Option<String>,
    /// EXT-X-INDEPENDENT-SEGMENTS.
    pub independent_segments: bool,
    /// SKIPPED-SEGMENTS of EXT-X-SKIP.
    pub skipped: Option<u64>,
    /// Complete ones.
    pub segments: Vec<Segment>,
    /// The one that is being written.
    pub open: Option<Segment>,
    /// In order.
    pub hints: Vec<Hint>,
    /// In order.
    pub reports: Vec<Report>,
    /// EXT-X-DATERANGE, in order.
    pub date_ranges: Vec<Attributes>,
    /// EXT-X-ENDLIST.
    pub ended: bool,
    /// Tags that stand behind the first part of the segment that they apply to.
    pub misplaced: Vec<String>,
}

impl MediaPlaylist {
    /// Complete segments and the open one.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.iter().chain(&self.open)
    }

    /// By media sequence number.
    #[must_use]
    pub fn segment(&self, msn: u64) -> Option<&Segment> {
        self.all().find(|segment| segment.msn == msn)
    }

    /// Media sequence number that the first segment after the complete ones has.
    #[must_use]
    pub fn next_msn(&self) -> u64 {
        self.segments.last().map_or(self.media_sequence + self.skipped.unwrap_or(0), |last| last.msn + 1)
    }

    /// The last part: (media sequence number, index). The index is -1 where a complete segment ends the list without parts.
    #[must_use]
    pub fn edge(&self) -> Option<(u64, i64)> {
        self.all().last().map(|last| (last.msn, last.parts.len() as i64 - 1))
    }

    /// Wall time at which the listed content ends, in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn edge_date(&self) -> Option<i64> {
        let last = self.all().last()?;
        Some(last.placed?.nanos + last.length())
    }

    /// Nanoseconds of content.
    #[must_use]
    pub fn length(&self) -> i64 {
        self.all().map(Segment::length).sum()
    }

    /// 3 × TARGETDURATION in nanoseconds.
    #[must_use]
    pub fn three_targets(&self) -> i64 {
        3 * self.target_nanos()
    }

    /// TARGETDURATION in nanoseconds; 0 where it is missing.
    #[must_use]
    pub fn target_nanos(&self) -> i64 {
        i64::try_from(self.target_duration.unwrap_or(0)).unwrap_or(0).saturating_mul(super::attributes::NANOS)
    }

    /// TYPE=PART hint.
    #[must_use]
    pub fn part_hint(&self) -> Option<&str> {
        self.hints.iter().find(|hint| hint.kind == "PART").map(|hint| hint.uri.as_str())
    }

    /// Parts behind `edge`, with their segments.
    pub fn parts_after(&self, edge: (u64, i64)) -> impl Iterator<Item = (&Segment, usize, &Part)> {
        let all =
            self.all().flat_map(|segment| segment.parts.iter().enumerate().map(move |(index, part)| (segment, index, part)));
        all.filter(move |(segment, index, _)| (segment.msn, *index as i64) > edge)
    }

    /// Counts discontinuities and continues dates through the list. To be called again when segments were put before it.
    pub(super) fn settle(&mut self) {
        let mut number = self.discontinuity_sequence.unwrap_or(0);
        let mut clock: Option<Date> = None;
        for segment in self.segments.iter_mut().chain(&mut self.open) {
            number += u64::from(segment.discontinuity);
            segment.discontinuity_number = number;
            segment.placed = segment.date.or(clock);
            clock = segment.placed.map(|date| date.plus(segment.length()));
        }
    }
}
