//! The one seam for H.264 encoders, so that others (x264, hardware) can join.

use bytes::Bytes;

/// A picture to encode: planar 4:2:0, 8 bit, rows without padding, width and height even.
#[derive(Clone, Copy, Debug)]
pub struct I420<'a> {
    /// Pixels per row; even.
    pub width: usize,
    /// Rows; even.
    pub height: usize,
    /// Luma: width × height bytes.
    pub y: &'a [u8],
    /// Blue difference: a quarter of luma.
    pub u: &'a [u8],
    /// Red difference: a quarter of luma.
    pub v: &'a [u8],
}

impl<'a> I420<'a> {
    /// A picture in one slice of width × height × 3 ⁄ 2 bytes, Y then U then V.
    pub fn from_packed(data: &'a [u8], width: usize, height: usize) -> Result<Self, VideoError> {
        let luma = width * height;
        if width == 0 || height == 0 || !width.is_multiple_of(2) || !height.is_multiple_of(2) || data.len() != luma * 3 / 2 {
            return Err(VideoError::Shape { width, height, bytes: data.len() });
        }
        let (y, chroma) = data.split_at(luma);
        let (u, v) = chroma.split_at(luma / 4);
        Ok(Self { width, height, y, u, v })
    }
}

/// What an encoder aims at. No field has a default on purpose: encoders' own defaults are bad ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VideoSettings {
    /// Target in bits per second.
    pub bitrate: u32,
    /// Pictures per second that will be given, for rate control.
    pub fps: f32,
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

    /// Another target from the next picture on; may cost a key frame.
    fn set_bitrate(&mut self, bitrate: u32) -> Result<(), VideoError>;
}
