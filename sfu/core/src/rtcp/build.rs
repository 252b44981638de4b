//! Writing RTCP: each function appends one packet to a compound.

use super::{
    FMT_APPLICATION, FMT_NACK, FMT_PLI, PAYLOAD_FEEDBACK, RECEIVER_REPORT, ReportBlock, SDES, SENDER_REPORT, SenderInfo,
    TRANSPORT_FEEDBACK,
};

/// The count field of a report has five bits.
const COUNT_MAX: usize = 31;

/// A sender report without report blocks.
pub fn sender_report(out: &mut Vec<u8>, info: &SenderInfo) {
    let start = begin(out, SENDER_REPORT, 0);
    put(out, info.ssrc);
    out.extend_from_slice(&info.ntp.0.to_be_bytes());
    put(out, info.rtp);
    put(out, info.packets);
    put(out, info.octets);
    end(out, start);
}

/// A receiver report; blocks beyond 31 are left out.
pub fn receiver_report(out: &mut Vec<u8>, sender: u32, blocks: &[ReportBlock]) {
    let blocks = &blocks[..blocks.len().min(COUNT_MAX)];
    let start = begin(out, RECEIVER_REPORT, blocks.len() as u8);
    put(out, sender);
    for block in blocks {
        put(out, block.ssrc);
        let lost = block.lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        put(out, u32::from(block.fraction_lost) << 24 | lost);
        put(out, block.highest);
        put(out, block.jitter);
        put(out, block.lsr);
        put(out, block.dlsr);
    }
    end(out, start);
}

/// The CNAME of up to 31 sources (RFC 3550 §6.5). `cname` is cut at 255 bytes.
pub fn sdes(out: &mut Vec<u8>, sources: &[u32], cname: &str) {
    let sources = &sources[..sources.len().min(COUNT_MAX)];
    let cname = &cname.as_bytes()[..cname.len().min(255)];
    let start = begin(out, SDES, sources.len() as u8);
    for source in sources {
        put(out, *source);
        out.extend_from_slice(&[1, cname.len() as u8]);
        out.extend_from_slice(cname);
        // A chunk ends with at least one zero and on a word.
        let zeros = 4 - (out.len() - start) % 4;
        out.resize(out.len() + zeros, 0);
    }
    end(out, start);
}

/// A generic NACK of sequence numbers in rising order (RFC 4585 §6.2.1).
pub fn nack(out: &mut Vec<u8>, sender: u32, media: u32, missing: &[u16]) {
    let start = begin(out, TRANSPORT_FEEDBACK, FMT_NACK);
    put(out, sender);
    put(out, media);
    let mut rest = missing.iter().copied().peekable();
    while let Some(base) = rest.next() {
        let mut mask = 0u16;
        while let Some(offset) = rest.peek().map(|next| next.wrapping_sub(base)).filter(|offset| (1..=16).contains(offset)) {
            mask |= 1 << (offset - 1);
            rest.next();
        }
        put(out, u32::from(base) << 16 | u32::from(mask));
    }
    end(out, start);
}

/// A picture loss indication (RFC 4585 §6.3.1).
pub fn pli(out: &mut Vec<u8>, sender: u32, media: u32) {
    let start = begin(out, PAYLOAD_FEEDBACK, FMT_PLI);
    put(out, sender);
    put(out, media);
    end(out, start);
}

/// Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03 §2.2), rounded down to 18 bits of mantissa.
pub fn remb(out: &mut Vec<u8>, sender: u32, sources: &[u32], bits_per_second: u64) {
    let sources = &sources[..sources.len().min(255)];
    let start = begin(out, PAYLOAD_FEEDBACK, FMT_APPLICATION);
    put(out, sender);
    put(out, 0);
    out.extend_from_slice(b"REMB");
    let exponent = (64 - bits_per_second.leading_zeros()).saturating_sub(18);
    let mantissa = (bits_per_second >> exponent) as u32;
    put(out, (sources.len() as u32) << 24 | exponent << 18 | mantissa);
    for source in sources {
        put(out, *source);
    }
    end(out, start);
}

/// Starts a packet; [`end`] fills in its length.
pub(super) fn begin(out: &mut Vec<u8>, kind: u8, count: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0x80 | count, kind, 0, 0]);
    start
}

pub(super) fn end(out: &mut [u8], start: usize) {
    let words = ((out.len() - start) / 4 - 1) as u16;
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

pub(super) fn put(out: &mut Vec<u8>, word: u32) {
    out.extend_from_slice(&word.to_be_bytes());
}
