//! One track on its way to one subscriber: which layer, offsets, counts, and what was sent again. No packets: those lie in the rings of
//! the track's layers.

mod choice;
mod course;
mod head;
mod padding;
mod resends;
mod sent;
mod successor;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use minamo_media::rtp::{Packet, av1, picture, red};
use minamo_media::{Codec, NtpTime};

pub(crate) use self::choice::Allowance;
use self::choice::Choice;
use self::course::{Course, Slot};
use self::head::{Head, Numbers};
use self::resends::Resends;
use self::sent::Sent;
use self::successor::Legacy;
use crate::model::{Downlink as Spec, Extensions, Layer, LayerCause, LayerWish, Payload, Uplink};
use crate::rtcp::{ReportBlock, SenderInfo};
use crate::track::{Encoding, SenderClock, Stored, Track, Urgency, ticks};

/// Sender reports remembered for the round-trip time: one a second, and answers are not older than this many.
const REPORTS_MAX: usize = 4;
/// Until a receiver report has told.
const RTT_FIRST: Duration = Duration::from_millis(60);
/// So long after its beginning a subscriber asks for a key frame only since its first one has not come yet.
const NEW: Duration = Duration::from_secs(1);
/// A subscriber that asks for a picture then is sent so many of its first packets again.
const OPENING: u64 = 3;
/// Bytes of a dependency descriptor: what the two-byte form of header extensions holds.
const DEPENDENCIES_MAX: usize = 255;

/// A subscriber goes over from one layer to another; `None` for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switch {
    pub from: Option<Layer>,
    pub to: Option<Layer>,
    pub cause: LayerCause,
}

/// One subscriber's view of a track.
pub(crate) struct Downlink {
    pub spec: Spec,
    choice: Choice,
    course: Course,
    head: Head,
    /// A cached group of pictures is on its way; what is new follows behind it.
    catching_up: bool,
    began: Option<Instant>,
    /// What the subscriber's timestamp was at some moment: at the beginning, then at each sender report.
    clock_out: Option<(Instant, u32)>,
    /// Another track was sent here before.
    legacy: Option<Legacy>,
    rtx_seq: u16,
    resends: Resends,
    sent: Sent,
    reported: VecDeque<(u32, Instant)>,
    rtt: Option<Duration>,
}

impl Downlink {
    pub(crate) fn new(spec: Spec) -> Self {
        // A start in the lower half and away from zero keeps SRTP's rollover counter unambiguous (RFC 3711 §3.3.1) for the packets
        // around the first one. Nothing depends on it being unguessable: the packets are authenticated.
        let mix = spec.ssrc.wrapping_mul(0x9e37_79b9);
        let first_out = (1 << 16) + 0x100 + u64::from(mix >> 18);
        Self {
            course: Course::new(first_out, mix.rotate_left(9), picture::closes_gaps(spec.payload.codec)),
            catching_up: false,
            began: None,
            clock_out: None,
            legacy: None,
            rtx_seq: 0x100 + (mix as u16 >> 2),
            resends: Resends::new(),
            sent: Sent::default(),
            reported: VecDeque::new(),
            rtt: None,
            choice: Choice::new(spec.layer),
            head: Head::new(&spec),
            spec,
        }
    }

    /// What the tap is given of a simulcast track: the best layer that flows, under one SSRC.
    pub(crate) fn for_tap(uplink: &Uplink) -> Self {
        Self::new(Spec {
            track: uplink.track,
            mid: String::new(),
            payload: Payload { rtx_pt: None, red_pt: None, ..uplink.payload },
            extensions: Extensions { mid: None, dependency_descriptor: None, ..uplink.extensions },
            ssrc: uplink.track.0 as u32 | 1,
            rtx_ssrc: None,
            layer: LayerWish::Best,
        })
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

    /// Use [`Shard::handle_command`](crate::shard::Shard::handle_command): it also asks for the key frame that the change needs.
    pub(crate) fn set_wish(&mut self, wish: LayerWish) {
        self.choice.set_wish(wish);
    }

    /// What its link is let carry; set by [`Shard::allow`](crate::shard::Shard::allow).
    pub(crate) fn allowance(&self) -> Allowance {
        self.choice.allowance()
    }

    /// Use [`Shard::allow`](crate::shard::Shard::allow): it also asks for the key frame that the change needs.
    pub(crate) fn set_allowance(&mut self, allowance: Allowance) {
        self.choice.set_allowance(allowance);
    }

    /// The highest layer that it would be sent if all existed; `None` for none.
    pub(crate) fn ceiling(&self) -> Option<Layer> {
        self.choice.ceiling()
    }

    /// Chooses among the layers that flow, one bit each. A layer that is not wanted any more stops at once only when nothing takes its
    /// place: then it is returned.
    pub(crate) fn choose(&mut self, flowing: u8, cause: LayerCause) -> Option<Switch> {
        let changed = self.choice.choose(flowing, cause);
        let stops = changed && self.choice.target().is_none() && self.choice.ceiling().is_none();
        let from = stops.then(|| self.choice.arrive()).flatten()?;
        self.catching_up = false;
        Some(Switch { from: Some(from), to: None, cause })
    }

    /// The layer whose key frame it waits for, and how badly.
    pub(crate) fn waits_for(&self) -> Option<(Layer, Urgency)> {
        let target = self.choice.target().filter(|target| self.choice.current() != Some(*target))?;
        // Down because the link is full, or since the layer above has stopped: that does not wait. Nor does a viewer's wish.
        let up = self.choice.current().is_none_or(|current| current < target);
        let urgent = self.choice.current().is_some() && (!up || self.choice.cause() == LayerCause::Wish);
        Some((target, if urgent { Urgency::Now } else { Urgency::Soon }))
    }

    /// Whether packets of this layer are of any use here.
    pub(crate) fn concerns(&self, layer: Layer) -> bool {
        self.choice.target() == Some(layer) || self.course.knows(layer)
    }

    /// Whether this packet of a layer is the one to switch to it with.
    pub(crate) fn switches_at(&self, layer: Layer, stored: &Stored) -> bool {
        stored.marks.opens && !self.catching_up && self.waits_for().is_some_and(|(target, _)| target == layer)
    }

    /// Goes over to the target, beginning with this packet of it; `cached` if it is an old one, followed by others.
    pub(crate) fn enter(&mut self, now: Instant, track: &Track, stored: &Stored, cached: bool) -> Option<Switch> {
        let layer = self.choice.target()?;
        let live = track.encoding(layer).and_then(Encoding::newest).filter(|_| cached).map(|(_, timestamp)| timestamp);
        let timestamp = live.unwrap_or(stored.timestamp);
        let shift = self.course.layer().map_or(0, |from| track.timestamp_shift(from, layer, now, timestamp));
        if let Some(legacy) = self.legacy.take() {
            self.course.start_at(timestamp, legacy.timestamp(now, self.spec.payload.codec.clock_rate()));
        }
        self.course.enter(layer, stored, shift, live, self.choice.allowance().temporal);
        self.clock_out = self.course.timestamp_offset().map(|offset| (now, timestamp.wrapping_add(offset)));
        self.catching_up = cached;
        self.began.get_or_insert(now);
        let from = self.choice.arrive();
        Some(Switch { from, to: Some(layer), cause: self.choice.cause() })
    }

    /// The layer and the next place of a cached group that is on its way.
    pub(crate) fn catching_up(&self) -> Option<(Layer, u64)> {
        self.choice.current().filter(|_| self.catching_up).map(|layer| (layer, self.course.next_place()))
    }

    /// What comes now is sent as it comes.
    pub(crate) fn caught_up(&mut self) {
        self.catching_up = false;
    }

    /// The publisher's clock on the layer that goes out.
    pub(crate) fn clock<'a>(&self, track: &'a Track) -> Option<&'a SenderClock> {
        track.encoding(self.course.layer()?)?.clock()
    }

    /// Whether the first picture may still be on its way.
    pub(crate) fn is_new(&self, now: Instant) -> bool {
        self.began.is_none_or(|began| now.saturating_duration_since(began) < NEW)
    }

    /// Writes the packet for this subscriber into `out`, but for what follows as it is stored: that is returned, and need not be
    /// copied here. `None` if it is not for this subscriber, or not yet.
    pub(crate) fn write<'s>(
        &mut self,
        layer: Layer,
        stored: &'s Stored,
        from: &Extensions,
        out: &mut Vec<u8>,
    ) -> Option<&'s [u8]> {
        let behind = self.catching_up && stored.seq != self.course.next_place();
        if behind || self.choice.current() != Some(layer) {
            let slot = self.course.find(layer, stored);
            return self.write_to(slot, stored, from, out);
        }
        self.write_cached(layer, stored, from, out)
    }

    /// As [`Self::write`], a packet of the group that it begins with. `None` if it is left out.
    pub(crate) fn write_cached<'s>(
        &mut self,
        layer: Layer,
        stored: &'s Stored,
        from: &Extensions,
        out: &mut Vec<u8>,
    ) -> Option<&'s [u8]> {
        let slot = self.course.slot(layer, stored, self.choice.allowance().temporal);
        self.write_to(slot, stored, from, out)
    }

    /// Reads a little of all that writing a packet needs, for [`crate::shard`] to have it near.
    pub(crate) fn warm(&self) -> u64 {
        let layers = u64::from(self.choice.current() == self.choice.target());
        layers ^ self.course.warm() ^ self.sent.packets ^ self.head.warm() ^ u64::from(self.catching_up)
    }

    fn write_to<'s>(&mut self, slot: Option<Slot>, stored: &'s Stored, from: &Extensions, out: &mut Vec<u8>) -> Option<&'s [u8]> {
        let slot = slot?;
        out.clear();
        let rest = self.render(stored, &slot, from, None, out);
        self.sent.packets += 1;
        self.sent.octets += if slot.filler { 0 } else { stored.payload.len() as u64 };
        Some(rest)
    }

    /// Which packet a NACK means, if it is to be answered now: not twice within a round trip, not without end.
    pub(crate) fn nacked(&mut self, now: Instant, sequence: u16) -> Option<(Layer, u64)> {
        let place = self.course.place(sequence)?;
        self.resends.allow(now, sequence, self.rtt.unwrap_or(RTT_FIRST)).then_some(place)
    }

    /// A subscriber cannot know that it lost what it was sent first: nothing before says that it should have come. While it is new
    /// and asks for a picture it is sent its first packets again.
    pub(crate) fn opening(&mut self, now: Instant) -> Vec<(Layer, u64)> {
        if self.began.is_none() || !self.is_new(now) || self.catching_up {
            return Vec::new();
        }
        self.course.opening(OPENING).filter_map(|out| self.nacked(now, out as u16)).collect()
    }

    /// Writes the packet once more: as a retransmission with its own SSRC (RFC 4588 §4) where that was negotiated, else as it was.
    pub(crate) fn write_again(&mut self, layer: Layer, stored: &Stored, from: &Extensions, out: &mut Vec<u8>) -> bool {
        let Some(slot) = self.course.find(layer, stored) else { return false };
        out.clear();
        let rtx = self.spec.rtx_ssrc.zip(self.spec.payload.rtx_pt);
        if rtx.is_some() {
            self.rtx_seq = self.rtx_seq.wrapping_add(1);
        }
        let rest = self.render(stored, &slot, from, rtx, out);
        out.extend_from_slice(rest);
        self.sent.resent += 1;
        true
    }

    /// Returns the payload, unless it is there already because something in it is another one.
    fn render<'s>(
        &self,
        stored: &'s Stored,
        slot: &Slot,
        from: &Extensions,
        rtx: Option<(u32, u8)>,
        out: &mut Vec<u8>,
    ) -> &'s [u8] {
        let Some((&second, payload)) = stored.packet.get(1).zip(stored.packet.get(stored.payload.clone())) else { return &[] };
        // Who takes no RED gets the new block alone.
        let red_pt = self.spec.payload.red_pt.filter(|_| stored.marks.red);
        let payload = if stored.marks.red && red_pt.is_none() {
            red::primary(payload).map_or(&[][..], |(_, block)| block)
        } else {
            payload
        };
        let numbers = Numbers {
            marker: second & 0x80 != 0,
            payload_type: rtx.map_or(red_pt.unwrap_or(self.spec.payload.pt), |(_, pt)| pt),
            sequence: if rtx.is_some() { self.rtx_seq } else { slot.out as u16 },
            timestamp: slot.timestamp,
            ssrc: rtx.map_or(self.spec.ssrc, |(ssrc, _)| ssrc),
        };
        if !self.is_plain(from) || !self.head.write(&numbers, out) {
            self.write_head(stored, slot, from, &numbers, out);
        }
        if rtx.is_some() {
            out.extend_from_slice(&(slot.out as u16).to_be_bytes());
        }
        match slot.numbers {
            _ if slot.filler => &[],
            None if red_pt.is_some() => {
                let at = out.len();
                out.extend_from_slice(payload);
                red::retype(&mut out[at..], self.spec.payload.pt);
                &[]
            }
            None => payload,
            Some((number, tl0)) => {
                let at = out.len();
                out.extend_from_slice(payload);
                picture::renumber(self.spec.payload.codec, &mut out[at..], number, tl0);
                &[]
            }
        }
    }

    /// Whether nothing of the publisher's header extensions goes out.
    fn is_plain(&self, from: &Extensions) -> bool {
        let to = &self.spec.extensions;
        let passed = |from: Option<u8>, to: Option<u8>| from.is_some() && to.is_some();
        !passed(from.audio_level, to.audio_level)
            && !passed(from.video_orientation, to.video_orientation)
            && !passed(from.dependency_descriptor, to.dependency_descriptor)
    }

    /// The header with those of the publisher's extensions that go out. Its transport-cc and abs-send-time do not: they are of the
    /// hop that they came over.
    fn write_head(&self, stored: &Stored, slot: &Slot, from: &Extensions, numbers: &Numbers, out: &mut Vec<u8>) {
        let Ok(packet) = Packet::parse(&stored.packet) else { return numbers.header(&head::own(&self.spec)).write(out) };
        let to = &self.spec.extensions;
        let mut extensions = [(0u8, [].as_slice()); 5];
        extensions[..2].copy_from_slice(&head::own(&self.spec));
        for (slot, from, to) in [(2, from.audio_level, to.audio_level), (3, from.video_orientation, to.video_orientation)] {
            if let Some((data, id)) = from.and_then(|id| packet.extension(id)).zip(to) {
                extensions[slot] = (id, data);
            }
        }
        let mut copy;
        if let Some((id, data)) = self.dependencies(&packet, slot, from) {
            extensions[4] = (id, data);
            if let Some((number, _)) = slot.numbers {
                copy = [0; DEPENDENCIES_MAX];
                copy[..data.len()].copy_from_slice(data);
                av1::renumber(&mut copy[..data.len()], number);
                extensions[4] = (id, &copy[..data.len()]);
            }
        }
        numbers.header(&extensions).write(out);
    }

    /// The round-trip time to the subscriber, once its receiver reports have told.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Whether a packet that is sent again is the same bytes again: retransmissions have no sequence of their own.
    pub(crate) fn repeats(&self) -> bool {
        self.spec.rtx_ssrc.zip(self.spec.payload.rtx_pt).is_none()
    }

    /// The dependency descriptor of AV1 on its way. Other codecs say in their payload what a receiver needs.
    fn dependencies<'a>(&self, packet: &Packet<'a>, slot: &Slot, from: &Extensions) -> Option<(u8, &'a [u8])> {
        let id = self.spec.extensions.dependency_descriptor.filter(|_| self.spec.payload.codec == Codec::Av1)?;
        let data = packet.extension(from.dependency_descriptor?)?;
        (!slot.filler && data.len() <= DEPENDENCIES_MAX).then_some((id, data))
    }

    /// The timestamp of a layer's report on this subscriber's line.
    pub(crate) fn timestamp_of(&self, clock: &SenderClock) -> Option<u32> {
        Some(clock.rtp.wrapping_add(self.course.timestamp_offset()?))
    }

    /// A sender report for now: the publisher's clock, run on since its latest report, on this subscriber's timestamps. So the
    /// tracks of one publisher stay in sync, whenever their reports came.
    pub(crate) fn sender_report(&mut self, now: Instant, clock: &SenderClock, rate: u32) -> Option<SenderInfo> {
        let offset = self.course.timestamp_offset()?;
        let elapsed = now.saturating_duration_since(clock.arrival);
        let ntp = NtpTime(clock.ntp.0.wrapping_add(((elapsed.as_nanos() << 32) / 1_000_000_000) as u64));
        let rtp = clock.rtp.wrapping_add(ticks(elapsed, rate)).wrapping_add(offset);
        self.clock_out = Some((now, rtp));
        if self.reported.len() == REPORTS_MAX {
            self.reported.pop_front();
        }
        self.reported.push_back((ntp.middle(), now));
        Some(SenderInfo { ssrc: self.spec.ssrc, ntp, rtp, packets: self.sent.packets as u32, octets: self.sent.octets as u32 })
    }

    /// The subscriber's report about us: tells the round-trip time (RFC 3550 §6.4.1).
    pub(crate) fn receiver_report(&mut self, now: Instant, block: &ReportBlock) {
        self.sent.reported(block);
        let Some((_, sent)) = self.reported.iter().find(|(lsr, _)| *lsr == block.lsr && block.lsr != 0) else { return };
        let held = Duration::from_micros(u64::from(block.dlsr) * 1_000_000 / 65_536);
        if let Some(rtt) = now.saturating_duration_since(*sent).checked_sub(held) {
            self.rtt = Some(rtt.clamp(Duration::from_millis(1), Duration::from_secs(2)));
        }
    }
}
