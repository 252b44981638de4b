//! openh264 behind [`VideoDecoder`].

use minamo_media::{Codec, h264, picture_size};
use openh264::decoder::Decoder;
use openh264::formats::YUVSource;

use crate::picture::I420;
use crate::video::{DecodeError, PIXELS_MAX, VideoDecoder};

/// H.264 (AVCC form in) by openh264: up to High, progressive. Error concealment is off: what is damaged is an error.
pub struct OpenH264Decoder {
    decoder: Decoder,
}

impl OpenH264Decoder {
    /// A decoder that waits for a key frame.
    pub fn new() -> Result<Self, DecodeError> {
        Ok(Self { decoder: Decoder::new().map_err(|_| DecodeError::Unavailable("openh264"))? })
    }
}

impl VideoDecoder for OpenH264Decoder {
    fn decode(&mut self, unit: &[u8], show: &mut dyn FnMut(I420<'_>)) -> Result<(), DecodeError> {
        if let Some(size) = picture_size(Codec::H264, unit).filter(|size| size.pixels() > PIXELS_MAX) {
            return Err(DecodeError::TooLarge(size));
        }
        let stream = h264::avcc_to_annex_b(unit);
        if stream.is_empty() {
            return Err(DecodeError::Damaged);
        }
        let Some(decoded) = self.decoder.decode(&stream).map_err(|_| DecodeError::Damaged)? else { return Ok(()) };
        let (width, height) = decoded.dimensions();
        let (stride, chroma_stride, _) = decoded.strides();
        let (y, u, v) = (decoded.y(), decoded.u(), decoded.v());
        let view = I420 { width: width & !1, height: height & !1, y, u, v, stride, chroma_stride };
        show(view.checked().map_err(|_| DecodeError::Format)?);
        Ok(())
    }
}
