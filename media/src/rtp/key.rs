//! Where a subscriber may start: does this packet begin a key frame? For every codec that is forwarded.

use super::{av1, vp8, vp9};
use crate::{Codec, h264};

/// Whether the payload begins a key frame, or its parameter sets. Audio always does.
#[must_use]
pub fn is_key_packet(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus => true,
        Codec::H264 => h264::is_key_packet(payload),
        Codec::Vp8 => vp8::is_key_packet(payload),
        Codec::Vp9 => vp9::is_key_packet(payload),
        Codec::Av1 => av1::is_key_packet(payload),
        Codec::H265 => is_h265_key(payload),
    }
}

/// Whether the payload begins with the video parameter set, which goes before all else of an H.265 key frame (RFC 7798 §4.4).
pub(super) fn begins_h265(payload: &[u8]) -> bool {
    let is_vps = |byte: &u8| (byte >> 1) & 0x3F == 32;
    match payload {
        [head, _, _, _, first, ..] if (head >> 1) & 0x3F == 48 => is_vps(first),
        [head, _, ..] => is_vps(head),
        _ => false,
    }
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
