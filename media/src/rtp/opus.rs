//! Opus over RTP (RFC 7587): a payload is a packet, a packet is a unit.

use bytes::Bytes;

use super::framer::{Damage, Event, Events, Frame};
use crate::opus::packet_samples;

/// Opus payloads into Opus packets. Holds nothing; a loss is seen by the gap in timestamps only.
#[derive(Debug, Default)]
pub struct Depacketizer;

impl Depacketizer {
    /// As [`super::Depacketizer::push`]. The marker means a talk spurt and ends nothing. An empty payload yields nothing, one
    /// that is no Opus packet [`Damage::Malformed`].
    pub fn push(&mut self, payload: &[u8], timestamp: i64, _marker: bool) -> Events {
        let mut events = Events::default();
        if payload.is_empty() {
            return events;
        }
        events.add(Some(match packet_samples(payload) {
            Some(_) => Event::Frame(Frame { timestamp, key: true, data: Bytes::copy_from_slice(payload) }),
            None => Event::Damaged { timestamp, damage: Damage::Malformed },
        }));
        events
    }
}
