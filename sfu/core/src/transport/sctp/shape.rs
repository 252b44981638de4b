//! Whether an SCTP packet is drawn as RFC 9260 §3 says, as far as `rtc-sctp` 0.21 relies on it: that reads past the end of a
//! parameter that claims to be longer than its chunk, and stops at nothing less than a panic.

use super::COMMON_HEADER;

pub(super) const DATA: u8 = 0;
pub(super) const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
pub(super) const SACK: u8 = 3;
const HEARTBEAT: u8 = 4;
const HEARTBEAT_ACK: u8 = 5;
const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;
const ERROR: u8 = 9;
pub(super) const RECONFIG: u8 = 130;
pub(super) const FORWARD_TSN: u8 = 192;

const CHUNK_HEADER: usize = 4;
pub(super) const DATA_HEADER: usize = 16;
const PARAMETER_HEADER: usize = 4;

/// Kinds of parameters of which the length is not free, and their least lengths with the header.
const OUTGOING_RESET: u16 = 13;
const RECONFIG_RESPONSE: u16 = 16;
const HMACS: u16 = 0x8004;

/// The chunks of a packet with their kinds; `None` if it is none, or one of them is not whole.
pub(super) fn chunks(packet: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut rest = packet.get(COMMON_HEADER..)?;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let header = rest.get(..CHUNK_HEADER)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let chunk = rest.get(..length).filter(|chunk| is_whole(header[0], chunk, rest.len()))?;
        chunks.push((header[0], chunk));
        // The padding of the last chunk may be missing (RFC 9260 §3.2).
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(chunks)
}

/// `left`: bytes of the packet from the chunk on.
fn is_whole(kind: u8, chunk: &[u8], left: usize) -> bool {
    match kind {
        DATA => chunk.len() > DATA_HEADER,
        INIT | INIT_ACK => chunk.get(20..).is_some_and(parameters_fit),
        SACK => gap_blocks(chunk).is_some(),
        SHUTDOWN => chunk.len() == 8,
        // One of them at least.
        HEARTBEAT | HEARTBEAT_ACK | RECONFIG => chunk.get(4..).is_some_and(|rest| !rest.is_empty() && parameters_fit(rest)),
        ABORT | ERROR => causes_fit(chunk, left),
        FORWARD_TSN => chunk.len() >= 8 && chunk.len().is_multiple_of(4),
        _ => chunk.len() >= CHUNK_HEADER,
    }
}

/// The gap blocks of a SACK, as they stand there.
pub(super) fn gap_blocks(sack: &[u8]) -> Option<&[u8]> {
    let count = |at: usize| Some(usize::from(u16::from_be_bytes([*sack.get(at)?, *sack.get(at + 1)?])));
    let (blocks, duplicates) = (count(12)?, count(14)?);
    sack.get(16..16 + 4 * blocks).filter(|_| sack.len() == 16 + 4 * (blocks + duplicates))
}

/// Causes of errors. `rtc-sctp` walks over them without their padding and until the packet's end, not the chunk's, so that is how they
/// must fit; what does not is the end of the association, which most of these chunks are anyway.
fn causes_fit(chunk: &[u8], left: usize) -> bool {
    let mut at = CHUNK_HEADER;
    while at + PARAMETER_HEADER <= left {
        let Some(&[_, _, high, low]) = chunk.get(at..).and_then(<[u8]>::first_chunk) else { return false };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length < PARAMETER_HEADER || at + length > chunk.len() {
            return false;
        }
        at += length;
    }
    true
}

/// Parameters.
fn parameters_fit(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(&[kind, more, high, low]) = rest.first_chunk::<PARAMETER_HEADER>() else { return false };
        let (kind, length) = (u16::from_be_bytes([kind, more]), usize::from(u16::from_be_bytes([high, low])));
        let least = match kind {
            OUTGOING_RESET => 16,
            RECONFIG_RESPONSE => 12,
            _ => PARAMETER_HEADER,
        };
        if length < least || length > rest.len() || (matches!(kind, OUTGOING_RESET | HMACS) && length % 2 == 1) {
            return false;
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    true
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
