//! A model subscriber with a model decoder: puts pictures together, checks their numbers, their time, and whether each can be decoded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use minamo_media::Codec;
use minamo_media::rtp::{Packet, SequenceExtender};
use minamo_sfu_core::model::{Downlink, Extensions, LayerWish, Payload};
use minamo_sfu_core::rtcp;

use super::shape::{Numbers, Slice};
use super::source::TRACK;

const PT: u8 = 120;
const TICK: Duration = Duration::from_millis(10);
const RETRY: Duration = Duration::from_millis(60);
/// What does not come for so long is given up, and a key frame asked for.
const PATIENCE: Duration = Duration::from_millis(1200);
/// The first pictures may be older ones, shown faster.
const BEGINNING: usize = 90;
/// In ticks: how far the time between two pictures may be from the truth.
pub const EXACT: i32 = 200;

/// A packet with its place in time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    timestamp: u32,
    /// `None`: it only fills a hole.
    content: Option<(Slice, Numbers)>,
}

/// A picture that was decoded.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub at: Instant,
    pub slice: Slice,
    pub timestamp: u32,
}

pub struct Viewer {
    codec: Codec,
    number: u32,
    pub tolerance: i32,
    wish: LayerWish,
    extender: SequenceExtender,
    got: BTreeMap<u64, Piece>,
    next: Option<u64>,
    stuck: Option<Instant>,
    asked: HashMap<u64, Instant>,
    picture: Vec<Piece>,
    decoded: BTreeSet<(u8, u32)>,
    numbers: Option<Numbers>,
    last: Option<Shown>,
    pub shown: Vec<Shown>,
    pub undecodable: usize,
    /// Asks for a key frame at the next tick.
    lost: Option<Instant>,
    next_tick: Instant,
    pub remb: Option<u64>,
    pub joined: Instant,
    pub violations: Vec<String>,
}

impl Viewer {
    pub fn new(now: Instant, number: u32, codec: Codec, wish: LayerWish) -> Self {
        Self {
            codec,
            number,
            tolerance: EXACT,
            wish,
            extender: SequenceExtender::new(),
            got: BTreeMap::new(),
            next: None,
            stuck: None,
            asked: HashMap::new(),
            picture: Vec::new(),
            decoded: BTreeSet::new(),
            numbers: None,
            last: None,
            shown: Vec::new(),
            undecodable: 0,
            lost: None,
            next_tick: now + TICK,
            remb: None,
            joined: now,
            violations: Vec::new(),
        }
    }

    fn ssrc(&self) -> u32 {
        0x1000 * self.number + 0x10
    }

    pub fn downlink(&self) -> Downlink {
        Downlink {
            track: TRACK,
            mid: "dv".into(),
            payload: Payload { codec: self.codec, pt: PT, rtx_pt: Some(PT + 1), red_pt: None },
            extensions: Extensions { mid: Some(9), dependency_descriptor: Some(10), ..Extensions::default() },
            ssrc: self.ssrc(),
            rtx_ssrc: Some(self.ssrc() + 1),
            layer: self.wish,
        }
    }

    pub fn next(&self) -> Instant {
        self.next_tick
    }

    /// Layers of the pictures that were decoded from a time on, without repetition.
    pub fn layers_since(&self, since: Instant) -> Vec<u8> {
        let mut layers: Vec<u8> = self.shown.iter().filter(|shown| shown.at >= since).map(|shown| shown.slice.layer).collect();
        layers.dedup();
        layers
    }

    /// The longest time without a picture between two times.
    pub fn freeze(&self, from: Instant, to: Instant) -> Duration {
        let times = self.shown.iter().map(|shown| shown.at).filter(|at| (from..=to).contains(at));
        let times: Vec<Instant> = [from].into_iter().chain(times).chain([to]).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    pub fn receive(&mut self, now: Instant, datagram: &[u8]) {
        if datagram.first().is_some_and(|first| first >> 6 != 2) || rtcp::is_rtcp(datagram) {
            return;
        }
        if let Err(found) = self.media(now, datagram) {
            self.violations.push(found);
        }
    }

    fn media(&mut self, now: Instant, datagram: &[u8]) -> Result<(), String> {
        let packet = Packet::parse(datagram).map_err(|error| error.to_string())?;
        let (sequence, payload) = match packet.payload_type() {
            PT => (packet.sequence(), packet.payload()),
            other if other == PT + 1 => {
                let (sequence, payload) = packet.payload().split_first_chunk().ok_or("an empty retransmission")?;
                (u16::from_be_bytes(*sequence), payload)
            }
            other => return Err(format!("payload type {other}")),
        };
        let content = if payload.is_empty() {
            None
        } else {
            Some(Slice::read(self.codec, payload, packet.extension(10)).ok_or("a payload that nobody sent")?)
        };
        let seq = self.extender.extend(sequence);
        let piece = Piece { timestamp: packet.timestamp(), content };
        self.asked.remove(&seq);
        if let Some(before) = self.got.insert(seq, piece.clone())
            && before != piece
        {
            return Err(format!("number {seq} was {before:?} and is now {piece:?}"));
        }
        let begins = self.last.is_none() && self.next.is_some_and(|next| seq < next);
        if begins {
            // Overtaken by the first that came.
            self.picture.clear();
            self.next = Some(seq);
        }
        self.next.get_or_insert(seq);
        self.advance(now)
    }

    fn advance(&mut self, now: Instant) -> Result<(), String> {
        while let Some(piece) = self.next.and_then(|next| self.got.get(&next)).cloned() {
            self.next = self.next.map(|next| next + 1);
            self.stuck = None;
            let Some((slice, _)) = piece.content else { continue };
            if self.last.is_none() && self.picture.is_empty() && slice.at > 0 {
                // The first packets were lost, and nobody can know.
                self.lost.get_or_insert(now);
                continue;
            }
            if slice.at == 0 && slice.is_key() && !self.picture.is_empty() {
                self.leave_behind(now, slice.layer)?;
            }
            if usize::from(slice.at) != self.picture.len() {
                let had = std::mem::take(&mut self.picture);
                return Err(format!("torn: {slice:?} after {had:?}"));
            }
            self.picture.push(piece);
            if slice.at + 1 == slice.of {
                let picture = std::mem::take(&mut self.picture);
                self.complete(now, &picture)?;
            }
        }
        if self.next.is_some_and(|next| self.extender.highest().is_some_and(|highest| highest >= next)) {
            self.stuck.get_or_insert(now);
        }
        Ok(())
    }

    /// A switch cut the last picture of the layer before short: it is not decoded, but it had its numbers and its time.
    fn leave_behind(&mut self, now: Instant, layer: u8) -> Result<(), String> {
        let picture = std::mem::take(&mut self.picture);
        let Some((Piece { timestamp, .. }, (slice, numbers))) = picture.first().and_then(|piece| Some((piece, piece.content?)))
        else {
            return Ok(());
        };
        if slice.layer == layer {
            return Err(format!("torn: {picture:?}"));
        }
        self.check_numbers(&slice, numbers)?;
        self.check_time(&Shown { at: now, slice, timestamp: *timestamp })
    }

    fn complete(&mut self, now: Instant, picture: &[Piece]) -> Result<(), String> {
        let Some((Piece { timestamp, .. }, (slice, numbers))) = picture.first().and_then(|piece| Some((piece, piece.content?)))
        else {
            return Ok(());
        };
        let same = |piece: &Piece| {
            piece.timestamp == *timestamp
                && piece
                    .content
                    .is_some_and(|(other, others)| (other.layer, other.picture, others) == (slice.layer, slice.picture, numbers))
        };
        if !picture.iter().all(same) {
            return Err(format!("parts of different pictures: {picture:?}"));
        }
        self.check_numbers(&slice, numbers)?;
        let shown = Shown { at: now, slice, timestamp: *timestamp };
        self.check_time(&shown)?;
        if slice.is_key() || self.decoded.contains(&(slice.layer, slice.refers)) {
            self.decoded.insert((slice.layer, slice.picture));
            self.shown.push(shown);
            self.lost = None;
        } else {
            self.undecodable += 1;
            self.lost.get_or_insert(now);
        }
        Ok(())
    }

    fn check_numbers(&mut self, slice: &Slice, numbers: Numbers) -> Result<(), String> {
        let Some(before) = self.numbers.replace(numbers) else { return Ok(()) };
        let span = if self.codec == Codec::Av1 { u16::MAX } else { 0x7FFF };
        let step = numbers.id.wrapping_sub(before.id) & span;
        let steps = match self.codec {
            Codec::H264 => 0..=0,
            Codec::Vp8 => 1..=1,
            // Those that are left out leave a gap, since references are differences.
            _ => 1..=8,
        };
        if !steps.contains(&step) {
            return Err(format!("picture id {} after {} of {slice:?}", numbers.id, before.id));
        }
        let base = numbers.tl0.wrapping_sub(before.tl0);
        if matches!(self.codec, Codec::Vp8 | Codec::Vp9) && base != u8::from(slice.temporal == 0) {
            return Err(format!("TL0PICIDX {} after {} of {slice:?}", numbers.tl0, before.tl0));
        }
        Ok(())
    }

    fn check_time(&mut self, shown: &Shown) -> Result<(), String> {
        let Some(before) = self.last.replace(*shown) else { return Ok(()) };
        let step = shown.timestamp.wrapping_sub(before.timestamp) as i32;
        let taken = (shown.slice.picture as i32 - before.slice.picture as i32).max(0) * 3000;
        let least = if self.shown.len() < BEGINNING { 1 } else { (taken - self.tolerance).max(1) };
        if !(least..=taken + self.tolerance).contains(&step) {
            return Err(format!("{step} ticks to {:?} after {:?}", shown.slice, before.slice));
        }
        Ok(())
    }

    pub fn tick(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.next_tick = now + TICK;
        let mut out = Vec::new();
        if self.stuck.is_some_and(|since| now - since > PATIENCE) {
            // Goes on behind the hole.
            let first = self.next.unwrap_or(0);
            self.next = self.got.range(first..).next().map(|(seq, _)| *seq);
            (self.stuck, self.lost, self.numbers) = (None, Some(now - RETRY), None);
            self.picture.clear();
            while self
                .next
                .and_then(|next| self.got.get(&next))
                .is_some_and(|piece| piece.content.is_none_or(|(slice, _)| slice.at > 0))
            {
                self.next = self.next.map(|next| next + 1);
            }
        }
        let mut missing = Vec::new();
        if let (Some(next), Some(highest)) = (self.next, self.extender.highest()) {
            for seq in next.max(highest.saturating_sub(500))..highest {
                let asked = self.asked.entry(seq).or_insert(now - RETRY + TICK);
                if !self.got.contains_key(&seq) && now - *asked >= RETRY {
                    *asked = now;
                    missing.push(seq as u16);
                }
            }
        }
        let mut packet = Vec::new();
        if !missing.is_empty() {
            rtcp::nack(&mut packet, 1, self.ssrc(), &missing);
        }
        if self.lost.is_some_and(|since| now - since > RETRY) {
            self.lost = Some(now + Duration::from_millis(300));
            rtcp::pli(&mut packet, 1, self.ssrc());
        }
        if let Some(bits) = self.remb.filter(|_| now.duration_since(self.joined).as_millis() % 200 < 10) {
            rtcp::remb(&mut packet, 1, &[self.ssrc()], bits);
        }
        if !packet.is_empty() {
            out.push(packet);
        }
        out
    }
}
