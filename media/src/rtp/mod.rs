//! RTP (RFC 3550): headers, extended counters, and payload formats both ways.
//!
//! Depacketizers get a track's payloads in sequence order and yield whole access units. Whoever feeds them reorders, waits for
//! retransmissions and says [`Depacketizer::gap`] where packets are lost for good.

pub mod av1;
pub mod framer;
pub mod h264;
pub mod header;
pub mod key;
pub mod opus;
pub mod picture;
pub mod red;
pub mod sequence;
pub mod vp8;
pub mod vp9;

pub use framer::{Damage, Event, Events, Frame, UNIT_BYTES_MAX};
pub use header::{Header, Packet};
pub use key::is_key_packet;
pub use picture::{Inspector, Picture, PictureId};
pub use sequence::{SequenceExtender, TimestampExtender};

use crate::Codec;

/// A depacketizer of any codec that the tap understands.
#[derive(Debug)]
pub enum Depacketizer {
    /// H.264, RFC 6184.
    H264(h264::Depacketizer),
    /// VP8, RFC 7741.
    Vp8(vp8::Depacketizer),
    /// Opus, RFC 7587.
    Opus(opus::Depacketizer),
}

impl Depacketizer {
    /// The depacketizer of `codec`; `None` where the codec is forwarded only and never tapped (VP9, AV1, H.265).
    #[must_use]
    pub fn new(codec: Codec) -> Option<Self> {
        match codec {
            Codec::H264 => Some(Self::H264(h264::Depacketizer::default())),
            Codec::Vp8 => Some(Self::Vp8(vp8::Depacketizer::default())),
            Codec::Opus => Some(Self::Opus(opus::Depacketizer)),
            Codec::Vp9 | Codec::Av1 | Codec::H265 => None,
        }
    }

    /// Takes the next payload (padding removed), with its extended timestamp and marker bit.
    ///
    /// Yields at most two events: the unit that a new timestamp has ended, and the unit that the marker ends.
    pub fn push(&mut self, payload: &[u8], timestamp: i64, marker: bool) -> Events {
        match self {
            Self::H264(depacketizer) => depacketizer.push(payload, timestamp, marker),
            Self::Vp8(depacketizer) => depacketizer.push(payload, timestamp, marker),
            Self::Opus(depacketizer) => depacketizer.push(payload, timestamp, marker),
        }
    }

    /// Packets between the last payload and the next one are lost for good. The open unit will be reported as damaged.
    pub fn gap(&mut self) {
        match self {
            Self::H264(depacketizer) => depacketizer.gap(),
            Self::Vp8(depacketizer) => depacketizer.gap(),
            Self::Opus(_) => {}
        }
    }

    /// Ends the open unit, if there is one: nothing more will come of it.
    pub fn finish(&mut self) -> Option<Event> {
        match self {
            Self::H264(depacketizer) => depacketizer.finish(),
            Self::Vp8(depacketizer) => depacketizer.finish(),
            Self::Opus(_) => None,
        }
    }
}
