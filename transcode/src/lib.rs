//! Only what is missing: Opus to AAC, H.264 encoding, behind small traits.
//!
//! Every type here is a plain value that does its work on the caller's thread: it owns no thread, reads no clock and
//! knows nothing of where pictures and sound come from or go to. PCM is interleaved 16-bit stereo at 48 kHz everywhere.

mod aac;
mod h264;
mod opus_codec;
mod opus_to_aac;
mod video;

pub use aac::{AAC_FRAME_SAMPLES, AacEncoder, AacError};
pub use h264::OpenH264Encoder;
pub use opus_codec::{OpusDecoder, OpusEncoder, OpusError};
pub use opus_to_aac::{AacFrame, AudioError, OpusToAac, Step};
pub use video::{EncodedPicture, I420, VideoEncoder, VideoError, VideoSettings};

/// Samples per second of all PCM in this crate.
pub const SAMPLE_RATE: u32 = 48_000;
/// Channels of all PCM in this crate, interleaved.
pub const CHANNELS: usize = 2;
