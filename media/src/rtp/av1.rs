//! AV1 over RTP (AOM's RTP payload specification): the aggregation header, and the dependency descriptor of its appendix A as far
//! as forwarding needs it: which frame a packet belongs to, its temporal layer, and where layers can be switched to.

/// Templates of one structure: their ids have six bits.
const TEMPLATES_MAX: usize = 64;
/// `next_layer_idc` that ends the list.
const NO_MORE_TEMPLATES: u8 = 3;
/// Decode target indication "switch": decoding of the target can begin with this frame.
const SWITCH: u8 = 2;
/// OBU types (AV1 §6.2.2).
const OBU_SEQUENCE_HEADER: u8 = 1;
const OBU_TEMPORAL_DELIMITER: u8 = 2;

/// Whether this payload begins a coded video sequence, which is a key frame: the aggregation header's N bit (§4.4), on a packet that
/// continues nothing and has a sequence header in front.
#[must_use]
pub fn is_key_packet(payload: &[u8]) -> bool {
    let Some((header, rest)) = payload.split_first() else { return false };
    let (continues, count, new_sequence) = (header & 0x80 != 0, header >> 4 & 0x03, header & 0x08 != 0);
    if continues || !new_sequence {
        return false;
    }
    let Some((first, rest)) = element(rest, count == 1) else { return false };
    match obu_type(first) {
        Some(OBU_TEMPORAL_DELIMITER) => {
            element(rest, count == 2).and_then(|(second, _)| obu_type(second)) == Some(OBU_SEQUENCE_HEADER)
        }
        kind => kind == Some(OBU_SEQUENCE_HEADER),
    }
}

/// The next OBU element: the last of a counted number has no length before it. One that goes on in the next packet ends here.
fn element(rest: &[u8], last: bool) -> Option<(&[u8], &[u8])> {
    if last {
        return Some((rest, &[]));
    }
    let (mut length, mut at) = (0usize, 0);
    loop {
        let byte = *rest.get(at)?;
        length |= usize::from(byte & 0x7F) << (7 * at);
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
        if at == 4 {
            return None;
        }
    }
    let rest = &rest[at..];
    Some(rest.split_at(length.min(rest.len())))
}

fn obu_type(obu: &[u8]) -> Option<u8> {
    obu.first().map(|header| header >> 3 & 0x0F)
}

/// The dependency descriptor of one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// The packet is the first of its frame.
    pub begins: bool,
    /// It is the last.
    pub ends: bool,
    /// Counts frames.
    pub frame_number: u16,
    /// 0–3 and more. 0 where the structure is not known.
    pub temporal: u8,
    /// 0–3 and more. 0 where the structure is not known.
    pub spatial: u8,
    /// Decoding of all layers can begin with this frame.
    pub switching_up: bool,
    /// A new structure came with it.
    pub structure: bool,
}

/// The template structure of a coded video sequence: comes with its key frame and holds until the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Structure {
    offset: u8,
    decode_targets: u8,
    templates: Vec<Template>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Template {
    temporal: u8,
    spatial: u8,
    /// Of the highest decode target.
    indication: u8,
}

impl Descriptor {
    /// Parses the header extension. A structure that comes with it is kept in `structure`, where the packets behind it find theirs.
    /// `None` if it is malformed; without a known structure the layers are left at 0.
    #[must_use]
    pub fn parse(data: &[u8], structure: &mut Structure) -> Option<Self> {
        let mut bits = Bits { data, at: 0 };
        let mut descriptor = Self { begins: bits.flag()?, ends: bits.flag()?, ..Self::default() };
        let template = bits.read(6)?;
        descriptor.frame_number = u16::from_be_bytes([bits.read(8)?, bits.read(8)?]);
        let mut custom_indications = false;
        if data.len() > 3 {
            descriptor.structure = bits.flag()?;
            let active_targets = bits.flag()?;
            custom_indications = bits.flag()?;
            bits.read(2)?;
            if descriptor.structure {
                *structure = Structure::parse(&mut bits)?;
            }
            if active_targets {
                bits.skip(usize::from(structure.decode_targets))?;
            }
        }
        let index = template.wrapping_sub(structure.offset) % TEMPLATES_MAX as u8;
        let Some(template) = structure.templates.get(usize::from(index)) else { return Some(descriptor) };
        (descriptor.temporal, descriptor.spatial) = (template.temporal, template.spatial);
        let mut indication = template.indication;
        if custom_indications {
            for _ in 0..structure.decode_targets {
                indication = bits.read(2)?;
            }
        }
        descriptor.switching_up = indication == SWITCH;
        Some(descriptor)
    }
}

impl Structure {
    fn parse(bits: &mut Bits<'_>) -> Option<Self> {
        let mut structure = Self { offset: bits.read(6)?, decode_targets: bits.read(5)? + 1, templates: Vec::new() };
        let (mut temporal, mut spatial) = (0, 0);
        loop {
            structure.templates.push(Template { temporal, spatial, indication: 0 });
            match bits.read(2)? {
                NO_MORE_TEMPLATES => break,
                1 => temporal += 1,
                2 => (temporal, spatial) = (0, spatial + 1),
                _ => {}
            }
            if structure.templates.len() == TEMPLATES_MAX {
                return None;
            }
        }
        for template in &mut structure.templates {
            for _ in 0..structure.decode_targets {
                template.indication = bits.read(2)?;
            }
        }
        Some(structure)
    }
}

/// Writes another frame number into a dependency descriptor. Frames refer to each other by differences, so nothing else changes.
pub fn renumber(descriptor: &mut [u8], frame_number: u16) {
    if let Some(number) = descriptor.get_mut(1..3) {
        number.copy_from_slice(&frame_number.to_be_bytes());
    }
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// At most eight.
    fn read(&mut self, count: usize) -> Option<u8> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u8::from(self.flag()?);
        }
        Some(value)
    }

    fn flag(&mut self) -> Option<bool> {
        let byte = self.data.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1 == 1;
        self.at += 1;
        Some(bit)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= 8 * self.data.len()).then_some(())
    }
}
