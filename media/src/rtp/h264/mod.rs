//! H.264 over RTP (RFC 6184), packetization mode 1: single NAL units, STAP-A and FU-A.

mod depacketizer;
mod packetizer;

pub use depacketizer::{Depacketizer, H264Format};
pub use packetizer::{PAYLOAD_BYTES_MIN, Packetizer};

/// NAL types of RFC 6184 §5.2 that exist on the wire only.
pub(crate) const STAP_A: u8 = 24;
pub(crate) const FU_A: u8 = 28;
/// FU header bits (RFC 6184 §5.8).
pub(crate) const FU_START: u8 = 0x80;
pub(crate) const FU_END: u8 = 0x40;

/// The NAL units of a STAP-A payload without its first byte. `Err` once at the first size that does not fit.
pub(crate) fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = Result<&[u8], ()>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let unit = rest
            .split_first_chunk::<2>()
            .and_then(|(size, after)| after.split_at_checked(usize::from(u16::from_be_bytes(*size))))
            .filter(|(nal, _)| !nal.is_empty());
        let (nal, after) = unit.unwrap_or_default();
        rest = after;
        Some(if nal.is_empty() { Err(()) } else { Ok(nal) })
    })
}
