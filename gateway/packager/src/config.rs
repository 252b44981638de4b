//! What a programme's packager is told at its start. Nothing of it changes while the playlists live (rules 1 and 7).

use std::time::Duration;

use bytes::Bytes;

use crate::captions::CaptionTrack;
use crate::cipher::Cipher;
use crate::rendition::Rendition;
use crate::token::MediaTokens;

/// The audio rendition's format: AAC-LC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioConfig {
    /// AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) as the encoder gave it.
    pub asc: Bytes,
    /// Samples per second; 48 000 in this product. Also the scale of [`AudioFrame::pts`](crate::AudioFrame).
    pub sample_rate: u32,
    /// Channels, 1 or 2.
    pub channels: u8,
}

/// One video rendition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RungConfig {
    /// Its expected bits per second, for BANDWIDTH until 10 s have been measured. `None`: measured only.
    pub bps_hint: Option<u64>,
}

/// Settings of one programme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackagerConfig {
    /// The video renditions, the highest first; at most [`RUNGS_MAX`](crate::RUNGS_MAX). Empty: sound alone.
    pub video: Vec<RungConfig>,
    /// There is an audio rendition, of this format.
    pub audio: Option<AudioConfig>,
    /// A segment's aim. TARGETDURATION is twice that, so that a late key frame never breaks it (rule 1).
    pub segment_target: Duration,
    /// PART-TARGET: no part is longer (rule 10).
    pub part_target: Duration,
    /// Media sequence number of the first segment.
    pub first_msn: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE of the first playlist.
    pub first_discontinuity: u64,
    /// Complete segments that a playlist keeps at least; never fewer than 6, never under 3 × TARGETDURATION (rule 3).
    pub window: usize,
    /// Media is encrypted.
    pub cipher: Option<Cipher>,
    /// Media names carry tokens.
    pub tokens: Option<MediaTokens>,
    /// EXT-X-START:TIME-OFFSET in milliseconds; negative from the end.
    pub start_offset_ms: Option<i64>,
    /// Caption tracks, at most [`RUNGS_MAX`](crate::RUNGS_MAX).
    pub captions: Vec<CaptionTrack>,
}

impl PackagerConfig {
    /// The playlists that come with others' segments: I-frames of every rung (not of encrypted media), and captions.
    pub fn derived_renditions(&self) -> impl Iterator<Item = Rendition> + use<> {
        let rungs = if self.cipher.is_none() { self.video.len() } else { 0 };
        let numbered = |count: usize| 0..u8::try_from(count).unwrap_or(u8::MAX);
        numbered(rungs).map(Rendition::IFrames).chain(numbered(self.captions.len()).map(Rendition::Captions))
    }
}

impl Default for PackagerConfig {
    fn default() -> Self {
        Self {
            video: vec![RungConfig::default()],
            audio: None,
            segment_target: Duration::from_secs(2),
            part_target: Duration::from_nanos(333_333_333),
            first_msn: 0,
            first_discontinuity: 0,
            window: 8,
            cipher: None,
            tokens: None,
            start_offset_ms: None,
            captions: Vec::new(),
        }
    }
}

/// Numbers derived once from the configuration, shared by renditions and snapshots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// EXT-X-TARGETDURATION in seconds.
    pub target_duration_secs: u64,
    /// PART-TARGET.
    pub part_target: Duration,
    /// Complete segments that stay in a playlist.
    pub window: usize,
}

impl Limits {
    pub(crate) fn of(config: &PackagerConfig) -> Self {
        let target = config.segment_target.as_secs_f64() * 2.0;
        Self {
            target_duration_secs: (target.ceil() as u64).max(1),
            part_target: config.part_target,
            window: config.window.max(6),
        }
    }

    /// 3 × TARGETDURATION: the least content of a playlist, HOLD-BACK, the age of part tags, the longest wait.
    pub(crate) fn three_targets(&self) -> Duration {
        Duration::from_secs(3 * self.target_duration_secs)
    }

    /// CAN-SKIP-UNTIL (rule 12).
    pub(crate) fn skip_until(&self) -> Duration {
        Duration::from_secs(6 * self.target_duration_secs)
    }

    /// How many parts a request may run ahead of the last one (rule 17).
    pub(crate) fn advance_part_limit(&self) -> u64 {
        let target = self.part_target.as_secs_f64();
        // A third of a second is not quite one in nanoseconds: that is still nine.
        if target < 1.0 { (3.0 / target - 1e-6).ceil() as u64 } else { 3 }
    }
}
