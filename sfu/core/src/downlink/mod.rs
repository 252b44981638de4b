//! One track on its way to one subscriber: offsets, counts, and what was sent again. No packets: those lie in the track's ring.

mod choice;
mod padding;
mod resends;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use minamo_media::NtpTime;
use minamo_media::rtp::{Header, Packet};

pub(crate) use self::choice::Allowance;
use self::choice::Choice;
use self::resends::Resends;
use crate::model::{Downlink as Spec, Extensions, Layer, LayerWish};
use crate::rtcp::{ReportBlock, SenderInfo};
use crate::track::{SenderClock, Stored, ticks};

/// Sender reports remembered for the round-trip time: one a second, and answers are not older than this many.
const REPORTS_MAX: usize = 4;
/// Until a receiver report has told.
const RTT_FIRST: Duration = Duration::from_millis(60);

/// Where the subscriber came in: the track's place that got the first sequence number.
#[derive(Clone, Copy, Debug)]
struct Start {
    place: u64,
    timestamp: u32,
}

impl Start {
    /// Packets of the first picture that were overtaken by its first one still belong to it; older ones are not this subscriber's.
    fn covers(&self, stored: &Stored) -> bool {
        let overtaken = stored.timestamp == self.timestamp && stored.seq + 0x80 > self.place;
        stored.seq >= self.place || overtaken
    }
}

/// One subscriber's view of a track.
///
/// Places on the track's line have no gaps, so a sequence number toward the subscriber is its place plus one constant, and the
/// index from a NACK back to the ring is one subtraction.
pub(crate) struct Downlink {
    pub spec: Spec,
    choice: Choice,
    start: Option<Start>,
    first_out: u64,
    highest_out: u64,
    timestamp_offset: u32,
    rtx_seq: u16,
    resends: Resends,
    packets: u32,
    octets: u32,
    reported: VecDeque<(u32, Instant)>,
    rtt: Duration,
}

impl Downlink {
    pub(crate) fn new(spec: Spec) -> Self {
        // A start in the lower half and away from zero keeps SRTP's rollover counter unambiguous (RFC 3711 §3.3.1) for the packets
        // around the first one. Nothing depends on it being unguessable: the packets are authenticated.
        let mix = spec.ssrc.wrapping_mul(0x9e37_79b9);
        let first_out = (1 << 16) + 0x100 + u64::from(mix >> 18);
        Self {
            start: None,
            first_out,
            highest_out: first_out,
            timestamp_offset: mix.rotate_left(9),
            rtx_seq: 0x100 + (mix as u16 >> 2),
            resends: Resends::new(),
            packets: 0,
            octets: 0,
            reported: VecDeque::with_capacity(REPORTS_MAX),
            rtt: RTT_FIRST,
            choice: Choice::new(spec.layer),
            spec,
        }
    }

    /// The layer that is sent now; `None` for nothing.
    pub(crate) fn layer(&self) -> Option<Layer> {
        self.choice.current()
    }

    /// The layer that will be sent from its next key frame on; the same as [`Self::layer`] when nothing is waited for.
    pub(crate) fn target(&self) -> Option<Layer> {
        self.choice.target()
    }

    /// What the subscriber wishes.
    pub(crate) fn wish(&self) -> LayerWish {
        self.choice.wish()
    }

    /// What its link is let carry; set by [`Shard::allow`](crate::shard::Shard::allow).
    pub(crate) fn allowance(&self) -> Allowance {
        self.choice.allowance()
    }

    /// Use [`Shard::allow`](crate::shard::Shard::allow): it also asks for the key frame that the change needs.
    pub(crate) fn set_allowance(&mut self, allowance: Allowance) {
        self.choice.set_allowance(allowance);
    }

    pub(crate) fn is_started(&self) -> bool {
        self.start.is_some()
    }

    /// Where to begin: at a packet that begins a key frame. True if this packet is the beginning.
    pub(crate) fn start_at(&mut self, stored: &Stored) -> bool {
        let starts = self.start.is_none() && stored.key;
        if starts {
            self.start = Some(Start { place: stored.seq, timestamp: stored.timestamp });
        }
        starts
    }

    /// Writes the packet for this subscriber into `out`. False if it is from before the beginning.
    pub(crate) fn write(&mut self, stored: &Stored, from: &Extensions, out: &mut Vec<u8>) -> bool {
        let Some(start) = self.start.filter(|start| start.covers(stored)) else { return false };
        let seq = self.sequence(stored.seq, start);
        self.highest_out = self.highest_out.max(seq);
        out.clear();
        let octets = self.render(stored, seq, from, None, out);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(octets);
        true
    }

    /// Which place a NACK means, if it is to be answered now: not twice within a round trip, not without end.
    pub(crate) fn nacked(&mut self, now: Instant, sequence: u16) -> Option<u64> {
        let start = self.start?;
        let behind = (self.highest_out as u16).wrapping_sub(sequence);
        let seq = self.highest_out.checked_sub(u64::from(behind)).filter(|_| behind < 0x8000)?;
        let place = (seq + start.place).checked_sub(self.first_out)?;
        self.resends.allow(now, seq, self.rtt).then_some(place)
    }

    /// Writes the packet once more: as a retransmission with its own SSRC (RFC 4588 §4) where that was negotiated, else as it was.
    pub(crate) fn write_again(&mut self, stored: &Stored, from: &Extensions, out: &mut Vec<u8>) -> bool {
        let Some(start) = self.start.filter(|start| start.covers(stored)) else { return false };
        let seq = self.sequence(stored.seq, start);
        out.clear();
        let rtx = self.spec.rtx_ssrc.zip(self.spec.payload.rtx_pt);
        if rtx.is_some() {
            self.rtx_seq = self.rtx_seq.wrapping_add(1);
        }
        self.render(stored, seq, from, rtx, out);
        true
    }

    fn sequence(&self, place: u64, start: Start) -> u64 {
        (place + self.first_out).saturating_sub(start.place)
    }

    /// Returns the payload's length, padding left out.
    fn render(&self, stored: &Stored, seq: u64, from: &Extensions, rtx: Option<(u32, u8)>, out: &mut Vec<u8>) -> u32 {
        let Ok(packet) = Packet::parse(&stored.packet) else { return 0 };
        let mut extensions = [(0u8, [].as_slice()); 4];
        let to = &self.spec.extensions;
        // First: whoever sends the packet finds the place for its transport-wide number there.
        if let Some(id) = to.transport_cc {
            extensions[0] = (id, &[0, 0]);
        }
        if let Some(id) = to.mid {
            extensions[1] = (id, self.spec.mid.as_bytes());
        }
        // The publisher's transport-cc and abs-send-time are of the hop that they came over and are left out.
        for (slot, from, to) in [(2, from.audio_level, to.audio_level), (3, from.video_orientation, to.video_orientation)] {
            if let Some((data, id)) = from.and_then(|id| packet.extension(id)).zip(to) {
                extensions[slot] = (id, data);
            }
        }
        let header = Header {
            marker: packet.marker(),
            payload_type: rtx.map_or(self.spec.payload.pt, |(_, pt)| pt),
            sequence: if rtx.is_some() { self.rtx_seq } else { seq as u16 },
            timestamp: stored.timestamp.wrapping_add(self.timestamp_offset),
            ssrc: rtx.map_or(self.spec.ssrc, |(ssrc, _)| ssrc),
            extensions: &extensions,
        };
        header.write(out);
        if rtx.is_some() {
            out.extend_from_slice(&(seq as u16).to_be_bytes());
        }
        out.extend_from_slice(packet.payload());
        packet.payload().len() as u32
    }

    /// The round-trip time to the subscriber, as far as its receiver reports tell.
    pub(crate) fn rtt(&self) -> Duration {
        self.rtt
    }

    /// Whether a packet that is sent again is the same bytes again: retransmissions have no sequence of their own.
    pub(crate) fn repeats(&self) -> bool {
        self.spec.rtx_ssrc.zip(self.spec.payload.rtx_pt).is_none()
    }

    /// A sender report for now: the publisher's clock, run on since its latest report, on this subscriber's timestamps. So the
    /// tracks of one publisher stay in sync, whenever their reports came.
    pub(crate) fn sender_report(&mut self, now: Instant, clock: &SenderClock, rate: u32) -> Option<SenderInfo> {
        self.start?;
        let elapsed = now.saturating_duration_since(clock.arrival);
        let ntp = NtpTime(clock.ntp.0.wrapping_add(((elapsed.as_nanos() << 32) / 1_000_000_000) as u64));
        let rtp = clock.rtp.wrapping_add(ticks(elapsed, rate)).wrapping_add(self.timestamp_offset);
        if self.reported.len() == REPORTS_MAX {
            self.reported.pop_front();
        }
        self.reported.push_back((ntp.middle(), now));
        Some(SenderInfo { ssrc: self.spec.ssrc, ntp, rtp, packets: self.packets, octets: self.octets })
    }

    /// The subscriber's report about us: tells the round-trip time (RFC 3550 §6.4.1).
    pub(crate) fn receiver_report(&mut self, now: Instant, block: &ReportBlock) {
        let Some((_, sent)) = self.reported.iter().find(|(lsr, _)| *lsr == block.lsr && block.lsr != 0) else { return };
        let held = Duration::from_micros(u64::from(block.dlsr) * 1_000_000 / 65_536);
        if let Some(rtt) = now.saturating_duration_since(*sent).checked_sub(held) {
            self.rtt = rtt.clamp(Duration::from_millis(1), Duration::from_secs(2));
        }
    }
}
