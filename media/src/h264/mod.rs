//! H.264 (ITU-T H.264) as far as moving it needs: NAL units, parameter sets, key frames. Nothing is decoded.

mod annex_b;
mod bits;
mod nal;
mod sps;

pub use annex_b::{annex_b_nal_units, annex_b_to_avcc, avcc_to_annex_b};
pub use nal::{NalType, NalUnits, has_sps, is_idr, is_key_packet, nal_units, without_parameter_sets};
pub use sps::{Sps, SpsError, codec_string};

use bytes::Bytes;

/// A decoder's configuration: parameter sets as NAL units without start code or length. Compare it by bytes to find a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct H264Config {
    /// Sequence parameter set.
    pub sps: Bytes,
    /// Picture parameter sets, mostly one; at most 255.
    pub pps: Vec<Bytes>,
}

impl H264Config {
    /// The parameter sets inside an access unit (AVCC form): its first SPS and all different PPS. `None` unless both are there.
    #[must_use]
    pub fn from_access_unit(avcc: &[u8]) -> Option<Self> {
        let mut sps = None;
        let mut pps: Vec<Bytes> = Vec::new();
        for nal in nal_units(avcc) {
            match NalType::of(nal) {
                Some(NalType::SPS) if sps.is_none() => sps = Some(Bytes::copy_from_slice(nal)),
                Some(NalType::PPS) if pps.len() < 255 && !pps.iter().any(|known| known == nal) => {
                    pps.push(Bytes::copy_from_slice(nal));
                }
                _ => {}
            }
        }
        sps.filter(|_| !pps.is_empty()).map(|sps| Self { sps, pps })
    }
}
