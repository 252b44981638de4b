//! Parts and init segments as bytes: the only place that calls `minamo_media::fmp4`.

use std::sync::Arc;

use bytes::Bytes;
use minamo_media::fmp4::{Fmp4Error, Sample, TRACK_ID, fragment, init_segment_aac, init_segment_h264};
use minamo_media::h264::{H264Config, Sps, codec_string, without_parameter_sets};

use crate::boundary::VIDEO_SCALE;
use crate::config::AudioConfig;
use crate::segment::SampleLayout;

/// What an init segment describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Pictures.
    Video(VideoFormat),
    /// Sound.
    Audio(AudioConfig),
}

impl Format {
    /// As in CODECS (RFC 6381).
    #[must_use]
    pub fn codec(&self) -> &str {
        match self {
            Self::Video(format) => &format.codec,
            Self::Audio(_) => minamo_media::aac::CODEC_STRING,
        }
    }

    /// Ticks per second of its samples.
    #[must_use]
    pub fn scale(&self) -> u32 {
        match self {
            Self::Video(_) => VIDEO_SCALE,
            Self::Audio(config) => config.sample_rate,
        }
    }
}

/// What a decoder of pictures is set up with; two key frames belong to one init segment when these are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodecConfig {
    /// Parameter sets, to be put before key frames where a container (MPEG-TS) wants them in band.
    H264(H264Config),
}

/// What the parameter sets of one rendition say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoFormat {
    /// The codec, and what its decoder needs.
    pub config: CodecConfig,
    /// As in CODECS (RFC 6381).
    pub codec: String,
    /// Pixels shown.
    pub width: u16,
    /// Pixels shown.
    pub height: u16,
}

impl CodecConfig {
    /// What a key frame says. `None`: nothing, so the one before holds.
    pub(crate) fn of_key_frame(data: &Bytes) -> Option<Self> {
        H264Config::from_access_unit(data).map(Self::H264)
    }

    /// A picture as the container keeps it.
    pub(crate) fn stripped(data: &Bytes) -> Bytes {
        without_parameter_sets(data)
    }
}

/// A format with the init segment that says it.
#[derive(Debug)]
pub(crate) struct VideoInit {
    pub format: VideoFormat,
    pub bytes: Bytes,
}

impl VideoInit {
    pub(crate) fn new(config: CodecConfig) -> Result<Self, Fmp4Error> {
        let CodecConfig::H264(h264) = &config;
        let sps = Sps::parse(&h264.sps)?;
        let bytes = init_segment_h264(h264, VIDEO_SCALE)?;
        let format = VideoFormat { codec: codec_string(&sps), width: sps.width, height: sps.height, config };
        Ok(Self { format, bytes })
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

/// Where the samples lie in the fragment that was made of them: they are its end.
pub(crate) fn layout(fragment: &Bytes, samples: &[Sample]) -> Arc<[SampleLayout]> {
    let payload: usize = samples.iter().map(|sample| sample.data.len()).sum();
    let mut at = fragment.len().saturating_sub(payload);
    samples
        .iter()
        .map(|sample| {
            let offset = at;
            at += sample.data.len();
            // A fragment is under 2 GiB.
            SampleLayout { offset: offset as u32, size: sample.data.len() as u32, duration: sample.duration, key: sample.key }
        })
        .collect()
}
