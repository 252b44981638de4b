//! The two renditions' state inside the packager.

use super::{
    Boundary, CodecConfig, Duration, Fmp4Error, Format, Init, Limits, PackagerConfig, Rendition, SegmentHead, Timestamp,
    VIDEO_SCALE, VideoFormat, WallMap, nanos, nanos_of, ticks,
};
use std::sync::Arc;

use bytes::Bytes;

use crate::audio::AudioCutter;
use crate::bitrate::FrameRate;
use crate::config::AudioConfig;
use crate::container;
use crate::keys::Inits;
use crate::output::Output;
use crate::video::VideoCutter;

#[derive(Debug)]
pub(super) struct VideoSide {
    pub cutter: VideoCutter,
    pub output: Output,
    pub frame_rate: FrameRate,
    pub format: Option<VideoFormat>,
    /// Of the key frame that was just pushed, when it is another than `format`.
    pub next_format: Option<(VideoFormat, Bytes)>,
    inits: Inits,
    /// Local time minus programme time of pictures when they arrive, in nanoseconds, smoothed.
    lag: Option<i64>,
    pub bad_parameter_sets: u64,
}

impl VideoSide {
    pub(super) fn new(config: &PackagerConfig, limits: Limits) -> Self {
        let scaled = |duration: Duration| ticks(nanos_of(duration), VIDEO_SCALE);
        let segment_max = scaled(Duration::from_secs(limits.target_duration_secs));
        Self {
            cutter: VideoCutter::new(scaled(config.part_target), scaled(config.segment_target), segment_max),
            output: Output::new(Rendition::Video(0), VIDEO_SCALE, limits, config.first_msn, config.first_discontinuity),
            frame_rate: FrameRate::default(),
            format: None,
            next_format: None,
            inits: Inits::new(config, None),
            lag: None,
            bad_parameter_sets: 0,
        }
    }

    pub(super) fn note_lag(&mut self, local: Duration, pts: i64) {
        let lag = nanos_of(local) - nanos(pts, VIDEO_SCALE);
        self.lag = Some(self.lag.map_or(lag, |smooth| smooth + (lag - smooth) / 8));
    }

    pub(super) fn lag(&self) -> Option<i64> {
        self.lag
    }

    /// A key frame's parameter sets, compared by bytes: the same ones again are no change. False when the key frame cannot
    /// be shown.
    pub(super) fn takes_format(&mut self, config: Option<CodecConfig>) -> bool {
        self.next_format = None;
        let Some(config) = config else { return self.format.is_some() };
        if self.format.as_ref().is_some_and(|format| format.config == config) {
            return true;
        }
        match VideoFormat::new(config) {
            Ok(format) => self.next_format = Some(format),
            Err(_) => self.bad_parameter_sets += 1,
        }
        self.next_format.is_some()
    }

    pub(super) fn begin(&mut self, at: i64, discontinuity: bool, gap: bool, wall: WallMap) -> Boundary {
        let msn = self.output.store.next_msn;
        if !gap && let Some((format, bytes)) = self.next_format.take() {
            // Named by the first segment that uses it: never reused under this URL, not even after a restart.
            self.inits.set(Init { number: msn, bytes, format: Arc::new(Format::Video(format.clone())) });
            self.format = Some(format);
        }
        let start = Timestamp::new(at.max(0), VIDEO_SCALE);
        let date = wall.wall_of(start);
        let (key, init) = self.inits.at(msn);
        self.output.begin(SegmentHead { msn, discontinuity, date, start, init, key });
        Boundary { msn, at_nanos: nanos(at, VIDEO_SCALE), discontinuity, wall: Some(wall) }
    }
}

#[derive(Debug)]
pub(super) struct AudioSide {
    pub cutter: AudioCutter,
    pub output: Output,
    pub scale: u32,
    inits: Inits,
}

impl AudioSide {
    pub(super) fn new(config: &PackagerConfig, audio: &AudioConfig, limits: Limits) -> Result<Self, Fmp4Error> {
        let format = Arc::new(Format::Audio(audio.clone()));
        let init = Init { number: config.first_msn, bytes: container::audio_init(audio)?, format };
        let alone = config.video.is_empty().then(|| nanos_of(config.segment_target));
        Ok(Self {
            cutter: AudioCutter::new(audio.sample_rate, nanos_of(config.part_target), alone, config.first_msn),
            output: Output::new(Rendition::Audio, audio.sample_rate, limits, config.first_msn, config.first_discontinuity),
            scale: audio.sample_rate,
            inits: Inits::new(config, Some(init)),
        })
    }

    /// How much of the open segment is already out.
    pub(super) fn out(&self) -> Duration {
        Duration::from_nanos(nanos(self.cutter.out(), self.scale).max(0).unsigned_abs())
    }

    pub(super) fn begin(&mut self, at: i64, boundary: &Boundary, wall: WallMap) {
        let start = Timestamp::new(at.max(0), self.scale);
        let date = boundary.wall.unwrap_or(wall).wall_of(start);
        let (key, init) = self.inits.at(boundary.msn);
        let head = SegmentHead { msn: boundary.msn, discontinuity: boundary.discontinuity, date, start, init, key };
        self.output.store.discontinuity_sequence += std::mem::take(&mut self.cutter.discontinuities_missed);
        self.output.begin(head);
    }
}
