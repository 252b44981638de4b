//! Only what is missing: Opus to AAC, H.264, VP8 and VP9 decoded, scaled and encoded as H.264, JPEG; behind small traits.
//!
//! Nothing here knows where pictures and sound come from or go to. Every type is a plain value that does its work on the caller's
//! thread and reads no clock, except [`Pool`], which has threads of its own and a stated limit. PCM is interleaved 16-bit stereo at 48 kHz everywhere.

mod aac;
mod font;
mod h264;
mod jpeg;
mod ladder;
mod opus_codec;
mod opus_to_aac;
mod picture;
mod pool;
mod scale;
mod slate;
#[cfg(test)]
mod tests;
mod video;
mod vpx;

pub use aac::{AAC_FRAME_SAMPLES, AacEncoder, AacError};
pub use h264::{OpenH264Decoder, OpenH264Encoder};
pub use jpeg::{Thumbnail, ThumbnailError, thumbnail};
pub use ladder::{KeyFrames, LADDER_SCALE, Ladder, LadderError, RungPicture, RungSettings, SourceUnit, decoder_of};
pub use opus_codec::{OpusDecoder, OpusEncoder, OpusError};
pub use opus_to_aac::{AacFrame, AudioError, OpusToAac, Step};
pub use picture::{I420, Picture};
pub use pool::{Job, JobCounts, JobEvent, JobSink, JobSpec, Load, Pool, PoolConfig, Refused};
pub use scale::{Fit, Scaler};
pub use slate::Slate;
pub use video::{DecodeError, EncodedPicture, PIXELS_MAX, Profile, VideoDecoder, VideoEncoder, VideoError, VideoSettings};
pub use vpx::VpxDecoder;

/// Samples per second of all PCM in this crate.
pub const SAMPLE_RATE: u32 = 48_000;
/// Channels of all PCM in this crate, interleaved.
pub const CHANNELS: usize = 2;
