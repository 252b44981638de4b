//! VP8 over RTP (RFC 7741).

use super::framer::{Damage, Framer, OpenUnit, PayloadFormat};

/// VP8 payloads into frames.
pub type Depacketizer = Framer<Vp8Format>;

/// The payload descriptor (RFC 7741 §4.2) before the VP8 data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// N: no other frame refers to this one.
    pub non_reference: bool,
    /// S: the payload begins a partition.
    pub partition_start: bool,
    /// PID: which partition, 0–7.
    pub partition: u8,
    /// I: the picture's number, 7 or 15 bits.
    pub picture_id: Option<u16>,
    /// M: the picture's number has 15 bits.
    pub long_picture_id: bool,
    /// L: running number of base-layer pictures.
    pub tl0_picture_index: Option<u8>,
    /// T: temporal layer 0–3, and whether it depends on the base layer only (Y).
    pub temporal: Option<(u8, bool)>,
    /// K: temporal key frame index, 0–31.
    pub key_index: Option<u8>,
}

impl Descriptor {
    /// The descriptor and the VP8 data behind it; `None` if the payload ends too early.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<(Self, &[u8])> {
        let mut input = payload.iter().copied();
        let first = input.next()?;
        let mut descriptor = Self {
            non_reference: first & 0x20 != 0,
            partition_start: first & 0x10 != 0,
            partition: first & 0x07,
            ..Self::default()
        };
        if first & 0x80 != 0 {
            descriptor.extend(&mut input)?;
        }
        let data = &payload[payload.len() - input.len()..];
        Some((descriptor, data))
    }

    fn extend(&mut self, input: &mut impl Iterator<Item = u8>) -> Option<()> {
        let flags = input.next()?;
        if flags & 0x80 != 0 {
            let high = input.next()?;
            self.long_picture_id = high & 0x80 != 0;
            self.picture_id = Some(match high & 0x80 {
                0 => u16::from(high),
                _ => u16::from_be_bytes([high & 0x7F, input.next()?]),
            });
        }
        if flags & 0x40 != 0 {
            self.tl0_picture_index = Some(input.next()?);
        }
        if flags & 0x30 != 0 {
            let byte = input.next()?;
            self.temporal = (flags & 0x20 != 0).then_some((byte >> 6, byte & 0x20 != 0));
            self.key_index = (flags & 0x10 != 0).then_some(byte & 0x1F);
        }
        Some(())
    }

    /// Whether the packet is the first of a frame.
    #[must_use]
    pub fn begins_frame(&self) -> bool {
        self.partition_start && self.partition == 0
    }
}

/// Writes other numbers into the descriptor, each in as many bits as it has there. What is not there is not added.
pub fn renumber(payload: &mut [u8], picture_id: u16, tl0_picture_index: u8) {
    let [first, flags, ..] = *payload else { return };
    if first & 0x80 == 0 {
        return;
    }
    let mut at = 2;
    if flags & 0x80 != 0 {
        at += super::picture::write_id(&mut payload[at..], picture_id);
    }
    if flags & 0x40 != 0
        && let Some(byte) = payload.get_mut(at)
    {
        *byte = tl0_picture_index;
    }
}

/// Whether this payload begins a key frame.
#[must_use]
pub fn is_key_packet(payload: &[u8]) -> bool {
    Descriptor::parse(payload).is_some_and(|(descriptor, data)| descriptor.begins_frame() && is_key_frame(data))
}

/// Whether a frame is a key frame: the inverse of the frame tag's lowest bit (RFC 6386 §9.1).
#[must_use]
pub fn is_key_frame(frame: &[u8]) -> bool {
    frame.first().is_some_and(|tag| tag & 1 == 0)
}

/// Width and height of a key frame, without the scaling hints (RFC 6386 §9.1).
#[must_use]
pub fn key_frame_size(frame: &[u8]) -> Option<(u16, u16)> {
    let [tag, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1, ..] = frame else {
        return None;
    };
    let size = |low: &u8, high: &u8| u16::from_le_bytes([*low, *high]) & 0x3FFF;
    (tag & 1 == 0).then(|| (size(w0, w1), size(h0, h1)))
}

/// VP8 needs no state inside a frame beyond the frame itself.
#[derive(Debug, Default)]
pub struct Vp8Format;

impl PayloadFormat for Vp8Format {
    fn payload(&mut self, unit: &mut OpenUnit, payload: &[u8]) {
        if payload.is_empty() {
            return;
        }
        let Some((descriptor, data)) = Descriptor::parse(payload).filter(|(_, data)| !data.is_empty()) else {
            return unit.spoil(Damage::Malformed);
        };
        match (unit.data.is_empty(), descriptor.begins_frame()) {
            (true, false) => unit.spoil(Damage::Headless),
            (false, true) => unit.spoil(Damage::FragmentWithoutEnd),
            _ => unit.append(&[data]),
        }
    }

    fn seal(&mut self, unit: &mut OpenUnit) {
        unit.key = is_key_frame(&unit.data);
    }
}
