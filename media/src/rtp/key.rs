//! Where a subscriber may start: does this packet begin a key frame? For every codec that is forwarded.

use super::vp8;
use crate::{Codec, h264};

/// Whether the payload begins a key frame, or its parameter sets. Audio always does.
#[must_use]
pub fn is_key_packet(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus => true,
        Codec::H264 => h264::is_key_packet(payload),
        Codec::Vp8 => vp8::is_key_packet(payload),
        Codec::Vp9 => is_vp9_key(payload),
        Codec::Av1 => is_av1_key(payload),
        Codec::H265 => is_h265_key(payload),
    }
}

/// RFC 9628 §4.2: begins a frame (B), not predicted from another picture (P), and the lowest spatial layer if layers are named.
fn is_vp9_key(payload: &[u8]) -> bool {
    const I: u8 = 0x80;
    const P: u8 = 0x40;
    const L: u8 = 0x20;
    const B: u8 = 0x08;
    let Some(&flags) = payload.first() else {
        return false;
    };
    if flags & P != 0 || flags & B == 0 {
        return false;
    }
    let picture_id_len = match (flags & I != 0, payload.get(1)) {
        (true, Some(byte)) if byte & 0x80 != 0 => 2,
        (true, _) => 1,
        (false, _) => 0,
    };
    // TID(3) U(1) SID(3) D(1)
    flags & L == 0 || payload.get(1 + picture_id_len).is_some_and(|layer| (layer >> 1) & 0x07 == 0)
}

/// AV1 RTP payload specification §4.4: the aggregation header's N bit begins a coded video sequence.
fn is_av1_key(payload: &[u8]) -> bool {
    payload.len() > 1 && payload[0] & 0x08 != 0
}

/// RFC 7798 §4.4: an IRAP picture (16–23) or a parameter set (32–34), alone, first in an AP (48), or beginning in an FU (49).
fn is_h265_key(payload: &[u8]) -> bool {
    let nal_type = |byte: &u8| (byte >> 1) & 0x3F;
    let opens = |kind: u8| matches!(kind, 16..=23 | 32..=34);
    match payload {
        [head, _, fu, ..] if nal_type(head) == 49 => fu & 0x80 != 0 && opens(fu & 0x3F),
        [head, _, _, _, first, ..] if nal_type(head) == 48 => opens(nal_type(first)),
        [head, _, ..] => opens(nal_type(head)),
        _ => false,
    }
}
