//! RTCP (RFC 3550 §6, RFC 4585, RFC 5104, transport-wide feedback), read without copying and written by appending.
//!
//! Only what the SFU acts on is understood; everything else is [`Packet::Other`]. Reading never panics and never allocates.

mod arrivals;
mod build;
mod transport_cc;

use minamo_media::NtpTime;

pub use self::arrivals::Arrivals;
pub use self::build::{nack, pli, receiver_report, remb, sdes, sender_report};
pub use self::transport_cc::Feedback;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SDES: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

const FMT_NACK: u8 = 1;
const FMT_PLI: u8 = 1;
const FMT_FIR: u8 = 4;
const FMT_APPLICATION: u8 = 15;
const FMT_TRANSPORT_CC: u8 = 15;

/// What a sender report says of its sender (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// The sender.
    pub ssrc: u32,
    /// Its wall clock.
    pub ntp: NtpTime,
    /// Its RTP clock at that time.
    pub rtp: u32,
    /// Packets sent so far.
    pub packets: u32,
    /// Payload bytes sent so far.
    pub octets: u32,
}

/// A report block (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The reported sender.
    pub ssrc: u32,
    /// Lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the start; signed 24 bits on the wire, clamped.
    pub lost: i32,
    /// Highest sequence number, extended by cycles.
    pub highest: u32,
    /// Interarrival jitter in ticks of the RTP clock.
    pub jitter: u32,
    /// Middle of the last sender report's NTP time, or 0.
    pub lsr: u32,
    /// Since that report, in 1/65536 s.
    pub dlsr: u32,
}

/// One packet of a compound.
#[derive(Clone, Debug)]
pub enum Packet<'a> {
    /// A sender report and its report blocks.
    SenderReport(SenderInfo, ReportBlocks<'a>),
    /// A receiver report's blocks.
    ReceiverReport(ReportBlocks<'a>),
    /// Generic NACK (RFC 4585 §6.2.1).
    Nack {
        /// The SSRC whose packets are missing.
        media: u32,
        /// Their sequence numbers.
        missing: Nacks<'a>,
    },
    /// Picture loss indication (RFC 4585 §6.3.1).
    Pli {
        /// The SSRC.
        media: u32,
    },
    /// Full intra request (RFC 5104 §4.3.1).
    Fir(Firs<'a>),
    /// Transport-wide feedback: the whole packet.
    TransportCc(&'a [u8]),
    /// REMB: bits per second.
    Remb(u64),
    /// Goodbye.
    Bye,
    /// Anything else.
    Other,
}

/// Whether a packet that shares a port with RTP is RTCP (RFC 5761 §4).
#[must_use]
pub fn is_rtcp(packet: &[u8]) -> bool {
    packet.len() >= 4 && (192..=223).contains(&packet[1])
}

/// The packets of a compound, until its end or the first that is malformed.
#[must_use]
pub fn packets(compound: &[u8]) -> Packets<'_> {
    Packets { rest: compound }
}

/// Iterator of [`packets`].
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        let rest = std::mem::take(&mut self.rest);
        if rest.len() < 4 || rest[0] >> 6 != 2 {
            return None;
        }
        let length = (usize::from(u16::from_be_bytes([rest[2], rest[3]])) + 1) * 4;
        let packet = rest.get(..length)?;
        self.rest = &rest[length..];
        Some(parse(packet).unwrap_or(Packet::Other))
    }
}

fn parse(packet: &[u8]) -> Option<Packet<'_>> {
    let count = packet[0] & 0x1f;
    let body = packet.get(4..)?;
    match (packet[1], count) {
        (SENDER_REPORT, _) => Some(Packet::SenderReport(sender_info(body)?, ReportBlocks::new(body.get(24..)?, count))),
        (RECEIVER_REPORT, _) => Some(Packet::ReceiverReport(ReportBlocks::new(body.get(4..)?, count))),
        (BYE, _) => Some(Packet::Bye),
        (TRANSPORT_FEEDBACK, FMT_NACK) => {
            Some(Packet::Nack { media: be32(body, 4)?, missing: Nacks { pairs: body.get(8..)?, base: 0, mask: 0 } })
        }
        (TRANSPORT_FEEDBACK, FMT_TRANSPORT_CC) => Some(Packet::TransportCc(packet)),
        (PAYLOAD_FEEDBACK, FMT_PLI) => Some(Packet::Pli { media: be32(body, 4)? }),
        (PAYLOAD_FEEDBACK, FMT_FIR) => Some(Packet::Fir(Firs { entries: body.get(8..)? })),
        (PAYLOAD_FEEDBACK, FMT_APPLICATION) => parse_remb(body),
        _ => Some(Packet::Other),
    }
}

fn sender_info(body: &[u8]) -> Option<SenderInfo> {
    let ntp = u64::from(be32(body, 4)?) << 32 | u64::from(be32(body, 8)?);
    let [rtp, packets, octets] = [be32(body, 12)?, be32(body, 16)?, be32(body, 20)?];
    Some(SenderInfo { ssrc: be32(body, 0)?, ntp: NtpTime(ntp), rtp, packets, octets })
}

/// draft-alvestrand-rmcat-remb-03 §2.2.
fn parse_remb(body: &[u8]) -> Option<Packet<'_>> {
    if body.get(8..12)? != b"REMB" {
        return None;
    }
    let word = be32(body, 12)?;
    let (exponent, mantissa) = ((word >> 18) & 0x3f, u64::from(word & 0x3ffff));
    Some(Packet::Remb(mantissa.checked_mul(1u64.checked_shl(exponent)?)?))
}

/// The report blocks of a report.
#[derive(Clone, Debug)]
pub struct ReportBlocks<'a> {
    rest: &'a [u8],
    left: u8,
}

impl<'a> ReportBlocks<'a> {
    fn new(rest: &'a [u8], left: u8) -> Self {
        Self { rest, left }
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        self.left = self.left.checked_sub(1)?;
        let block = self.rest.get(..24)?;
        self.rest = &self.rest[24..];
        let loss = be32(block, 4)?;
        Some(ReportBlock {
            ssrc: be32(block, 0)?,
            fraction_lost: (loss >> 24) as u8,
            lost: ((loss << 8) as i32) >> 8,
            highest: be32(block, 8)?,
            jitter: be32(block, 12)?,
            lsr: be32(block, 16)?,
            dlsr: be32(block, 20)?,
        })
    }
}

/// The sequence numbers of a NACK, in the order of its pairs. At most 17 for every four bytes of the packet.
#[derive(Clone, Debug)]
pub struct Nacks<'a> {
    pairs: &'a [u8],
    base: u16,
    mask: u32,
}

impl Iterator for Nacks<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.mask == 0 {
            let pair = be32(self.pairs, 0)?;
            self.pairs = &self.pairs[4..];
            self.base = (pair >> 16) as u16;
            // Bit 0 is the packet identifier itself, bit n is the nth after it.
            self.mask = (pair & 0xffff) << 1 | 1;
        }
        let offset = self.mask.trailing_zeros();
        self.mask &= self.mask - 1;
        Some(self.base.wrapping_add(offset as u16))
    }
}

/// The SSRCs of a FIR.
#[derive(Clone, Debug)]
pub struct Firs<'a> {
    entries: &'a [u8],
}

impl Iterator for Firs<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let ssrc = be32(self.entries.get(..8)?, 0)?;
        self.entries = &self.entries[8..];
        Some(ssrc)
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nack_pairs_are_unfolded() {
        let mut compound = Vec::new();
        nack(&mut compound, 1, 7, &[65534, 65535, 0, 14, 40]);
        let Some(Packet::Nack { media: 7, missing }) = packets(&compound).next() else { panic!() };
        assert_eq!(missing.collect::<Vec<_>>(), [65534, 65535, 0, 14, 40]);
        assert_eq!(compound.len(), 12 + 2 * 4);
    }

    #[test]
    fn reports_come_back_as_written() {
        let info = SenderInfo { ssrc: 9, ntp: NtpTime(0x0102_0304_0506_0708), rtp: 5, packets: 6, octets: 7 };
        let block = ReportBlock { ssrc: 3, fraction_lost: 12, lost: -2, highest: 70_000, jitter: 4, lsr: 5, dlsr: 6 };
        let mut compound = Vec::new();
        sender_report(&mut compound, &info);
        receiver_report(&mut compound, 1, &[block]);
        sdes(&mut compound, &[9], "abc");
        remb(&mut compound, 1, &[3], 2_500_000);
        pli(&mut compound, 1, 3);
        let parsed: Vec<_> = packets(&compound).collect();
        assert!(matches!(&parsed[0], Packet::SenderReport(read, _) if *read == info));
        let Packet::ReceiverReport(mut blocks) = parsed[1].clone() else { panic!() };
        assert_eq!(blocks.next(), Some(block));
        assert!(matches!(parsed[2], Packet::Other));
        assert!(matches!(parsed[3], Packet::Remb(bps) if (2_490_000..=2_500_000).contains(&bps)));
        assert!(matches!(parsed[4], Packet::Pli { media: 3 }));
        assert_eq!(parsed.len(), 5);
    }

    #[test]
    fn another_implementation_reads_what_we_write() {
        let mut compound = Vec::new();
        receiver_report(&mut compound, 1, &[ReportBlock::default()]);
        sdes(&mut compound, &[9, 10], "minamo");
        remb(&mut compound, 1, &[3], 900_000);
        nack(&mut compound, 1, 7, &[1, 2, 30]);
        let read = rtc_rtcp::packet::unmarshal(&mut bytes::Bytes::from(compound)).unwrap();
        assert_eq!(read.len(), 4);
    }

    proptest! {
        #[test]
        fn garbage_is_read_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..256), kind in 200u8..208) {
            if bytes.len() > 4 {
                bytes[0] = 0x80 | bytes[0] & 0x1f;
                bytes[1] = kind;
                bytes[2] = 0;
                bytes[3] &= 0x1f;
            }
            for packet in packets(&bytes) {
                match packet {
                    Packet::SenderReport(_, blocks) | Packet::ReceiverReport(blocks) => drop(blocks.count()),
                    Packet::Nack { missing, .. } => prop_assert!(missing.count() <= 17 * bytes.len() / 4),
                    Packet::Fir(targets) => drop(targets.count()),
                    _ => {}
                }
            }
        }
    }
}
