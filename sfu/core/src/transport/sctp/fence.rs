//! What an SCTP packet may ask of us, judged before `rtc-sctp` 0.21 reads it. Found by reading that crate:
//!
//! * A FORWARD TSN moves on one by one, as far as it says: up to 2³¹ steps.
//! * A stream comes to be with its first DATA chunk, whatever was negotiated.
//! * Fragments of a message that never ends are taken beyond the receive window, and each costs some hundred bytes beside its own.
//! * Reset requests are kept until they can be done, each of them.
//! * Gap blocks of a SACK may lie over one another.
//!
//! A packet that no sane client sends ends the association; the peer's media goes on.

use std::time::Instant;

use super::{COMMON_HEADER, MAX_STREAMS, RECEIVE_BUFFER};
use crate::budget::Budget;

const DATA: u8 = 0;
const SACK: u8 = 3;
const RECONFIG: u8 = 130;
const FORWARD_TSN: u8 = 192;
const CHUNK_HEADER: usize = 4;
const DATA_HEADER: usize = 16;

/// Chunks that came and are not read because something before them is missing. A message of 256 KiB has about 230.
const UNREAD_CHUNKS_MAX: usize = 4096;
/// Their bytes: the window, and as much again for what crosses its closing.
const UNREAD_BYTES_MAX: usize = 2 * RECEIVE_BUFFER as usize;
/// How far one FORWARD TSN may move on.
const FORWARD_MAX: u32 = UNREAD_CHUNKS_MAX as u32;
/// Stream resets in one association: a client resets a stream for each channel that it closes.
const RESETS_MAX: u32 = 1024;

/// What becomes of a packet that is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is dropped.
    Packet,
    /// Nobody sends this by mistake: the association ends.
    Association,
}

/// The fence of one association.
#[derive(Debug)]
pub(super) struct Fence {
    /// Upper bounds of what waits to be read: duplicates are counted until the window is whole again.
    unread_chunks: usize,
    unread_bytes: usize,
    /// Up to which TSN of the peer's we have everything, as our last SACK said.
    acknowledged: u32,
    resets: u32,
    reset_rate: Budget,
}

impl Fence {
    /// `init` is the packet that begins the association.
    pub(super) fn new(init: &[u8]) -> Self {
        let first = word(init, COMMON_HEADER + 16).unwrap_or(1);
        let acknowledged = first.wrapping_sub(1);
        Self { unread_chunks: 0, unread_bytes: 0, acknowledged, resets: 0, reset_rate: Budget::new(10, 50) }
    }

    /// Whether the association may see this packet.
    pub(super) fn admit(&mut self, now: Instant, packet: &[u8]) -> Result<(), Refused> {
        let mut rest = packet.get(COMMON_HEADER..).ok_or(Refused::Packet)?;
        while !rest.is_empty() {
            let header = rest.get(..CHUNK_HEADER).ok_or(Refused::Packet)?;
            let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let chunk = rest.get(..length).filter(|_| length >= CHUNK_HEADER).ok_or(Refused::Packet)?;
            self.admit_chunk(now, header[0], chunk)?;
            // The padding of the last chunk may be missing (RFC 9260 §3.2).
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(())
    }

    fn admit_chunk(&mut self, now: Instant, kind: u8, chunk: &[u8]) -> Result<(), Refused> {
        match kind {
            DATA => self.admit_data(chunk),
            SACK => admit_sack(chunk),
            FORWARD_TSN => {
                let ahead = word(chunk, CHUNK_HEADER).ok_or(Refused::Packet)?.wrapping_sub(self.acknowledged);
                // More than half the numbers ahead is behind: an old one, which moves nothing.
                if (FORWARD_MAX..1 << 31).contains(&ahead) { Err(Refused::Association) } else { Ok(()) }
            }
            RECONFIG if self.resets >= RESETS_MAX => Err(Refused::Association),
            RECONFIG if !self.reset_rate.take(now) => Err(Refused::Packet),
            RECONFIG => {
                self.resets += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn admit_data(&mut self, chunk: &[u8]) -> Result<(), Refused> {
        let payload = chunk.len().checked_sub(DATA_HEADER).ok_or(Refused::Packet)?;
        let stream = u16::from_be_bytes([chunk[8], chunk[9]]);
        if stream >= MAX_STREAMS || self.unread_chunks >= UNREAD_CHUNKS_MAX || self.unread_bytes + payload > UNREAD_BYTES_MAX {
            return Err(Refused::Association);
        }
        self.unread_chunks += 1;
        self.unread_bytes += payload;
        Ok(())
    }

    /// A message of so many chunks and bytes was read.
    pub(super) fn read(&mut self, chunks: usize, bytes: usize) {
        self.unread_chunks = self.unread_chunks.saturating_sub(chunks);
        self.unread_bytes = self.unread_bytes.saturating_sub(bytes);
    }

    /// A packet of ours goes out: a SACK says what the association really has.
    pub(super) fn sent(&mut self, packet: &[u8]) {
        if packet.get(COMMON_HEADER) != Some(&SACK) {
            return;
        }
        if let (Some(acknowledged), Some(window)) = (word(packet, COMMON_HEADER + 4), word(packet, COMMON_HEADER + 8)) {
            self.acknowledged = acknowledged;
            if window == RECEIVE_BUFFER {
                (self.unread_chunks, self.unread_bytes) = (0, 0);
            }
        }
    }
}

/// Gap blocks come in order and do not touch one another (RFC 9260 §3.3.4).
fn admit_sack(chunk: &[u8]) -> Result<(), Refused> {
    let blocks = chunk.get(12..14).map(|bytes| usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))).ok_or(Refused::Packet)?;
    let blocks = chunk.get(16..16 + 4 * blocks).ok_or(Refused::Packet)?;
    let mut last = 0;
    for block in blocks.chunks_exact(4) {
        let (start, end) = (u16::from_be_bytes([block[0], block[1]]), u16::from_be_bytes([block[2], block[3]]));
        if start <= last || end < start {
            return Err(Refused::Packet);
        }
        last = end;
    }
    Ok(())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
