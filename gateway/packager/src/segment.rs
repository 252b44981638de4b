//! Parts and segments as they are kept and listed. Storage, MPEG-TS and DASH read them out of snapshots.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use minamo_media::Timestamp;

use crate::cipher::MediaKey;
use crate::container::Format;

/// Where one sample lies in its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleLayout {
    /// First byte, counted from the beginning of the part's (plain) bytes.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// Ticks of the rendition's scale until the next sample.
    pub duration: u32,
    /// A sync sample.
    pub key: bool,
}

/// A part (EXT-X-PART). Immutable.
#[derive(Clone, Debug)]
pub struct Part {
    pub(crate) duration: Duration,
    pub(crate) independent: bool,
    pub(crate) start: Timestamp,
    pub(crate) bytes: Option<Bytes>,
    /// Before encryption, until the segment is complete.
    pub(crate) plain: Option<Bytes>,
    pub(crate) samples: Arc<[SampleLayout]>,
}

impl Part {
    /// As in the playlist.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// A key frame starts it; every audio part. INDEPENDENT=YES.
    #[must_use]
    pub fn independent(&self) -> bool {
        self.independent
    }

    /// GAP=YES: there are no bytes.
    #[must_use]
    pub fn is_gap(&self) -> bool {
        self.bytes.is_none()
    }

    /// One `moof` + `mdat`, encrypted where the segment has a key. `None`: a gap.
    #[must_use]
    pub fn bytes(&self) -> Option<&Bytes> {
        self.bytes.as_ref()
    }

    /// Programme time of its first sample, or of the gap's begin, in ticks of the rendition's scale: `tfdt`.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// Its samples in decoding order. Empty for a gap.
    #[must_use]
    pub fn samples(&self) -> &[SampleLayout] {
        &self.samples
    }
}

/// A numbered init segment. Numbers are never reused under one URL.
#[derive(Clone, Debug)]
pub struct Init {
    pub(crate) number: u64,
    pub(crate) bytes: Bytes,
    pub(crate) format: Arc<Format>,
}

impl Init {
    /// The number in its name: media sequence number of the first segment that uses it.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// `ftyp` + `moov`.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Codec and shape of what it describes.
    #[must_use]
    pub fn format(&self) -> &Arc<Format> {
        &self.format
    }
}

/// What holds for a segment from its first part on (rule 11).
#[derive(Clone, Debug)]
pub struct SegmentHead {
    pub(crate) msn: u64,
    pub(crate) discontinuity: bool,
    pub(crate) date: Duration,
    pub(crate) start: Timestamp,
    pub(crate) init: Option<Init>,
    pub(crate) key: Option<Arc<MediaKey>>,
}

impl SegmentHead {
    /// Media sequence number.
    #[must_use]
    pub fn msn(&self) -> u64 {
        self.msn
    }

    /// EXT-X-DISCONTINUITY stands before it.
    #[must_use]
    pub fn discontinuity(&self) -> bool {
        self.discontinuity
    }

    /// EXT-X-PROGRAM-DATE-TIME as time since the Unix epoch.
    #[must_use]
    pub fn date(&self) -> Duration {
        self.date
    }

    /// Programme time of its begin in ticks of the rendition's scale. Never negative.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// EXT-X-KEY: what its bytes, its parts' and its init section's are encrypted under.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<MediaKey>> {
        self.key.as_ref()
    }

    /// EXT-X-MAP. `None` only for gaps before the rendition's first picture.
    #[must_use]
    pub fn init(&self) -> Option<&Init> {
        self.init.as_ref()
    }
}

/// A complete segment. Immutable.
#[derive(Clone, Debug)]
pub struct Segment {
    pub(crate) head: SegmentHead,
    pub(crate) parts: Vec<Part>,
    pub(crate) duration: Duration,
    pub(crate) bytes: Option<Bytes>,
}

impl Segment {
    /// Joins the parts. They become slices of the segment, so that nothing is kept twice (rule 13 holds by construction). Encrypted
    /// ones stay what they are: a part ends with padding, so only what is decrypted can be joined.
    pub(crate) fn seal(head: SegmentHead, mut parts: Vec<Part>) -> Self {
        let duration = parts.iter().map(|part| part.duration).sum();
        let whole = parts.iter().all(|part| part.bytes.is_some());
        let bytes = match &head.key {
            _ if !whole => None,
            None => Some(join(&mut parts)),
            Some(key) => Some(key.encrypt(&joined(parts.iter().filter_map(|part| part.plain.as_ref())))),
        };
        parts.iter_mut().for_each(|part| part.plain = None);
        Self { head, parts, duration, bytes }
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.parts.iter().filter_map(|part| part.bytes.as_ref()).map(Bytes::len).sum()
    }

    /// Number, date, discontinuity, init segment.
    #[must_use]
    pub fn head(&self) -> &SegmentHead {
        &self.head
    }

    /// EXTINF.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// In order; at least one.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Its parts joined, and encrypted as a whole where it has a key. `None` when one of them is a gap (EXT-X-GAP).
    #[must_use]
    pub fn bytes(&self) -> Option<&Bytes> {
        self.bytes.as_ref()
    }

    /// EXT-X-GAP.
    #[must_use]
    pub fn is_gap(&self) -> bool {
        self.bytes.is_none()
    }
}

/// The segment that is being written, at one moment.
#[derive(Clone, Debug)]
pub struct OpenSegment {
    pub(crate) head: SegmentHead,
    pub(crate) parts: Vec<Part>,
}

impl OpenSegment {
    /// Number, date, discontinuity, init segment.
    #[must_use]
    pub fn head(&self) -> &SegmentHead {
        &self.head
    }

    /// Those that are complete; perhaps none yet.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}

fn joined<'a>(parts: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut joined = BytesMut::new();
    parts.for_each(|bytes| joined.extend_from_slice(bytes));
    joined.freeze()
}

fn join(parts: &mut [Part]) -> Bytes {
    let joined = joined(parts.iter().filter_map(|part| part.bytes.as_ref()));
    let mut at = 0;
    for bytes in parts.iter_mut().filter_map(|part| part.bytes.as_mut()) {
        let end = at + bytes.len();
        *bytes = joined.slice(at..end);
        at = end;
    }
    joined
}
