//! What goes into a packager and what it tells.

use bytes::Bytes;
use minamo_media::Timestamp;

use crate::rendition::Rendition;

/// One encoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoSample {
    /// Programme time, from [`Timeline::video`](crate::Timeline::video). Rising.
    pub pts: Timestamp,
    /// An IDR, or what is one in another codec.
    pub key: bool,
    /// AVCC with 4-byte lengths, parameter sets included as they came.
    pub data: Bytes,
}

/// One raw AAC-LC frame of 1024 samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFrame {
    /// Programme time, in any scale. Each 1024 samples after the one before; a hole becomes gap parts.
    pub pts: Timestamp,
    /// Without ADTS.
    pub data: Bytes,
}

/// What happened. At most one of each kind waits to be polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackagerEvent {
    /// Ask the publisher for a key frame now, in all of its layers. Repeated by the packager itself; no need to retry.
    KeyFrameWanted,
    /// This rendition has a new snapshot: wake who waits. The others' snapshots are fresh too (rendition reports).
    Published(Rendition),
}

/// What was done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Parts with media, all renditions.
    pub parts: u64,
    /// Gap parts.
    pub gap_parts: u64,
    /// Complete segments, all renditions.
    pub segments: u64,
    /// Wishes for key frames.
    pub key_frames_wanted: u64,
    /// Pictures that could not be shown: no key frame before them.
    pub pictures_dropped: u64,
    /// Audio frames before the programme's start, or twice.
    pub audio_frames_dropped: u64,
    /// Key frames whose parameter sets cannot be used.
    pub bad_parameter_sets: u64,
}
