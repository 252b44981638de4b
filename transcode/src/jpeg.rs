//! Still pictures out of key frames.

use bytes::Bytes;
use minamo_media::Codec;
use turbojpeg::{Compressor, Subsamp, YuvImage};

use crate::ladder::decoder_of;
use crate::picture::{I420, Picture};
use crate::scale::{Fit, Scaler};
use crate::video::DecodeError;

/// What a small picture needs not to show its blocks.
const QUALITY: i32 = 75;

/// A JPEG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The file.
    pub jpeg: Bytes,
}

/// There is no picture to be had.
#[derive(Debug, thiserror::Error)]
pub enum ThumbnailError {
    /// Nothing here decodes the codec.
    #[error("no decoder for {0:?}")]
    Codec(Codec),
    /// The unit is damaged, or no key frame.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The unit shows no picture.
    #[error("the unit shows no picture")]
    Nothing,
    /// libjpeg-turbo refused.
    #[error("JPEG: {0}")]
    Jpeg(String),
}

/// The picture of one key frame (its parameter sets inside), as a JPEG at most `width` pixels wide, in its own shape.
///
/// # Errors
/// See [`ThumbnailError`].
pub fn thumbnail(codec: Codec, key_frame: &[u8], width: usize) -> Result<Thumbnail, ThumbnailError> {
    let mut decoder = decoder_of(codec).ok_or(ThumbnailError::Codec(codec))??;
    let mut small = Err(ThumbnailError::Nothing);
    decoder.decode(key_frame, &mut |picture| {
        // High enough that the width decides, except for pictures that stand upright.
        let mut scaler = Scaler::new((width, width), Fit::Inside);
        small = scaler.scale(picture).map(Picture::copy_of).map_err(|error| ThumbnailError::Jpeg(error.to_string()));
    })?;
    compress(&small?)
}

fn compress(picture: &Picture) -> Result<Thumbnail, ThumbnailError> {
    let full = full_range(picture.view());
    let (width, height) = (picture.width(), picture.height());
    let image = YuvImage { pixels: &full[..], width, align: 1, height, subsamp: Subsamp::Sub2x2 };
    let jpeg = Compressor::new()
        .and_then(|mut compressor| {
            compressor.set_quality(QUALITY)?;
            compressor.compress_yuv_to_vec(image)
        })
        .map_err(|error| ThumbnailError::Jpeg(error.to_string()))?;
    Ok(Thumbnail { width: width as u32, height: height as u32, jpeg: jpeg.into() })
}

/// Video has luma from 16 to 235 and chroma from 16 to 240; JPEG (JFIF) has both from 0 to 255.
fn full_range(picture: I420<'_>) -> Vec<u8> {
    let luma = |value: &u8| ((i32::from(*value) - 16) * 255 / 219).clamp(0, 255) as u8;
    let chroma = |value: &u8| ((i32::from(*value) - 128) * 255 / 224 + 128).clamp(0, 255) as u8;
    picture.y.iter().map(luma).chain(picture.u.iter().chain(picture.v).map(chroma)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OpenH264Encoder, Profile, VideoEncoder, VideoSettings};

    fn key_frame(width: usize, height: usize) -> Bytes {
        let mut picture = Picture::black(width, height);
        let [y, _, v] = picture.planes_mut();
        y.iter_mut().enumerate().for_each(|(n, pixel)| *pixel = if n % width < width / 2 { 16 } else { 235 });
        v.fill(160);
        let settings = VideoSettings { bitrate: 2_000_000, fps: 30.0, profile: Profile::Baseline };
        OpenH264Encoder::new(settings).unwrap().encode(picture.view()).unwrap().unwrap().data
    }

    #[test]
    fn a_key_frame_becomes_a_jpeg_of_the_same_picture() {
        let small = thumbnail(Codec::H264, &key_frame(1280, 720), 160).unwrap();
        assert_eq!((small.width, small.height), (160, 90));
        let seen = turbojpeg::decompress_to_yuv(&small.jpeg).unwrap();
        assert_eq!((seen.width, seen.height), (160, 90));
        let luma = |x: usize| seen.pixels[45 * 160 + x];
        assert!(luma(20) < 6 && luma(140) > 249, "{} {}", luma(20), luma(140));
        let red = seen.pixels[160 * 90 + 80 * 45 + 20 * 80 + 40];
        assert!(red.abs_diff(164) < 4, "{red}");
    }

    #[test]
    fn what_is_no_key_frame_is_an_error() {
        assert!(matches!(thumbnail(Codec::Av1, b"x", 160), Err(ThumbnailError::Codec(Codec::Av1))));
        assert!(thumbnail(Codec::H264, b"garbage", 160).is_err());
        let whole = key_frame(320, 240);
        assert!(thumbnail(Codec::H264, &whole[..whole.len() / 2], 160).is_err());
        assert!(thumbnail(Codec::Vp8, &whole, 160).is_err());
    }
}
