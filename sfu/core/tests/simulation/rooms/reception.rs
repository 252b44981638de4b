//! One track at one subscriber: what it checks of every packet, and a model of its decoder.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use minamo_media::rtp::{Packet, SequenceExtender};
use minamo_media::{Codec, TrackId};

use super::source::{Marks, Sent};

/// A packet that is missing for so long is not waited for any more.
const PATIENCE: Duration = Duration::from_millis(600);
const RETRY: Duration = Duration::from_millis(70);
const PLI_EVERY: Duration = Duration::from_millis(500);
/// Decoded frames that others may refer to.
const REFERENCES: usize = 16;
/// Packets remembered for the checks.
const REMEMBERED: usize = 4000;

struct Got {
    sent: Sent,
    timestamp: u32,
    bytes: u64,
}

/// The reception of one downlink.
pub struct Reception {
    pub track: TrackId,
    pub codec: Codec,
    extender: SequenceExtender,
    got: BTreeMap<u64, Got>,
    /// The picture id of each frame, and the frame of each picture id.
    pictures: HashMap<u16, (usize, u64)>,
    /// What the decoder takes next.
    next: Option<u64>,
    /// Since when that is missing, and when it was last asked for.
    gap: Option<(Instant, Option<Instant>)>,
    /// Packets of the frame that is being put together.
    frame: Vec<Sent>,
    /// Which frames were decoded lately; none while a key frame is needed.
    decoded: VecDeque<(usize, u64)>,
    pub decoded_at: Option<Instant>,
    pub frames: u64,
    /// Since when a packet was lost for good.
    lossy: bool,
    asked_key: Option<Instant>,
}

impl Reception {
    pub fn new(track: TrackId, codec: Codec) -> Self {
        Self {
            track,
            codec,
            extender: SequenceExtender::default(),
            got: BTreeMap::new(),
            pictures: HashMap::new(),
            next: None,
            gap: None,
            frame: Vec::new(),
            decoded: VecDeque::new(),
            decoded_at: None,
            frames: 0,
            // The very first packets may be lost.
            lossy: true,
            asked_key: None,
        }
    }

    /// A packet of its SSRC, retransmissions unwrapped. `whole` are the bytes that must be the same each time that a number is used.
    pub fn receive(
        &mut self,
        now: Instant,
        sequence: u16,
        packet: &Packet<'_>,
        payload: &[u8],
        whole: &[u8],
        marks: &Marks,
    ) -> Result<(), String> {
        let seq = self.extender.extend(sequence);
        let Some(mark) = payload.last_chunk::<8>() else { return Ok(()) }; // padding
        let sent = *marks.sent.get(&u64::from_be_bytes(*mark)).ok_or("a payload that nobody sent")?;
        if sent.track != self.track {
            return Err(format!("{seq}: a packet of {} on the SSRC of {}", sent.track, self.track));
        }
        let mut hasher = DefaultHasher::new();
        whole.hash(&mut hasher);
        let got = Got { sent, timestamp: packet.timestamp(), bytes: hasher.finish() };
        if let Some(before) = self.got.get(&seq) {
            let same = before.bytes == got.bytes && before.sent == sent && before.timestamp == got.timestamp;
            return if same { Ok(()) } else { Err(format!("number {seq} was {:?} and is now {sent:?}", before.sent)) };
        }
        self.check_neighbours(seq, &got)?;
        self.check_picture(payload, &sent)?;
        // Before the first picture nothing is over yet.
        if self.frames == 0 && self.next.is_some_and(|next| seq < next) {
            (self.next, self.gap) = (Some(seq), None);
            self.frame.clear();
        }
        self.next.get_or_insert(seq);
        self.got.insert(seq, got);
        while self.got.len() > REMEMBERED {
            self.got.pop_first();
        }
        self.decode(now)
    }

    /// Timestamps go with the numbers: up with each frame, and the same within one.
    fn check_neighbours(&self, seq: u64, got: &Got) -> Result<(), String> {
        let before = self.got.range(..seq).next_back().map(|(at, before)| (seq - at, before, got));
        let after = self.got.range(seq + 1..).next().map(|(at, after)| (at - seq, got, after));
        for (distance, first, second) in before.into_iter().chain(after) {
            let step = second.timestamp.wrapping_sub(first.timestamp) as i32;
            let same = (first.sent.layer, first.sent.frame) == (second.sent.layer, second.sent.frame);
            // A frame may come again, later and behind its key frame, for a subscriber that begins anew.
            let again = same && step > 0 && (distance > 1 || second.sent.key && second.sent.index == 0);
            if (same != (step == 0) && !again) || step < 0 {
                return Err(format!("{seq}: a step of {step} ticks from {:?} to {:?}", first.sent, second.sent));
            }
        }
        Ok(())
    }

    /// A picture id names one frame, until it comes around again.
    fn check_picture(&mut self, payload: &[u8], sent: &Sent) -> Result<(), String> {
        let at = match self.codec {
            Codec::Vp8 => 2,
            Codec::Vp9 => 1,
            _ => return Ok(()),
        };
        // Each byte before the id says that the next one is there, and the id that it has 15 bits.
        if payload.len() < 4 || payload[..=at].iter().any(|byte| byte & 0x80 == 0) {
            return Err(format!("no picture id: {payload:02x?}"));
        }
        let picture = u16::from_be_bytes([payload[at] & 0x7f, payload[at + 1]]);
        let frame = (sent.layer, sent.frame);
        let before = *self.pictures.entry(picture).or_insert(frame);
        if before != frame {
            return Err(format!("picture id {picture} of {before:?} again for {frame:?}"));
        }
        Ok(())
    }

    /// Takes what is there in order.
    fn decode(&mut self, now: Instant) -> Result<(), String> {
        while let Some(sent) = self.next.and_then(|next| self.got.get(&next)).map(|got| got.sent) {
            self.gap = None;
            self.next = self.next.map(|next| next + 1);
            self.take(now, sent)?;
        }
        if self.next.is_some_and(|next| self.extender.highest().is_some_and(|highest| highest > next)) {
            self.gap.get_or_insert((now, None));
        }
        Ok(())
    }

    fn take(&mut self, now: Instant, sent: Sent) -> Result<(), String> {
        if self.frame.first().is_some_and(|first| (first.layer, first.frame) != (sent.layer, sent.frame)) {
            let cut = std::mem::take(&mut self.frame);
            // Where a key frame follows at once nobody misses the rest.
            let anew = sent.key && sent.index == 0;
            if !anew {
                self.broken(&format!("a frame without an end: {:?}, then {sent:?}", cut.last()))?;
            }
        }
        self.frame.push(sent);
        if !sent.last {
            return Ok(());
        }
        let frame = std::mem::take(&mut self.frame);
        if frame.iter().enumerate().any(|(index, sent)| sent.index != index) {
            return self.broken(&format!("a frame without its beginning: {sent:?}"));
        }
        let follows = self.decoded.contains(&(sent.layer, sent.refers));
        if !sent.key && !follows {
            let waits = self.decoded.is_empty();
            return if waits {
                self.broken("a key frame is awaited")
            } else {
                self.broken(&format!("{sent:?} after {:?}", self.decoded.back()))
            };
        }
        if sent.key {
            self.decoded.clear();
        }
        if self.decoded.len() == REFERENCES {
            self.decoded.pop_front();
        }
        self.decoded.push_back((sent.layer, sent.frame));
        self.decoded_at = Some(now);
        self.frames += 1;
        self.lossy = false;
        Ok(())
    }

    /// Only a loss excuses what cannot be decoded.
    fn broken(&mut self, what: &str) -> Result<(), String> {
        self.decoded.clear();
        if self.lossy { Ok(()) } else { Err(format!("without a loss: {what}")) }
    }

    /// The numbers to ask for now, and whether a key frame is needed.
    pub fn wants(&mut self, now: Instant) -> (Vec<u16>, bool) {
        let mut missing = Vec::new();
        if let (Some((since, asked)), Some(next)) = (&mut self.gap, self.next) {
            if now - *since > PATIENCE {
                // Given up: on with what is there.
                self.lossy = true;
                self.frame.clear();
                self.decoded.clear();
                self.next = self.got.range(next..).next().map(|(seq, _)| *seq);
                self.gap = None;
                let _ = self.decode(now);
            } else if asked.is_none_or(|asked| now - asked > RETRY) {
                *asked = Some(now);
                let end = self.extender.highest().unwrap_or(next).min(next + 200);
                missing.extend((next..end).filter(|seq| !self.got.contains_key(seq)).map(|seq| seq as u16));
            }
        }
        let needs = self.codec != Codec::Opus && self.decoded.is_empty() && self.next.is_some();
        let ask = needs && self.asked_key.is_none_or(|asked| now - asked > PLI_EVERY);
        if ask {
            self.asked_key = Some(now);
        }
        (missing, ask)
    }
}
