//! What a gateway is told, and what it answers about its channels.

use std::sync::Arc;
use std::time::Duration;

use minamo_media::ConnectionId;
use minamo_packager::{CaptionTrack, Cipher};
use minamo_transcode::{PoolConfig, Refused, RungSettings};

use crate::signed::Access;

use crate::plan::Rung;

/// Bounds and waits of one gateway process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Worker threads; programmes are hashed onto them. At least one is started.
    pub workers: usize,
    /// Tap events that may wait for one worker. At seven eighths media is dropped and counted; the rest is kept for
    /// events that cannot be repeated (tracks added and removed, publishers gone).
    pub queue_events_max: usize,
    /// How long a programme waits for a publisher that vanished, before it ends.
    pub reconnect_window: Duration,
    /// How long an ended programme stays fetchable before it leaves memory.
    pub ended_retention: Duration,
    /// Requests that may wait for a part or segment in this process; one more is answered 503 with `Retry-After: 1`.
    pub waiters_max: usize,
    /// Threads for pictures that cannot be shown as they come, and what they may be promised. Off unless it is said.
    pub transcode: PoolConfig,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from).min(4),
            queue_events_max: 8192,
            reconnect_window: Duration::from_secs(60),
            ended_retention: Duration::from_secs(120),
            waiters_max: 20_000,
            transcode: PoolConfig { threads: 0, pixels_per_second: None },
        }
    }
}

/// What one channel's HLS looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgrammeSettings {
    /// One programme per publisher, under `/hls/{channel}/{publisher}/`. Otherwise one per channel, under
    /// `/hls/{channel}/`: the first one who publishes owns it, and the next takes over when the owner is gone.
    pub per_publisher: bool,
    /// AAC bits per second.
    pub audio_bps: u32,
    /// Nominal length of a segment.
    pub segment_target: Duration,
    /// PART-TARGET.
    pub part_target: Duration,
    /// The video renditions that were asked for, the highest first. With fewer than two what comes is the only one.
    pub ladder: Vec<Rung>,
    /// Media is encrypted.
    pub cipher: Option<Cipher>,
    /// Playlists need a signature.
    pub access: Option<Arc<Access>>,
    /// EXT-X-START:TIME-OFFSET in milliseconds; negative from the end.
    pub start_offset_ms: Option<i64>,
    /// Caption tracks.
    pub captions: Vec<CaptionTrack>,
    /// What becomes of pictures that cannot, or shall not, be shown as they come.
    pub transcode: TranscodeSettings,
}

/// When pictures are decoded and encoded anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TranscodePolicy {
    /// Only what players cannot show: VP8 and VP9. A publisher that changes its size costs a discontinuity.
    #[default]
    Transmux,
    /// All, to one size that never changes, with bars where the shape differs.
    Normalise,
}

/// A channel's wishes about transcoding.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TranscodeSettings {
    /// When.
    pub policy: TranscodePolicy,
    /// Into what. `None`: the source's own size, up to 720p.
    pub rung: Option<RungSettings>,
}

/// How the transcoding of a programme's pictures goes. A programme without any has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TranscodeState {
    /// It runs.
    Running,
    /// There is no room, or no decoder: the programme goes on with what needs no transcoding, which may be sound alone. Asked
    /// again at each key frame.
    Refused(Refused),
}

impl Default for ProgrammeSettings {
    fn default() -> Self {
        Self {
            per_publisher: false,
            audio_bps: 128_000,
            segment_target: Duration::from_secs(2),
            part_target: Duration::from_nanos(333_333_333),
            transcode: TranscodeSettings::default(),
            cipher: None,
            access: None,
            start_offset_ms: None,
            captions: Vec::new(),
            ladder: Vec::new(),
        }
    }
}

/// A multivariant playlist that can be fetched now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaylistEntry {
    /// Whose media it shows now.
    pub publisher: ConnectionId,
    /// Absolute path on this server, `/hls/…/playlist.m3u8`.
    pub path: String,
}

/// Where a channel's programmes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgrammeState {
    /// Never opened, or deleted.
    Unknown,
    /// Opened; nothing has been published yet.
    NotLive,
    /// At least one playlist can be fetched and grows.
    Live,
    /// All of its programmes have ended.
    Ended,
}
