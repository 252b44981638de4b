//! Decoders, ladder and pool with streams that real encoders made.

mod damage;
mod ladder;
mod pool;

use bytes::Bytes;
use minamo_media::Codec;

use crate::vpx::encoder::VpxEncoder;
use crate::{OpenH264Encoder, Picture, Profile, SourceUnit, VideoEncoder, VideoSettings};

/// A bright square on travelling stripes; its place tells the picture's number.
pub(crate) fn painted(n: usize, width: usize, height: usize) -> Picture {
    let mut picture = Picture::black(width, height);
    let side = height / 4;
    let (left, top) = (n * 5 % (width - side), n * 3 % (height - side));

    for (at, pixel) in picture.planes_mut()[0].iter_mut().enumerate() {
        let (x, y) = (at % width, at / width);
        let inside = (left..left + side).contains(&x) && (top..top + side).contains(&y);
        *pixel = if inside { 220 } else { 40 + ((x + 2 * n) / 8 % 4 * 20) as u8 + (y / 16 % 3 * 8) as u8 };
    }
    picture
}

/// Mean difference of luma per pixel.
pub(crate) fn difference(a: &Picture, b: &Picture) -> f64 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let sum: u64 = a.view().y.iter().zip(b.view().y).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.view().y.len() as f64
}

enum Encoder {
    H264(OpenH264Encoder),
    Vpx(VpxEncoder),
}

/// A publisher: encodes [`painted`] pictures at 30 per second.
pub(crate) struct Source {
    encoder: Encoder,
    size: (usize, usize),
    pub(crate) n: usize,
}

impl Source {
    pub(crate) fn new(codec: Codec, width: usize, height: usize) -> Self {
        let settings = VideoSettings { bitrate: 600_000, fps: 30.0, profile: Profile::Baseline };
        let encoder = match codec {
            Codec::H264 => Encoder::H264(OpenH264Encoder::new(settings).unwrap()),
            codec => Encoder::Vpx(VpxEncoder::new(codec, width, height)),
        };
        Self { encoder, size: (width, height), n: 0 }
    }

    pub(crate) fn next(&mut self, key: bool) -> SourceUnit {
        let picture = painted(self.n, self.size.0, self.size.1);
        let (data, key) = match &mut self.encoder {
            Encoder::H264(encoder) => {
                if key {
                    encoder.force_key_frame();
                }
                let out = encoder.encode(picture.view()).unwrap().unwrap();
                (out.data, out.key)
            }
            Encoder::Vpx(encoder) => {
                let (data, key) = encoder.encode(&picture, key);
                (Bytes::from(data), key)
            }
        };
        self.n += 1;
        SourceUnit { pts: (self.n as i64 - 1) * 3000, key, boundary: false, data }
    }
}
