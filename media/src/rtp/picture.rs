//! What a packet says of its picture, for whoever forwards it: number, temporal layer, where a subscriber may begin. And how other
//! numbers are written into it, so that a subscriber sees one unbroken count across switches of layers.

use super::key::{begins_h265, is_key_packet};
use super::{av1, vp8, vp9};
use crate::Codec;
use crate::h264;

/// What a packet says of its picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// The packet begins a key frame, or its parameter sets; any audio does.
    pub key: bool,
    /// It is certainly the first packet of its picture that a decoder needs. H.264 says so only by its parameter sets.
    pub first: bool,
    /// Number of the picture.
    pub id: Option<PictureId>,
    /// Number of base-layer pictures so far.
    pub tl0: Option<u8>,
    /// Temporal layer; 0 where none is told.
    pub temporal: u8,
    /// This picture's own temporal layer can be begun with it (VP8).
    pub sync: bool,
    /// All temporal layers can be begun behind it.
    pub switching_up: bool,
}

/// A picture's number as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureId {
    /// The number.
    pub value: u16,
    /// Its width: 7 or 15 (VP8, VP9) or 16 (AV1).
    pub bits: u8,
}

/// Reads the packets of one source. Has state only where dependency descriptors come (AV1, H.264):
/// the templates that came with the last key frame.
#[derive(Clone, Debug)]
pub struct Inspector {
    codec: Codec,
    structure: av1::Structure,
}

impl Inspector {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self { codec, structure: av1::Structure::default() }
    }

    /// What a packet says: its payload, and its dependency descriptor where there is one.
    #[must_use]
    pub fn inspect(&mut self, payload: &[u8], descriptor: Option<&[u8]>) -> Picture {
        let key = is_key_packet(self.codec, payload);
        let whole = Picture { key, first: key, ..Picture::default() };
        match self.codec {
            Codec::Opus => whole,
            Codec::H264 => {
                let told = descriptor.and_then(|data| av1::Descriptor::parse(data, &mut self.structure));
                let first = key && h264::has_sps(payload);
                told.map_or(Picture { first, ..whole }, |told| Picture { key, first, ..of_av1(key, &told) })
            }
            Codec::H265 => Picture { first: begins_h265(payload), ..whole },
            Codec::Vp8 => vp8::Descriptor::parse(payload).map_or(whole, |(descriptor, _)| of_vp8(key, &descriptor)),
            Codec::Vp9 => vp9::Descriptor::parse(payload).map_or(whole, |descriptor| of_vp9(key, &descriptor)),
            Codec::Av1 => descriptor
                .and_then(|data| av1::Descriptor::parse(data, &mut self.structure))
                .map_or(whole, |descriptor| of_av1(key, &descriptor)),
        }
    }
}

fn of_vp8(key: bool, descriptor: &vp8::Descriptor) -> Picture {
    let bits = if descriptor.long_picture_id { 15 } else { 7 };
    let (temporal, sync) = descriptor.temporal.unwrap_or_default();
    Picture {
        key,
        first: descriptor.begins_frame(),
        id: descriptor.picture_id.map(|value| PictureId { value, bits }),
        tl0: descriptor.tl0_picture_index,
        temporal,
        sync,
        switching_up: key,
    }
}

fn of_vp9(key: bool, descriptor: &vp9::Descriptor) -> Picture {
    let layer = descriptor.layer.unwrap_or_default();
    Picture {
        key,
        first: descriptor.begins_picture(),
        id: descriptor.picture_id.map(|(value, bits)| PictureId { value, bits }),
        tl0: descriptor.tl0_picture_index,
        temporal: layer.temporal,
        sync: false,
        switching_up: key || layer.switching_up,
    }
}

fn of_av1(key: bool, descriptor: &av1::Descriptor) -> Picture {
    let key = key || (descriptor.begins && descriptor.structure && descriptor.spatial == 0);
    Picture {
        key,
        first: descriptor.begins && descriptor.spatial == 0,
        id: Some(PictureId { value: descriptor.frame_number, bits: 16 }),
        tl0: None,
        temporal: descriptor.temporal,
        sync: false,
        switching_up: key || descriptor.switching_up,
    }
}

/// Whether pictures refer to others by their number's difference, or a receiver takes a gap in the numbers for a loss. The numbers
/// of pictures that are left out are closed up for the latter only.
#[must_use]
pub fn closes_gaps(codec: Codec) -> bool {
    codec == Codec::Vp8
}

/// Writes other numbers into a payload, each in as many bits as it has there. AV1 has them in its header extension:
/// [`av1::renumber`].
pub fn renumber(codec: Codec, payload: &mut [u8], picture_id: u16, tl0: u8) {
    match codec {
        Codec::Vp8 => vp8::renumber(payload, picture_id, tl0),
        Codec::Vp9 => vp9::renumber(payload, picture_id, tl0),
        Codec::Opus | Codec::H264 | Codec::H265 | Codec::Av1 => {}
    }
}

/// A picture id of VP8 or VP9, in the 7 or 15 bits that are there. Returns its length in bytes.
pub(super) fn write_id(at: &mut [u8], id: u16) -> usize {
    match at {
        [high, low, ..] if *high & 0x80 != 0 => {
            [*high, *low] = (id | 0x8000).to_be_bytes();
            2
        }
        [only, ..] if *only & 0x80 == 0 => {
            *only = id as u8 & 0x7F;
            1
        }
        _ => 1,
    }
}
