use super::{FU_A, FU_END, FU_START, STAP_A, aggregated};
use crate::h264::{NalType, is_idr, nal_units};
use crate::rtp::framer::{Damage, Framer, OpenUnit, PayloadFormat};

/// H.264 payloads into access units in AVCC form (a 4-byte length before each NAL unit).
pub type Depacketizer = Framer<H264Format>;

/// The state inside one access unit.
#[derive(Debug, Default)]
pub struct H264Format {
    fragment: Option<Fragment>,
}

/// A NAL unit that has begun with an FU-A and not ended.
#[derive(Debug)]
struct Fragment {
    /// Where its length field lies in the unit's bytes; filled in at its end.
    length_at: usize,
    nal_type: u8,
}

impl PayloadFormat for H264Format {
    fn payload(&mut self, unit: &mut OpenUnit, payload: &[u8]) {
        let Some(indicator) = payload.first() else {
            return;
        };
        let packet_type = indicator & 0x1F;
        if self.fragment.is_some() && packet_type != FU_A {
            return unit.spoil(Damage::FragmentWithoutEnd);
        }
        match packet_type {
            1..=23 => append_nal(unit, payload),
            STAP_A => aggregation(unit, &payload[1..]),
            FU_A => self.fragment(unit, payload),
            // Reserved: receivers ignore them (RFC 6184 §5.2).
            0 | 30 | 31 => {}
            _ => unit.spoil(Damage::Unsupported),
        }
    }

    fn seal(&mut self, unit: &mut OpenUnit) {
        if self.fragment.take().is_some() {
            unit.spoil(Damage::FragmentWithoutEnd);
        }
        unit.key = is_idr(&unit.data);
        if unit.after_gap && begins_inside_picture(&unit.data) {
            unit.spoil(Damage::Headless);
        }
    }
}

impl H264Format {
    /// FU-A (RFC 6184 §5.8). Its body may be empty.
    fn fragment(&mut self, unit: &mut OpenUnit, payload: &[u8]) {
        let [indicator, header, body @ ..] = payload else {
            return unit.spoil(Damage::Malformed);
        };
        let nal_type = header & 0x1F;
        match &self.fragment {
            Some(_) if header & FU_START != 0 => return unit.spoil(Damage::FragmentWithoutEnd),
            Some(open) if open.nal_type != nal_type => return unit.spoil(Damage::FragmentWithoutStart),
            Some(_) => unit.append(&[body]),
            None if header & FU_START == 0 => return unit.spoil(Damage::FragmentWithoutStart),
            None if !(1..=23).contains(&nal_type) => return unit.spoil(Damage::Malformed),
            None => {
                self.fragment = Some(Fragment { length_at: unit.data.len(), nal_type });
                unit.append(&[&[0; 4], &[(indicator & 0xE0) | nal_type], body]);
            }
        }
        if header & FU_END != 0
            && let Some(done) = self.fragment.take()
        {
            write_length(unit, done.length_at);
        }
    }
}

/// STAP-A (RFC 6184 §5.7.1), without its first byte.
fn aggregation(unit: &mut OpenUnit, rest: &[u8]) {
    if rest.is_empty() {
        return unit.spoil(Damage::Malformed);
    }
    for nal in aggregated(rest) {
        match nal {
            Ok(nal) if (1..=23).contains(&(nal[0] & 0x1F)) => append_nal(unit, nal),
            _ => unit.spoil(Damage::Malformed),
        }
        if unit.is_spoiled() {
            return;
        }
    }
}

fn append_nal(unit: &mut OpenUnit, nal: &[u8]) {
    // A datagram's size fits easily; the cast cannot cut.
    unit.append(&[&(nal.len() as u32).to_be_bytes(), nal]);
}

fn write_length(unit: &mut OpenUnit, length_at: usize) {
    let body_at = length_at + 4;
    // The unit may have been spoiled by its last fragment, and is empty then.
    if let Some(len) = unit.data.len().checked_sub(body_at) {
        unit.data[length_at..body_at].copy_from_slice(&(len as u32).to_be_bytes());
    }
}

/// Whether the first slice is not the picture's first. `first_mb_in_slice` opens the slice header (ITU-T H.264 §7.3.3) and is
/// zero exactly if its Exp-Golomb code is a single one bit.
fn begins_inside_picture(avcc: &[u8]) -> bool {
    let mut slices = nal_units(avcc).filter(|nal| NalType::of(nal).is_some_and(NalType::is_slice));
    slices.next().is_some_and(|nal| nal.get(1).is_none_or(|byte| byte & 0x80 == 0))
}
