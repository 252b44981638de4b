//! The VP9 payload descriptor (RFC 9628 §4.2), in flexible and non-flexible mode.

/// I: a picture id follows.
const I: u8 = 0x80;
/// P: predicted from another picture.
const P: u8 = 0x40;
/// L: layer indices follow.
const L: u8 = 0x20;
/// F: flexible mode.
const F: u8 = 0x10;
/// B: begins a frame.
const B: u8 = 0x08;
/// E: ends a frame.
const E: u8 = 0x04;
/// M: the picture id has 15 bits.
const M: u8 = 0x80;

/// The descriptor before the VP9 data, as far as forwarding needs it: reference lists and the scalability structure are passed on
/// as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// P is not set: no other picture is needed for this one.
    pub intra: bool,
    /// B: begins a frame.
    pub begins: bool,
    /// E: ends a frame.
    pub ends: bool,
    /// The picture's number, and how many bits it has: 7 or 15.
    pub picture_id: Option<(u16, u8)>,
    /// Layer indices.
    pub layer: Option<LayerIndices>,
    /// Running number of base-layer pictures; in non-flexible mode only.
    pub tl0_picture_index: Option<u8>,
}

/// Where a frame stands in the layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerIndices {
    /// TID, 0–7.
    pub temporal: u8,
    /// U: after this picture higher temporal layers can be switched to.
    pub switching_up: bool,
    /// SID, 0–7.
    pub spatial: u8,
}

impl Descriptor {
    /// The descriptor; `None` if the payload ends too early.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut input = payload.iter().copied();
        let flags = input.next()?;
        let mut descriptor = Self { intra: flags & P == 0, begins: flags & B != 0, ends: flags & E != 0, ..Self::default() };
        if flags & I != 0 {
            let high = input.next()?;
            descriptor.picture_id = Some(match high & M {
                0 => (u16::from(high), 7),
                _ => (u16::from_be_bytes([high & !M, input.next()?]), 15),
            });
        }
        if flags & L != 0 {
            let byte = input.next()?;
            let layer = LayerIndices { temporal: byte >> 5, switching_up: byte & 0x10 != 0, spatial: byte >> 1 & 0x07 };
            descriptor.layer = Some(layer);
            if flags & F == 0 {
                descriptor.tl0_picture_index = Some(input.next()?);
            }
        }
        Some(descriptor)
    }

    /// Whether the packet is the first of a picture: of its lowest spatial layer.
    #[must_use]
    pub fn begins_picture(&self) -> bool {
        self.begins && self.layer.is_none_or(|layer| layer.spatial == 0)
    }
}

/// Whether this payload begins a key frame.
#[must_use]
pub fn is_key_packet(payload: &[u8]) -> bool {
    Descriptor::parse(payload).is_some_and(|descriptor| descriptor.intra && descriptor.begins_picture())
}

/// Writes other numbers into the descriptor, each in as many bits as it has there. What is not there is not added.
pub fn renumber(payload: &mut [u8], picture_id: u16, tl0_picture_index: u8) {
    let Some(&flags) = payload.first() else { return };
    let mut at = 1;
    if flags & I != 0 {
        at += super::picture::write_id(&mut payload[at..], picture_id);
    }
    if flags & L != 0
        && flags & F == 0
        && let Some(byte) = payload.get_mut(at + 1)
    {
        *byte = tl0_picture_index;
    }
}
