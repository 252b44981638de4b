//! A model publisher: H.264 with parameter sets and fragments, Opus, retransmissions, sender reports. Remembers all that it sent.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use minamo_media::rtp::{Header, Packet};
use minamo_media::{Codec, NtpTime, TrackId};
use minamo_sfu_core::model::{Extensions, Payload, Tap, Uplink};
use minamo_sfu_core::rtcp;

use crate::link::Dice;

pub const VIDEO: TrackId = TrackId(1);
pub const AUDIO: TrackId = TrackId(2);
const EXTENSIONS: Extensions = Extensions {
    mid: Some(4),
    rid: None,
    repaired_rid: None,
    transport_cc: Some(3),
    abs_send_time: None,
    audio_level: None,
    video_orientation: None,
    dependency_descriptor: None,
};
const FRAME: Duration = Duration::from_micros(33_333);

/// How it behaves.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Without retransmission streams it sends lost packets again as they were, and probes with padding on the media SSRC.
    pub rtx: bool,
    /// The chance of a padding-only packet after each one with content.
    pub padding: f64,
    /// Whether a PLI is answered with a key frame.
    pub answers_pli: bool,
}

pub const USUAL: Habits = Habits { rtx: true, padding: 0.0, answers_pli: true };

/// One packet with content, in the order of sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub index: u64,
    /// In ticks since the first.
    pub timestamp: u32,
    pub key: bool,
    pub video: bool,
}

struct Line {
    ssrc: u32,
    pt: u8,
    mid: &'static str,
    sequence: u16,
    first_timestamp: u32,
    history: HashMap<u16, Vec<u8>>,
    contents: u64,
}

/// The publisher and its oracle.
pub struct Publisher {
    pub habits: Habits,
    start: Instant,
    dice: Dice,
    lines: [Line; 2],
    rtx_sequence: u16,
    transport_sequence: u16,
    next_frame: Instant,
    next_sound: Instant,
    next_report: Instant,
    frames: u64,
    wants_key: bool,
    /// What each payload is, for the subscribers' checks.
    pub sent: HashMap<Vec<u8>, Sent>,
    /// Access units in AVCC by their timestamp since the first.
    pub units: BTreeMap<u32, Vec<u8>>,
    pub plis: Vec<Instant>,
    /// Sequence numbers that it was asked for, by second.
    pub asked: BTreeMap<u64, u64>,
    pub feedbacks: u64,
    pub limit: Option<u64>,
    pub report_blocks: Vec<rtcp::ReportBlock>,
}

impl Publisher {
    pub fn new(now: Instant, habits: Habits, mut dice: Dice) -> Self {
        // Every counter wraps within the first seconds.
        let line = |ssrc, pt, mid, near: u16, first_timestamp| Line {
            ssrc,
            pt,
            mid,
            sequence: 0u16.wrapping_sub(near),
            first_timestamp,
            history: HashMap::new(),
            contents: 0,
        };
        let (video, audio) = (dice.below(900) as u16, dice.below(90) as u16);
        Self {
            habits,
            start: now,
            lines: [
                line(1001, 102, "v", video, 0u32.wrapping_sub(90_000)),
                line(1003, 111, "a", audio, 0u32.wrapping_sub(48_000)),
            ],
            rtx_sequence: 7,
            transport_sequence: 65_000,
            next_frame: now,
            next_sound: now,
            next_report: now + Duration::from_millis(300),
            frames: 0,
            wants_key: true,
            dice,
            sent: HashMap::new(),
            units: BTreeMap::new(),
            plis: Vec::new(),
            asked: BTreeMap::new(),
            feedbacks: 0,
            limit: None,
            report_blocks: Vec::new(),
        }
    }

    pub fn uplinks(&self, tap: Option<(&str, &str)>) -> Vec<Uplink> {
        let uplink = |track, mid: &str, payload, ssrc, rtx_ssrc| Uplink {
            track,
            mid: mid.into(),
            payload,
            extensions: EXTENSIONS,
            ssrc,
            rtx_ssrc,
            rids: Vec::new(),
            tap: tap.map(|(channel, connection)| Tap { channel: channel.into(), publisher: connection.into(), layers: false }),
        };
        let rtx = self.habits.rtx;
        let video = Payload { codec: Codec::H264, pt: 102, rtx_pt: rtx.then_some(103), red_pt: None };
        let audio = Payload { codec: Codec::Opus, pt: 111, rtx_pt: None, red_pt: None };
        vec![
            uplink(VIDEO, "v", video, Some(1001), rtx.then_some(1002)),
            // The answer names no SSRC for sound: only the mid does.
            uplink(AUDIO, "a", audio, None, None),
        ]
    }

    pub fn next(&self) -> Instant {
        self.next_frame.min(self.next_sound).min(self.next_report)
    }

    /// What it sends by now.
    pub fn tick(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if self.next_frame <= now {
            self.next_frame += FRAME;
            self.picture(now, &mut out);
        }
        if self.next_sound <= now {
            self.next_sound += Duration::from_millis(20);
            let mut payload = vec![0x78, 0, 0, 0, 0, 0, 0, 0, 0];
            payload[1..9].copy_from_slice(&self.dice.next().to_be_bytes());
            let timestamp = self.ticks(now, 48_000);
            self.packet(1, timestamp, true, true, payload, &mut out);
        }
        if self.next_report <= now {
            self.next_report += Duration::from_secs(1);
            out.push(self.report(now));
        }
        out
    }

    fn ticks(&self, now: Instant, rate: u64) -> u32 {
        ((now - self.start).as_micros() as u64 * rate / 1_000_000) as u32
    }

    /// The publisher's own clock: years away from anybody else's.
    pub fn ntp(&self, now: Instant) -> NtpTime {
        NtpTime::from_unix(Duration::from_secs(86_400 * 365) + (now - self.start))
    }

    fn report(&self, now: Instant) -> Vec<u8> {
        let mut out = Vec::new();
        for (line, rate) in self.lines.iter().zip([90_000, 48_000]) {
            let rtp = self.ticks(now, rate).wrapping_add(line.first_timestamp);
            let info = rtcp::SenderInfo { ssrc: line.ssrc, ntp: self.ntp(now), rtp, packets: 0, octets: 0 };
            rtcp::sender_report(&mut out, &info);
        }
        rtcp::sdes(&mut out, &[1001], "model");
        out
    }

    fn picture(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        let key = std::mem::take(&mut self.wants_key);
        let timestamp = self.ticks(now, 90_000);
        self.frames += 1;
        let mut payloads = Vec::new();
        let mut unit = Vec::new();
        if key {
            let sei = [&[6, 5, 8][..], &self.dice.next().to_be_bytes(), &[0x80]].concat();
            let sets = [vec![0x67, 0x42, 0xe0, 0x1f, 0xda], vec![0x68, 0xce, 0x3c, 0x80], sei];
            let mut aggregate = vec![0x78];
            for set in &sets {
                aggregate.extend_from_slice(&(set.len() as u16).to_be_bytes());
                aggregate.extend_from_slice(set);
                nal_unit(&mut unit, set);
            }
            payloads.push(aggregate);
        }
        let length = if key { 3000 + self.dice.below(9000) } else { 20 + self.dice.below(3000) };
        let head = if key { [0x65, 0x88] } else { [0x41, 0x9a] };
        let slice: Vec<u8> = head.into_iter().chain((2..length).map(|_| self.dice.next() as u8)).collect();
        nal_unit(&mut unit, &slice);
        payloads.extend(fragments(&slice));
        self.units.insert(timestamp, unit);
        let last = payloads.len() - 1;
        for (at, payload) in payloads.into_iter().enumerate() {
            self.packet(0, timestamp, at == last, key && at == 0, payload, out);
        }
    }

    fn packet(&mut self, at: usize, timestamp: u32, marker: bool, key: bool, payload: Vec<u8>, out: &mut Vec<Vec<u8>>) {
        out.push(self.send(at, timestamp, marker, &payload));
        let line = &mut self.lines[at];
        line.contents += 1;
        self.sent.insert(payload, Sent { index: line.contents, timestamp, key, video: at == 0 });
        while at == 0 && self.dice.chance(self.habits.padding) {
            let mut padding = self.send(0, timestamp, false, &[]);
            padding[0] |= 0x20;
            padding.extend_from_slice(&[0; 99]);
            padding.push(100);
            out.push(padding);
        }
    }

    fn send(&mut self, at: usize, timestamp: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
        let transport = self.transport_sequence.to_be_bytes();
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        let line = &mut self.lines[at];
        let mut packet = Vec::new();
        let header = Header {
            marker,
            payload_type: line.pt,
            sequence: line.sequence,
            timestamp: timestamp.wrapping_add(line.first_timestamp),
            ssrc: line.ssrc,
            extensions: &[(3, &transport), (4, line.mid.as_bytes())],
        };
        header.write(&mut packet);
        packet.extend_from_slice(payload);
        if !payload.is_empty() {
            line.history.insert(line.sequence, packet.clone());
        }
        line.sequence = line.sequence.wrapping_add(1);
        packet
    }

    /// A packet of the video track that ends with these bytes.
    pub fn ending_with(&mut self, now: Instant, end: &[u8]) -> Vec<u8> {
        let payload = [&[0x41, 0x9a], end].concat();
        let mut out = Vec::new();
        self.packet(0, self.ticks(now, 90_000), true, false, payload, &mut out);
        out.remove(0)
    }

    /// What it answers to RTCP.
    pub fn receive(&mut self, now: Instant, compound: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for packet in rtcp::packets(compound) {
            match packet {
                rtcp::Packet::Pli { .. } => {
                    self.plis.push(now);
                    self.wants_key |= self.habits.answers_pli;
                }
                rtcp::Packet::Nack { missing, .. } => {
                    let missing: Vec<u16> = missing.collect();
                    *self.asked.entry((now - self.start).as_secs()).or_default() += missing.len() as u64;
                    out.extend(missing.into_iter().filter_map(|sequence| self.send_again(sequence)));
                }
                rtcp::Packet::TransportCc(_) => self.feedbacks += 1,
                rtcp::Packet::Remb(limit) => self.limit = Some(limit),
                rtcp::Packet::ReceiverReport(blocks) => self.report_blocks = blocks.collect(),
                _ => {}
            }
        }
        out
    }

    fn send_again(&mut self, sequence: u16) -> Option<Vec<u8>> {
        let bytes = self.lines[0].history.get(&sequence)?.clone();
        if !self.habits.rtx {
            return Some(bytes);
        }
        let packet = Packet::parse(&bytes).ok()?;
        let transport = self.transport_sequence.to_be_bytes();
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        let header = Header {
            marker: packet.marker(),
            payload_type: 103,
            sequence: self.rtx_sequence,
            timestamp: packet.timestamp(),
            ssrc: 1002,
            extensions: &[(3, &transport)],
        };
        let mut out = Vec::new();
        header.write(&mut out);
        out.extend_from_slice(&sequence.to_be_bytes());
        out.extend_from_slice(packet.payload());
        Some(out)
    }

    /// Packets with content so far: of video and of sound.
    pub fn contents(&self) -> [u64; 2] {
        [self.lines[0].contents, self.lines[1].contents]
    }

    pub fn first_timestamp(&self) -> u32 {
        self.lines[0].first_timestamp
    }
}

fn nal_unit(unit: &mut Vec<u8>, nal: &[u8]) {
    unit.extend_from_slice(&(nal.len() as u32).to_be_bytes());
    unit.extend_from_slice(nal);
}

/// FU-A, or the NAL unit itself where it fits.
fn fragments(nal: &[u8]) -> Vec<Vec<u8>> {
    if nal.len() <= 1100 {
        return vec![nal.to_vec()];
    }
    let pieces: Vec<&[u8]> = nal[1..].chunks(1100).collect();
    let flags = |at: usize| {
        if at == 0 {
            0x80
        } else if at == pieces.len() - 1 {
            0x40
        } else {
            0
        }
    };
    let fragment = |(at, piece): (usize, &&[u8])| [&[nal[0] & 0x60 | 28, flags(at) | nal[0] & 0x1f], *piece].concat();
    pieces.iter().enumerate().map(fragment).collect()
}
