//! A model publisher of one video track in several layers, as Chromium sends them: rids until the first receiver report, retransmissions
//! as probes before the media, clocks that begin anywhere, temporal layers, key frames on request.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use minamo_media::rtp::{Header, Packet};
use minamo_media::{Codec, NtpTime, TrackId};
use minamo_sfu_core::model::{Extensions, Payload, Tap, Uplink};
use minamo_sfu_core::rtcp;

use super::shape::{NOTHING, Numbers, Slice};
use crate::link::Dice;

pub const TRACK: TrackId = TrackId(7);
pub const PT: u8 = 96;
pub const FRAME: Duration = Duration::from_micros(33_333);
/// Temporal layers of four pictures in a row, and which one before each refers to.
const PATTERN: [(u8, u32, bool); 4] = [(0, 4, false), (2, 1, true), (1, 2, true), (2, 1, false)];
const EXTENSIONS: Extensions = Extensions {
    mid: Some(4),
    rid: Some(5),
    repaired_rid: Some(6),
    transport_cc: Some(3),
    abs_send_time: None,
    audio_level: None,
    video_orientation: None,
    dependency_descriptor: Some(8),
};

/// How it behaves.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub codec: Codec,
    pub layers: usize,
    /// Whether there are three temporal layers or one.
    pub temporal: bool,
    /// Whether it sends sender reports.
    pub reports: bool,
}

/// One layer.
struct Line {
    active: bool,
    ssrc: u32,
    sequence: u16,
    rtx_sequence: u16,
    clock: u32,
    numbers: Numbers,
    wants_key: bool,
    /// Place in the pattern.
    turn: usize,
    base: u32,
    reported: bool,
    history: HashMap<u16, Vec<u8>>,
}

pub struct Source {
    pub habits: Habits,
    start: Instant,
    next_frame: Instant,
    next_report: Instant,
    picture: u32,
    lines: Vec<Line>,
    dice: Dice,
    /// When a key frame was asked for, and of which layer.
    pub plis: Vec<(Instant, usize)>,
    pub nacked: usize,
}

impl Source {
    pub fn new(now: Instant, habits: Habits, mut dice: Dice) -> Self {
        let line = |layer: usize, dice: &mut Dice| Line {
            active: true,
            ssrc: 2000 + layer as u32,
            // Every counter wraps within the first seconds.
            sequence: 0u16.wrapping_sub(dice.below(200) as u16),
            rtx_sequence: 9,
            clock: 0u32.wrapping_sub(dice.below(400_000) as u32),
            numbers: Numbers { id: 0u16.wrapping_sub(dice.below(60) as u16), tl0: dice.below(256) as u8 },
            wants_key: true,
            turn: 0,
            base: NOTHING,
            reported: false,
            history: HashMap::new(),
        };
        let lines = (0..habits.layers).map(|layer| line(layer, &mut dice)).collect();
        let next_report = now + Duration::from_millis(400);
        Self { habits, start: now, next_frame: now, next_report, picture: 0, lines, dice, plis: Vec::new(), nacked: 0 }
    }

    pub fn uplink(&self, tap: bool) -> Uplink {
        Uplink {
            track: TRACK,
            mid: "v".into(),
            payload: Payload { codec: self.habits.codec, pt: PT, rtx_pt: Some(PT + 1), red_pt: None },
            extensions: EXTENSIONS,
            ssrc: None,
            rtx_ssrc: None,
            rids: if self.habits.layers > 1 {
                (0..self.habits.layers).map(|layer| format!("r{layer}")).collect()
            } else {
                Vec::new()
            },
            tap: tap.then(|| Tap { channel: "channel".into(), publisher: "publisher".into(), layers: false }),
        }
    }

    /// Layers come and go with what the publisher's encoder and link can do.
    pub fn activate(&mut self, layer: usize, active: bool) {
        self.lines[layer].active = active;
        self.lines[layer].wants_key |= active;
    }

    pub fn next(&self) -> Instant {
        self.next_frame.min(self.next_report)
    }

    pub fn ntp(&self, now: Instant) -> NtpTime {
        NtpTime::from_unix(Duration::from_secs(86_400 * 400) + (now - self.start))
    }

    pub fn tick(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if self.next_frame <= now {
            if self.picture == 0 {
                (0..self.lines.len()).for_each(|layer| out.push(self.retransmission(layer, &[], 50)));
            }
            for layer in 0..self.lines.len() {
                if self.lines[layer].active {
                    self.shoot(layer, &mut out);
                }
            }
            self.picture += 1;
            self.next_frame = self.start + FRAME * self.picture;
        }
        if self.next_report <= now {
            self.next_report += Duration::from_secs(1);
            for line in self.lines.iter().filter(|line| line.active && self.habits.reports) {
                let rtp = line.clock.wrapping_add(((now - self.start).as_micros() * 9 / 100) as u32);
                let info = rtcp::SenderInfo { ssrc: line.ssrc, ntp: self.ntp(now), rtp, packets: 0, octets: 0 };
                let mut report = Vec::new();
                rtcp::sender_report(&mut report, &info);
                out.push(report);
            }
        }
        out
    }

    fn shoot(&mut self, layer: usize, out: &mut Vec<Vec<u8>>) {
        let picture = self.picture;
        let line = &mut self.lines[layer];
        let key = std::mem::take(&mut line.wants_key) || line.base == NOTHING;
        line.turn = if key { 0 } else { (line.turn + 1) % 4 };
        let (temporal, back, sync) = if self.habits.temporal { PATTERN[line.turn] } else { (0, 1, false) };
        let refers = if key {
            NOTHING
        } else if temporal == 0 {
            line.base
        } else {
            picture - back
        };
        if temporal == 0 {
            line.base = picture;
            line.numbers.tl0 = line.numbers.tl0.wrapping_add(1);
        }
        line.numbers.id = line.numbers.id.wrapping_add(1);
        let of = (if key { 4 } else { 1 }) * (layer as u8 + 1);
        for at in 0..of {
            let slice = Slice { layer: layer as u8, picture, refers, temporal, at, of };
            let size = 200 + self.dice.below(800) as usize;
            out.push(self.packet(layer, &slice, sync, size));
        }
    }

    fn packet(&mut self, layer: usize, slice: &Slice, sync: bool, size: usize) -> Vec<u8> {
        let codec = self.habits.codec;
        let simulcast = self.habits.layers > 1;
        let line = &mut self.lines[layer];
        let numbers =
            Numbers { id: if codec == Codec::Av1 { line.numbers.id } else { line.numbers.id & 0x7FFF }, ..line.numbers };
        let (payload, descriptor) = slice.write(codec, numbers, sync, size);
        let rid = format!("r{layer}");
        let mut extensions: Vec<(u8, &[u8])> = vec![(3, &[0, 0])];
        if !line.reported {
            extensions.push((4, b"v"));
            if simulcast {
                extensions.push((5, rid.as_bytes()));
            }
        }
        if !descriptor.is_empty() {
            extensions.push((8, &descriptor));
        }
        let header = Header {
            marker: slice.at + 1 == slice.of,
            payload_type: PT,
            sequence: line.sequence,
            timestamp: line.clock.wrapping_add(slice.picture * 3000),
            ssrc: line.ssrc,
            extensions: &extensions,
        };
        let mut packet = Vec::new();
        header.write(&mut packet);
        packet.extend_from_slice(&payload);
        line.history.insert(line.sequence, packet.clone());
        line.sequence = line.sequence.wrapping_add(1);
        packet
    }

    /// A retransmission of a packet, or with padding a probe.
    fn retransmission(&mut self, layer: usize, original: &[u8], padding: u8) -> Vec<u8> {
        let rid = format!("r{layer}");
        let line = &mut self.lines[layer];
        line.rtx_sequence = line.rtx_sequence.wrapping_add(1);
        let parsed = Packet::parse(original).ok();
        let descriptor = parsed.as_ref().and_then(|packet| packet.extension(8));
        let mut extensions: Vec<(u8, &[u8])> = vec![(3, &[0, 0]), (4, b"v")];
        if self.habits.layers > 1 {
            extensions.push((6, rid.as_bytes()));
        }
        extensions.extend(descriptor.map(|data| (8, data)));
        let header = Header {
            marker: parsed.as_ref().is_some_and(Packet::marker),
            payload_type: PT + 1,
            sequence: line.rtx_sequence,
            timestamp: parsed.as_ref().map_or(0, Packet::timestamp),
            ssrc: line.ssrc + 1000,
            extensions: &extensions,
        };
        let mut out = Vec::new();
        header.write(&mut out);
        if let Some(packet) = parsed {
            out.extend_from_slice(&packet.sequence().to_be_bytes());
            out.extend_from_slice(packet.payload());
        }
        if padding > 0 {
            out[0] |= 0x20;
            out.resize(out.len() + usize::from(padding), padding);
        }
        out
    }

    /// What it answers to RTCP.
    pub fn receive(&mut self, now: Instant, compound: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for packet in rtcp::packets(compound) {
            match packet {
                rtcp::Packet::Pli { media } => {
                    let layer = (media - 2000) as usize;
                    self.plis.push((now, layer));
                    self.lines[layer].wants_key = true;
                }
                rtcp::Packet::Nack { media, missing } => {
                    let layer = (media - 2000) as usize;
                    for sequence in missing {
                        self.nacked += 1;
                        let Some(original) = self.lines[layer].history.get(&sequence).cloned() else { continue };
                        out.push(self.retransmission(layer, &original, 0));
                    }
                }
                rtcp::Packet::ReceiverReport(blocks) => {
                    for block in blocks {
                        self.lines[(block.ssrc - 2000) as usize].reported = true;
                    }
                }
                _ => {}
            }
        }
        out
    }
}
