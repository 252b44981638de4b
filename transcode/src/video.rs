//! The seams for pictures: decoders and encoders behind one trait each, so that others (x264, hardware) can join.

use bytes::Bytes;
use minamo_media::PictureSize;

use crate::picture::I420;

/// What H.264 an encoder writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Constrained Baseline: CAVLC. What every decoder and every browser's WebRTC takes.
    Baseline,
    /// Main: CABAC.
    Main,
    /// High: CABAC.
    High,
}

/// What an encoder aims at. No field has a default on purpose: encoders' own defaults are bad ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VideoSettings {
    /// Target in bits per second.
    pub bitrate: u32,
    /// Pictures per second that will be given, for rate control.
    pub fps: f32,
    /// The level follows from size, rate and bitrate.
    pub profile: Profile,
}

/// One encoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPicture {
    /// An IDR, with SPS and PPS in front of it.
    pub key: bool,
    /// NAL units, each with a 4-byte big-endian length in front (AVCC form).
    pub data: Bytes,
}

/// Encoding failed.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// The planes do not fit the size, or the size is odd.
    #[error("{bytes} bytes are not an I420 picture of {width}x{height} with even sides")]
    Shape {
        /// Stated width.
        width: usize,
        /// Stated height.
        height: usize,
        /// What was there.
        bytes: usize,
    },
    /// The encoder refused.
    #[error("H.264 encoder: {0}")]
    Encoder(String),
}

/// Pictures in, H.264 access units out, in the same order, no B-frames.
pub trait VideoEncoder: Send {
    /// Encodes the next picture. `Ok(None)` when the encoder chose to skip it. A changed size starts with a key frame.
    fn encode(&mut self, picture: I420<'_>) -> Result<Option<EncodedPicture>, VideoError>;

    /// The next picture becomes an IDR.
    fn force_key_frame(&mut self);

    /// Another target from the next picture on.
    fn set_bitrate(&mut self, bitrate: u32) -> Result<(), VideoError>;

    /// So many pictures per second will be given from now on.
    fn set_fps(&mut self, fps: f32) -> Result<(), VideoError>;
}

/// A unit gave no picture, and what follows it gives none before the next key frame. Wire input causes this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The decoder could not be made.
    #[error("no decoder: {0}")]
    Unavailable(&'static str),
    /// Not decodable, or it refers to what was lost.
    #[error("the picture is damaged")]
    Damaged,
    /// More pixels than [`PIXELS_MAX`].
    #[error("a picture of {}x{} is too large", .0.width, .0.height)]
    TooLarge(PictureSize),
    /// Decodable, but not 8-bit 4:2:0.
    #[error("only 8-bit 4:2:0 is transcoded")]
    Format,
}

/// Pixels of the largest picture that is decoded: 4096 × 2304. Headers that state more are not given to a decoder at all.
pub const PIXELS_MAX: u64 = 4096 * 2304;

/// Access units in, pictures out, in the same order. What is on the wire never does more than fail.
pub trait VideoDecoder: Send {
    /// Decodes one unit, in the form that the tap gives. `show` is called once, or not at all when the unit shows no picture.
    ///
    /// # Errors
    /// The picture is lost; give key frames from now on.
    fn decode(&mut self, unit: &[u8], show: &mut dyn FnMut(I420<'_>)) -> Result<(), DecodeError>;
}
