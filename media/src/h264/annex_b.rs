use bytes::{BufMut, Bytes, BytesMut};

use super::nal_units;

/// The NAL units of a byte stream with start codes (ITU-T H.264 annex B), without the zeros around them. Bytes before the first
/// start code are passed over.
pub fn annex_b_nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        loop {
            let current = rest?;
            let end = start_code(current).unwrap_or(current.len());
            rest = after_start_code(&current[end..]);
            let nal = without_trailing_zeros(&current[..end]);
            if !nal.is_empty() {
                return Some(nal);
            }
        }
    })
}

/// Where the next three-byte start code begins.
fn start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    start_code(bytes).map(|at| &bytes[at + 3..])
}

/// A NAL unit never ends with a zero byte (§7.4.1); such bytes belong to the next start code.
fn without_trailing_zeros(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..end]
}

/// From start codes to 4-byte lengths.
#[must_use]
pub fn annex_b_to_avcc(stream: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(stream.len() + 8);
    for nal in annex_b_nal_units(stream) {
        out.put_u32(nal.len() as u32);
        out.put_slice(nal);
    }
    out.freeze()
}

/// From 4-byte lengths to 4-byte start codes.
#[must_use]
pub fn avcc_to_annex_b(avcc: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(avcc.len());
    for nal in nal_units(avcc) {
        out.put_slice(&[0, 0, 0, 1]);
        out.put_slice(nal);
    }
    out.freeze()
}
