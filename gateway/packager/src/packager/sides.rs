//! The renditions' state inside the packager.

use std::sync::Arc;

use super::{
    Boundary, CodecConfig, Duration, Fmp4Error, Format, Init, Limits, PackagerConfig, Rendition, SegmentHead, Timestamp,
    VIDEO_SCALE, WallMap, nanos, nanos_of, ticks,
};
use crate::audio::AudioCutter;
use crate::bitrate::FrameRate;
use crate::config::AudioConfig;
use crate::container::{self, VideoInit};
use crate::keys::Inits;
use crate::output::Output;
use crate::video::VideoCutter;

/// One rung.
#[derive(Debug)]
pub(super) struct VideoSide {
    pub cutter: VideoCutter,
    pub output: Output,
    pub frame_rate: FrameRate,
    /// What the latest key frame needs.
    latest: Option<Arc<VideoInit>>,
    /// What has been shown last.
    format: Option<Arc<Format>>,
    inits: Inits,
    /// Local time minus programme time of pictures when they arrive, in nanoseconds, smoothed.
    lag: Option<i64>,
    pub bad_parameter_sets: u64,
}

impl VideoSide {
    pub(super) fn new(rung: u8, config: &PackagerConfig, limits: Limits) -> Self {
        let scaled = |duration: Duration| ticks(nanos_of(duration), VIDEO_SCALE);
        let segment_max = scaled(Duration::from_secs(limits.target_duration_secs));
        Self {
            cutter: VideoCutter::new(scaled(config.part_target), scaled(config.segment_target), segment_max),
            output: Output::new(Rendition::Video(rung), VIDEO_SCALE, limits, config.first_msn, config.first_discontinuity),
            frame_rate: FrameRate::default(),
            latest: None,
            format: None,
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

    /// What has been shown last.
    pub(super) fn format(&self) -> Option<&Arc<Format>> {
        self.format.as_ref()
    }

    /// What a key frame needs, compared by bytes: the same parameter sets again are no change. `None` when it cannot be shown.
    pub(super) fn init_of(&mut self, config: Option<CodecConfig>) -> Option<Arc<VideoInit>> {
        let same = |known: &Arc<VideoInit>| config.as_ref().is_none_or(|config| known.format.config == *config);
        if let Some(known) = self.latest.as_ref().filter(|known| same(known)) {
            return Some(Arc::clone(known));
        }
        match VideoInit::new(config?) {
            Ok(init) => self.latest = Some(Arc::new(init)),
            Err(_) => {
                self.bad_parameter_sets += 1;
                return None;
            }
        }
        self.latest.clone()
    }

    /// A segment begins, with pictures when there is an init.
    pub(super) fn begin(&mut self, at: i64, boundary: &Boundary, init: Option<&VideoInit>) {
        let shown = self.format().map(Arc::as_ref);
        if let Some(init) = init.filter(|init| !matches!(shown, Some(Format::Video(format)) if *format == init.format)) {
            // Named by the first segment that uses it: never reused under this URL, not even after a restart.
            let format = Arc::new(Format::Video(init.format.clone()));
            let plain = Init { number: boundary.msn, bytes: init.bytes.clone(), format: Arc::clone(&format) };
            self.inits.set(plain);
            self.format = Some(format);
        }
        let start = Timestamp::new(at.max(0), VIDEO_SCALE);
        let date = boundary.wall.map_or(Duration::ZERO, |wall| wall.wall_of(start));
        let Boundary { msn, discontinuity, .. } = *boundary;
        let (key, init) = self.inits.at(msn);
        if let Some(init) = &init {
            self.output.store.adopt_init(init);
        }
        self.output.begin(SegmentHead { msn, discontinuity, date, start, init, key });
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
        let Boundary { msn, discontinuity, .. } = *boundary;
        let (key, init) = self.inits.at(msn);
        self.output.store.discontinuity_sequence += std::mem::take(&mut self.cutter.discontinuities_missed);
        self.output.begin(SegmentHead { msn, discontinuity, date, start, init, key });
    }
}
