//! Redundant audio data (RFC 2198): a packet that repeats what the ones before it carried.

/// Blocks of one packet that are looked at. Browsers send up to ten; more is nothing that anybody sends.
const BLOCKS_MAX: usize = 32;

/// The new block, which every packet ends with, and its payload type. `None` where the payload is not RED as the RFC writes it.
#[must_use]
pub fn primary(payload: &[u8]) -> Option<(u8, &[u8])> {
    let (headers, mut data) = (headers(payload)?, 0);
    for at in 0..headers - 1 {
        let header: &[u8; 4] = payload.get(4 * at..)?.first_chunk()?;
        data += usize::from(header[2] & 0x03) << 8 | usize::from(header[3]);
    }
    let last = 4 * (headers - 1);
    Some((payload[last] & 0x7f, payload.get(last + 1 + data..)?))
}

/// Gives all blocks this payload type, 0–127. What is not RED stays as it is.
pub fn retype(payload: &mut [u8], payload_type: u8) {
    for at in 0..headers(payload).unwrap_or(0) {
        let byte = &mut payload[4 * at];
        *byte = *byte & 0x80 | payload_type & 0x7f;
    }
}

/// How many block headers there are, at least one: four bytes each but for the last, which has one.
fn headers(payload: &[u8]) -> Option<usize> {
    let last = (0..BLOCKS_MAX).find(|at| payload.get(4 * at).is_none_or(|byte| byte & 0x80 == 0))?;
    payload.get(4 * last).map(|_| last + 1)
}
