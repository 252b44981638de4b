//! A model camera or microphone: one track in one or more layers, with retransmissions and sender reports. Every packet carries a mark
//! in its last bytes, by which a subscriber's checks know what it was.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use minamo_media::rtp::{Header, Packet};
use minamo_media::{Codec, NtpTime, TrackId};
use minamo_sfu_core::model::{Extensions, Payload, Uplink};
use minamo_sfu_core::rtcp;

use crate::link::Dice;

pub const RIDS: [&str; 3] = ["r0", "r1", "r2"];
pub const EXTENSIONS: Extensions = Extensions {
    mid: Some(4),
    rid: Some(5),
    repaired_rid: Some(6),
    transport_cc: Some(3),
    abs_send_time: None,
    audio_level: None,
    video_orientation: None,
    dependency_descriptor: None,
};
/// Payload types of media and of retransmissions: one of each codec in a session.
fn payload_of(codec: Codec) -> Payload {
    let (pt, rtx_pt) = match codec {
        Codec::H264 => (102, Some(103)),
        Codec::Vp8 => (104, Some(105)),
        Codec::Vp9 => (106, Some(107)),
        Codec::Av1 => (108, Some(109)),
        _ => (111, None),
    };
    Payload { codec, pt, rtx_pt, red_pt: None }
}

/// Temporal layers of four pictures in a row, which one before each refers to, and whether one may begin with it.
const PATTERN: [(u8, u64, bool); 4] = [(0, 4, false), (2, 1, true), (1, 2, true), (2, 1, false)];

/// Packets that may be asked for again.
const HISTORY: usize = 600;

/// What a packet is, by its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub track: TrackId,
    pub layer: usize,
    /// Counts the layer's frames.
    pub frame: u64,
    /// The frame of the layer that it needs; of no use in a key frame.
    pub refers: u64,
    /// The packet's place in its frame.
    pub index: usize,
    pub last: bool,
    pub key: bool,
    pub video: bool,
}

/// Everything that was ever sent in a run, by mark.
#[derive(Default)]
pub struct Marks {
    pub sent: HashMap<u64, Sent>,
    next: u64,
}

impl Marks {
    fn note(&mut self, sent: Sent) -> [u8; 8] {
        self.next += 1;
        let mark = Dice::new(self.next).next();
        self.sent.insert(mark, sent);
        mark.to_be_bytes()
    }
}

struct Layer {
    ssrc: u32,
    sequence: u16,
    rtx_sequence: u16,
    first_timestamp: u32,
    picture: u16,
    frame: u64,
    /// Place in the pattern of temporal layers, the latest frame of the lowest, and how many there were.
    turn: usize,
    base: u64,
    tl0: u8,
    wants_key: bool,
    history: VecDeque<(u16, Vec<u8>)>,
}

/// One track of one publisher.
pub struct Source {
    pub track: TrackId,
    pub codec: Codec,
    pub muted: bool,
    /// In three temporal layers; for codecs whose payloads say so.
    temporal: bool,
    mid: String,
    start: Instant,
    dice: Dice,
    layers: Vec<Layer>,
    pub next_frame: Instant,
    /// Since when it sends without a pause.
    pub flows_since: Option<Instant>,
    next_report: Instant,
}

impl Source {
    /// `number` is unique in the publisher.
    pub fn new(now: Instant, track: TrackId, number: u32, codec: Codec, layers: usize, mut dice: Dice) -> Self {
        let layer = |at| Layer {
            ssrc: 1000 * (number + 1) + 10 * at + 1,
            // Every counter wraps within the first seconds.
            sequence: 0u16.wrapping_sub(dice.below(200) as u16),
            rtx_sequence: dice.next() as u16,
            first_timestamp: 0u32.wrapping_sub(dice.below(400_000) as u32),
            picture: 0x7fff - dice.below(100) as u16,
            frame: 0,
            turn: 0,
            base: 0,
            tl0: dice.next() as u8,
            wants_key: true,
            history: VecDeque::new(),
        };
        let layers = (0..layers as u32).map(layer).collect();
        let temporal = matches!(codec, Codec::Vp8 | Codec::Vp9) && dice.chance(0.6);
        let (next_frame, next_report) = (now, now + Duration::from_millis(200));
        Self {
            track,
            codec,
            muted: false,
            temporal,
            mid: format!("m{number}"),
            start: now,
            dice,
            layers,
            next_frame,
            flows_since: None,
            next_report,
        }
    }

    pub fn uplink(&self) -> Uplink {
        let video = self.codec != Codec::Opus;
        Uplink {
            track: self.track,
            mid: self.mid.clone(),
            payload: payload_of(self.codec),
            extensions: EXTENSIONS,
            ssrc: (self.layers.len() == 1).then_some(self.layers[0].ssrc),
            rtx_ssrc: (self.layers.len() == 1 && video).then_some(self.layers[0].ssrc + 1),
            rids: if self.layers.len() > 1 {
                RIDS[..self.layers.len()].iter().map(|rid| (*rid).into()).collect()
            } else {
                Vec::new()
            },
            tap: None,
        }
    }

    /// What it sends by now.
    pub fn tick(&mut self, now: Instant, marks: &mut Marks, transport: &mut u16) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let frame = if self.codec == Codec::Opus { Duration::from_millis(40) } else { Duration::from_micros(66_667) };
        self.next_frame += frame;
        if self.muted {
            self.flows_since = None;
        } else {
            self.flows_since.get_or_insert(now);
            for at in 0..self.layers.len() {
                self.frame(now, at, marks, transport, &mut out);
            }
        }
        if self.next_report <= now {
            self.next_report += Duration::from_secs(1);
            for layer in &self.layers {
                let ntp = NtpTime::from_unix(Duration::from_secs(86_400) + (now - self.start));
                let rtp = self.ticks(now).wrapping_add(layer.first_timestamp);
                let mut report = Vec::new();
                rtcp::sender_report(&mut report, &rtcp::SenderInfo { ssrc: layer.ssrc, ntp, rtp, packets: 0, octets: 0 });
                out.push(report);
            }
        }
        out
    }

    fn ticks(&self, now: Instant) -> u32 {
        ((now - self.start).as_micros() as u64 * u64::from(self.codec.clock_rate()) / 1_000_000) as u32
    }

    fn frame(&mut self, now: Instant, at: usize, marks: &mut Marks, transport: &mut u16, out: &mut Vec<Vec<u8>>) {
        let timestamp = self.ticks(now).wrapping_add(self.layers[at].first_timestamp);
        let layer = &mut self.layers[at];
        layer.frame += 1;
        let key = std::mem::take(&mut layer.wants_key) || self.codec == Codec::Opus;
        layer.picture = layer.picture.wrapping_add(1) & 0x7fff;
        let (frame, picture) = (layer.frame, layer.picture);
        layer.turn = if key { 0 } else { (layer.turn + 1) % 4 };
        let (tid, back, sync) = if self.temporal { PATTERN[layer.turn] } else { (0, 1, false) };
        let refers = if tid == 0 { layer.base } else { frame - back };
        if tid == 0 {
            (layer.base, layer.tl0) = (frame, layer.tl0.wrapping_add(1));
        }
        let temporal = self.temporal.then_some((tid, sync, layer.tl0));
        let packets = match (self.codec, key) {
            (Codec::Opus, _) => 1,
            (_, true) => 2 + self.dice.below(4) as usize,
            (_, false) => 1 + self.dice.below(2 + at as u64) as usize,
        };
        for index in 0..packets {
            let last = index + 1 == packets;
            let video = self.codec != Codec::Opus;
            let mark = marks.note(Sent { track: self.track, layer: at, frame, refers, index, last, key, video });
            let filler = vec![0x5a; self.dice.below(60) as usize];
            let payload = [head(self.codec, key, index, last, picture, temporal), filler, mark.to_vec()].concat();
            out.push(self.packet(at, timestamp, last, &payload, transport));
        }
    }

    fn packet(&mut self, at: usize, timestamp: u32, marker: bool, payload: &[u8], transport: &mut u16) -> Vec<u8> {
        *transport = transport.wrapping_add(1);
        let number = transport.to_be_bytes();
        let rid = if self.layers.len() > 1 { RIDS[at].as_bytes() } else { &[] };
        let layer = &mut self.layers[at];
        let mut packet = Vec::new();
        let mut extensions = vec![(3, &number[..]), (4, self.mid.as_bytes())];
        if !rid.is_empty() {
            extensions.push((5, rid));
        }
        let header = Header {
            marker,
            payload_type: payload_of(self.codec).pt,
            sequence: layer.sequence,
            timestamp,
            ssrc: layer.ssrc,
            extensions: &extensions,
        };
        header.write(&mut packet);
        packet.extend_from_slice(payload);
        layer.history.push_back((layer.sequence, packet.clone()));
        if layer.history.len() > HISTORY {
            layer.history.pop_front();
        }
        layer.sequence = layer.sequence.wrapping_add(1);
        packet
    }

    /// A key-frame wish for one of its SSRCs.
    pub fn pli(&mut self, media: u32) {
        if let Some(layer) = self.layers.iter_mut().find(|layer| layer.ssrc == media) {
            layer.wants_key = true;
        }
    }

    /// A retransmission, if it has the packet still.
    pub fn again(&mut self, media: u32, sequence: u16, transport: &mut u16) -> Option<Vec<u8>> {
        let at = self.layers.iter().position(|layer| layer.ssrc == media)?;
        let (_, bytes) = self.layers[at].history.iter().find(|(number, _)| *number == sequence)?.clone();
        if self.codec == Codec::Opus {
            return Some(bytes);
        }
        let packet = Packet::parse(&bytes).ok()?;
        *transport = transport.wrapping_add(1);
        let number = transport.to_be_bytes();
        let rid = if self.layers.len() > 1 { RIDS[at].as_bytes() } else { &[] };
        let layer = &mut self.layers[at];
        layer.rtx_sequence = layer.rtx_sequence.wrapping_add(1);
        let mut extensions = vec![(3, &number[..]), (4, self.mid.as_bytes())];
        if !rid.is_empty() {
            extensions.push((6, rid));
        }
        let header = Header {
            marker: packet.marker(),
            payload_type: payload_of(self.codec).rtx_pt?,
            sequence: layer.rtx_sequence,
            timestamp: packet.timestamp(),
            ssrc: media + 1,
            extensions: &extensions,
        };
        let mut out = Vec::new();
        header.write(&mut out);
        out.extend_from_slice(&sequence.to_be_bytes());
        out.extend_from_slice(packet.payload());
        Some(out)
    }
}

/// How a packet's payload begins, as far as a forwarder looks at it.
fn head(codec: Codec, key: bool, index: usize, last: bool, picture: u16, temporal: Option<(u8, bool, u8)>) -> Vec<u8> {
    match codec {
        // The same with the count of the lowest temporal layer's pictures, and which one this is of.
        Codec::Vp8 if let Some((tid, sync, tl0)) = temporal => {
            let [high, low] = (picture | 0x8000).to_be_bytes();
            let layer = tid << 6 | u8::from(sync) << 5;
            vec![0x80 | if index == 0 { 0x10 } else { 0 }, 0xe0, high, low, tl0, layer, u8::from(!key), 0, 0]
        }
        Codec::Vp9 if let Some((tid, _, tl0)) = temporal => {
            let [high, low] = (picture | 0x8000).to_be_bytes();
            let flags = if key { 0 } else { 0x40 } | if index == 0 { 0x08 } else { 0 } | if last { 0x04 } else { 0 };
            vec![0xa0 | flags, high, low, tid << 5 | 0x10, tl0, 0, 0]
        }
        // Descriptor with a 15-bit picture id, then the first byte of the frame: its lowest bit says that it is no key frame.
        Codec::Vp8 => {
            let [high, low] = (picture | 0x8000).to_be_bytes();
            vec![0x80 | if index == 0 { 0x10 } else { 0 }, 0x80, high, low, u8::from(!key), 0, 0]
        }
        // Descriptor with a 15-bit picture id: which refers to others, and where it begins and ends.
        Codec::Vp9 => {
            let [high, low] = (picture | 0x8000).to_be_bytes();
            let flags = if key { 0 } else { 0x40 } | if index == 0 { 0x08 } else { 0 } | if last { 0x04 } else { 0 };
            vec![0x80 | flags, high, low, 0, 0]
        }
        // A sequence header begins a key frame; fragments after the first. Without a dependency descriptor.
        Codec::Av1 if index == 0 => {
            if key {
                vec![0x18, 0x08, 0]
            } else {
                vec![0x10, 0x30, 0]
            }
        }
        Codec::Av1 => vec![0x90, 0, 0],
        // Parameter sets in front of a key frame, else slices; fragments after the first.
        Codec::H264 if key && index == 0 => vec![0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce, 0, 200],
        Codec::H264 => vec![0x7c, if index == 1 { 0x80 } else { 0 } | if last { 0x40 } else { 0 } | if key { 5 } else { 1 }],
        _ => vec![0x78],
    }
}
