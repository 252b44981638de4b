//! What an SCTP packet may ask of us, judged before `rtc-sctp` 0.21 reads it. Found by reading that crate:
//!
//! * A FORWARD TSN moves on one by one, as far as it says: up to 2³¹ steps.
//! * A stream comes to be with its first DATA chunk, whatever was negotiated.
//! * Fragments of a message that never ends are taken beyond the receive window, and each costs some hundred bytes beside its own.
//! * What came behind a gap is kept until the gap is filled, also when it was read.
//! * Reset requests are kept until they can be done, each of them.
//! * Gap blocks of a SACK may lie over one another.
//!
//! A packet that no sane client sends ends the association; the peer's media goes on.

use std::time::Instant;

use super::shape::{self, DATA, DATA_HEADER, FORWARD_TSN, INIT, RECONFIG, SACK, word};
use super::{COMMON_HEADER, MAX_STREAMS, RECEIVE_BUFFER};
use crate::budget::Budget;

/// Chunks that came and are not read because something before them is missing. A message of 256 KiB has about 230.
const UNREAD_CHUNKS_MAX: usize = 4096;
/// Their bytes: the window, and as much again for what crosses its closing.
const UNREAD_BYTES_MAX: usize = 2 * RECEIVE_BUFFER as usize;
/// How far behind a gap a chunk is taken; one further on is dropped, and comes again.
const REACH: u32 = UNREAD_CHUNKS_MAX as u32;
/// The payload of one chunk. Nobody sends more than fits a datagram of an Ethernet.
const CHUNK_MAX: usize = 2048;
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
    /// `init` is the packet that is to begin the association; `None` if it cannot.
    pub(super) fn new(init: &[u8]) -> Option<Self> {
        let &[(INIT, chunk)] = shape::chunks(init)?.as_slice() else { return None };
        let acknowledged = word(chunk, 16)?.wrapping_sub(1);
        Some(Self { unread_chunks: 0, unread_bytes: 0, acknowledged, resets: 0, reset_rate: Budget::new(10, 50) })
    }

    /// Whether the association may see this packet.
    pub(super) fn admit(&mut self, now: Instant, packet: &[u8]) -> Result<(), Refused> {
        let chunks = shape::chunks(packet).ok_or(Refused::Packet)?;
        chunks.into_iter().try_for_each(|(kind, chunk)| self.admit_chunk(now, kind, chunk))
    }

    fn admit_chunk(&mut self, now: Instant, kind: u8, chunk: &[u8]) -> Result<(), Refused> {
        match kind {
            DATA => self.admit_data(chunk),
            SACK => admit_sack(chunk),
            FORWARD_TSN => {
                let ahead = word(chunk, 4).ok_or(Refused::Packet)?.wrapping_sub(self.acknowledged);
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
        let payload = chunk.len() - DATA_HEADER;
        let ahead = word(chunk, 4).ok_or(Refused::Packet)?.wrapping_sub(self.acknowledged);
        if payload > CHUNK_MAX || (REACH..1 << 31).contains(&ahead) {
            return Err(Refused::Packet);
        }
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
    let blocks = shape::gap_blocks(chunk).ok_or(Refused::Packet)?;
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
