//! A model subscriber: asks for what is missing, reports, and checks every packet against what the publisher sent.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use minamo_media::Codec;
use minamo_media::rtp::{Packet, SequenceExtender};
use minamo_sfu_core::model::{Downlink, Extensions, LayerWish, Payload};
use minamo_sfu_core::rtcp;

use crate::publisher::{AUDIO, Sent, VIDEO};

const TICK: Duration = Duration::from_millis(10);
const RETRY: Duration = Duration::from_millis(60);
const TRIES_MAX: u32 = 15;
/// What a subscriber may be given of the past, in ticks.
const BEGINNING: u32 = 3 * 90_000;

/// What came of one SSRC.
#[derive(Default)]
struct Flow {
    extender: SequenceExtender,
    /// Sequence number to what the publisher's packet was.
    got: BTreeMap<u64, Sent>,
    /// The constant that all packets must share: number minus index.
    offset: Option<i64>,
    /// The publisher's timestamps to what was added to them.
    clock: BTreeMap<u32, u32>,
    /// Asked for: when last, and how often.
    asked: HashMap<u64, (Instant, u32)>,
}

/// One subscriber of both tracks.
pub struct Subscriber {
    number: u32,
    rtx: bool,
    flows: [Flow; 2],
    next_tick: Instant,
    next_report: Instant,
    last_report: Option<(u32, Instant)>,
    /// The sender report of the video that came last, with its time of arrival.
    pub clock: Option<(rtcp::SenderInfo, Instant)>,
    pub violations: Vec<String>,
    pub goodbye: bool,
}

impl Subscriber {
    pub fn new(now: Instant, number: u32, rtx: bool) -> Self {
        Self {
            number,
            rtx,
            flows: Default::default(),
            next_tick: now + TICK,
            next_report: now + Duration::from_secs(1),
            last_report: None,
            clock: None,
            violations: Vec::new(),
            goodbye: false,
        }
    }

    fn ssrc(&self, at: usize) -> u32 {
        0x1000 * self.number + [0x10, 0x20][at]
    }

    pub fn downlinks(&self) -> Vec<Downlink> {
        let extensions = Extensions { mid: Some(9), ..Extensions::default() };
        let downlink = |track, at: usize, payload, rtx_ssrc| Downlink {
            track,
            mid: ["dv", "da"][at].into(),
            payload,
            extensions,
            ssrc: self.ssrc(at),
            rtx_ssrc,
            layer: LayerWish::Best,
        };
        let video = Payload { codec: Codec::H264, pt: 120, rtx_pt: self.rtx.then_some(121), red_pt: None };
        let audio = Payload { codec: Codec::Opus, pt: 109, rtx_pt: None, red_pt: None };
        vec![downlink(VIDEO, 0, video, self.rtx.then_some(self.ssrc(0) + 1)), downlink(AUDIO, 1, audio, None)]
    }

    pub fn next(&self) -> Instant {
        self.next_tick
    }

    pub fn receive(&mut self, now: Instant, datagram: &[u8], published: &HashMap<Vec<u8>, Sent>) {
        if datagram == crate::null::GOODBYE {
            self.goodbye = true;
        } else if rtcp::is_rtcp(datagram) {
            self.control(now, datagram);
        } else if let Err(violation) = self.media(datagram, published) {
            self.violations.push(violation);
        }
    }

    fn control(&mut self, now: Instant, compound: &[u8]) {
        for packet in rtcp::packets(compound) {
            if let rtcp::Packet::SenderReport(info, _) = packet
                && info.ssrc == self.ssrc(0)
            {
                self.last_report = Some((info.ntp.middle(), now));
                self.clock = Some((info, now));
            }
        }
    }

    fn media(&mut self, datagram: &[u8], published: &HashMap<Vec<u8>, Sent>) -> Result<(), String> {
        let packet = Packet::parse(datagram).map_err(|error| format!("not RTP: {error}"))?;
        let (at, sequence, payload) = match packet.payload_type() {
            120 => (0, packet.sequence(), packet.payload()),
            109 => (1, packet.sequence(), packet.payload()),
            121 => {
                let (sequence, payload) = packet.payload().split_at_checked(2).ok_or("an empty retransmission")?;
                (0, u16::from_be_bytes([sequence[0], sequence[1]]), payload)
            }
            other => return Err(format!("payload type {other}")),
        };
        let ssrc = self.ssrc(at) + u32::from(packet.payload_type() == 121);
        if packet.ssrc() != ssrc || packet.extension(9) != Some([b"dv", b"da"][at]) {
            return Err(format!("a foreign SSRC or mid: {}", packet.ssrc()));
        }
        let flow = &mut self.flows[at];
        let seq = flow.extender.extend(sequence);
        let sent = published.get(payload).ok_or("a payload that nobody sent")?;
        flow.check(seq, packet.timestamp(), sent)
    }

    /// What it sends by now.
    pub fn tick(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.next_tick = now + TICK;
        let mut out = Vec::new();
        let ssrc = self.ssrc(0);
        let missing = self.flows[0].missing(now);
        if !missing.is_empty() {
            let mut nack = Vec::new();
            rtcp::nack(&mut nack, 1, ssrc, &missing);
            out.push(nack);
        }
        if self.next_report <= now {
            self.next_report += Duration::from_secs(1);
            let (lsr, dlsr) =
                self.last_report.map_or((0, 0), |(lsr, at)| (lsr, ((now - at).as_micros() * 65_536 / 1_000_000) as u32));
            let mut report = Vec::new();
            rtcp::receiver_report(&mut report, 1, &[rtcp::ReportBlock { ssrc, lsr, dlsr, ..rtcp::ReportBlock::default() }]);
            out.push(report);
        }
        out
    }

    pub fn pli(&self) -> Vec<u8> {
        let mut out = Vec::new();
        rtcp::pli(&mut out, 1, self.ssrc(0));
        out
    }

    /// Video packets that came, and those that are still missing between the first and the last.
    pub fn video(&self) -> (usize, usize) {
        let flow = &self.flows[0];
        let span = flow.got.last_key_value().zip(flow.got.first_key_value()).map_or(0, |(last, first)| last.0 - first.0 + 1);
        (flow.got.len(), span as usize - flow.got.len())
    }

    pub fn audio(&self) -> usize {
        self.flows[1].got.len()
    }

    /// The first video packet that it was sent.
    pub fn began_with(&self) -> Option<&Sent> {
        self.flows[0].got.values().next()
    }

    /// What is added to the publisher's timestamps since its first.
    pub fn timestamp_offset(&self) -> Option<u32> {
        self.flows[0].clock.values().next_back().copied()
    }
}

impl Flow {
    /// All packets of a flow share the distance between its sequence numbers and the publisher's count of contents. So no number is
    /// used twice, none is left out, and the order is the publisher's.
    fn check(&mut self, seq: u64, timestamp: u32, sent: &Sent) -> Result<(), String> {
        if let Some(before) = self.got.get(&seq)
            && before != sent
        {
            return Err(format!("number {seq} was {before:?} and is now {sent:?}"));
        }
        let offset = seq as i64 - sent.index as i64;
        let expected = *self.offset.get_or_insert(offset);
        if offset != expected {
            return Err(format!("packet {seq}: number off by {}", offset - expected));
        }
        self.check_clock(timestamp.wrapping_sub(sent.timestamp), sent.timestamp)
            .map_err(|found| format!("packet {seq}: {found}"))?;
        self.asked.remove(&seq);
        self.got.insert(seq, sent.clone());
        Ok(())
    }

    /// And all share the distance between the timestamps: time is the publisher's. Only the pictures with which a subscriber begins
    /// may lie closer together than they were taken.
    fn check_clock(&mut self, added: u32, taken: u32) -> Result<(), String> {
        let before = self.clock.range(..=taken).next_back().map(|(taken, added)| (*taken, *added));
        let after = self.clock.range(taken + 1..).next().map(|(taken, added)| (*taken, *added));
        let first = self.clock.keys().next().copied().unwrap_or(taken).min(taken);
        self.clock.insert(taken, added);
        for (earlier, later) in [(before, Some((taken, added))), (Some((taken, added)), after)] {
            let (Some(earlier), Some(later)) = (earlier, later) else { continue };
            let closer = earlier.1.wrapping_sub(later.1) as i32;
            let bound = if later.0 - first < BEGINNING { later.0 - earlier.0 } else { 1 };
            if closer < 0 || closer as u32 >= bound.max(1) {
                return Err(format!("timestamp off by {closer} between {} and {}", earlier.0, later.0));
            }
        }
        Ok(())
    }

    fn missing(&mut self, now: Instant) -> Vec<u16> {
        let Some((first, last)) = self.got.keys().next().copied().zip(self.extender.highest()) else { return Vec::new() };
        let mut list = Vec::new();
        for seq in first.max(last.saturating_sub(500))..last {
            if self.got.contains_key(&seq) {
                continue;
            }
            // The first look only notes it: it may have been overtaken.
            let (asked, tries) = self.asked.entry(seq).or_insert((now - RETRY + TICK, 0));
            if now - *asked >= RETRY && *tries < TRIES_MAX {
                (*asked, *tries) = (now, *tries + 1);
                list.push(seq as u16);
            }
        }
        list
    }
}
