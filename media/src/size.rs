//! How large the pictures of an access unit are, read out of its headers before anything is decoded: what decoding will cost, and
//! what no decoder is to be given.

use crate::h264::{self, NalType, Sps};
use crate::{AccessUnit, Codec};

/// Pixels of a picture as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PictureSize {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl PictureSize {
    /// Pixels of one picture.
    #[must_use]
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// The largest size that the unit's data states: H.264 (AVCC form) in an SPS, VP8 in a key frame, VP9 in a frame that does not take
/// its size from a reference. `None` where no size is stated, for other codecs, and for what cannot be read.
#[must_use]
pub fn picture_size(codec: Codec, data: &[u8]) -> Option<PictureSize> {
    match codec {
        Codec::H264 => h264_size(data),
        Codec::Vp8 => vp8_size(data),
        Codec::Vp9 => vp9_frames(data).filter_map(vp9_size).max_by_key(|size| size.pixels()),
        _ => None,
    }
}

impl AccessUnit {
    /// See [`picture_size`].
    #[must_use]
    pub fn picture_size(&self, codec: Codec) -> Option<PictureSize> {
        picture_size(codec, &self.data)
    }
}

fn h264_size(avcc: &[u8]) -> Option<PictureSize> {
    h264::nal_units(avcc)
        .filter(|nal| NalType::of(nal) == Some(NalType::SPS))
        .filter_map(|nal| Sps::parse(nal).ok())
        .map(|sps| PictureSize { width: sps.width.into(), height: sps.height.into() })
        .max_by_key(|size| size.pixels())
}

/// RFC 6386 §9.1: a frame tag of three bytes, then in key frames a start code and two 14-bit sizes.
fn vp8_size(frame: &[u8]) -> Option<PictureSize> {
    match frame {
        [tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] if tag & 1 == 0 => Some(PictureSize {
            width: u32::from(u16::from_le_bytes([*w0, *w1]) & 0x3fff),
            height: u32::from(u16::from_le_bytes([*h0, *h1]) & 0x3fff),
        }),
        _ => None,
    }
}

/// The frames of a superframe (VP9 bitstream specification, annex B), at most 8; a unit without an index is one frame.
fn vp9_frames(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let sizes = superframe_sizes(data).unwrap_or_else(|| vec![data.len()]);
    let mut rest = data;
    sizes.into_iter().map_while(move |size| {
        let (frame, after) = rest.split_at_checked(size)?;
        rest = after;
        Some(frame)
    })
}

fn superframe_sizes(data: &[u8]) -> Option<Vec<usize>> {
    let marker = *data.last().filter(|last| **last & 0xe0 == 0xc0)?;
    let frames = usize::from(marker & 7) + 1;
    let width = usize::from(marker >> 3 & 3) + 1;
    let index = data.len().checked_sub(2 + frames * width)?;
    let sizes = data[index..].strip_prefix(&[marker])?;
    let little_endian = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    Some(sizes[..frames * width].chunks(width).map(little_endian).collect())
}

/// The uncompressed header (VP9 bitstream specification §6.2) up to the frame size.
fn vp9_size(frame: &[u8]) -> Option<PictureSize> {
    let mut bits = Bits { data: frame, at: 0 };
    if bits.take(2)? != 2 {
        return None;
    }
    let profile = bits.take(1)? | bits.take(1)? << 1;
    if profile == 3 {
        bits.take(1)?;
    }
    if bits.take(1)? == 1 {
        return None; // show_existing_frame
    }
    let inter = bits.take(1)? == 1;
    let shown = bits.take(1)? == 1;
    let resilient = bits.take(1)? == 1;
    let intra_only = inter && !shown && bits.take(1)? == 1;
    if inter && !resilient {
        bits.take(2)?; // reset_frame_context
    }
    if !inter || intra_only {
        bits.take(24)?; // sync code
        if !inter || profile > 0 {
            skip_colour(&mut bits, profile)?;
        }
        if intra_only {
            bits.take(8)?; // refresh_frame_flags
        }
        return frame_size(&mut bits);
    }
    bits.take(8 + 3 * 4)?; // refresh_frame_flags; three references with their sign biases
    for _ in 0..3 {
        if bits.take(1)? == 1 {
            return None; // found_ref: the size of a reference
        }
    }
    frame_size(&mut bits)
}

fn skip_colour(bits: &mut Bits<'_>, profile: u32) -> Option<()> {
    const RGB: u32 = 7;
    if profile >= 2 {
        bits.take(1)?; // bit depth
    }
    let subsampled = profile == 1 || profile == 3;
    if bits.take(3)? == RGB {
        bits.take(u32::from(subsampled))?;
    } else {
        bits.take(if subsampled { 4 } else { 1 })?;
    }
    Some(())
}

fn frame_size(bits: &mut Bits<'_>) -> Option<PictureSize> {
    Some(PictureSize { width: bits.take(16)? + 1, height: bits.take(16)? + 1 })
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// At most 32 bits, the first one uppermost.
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.data.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32) -> Option<PictureSize> {
        Some(PictureSize { width, height })
    }

    /// Bits as text, spaces ignored, padded with zeros.
    fn bits(text: &str) -> Vec<u8> {
        let flags: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').map(|byte| byte - b'0').collect();
        flags.chunks(8).map(|byte| byte.iter().enumerate().map(|(n, bit)| bit << (7 - n)).sum()).collect()
    }

    #[test]
    fn vp8_says_its_size_in_key_frames_only() {
        let key = [0x50, 0x01, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0xe0, 0x01, 0, 0];
        assert_eq!(picture_size(Codec::Vp8, &key), size(640, 480));
        let mut inter = key;
        inter[0] |= 1;
        assert_eq!(picture_size(Codec::Vp8, &inter), None);
        for short in 0..10 {
            assert_eq!(picture_size(Codec::Vp8, &key[..short]), None);
        }
    }

    /// Frame marker, profile 0, no existing frame, then `rest`.
    fn vp9(rest: &str) -> Vec<u8> {
        bits(&format!("10 00 0 {rest}"))
    }

    /// 1280 × 720, minus one each.
    const HD: &str = "0000010011111111 0000001011001111";
    const SYNC: &str = "010010011000001101000010";

    #[test]
    fn vp9_says_its_size_in_key_intra_only_and_resized_frames() {
        let key = vp9(&format!("0 1 0 {SYNC} 001 0 {HD}"));
        assert_eq!(picture_size(Codec::Vp9, &key), size(1280, 720));
        let intra_only = vp9(&format!("1 0 0 1 00 {SYNC} 11111111 {HD}"));
        assert_eq!(picture_size(Codec::Vp9, &intra_only), size(1280, 720));
        let resized = vp9(&format!("1 1 1 11111111 0000 0000 0000 0 0 0 {HD}"));
        assert_eq!(picture_size(Codec::Vp9, &resized), size(1280, 720));
        let inter = vp9(&format!("1 1 1 11111111 0000 0000 0000 0 1 0 {HD}"));
        assert_eq!(picture_size(Codec::Vp9, &inter), None);
        for short in 0..key.len() - 1 {
            assert_eq!(picture_size(Codec::Vp9, &key[..short]), None);
        }
    }

    #[test]
    fn the_largest_frame_of_a_superframe_counts() {
        let key = vp9(&format!("0 1 0 {SYNC} 001 0 {HD}"));
        let small = vp9(&format!("0 1 0 {SYNC} 001 0 0000000000001111 0000000000001111"));
        let marker = 0xc0 | 1 << 3 | 1;
        let length = |frame: &[u8]| (frame.len() as u16).to_le_bytes();
        let index = [&[marker][..], &length(&small), &length(&key), &[marker]].concat();
        let superframe = [small, key, index].concat();
        assert_eq!(picture_size(Codec::Vp9, &superframe), size(1280, 720));
        // An index that says more than there is.
        assert_eq!(picture_size(Codec::Vp9, &[marker, 0xff, 0xff, 0xff, 0xff, marker]), None);
    }

    #[test]
    fn garbage_has_no_size_and_does_no_harm() {
        for first in 0..=255_u8 {
            for length in 0..40 {
                let data: Vec<u8> = (0..length).map(|n| first.wrapping_mul(n + 3).rotate_left(u32::from(n) % 8)).collect();
                for codec in [Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1] {
                    let _ = picture_size(codec, &data);
                }
            }
        }
    }
}
