use bytes::{BufMut, Bytes, BytesMut};

use super::{FU_A, FU_END, FU_START, STAP_A};
use crate::h264::nal_units;

/// The smallest payload limit that makes sense; smaller ones are raised to it.
pub const PAYLOAD_BYTES_MIN: usize = 64;

/// Access units in AVCC form into RTP payloads of a bounded size.
#[derive(Clone, Debug)]
pub struct Packetizer {
    payload_bytes_max: usize,
}

impl Packetizer {
    /// Payloads will have at most `payload_bytes_max` bytes (raised to [`PAYLOAD_BYTES_MIN`], lowered to 65,535).
    #[must_use]
    pub fn new(payload_bytes_max: usize) -> Self {
        Self { payload_bytes_max: payload_bytes_max.clamp(PAYLOAD_BYTES_MIN, usize::from(u16::MAX)) }
    }

    /// The payloads of one access unit, in order; the last one carries the marker bit.
    ///
    /// Neighbours that fit together become a STAP-A, NAL units above the limit a row of FU-As. NAL units whose type RFC 6184 has
    /// taken for itself (0, 24–31) cannot be carried and are left out.
    #[must_use]
    pub fn packetize(&self, avcc: &[u8]) -> Vec<Bytes> {
        let mut payloads = Vec::new();
        let mut waiting: Vec<&[u8]> = Vec::new();
        let mut waiting_bytes = 1;
        for nal in nal_units(avcc).filter(|nal| (1..=23).contains(&(nal[0] & 0x1F))) {
            if waiting_bytes + 2 + nal.len() > self.payload_bytes_max {
                flush(&mut waiting, &mut payloads);
                waiting_bytes = 1;
            }
            if nal.len() > self.payload_bytes_max {
                self.fragment(nal, &mut payloads);
            } else {
                waiting_bytes += 2 + nal.len();
                waiting.push(nal);
            }
        }
        flush(&mut waiting, &mut payloads);
        payloads
    }

    /// FU-A: as many fragments as needed, all of nearly the same size.
    fn fragment(&self, nal: &[u8], payloads: &mut Vec<Bytes>) {
        let (header, body) = (nal[0], &nal[1..]);
        let count = body.len().div_ceil(self.payload_bytes_max - 2);
        let size = body.len().div_ceil(count);
        let last = body.chunks(size).len() - 1;
        for (index, chunk) in body.chunks(size).enumerate() {
            let start = if index == 0 { FU_START } else { 0 };
            let end = if index == last { FU_END } else { 0 };
            let mut payload = BytesMut::with_capacity(2 + chunk.len());
            payload.put_u8((header & 0xE0) | FU_A);
            payload.put_u8(start | end | (header & 0x1F));
            payload.put_slice(chunk);
            payloads.push(payload.freeze());
        }
    }
}

/// One waiting NAL unit goes as it is, several as a STAP-A.
fn flush(waiting: &mut Vec<&[u8]>, payloads: &mut Vec<Bytes>) {
    match waiting.as_slice() {
        [] => return,
        [nal] => payloads.push(Bytes::copy_from_slice(nal)),
        several => payloads.push(aggregate(several)),
    }
    waiting.clear();
}

/// STAP-A (RFC 6184 §5.7.1): forbidden bit if any has it, the highest importance of all.
fn aggregate(nals: &[&[u8]]) -> Bytes {
    let forbidden = nals.iter().fold(0, |bits, nal| bits | (nal[0] & 0x80));
    let importance = nals.iter().map(|nal| nal[0] & 0x60).max().unwrap_or(0);
    let mut payload = BytesMut::new();
    payload.put_u8(forbidden | importance | STAP_A);
    for nal in nals {
        payload.put_u16(nal.len() as u16);
        payload.put_slice(nal);
    }
    payload.freeze()
}
