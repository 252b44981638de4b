//! Parts and segments as they are kept and listed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// One of the two media playlists of a programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rendition {
    /// H.264, `video.m3u8`, `v-…`.
    Video,
    /// AAC, `audio.m3u8`, `a-…`.
    Audio,
}

impl Rendition {
    /// The media playlist's name, relative to the multivariant playlist.
    #[must_use]
    pub fn playlist_name(self) -> &'static str {
        match self {
            Self::Video => "video.m3u8",
            Self::Audio => "audio.m3u8",
        }
    }

    /// First letter of the names of its media.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Video => 'v',
            Self::Audio => 'a',
        }
    }

    /// `Content-Type` of its media (RFC 8216 §4.1, ISO/IEC 14496-12).
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Video => "video/mp4",
            Self::Audio => "audio/mp4",
        }
    }

    pub(crate) fn part_name(self, msn: u64, part: usize) -> String {
        format!("{}-{msn}.{part}.m4s", self.letter())
    }

    pub(crate) fn segment_name(self, msn: u64) -> String {
        format!("{}-{msn}.m4s", self.letter())
    }

    pub(crate) fn init_name(self, number: u64) -> String {
        format!("{}-init-{number}.mp4", self.letter())
    }
}

/// A part (EXT-X-PART). Immutable.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub duration: Duration,
    /// An IDR starts it; every audio part.
    pub independent: bool,
    /// One `moof` + `mdat`. `None`: a gap, GAP=YES.
    pub bytes: Option<Bytes>,
}

/// A numbered init segment. Numbers are never reused in a programme.
#[derive(Clone, Debug)]
pub(crate) struct Init {
    pub number: u64,
    pub bytes: Bytes,
}

/// What holds for a segment from its first part on (rule 11).
#[derive(Clone, Debug)]
pub(crate) struct SegmentHead {
    pub msn: u64,
    pub discontinuity: bool,
    /// EXT-X-PROGRAM-DATE-TIME as time since the Unix epoch.
    pub date: Duration,
    pub init: Init,
}

/// A complete segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub head: SegmentHead,
    pub parts: Vec<Part>,
    pub duration: Duration,
    /// Its parts joined. `None` when one of them is a gap (EXT-X-GAP).
    pub bytes: Option<Bytes>,
}

impl Segment {
    /// Joins the parts. They become slices of the segment, so that nothing is kept twice (rule 13 holds by construction).
    pub(crate) fn seal(head: SegmentHead, mut parts: Vec<Part>) -> Self {
        let duration = parts.iter().map(|part| part.duration).sum();
        let whole = parts.iter().all(|part| part.bytes.is_some());
        let bytes = whole.then(|| join(&mut parts));
        Self { head, parts, duration, bytes }
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.parts.iter().filter_map(|part| part.bytes.as_ref()).map(Bytes::len).sum()
    }
}

fn join(parts: &mut [Part]) -> Bytes {
    let mut joined = BytesMut::new();
    for bytes in parts.iter().filter_map(|part| part.bytes.as_ref()) {
        joined.extend_from_slice(bytes);
    }
    let joined = joined.freeze();
    let mut at = 0;
    for bytes in parts.iter_mut().filter_map(|part| part.bytes.as_mut()) {
        let end = at + bytes.len();
        *bytes = joined.slice(at..end);
        at = end;
    }
    joined
}
