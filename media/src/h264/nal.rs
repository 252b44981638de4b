use bytes::{BufMut, Bytes, BytesMut};

use crate::rtp::h264::{FU_A, FU_START, STAP_A, aggregated};

/// `nal_unit_type` (ITU-T H.264 table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NalType(pub u8);

impl NalType {
    /// Coded slice of a picture that is not an IDR.
    pub const SLICE: Self = Self(1);
    /// Coded slice of an IDR picture.
    pub const IDR: Self = Self(5);
    /// Supplemental enhancement information.
    pub const SEI: Self = Self(6);
    /// Sequence parameter set.
    pub const SPS: Self = Self(7);
    /// Picture parameter set.
    pub const PPS: Self = Self(8);
    /// Access unit delimiter.
    pub const AUD: Self = Self(9);
    /// Filler data.
    pub const FILLER: Self = Self(12);

    /// The type of a NAL unit; `None` if it is empty.
    #[must_use]
    pub fn of(nal: &[u8]) -> Option<Self> {
        nal.first().map(|header| Self(header & 0x1F))
    }

    /// A whole slice, IDR or not.
    #[must_use]
    pub fn is_slice(self) -> bool {
        self == Self::SLICE || self == Self::IDR
    }
}

/// The NAL units of an access unit in AVCC form (4-byte lengths). Empty ones are passed over; ends at the first length that does
/// not fit.
#[must_use]
pub fn nal_units(avcc: &[u8]) -> NalUnits<'_> {
    NalUnits { rest: avcc }
}

/// Iterator of [`nal_units`].
#[derive(Clone, Debug)]
pub struct NalUnits<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let (length, after) = self.rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let Some((nal, rest)) = after.split_at_checked(length) else {
                self.rest = &[];
                return None;
            };
            self.rest = rest;
            if !nal.is_empty() {
                return Some(nal);
            }
        }
    }
}

/// Whether the access unit (AVCC form) is an IDR picture.
#[must_use]
pub fn is_idr(avcc: &[u8]) -> bool {
    nal_units(avcc).any(|nal| NalType::of(nal) == Some(NalType::IDR))
}

/// Whether an RTP payload (RFC 6184) begins an IDR slice or carries an SPS: alone, inside a STAP-A, or beginning in an FU-A.
#[must_use]
pub fn is_key_packet(payload: &[u8]) -> bool {
    let opens = |nal_type| nal_type == NalType::IDR || nal_type == NalType::SPS;
    match NalType::of(payload) {
        Some(NalType(STAP_A)) => aggregated(&payload[1..]).flatten().any(|nal| NalType::of(nal).is_some_and(opens)),
        Some(NalType(FU_A)) => payload.get(1).is_some_and(|fu| fu & FU_START != 0 && opens(NalType(fu & 0x1F))),
        Some(nal_type) => opens(nal_type),
        None => false,
    }
}

/// Whether an RTP payload (RFC 6184) carries an SPS: alone or inside a STAP-A.
#[must_use]
pub fn has_sps(payload: &[u8]) -> bool {
    match NalType::of(payload) {
        Some(NalType(STAP_A)) => aggregated(&payload[1..]).flatten().any(|nal| NalType::of(nal) == Some(NalType::SPS)),
        nal_type => nal_type == Some(NalType::SPS),
    }
}

/// The access unit without SPS, PPS, delimiters and filler, as an `avc1` sample must be (ISO/IEC 14496-15 §5.3). Without a copy
/// where there is nothing to leave out.
#[must_use]
pub fn without_parameter_sets(avcc: &Bytes) -> Bytes {
    let stays = |nal: &&[u8]| !matches!(NalType::of(nal), Some(NalType::SPS | NalType::PPS | NalType::AUD | NalType::FILLER));
    let kept: usize = nal_units(avcc).filter(stays).map(|nal| 4 + nal.len()).sum();
    if kept == avcc.len() {
        return avcc.clone();
    }
    let mut out = BytesMut::with_capacity(kept);
    for nal in nal_units(avcc).filter(stays) {
        out.put_u32(nal.len() as u32);
        out.put_slice(nal);
    }
    out.freeze()
}
