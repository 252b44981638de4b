//! Parts and init segments as bytes: the only place that calls `minamo_media::fmp4`.

use bytes::Bytes;
use minamo_media::fmp4::{Fmp4Error, Sample, TRACK_ID, fragment, init_segment_aac, init_segment_h264};
use minamo_media::h264::{H264Config, Sps, codec_string};

use crate::boundary::VIDEO_SCALE;
use crate::config::AudioConfig;

/// What one SPS says, for the multivariant playlist, with its init segment.
#[derive(Clone, Debug)]
pub(crate) struct VideoFormat {
    pub config: H264Config,
    pub init: Bytes,
    pub codec: String,
    pub width: u16,
    pub height: u16,
}

impl VideoFormat {
    pub(crate) fn new(config: H264Config) -> Result<Self, Fmp4Error> {
        let sps = Sps::parse(&config.sps)?;
        let init = init_segment_h264(&config, VIDEO_SCALE)?;
        Ok(Self { init, codec: codec_string(&sps), width: sps.width, height: sps.height, config })
    }
}

pub(crate) fn audio_init(config: &AudioConfig) -> Result<Bytes, Fmp4Error> {
    init_segment_aac(&config.asc, config.sample_rate, u16::from(config.channels), config.sample_rate)
}

/// Writes a rendition's fragments, numbered from 1.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    written: u32,
}

impl Fragments {
    pub(crate) fn write(&mut self, start: i64, samples: &[Sample]) -> Result<Bytes, Fmp4Error> {
        self.written = self.written.wrapping_add(1);
        fragment(self.written, TRACK_ID, start.max(0).unsigned_abs(), samples)
    }
}
