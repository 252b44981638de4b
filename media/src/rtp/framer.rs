//! What the payload formats of video share: where a unit begins and ends, its bound, and the report of its damage.

use bytes::{Bytes, BytesMut};

/// Bytes that one access unit may have. Far above any picture that WebRTC carries (a 4K key frame has about 1 MiB). At the
/// bound the unit's bytes are freed, the rest of it is ignored, and it ends as [`Damage::TooLarge`].
pub const UNIT_BYTES_MAX: usize = 4 << 20;

/// A complete access unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The extended RTP timestamp with which it was pushed.
    pub timestamp: i64,
    /// Decodable on its own; always true for audio.
    pub key: bool,
    /// As in [`crate::AccessUnit::data`].
    pub data: Bytes,
}

/// Why an access unit was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Damage {
    /// [`gap`](Framer::gap) was said in the middle of it.
    #[error("packets of the unit were lost")]
    Gap,
    /// Its beginning is missing: a first slice that is not the picture's first, or a frame without its first packet.
    #[error("the unit's beginning is missing")]
    Headless,
    /// A fragment came whose NAL unit was not begun.
    #[error("a fragment without its start")]
    FragmentWithoutStart,
    /// A fragmented NAL unit or frame was not ended.
    #[error("a fragment without its end")]
    FragmentWithoutEnd,
    /// A payload is shorter than it says.
    #[error("a payload is malformed")]
    Malformed,
    /// A packet type that was not negotiated (STAP-B, MTAP, FU-B).
    #[error("a packet type that was not negotiated")]
    Unsupported,
    /// More than [`UNIT_BYTES_MAX`].
    #[error("the unit is too large")]
    TooLarge,
}

/// What became of an access unit. Every unit with content yields exactly one event, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is whole.
    Frame(Frame),
    /// It was dropped; what follows comes after a loss.
    Damaged {
        /// The unit's extended RTP timestamp.
        timestamp: i64,
        /// The first thing that was wrong.
        damage: Damage,
    },
}

/// Zero to two events, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    first: Option<Event>,
    second: Option<Event>,
}

impl Events {
    pub(super) fn add(&mut self, event: Option<Event>) {
        if self.first.is_none() {
            self.first = event;
        } else if self.second.is_none() {
            self.second = event;
        }
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.first.take().or_else(|| self.second.take())
    }
}

/// One payload format, as the [`Framer`] drives it.
pub trait PayloadFormat: Default {
    /// Adds one payload to the open unit, which is not spoiled yet.
    fn payload(&mut self, unit: &mut OpenUnit, payload: &[u8]);
    /// The unit's last payload has come: say whether it is a key, spoil it if something is missing, forget its fragments.
    /// Called for spoiled units too.
    fn seal(&mut self, unit: &mut OpenUnit);
}

/// The access unit under construction.
#[derive(Debug)]
pub struct OpenUnit {
    timestamp: i64,
    /// Packets right before this unit were lost: its own first ones may be among them.
    pub(super) after_gap: bool,
    pub(super) key: bool,
    pub(super) data: BytesMut,
    damage: Option<Damage>,
}

impl OpenUnit {
    fn new(timestamp: i64, after_gap: bool) -> Self {
        Self { timestamp, after_gap, key: false, data: BytesMut::new(), damage: None }
    }

    /// Marks the unit as damaged and frees its bytes. The first damage stays.
    pub(super) fn spoil(&mut self, damage: Damage) {
        self.damage.get_or_insert(damage);
        self.data = BytesMut::new();
    }

    pub(super) fn is_spoiled(&self) -> bool {
        self.damage.is_some()
    }

    /// Appends all of `parts`, or spoils the unit if it would become too large.
    pub(super) fn append(&mut self, parts: &[&[u8]]) {
        let more: usize = parts.iter().map(|part| part.len()).sum();
        if self.data.len() + more > UNIT_BYTES_MAX {
            return self.spoil(Damage::TooLarge);
        }
        for part in parts {
            self.data.extend_from_slice(part);
        }
    }

    fn into_event(self) -> Option<Event> {
        let timestamp = self.timestamp;
        match self.damage {
            Some(damage) => Some(Event::Damaged { timestamp, damage }),
            None if self.data.is_empty() => None,
            None => Some(Event::Frame(Frame { timestamp, key: self.key, data: self.data.freeze() })),
        }
    }
}

/// Cuts a video track's payloads into access units: a unit ends with the marker bit or with a new timestamp, whichever comes
/// first. Holds at most one open unit of at most [`UNIT_BYTES_MAX`].
#[derive(Debug, Default)]
pub struct Framer<F> {
    format: F,
    open: Option<OpenUnit>,
    after_gap: bool,
}

impl<F: PayloadFormat> Framer<F> {
    /// As [`super::Depacketizer::push`].
    pub fn push(&mut self, payload: &[u8], timestamp: i64, marker: bool) -> Events {
        let mut events = Events::default();
        if self.open.as_ref().is_some_and(|unit| unit.timestamp != timestamp) {
            events.add(self.finish());
        }
        if payload.is_empty() && self.open.is_none() {
            return events;
        }
        let after_gap = std::mem::take(&mut self.after_gap);
        let unit = self.open.get_or_insert_with(|| OpenUnit::new(timestamp, after_gap));
        if !unit.is_spoiled() {
            self.format.payload(unit, payload);
        }
        if marker {
            events.add(self.finish());
        }
        events
    }

    /// As [`super::Depacketizer::gap`].
    pub fn gap(&mut self) {
        self.after_gap = true;
        if let Some(unit) = &mut self.open {
            unit.spoil(Damage::Gap);
        }
    }

    /// As [`super::Depacketizer::finish`].
    pub fn finish(&mut self) -> Option<Event> {
        let mut unit = self.open.take()?;
        self.format.seal(&mut unit);
        unit.into_event()
    }
}
