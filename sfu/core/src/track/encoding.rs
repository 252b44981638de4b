//! One layer of a track as its publisher sends it: what came and what is still owed, its packets on one unbroken line, and the wishes
//! toward its source. A track without simulcast has one.

mod mirrored;

use std::time::{Duration, Instant};

use bytes::Bytes;
use minamo_media::rtp::{Packet, Picture};
use minamo_media::{Kind, NtpTime, TrackId};

pub(crate) use self::mirrored::layers;
use super::counts::Counts;
use super::group::Group;
use super::key_frames::{KeyFrames, Urgency};
use super::ledger::{Arrival, Ledger, WINDOW};
use super::line::Line;
use super::missing::Missing;
use super::pictures::{Marks, Pictures};
use super::rate::{Rate, TEMPORAL_MAX};
use super::ring::{Ring, Stored};
use super::{Accepted, Refused, SenderClock, ticks};
use crate::model::{Layer, Payload, Uplink, UplinkReport};
use crate::peer::Flow;
use crate::rtcp::{ReportBlock, SenderInfo};

/// Packets kept for retransmission: more than two seconds at 5 Mbit/s. The same as the ledger's window, so that whatever it lets in fits.
const VIDEO_RING: usize = WINDOW as usize;
/// Five seconds of 20 ms packets.
const AUDIO_RING: usize = 256;
/// After so long without packets the publisher cannot have heard what it was asked in the meantime.
const SILENCE: Duration = Duration::from_millis(500);
/// A silence in which so many packets were lost was an outage of the link: even slow video sends more in that time.
const OUTAGE_MIN: u64 = 12;
/// A timestamp this far from where the clock says it should be belongs to another clock.
const CLOCK_JUMP: Duration = Duration::from_secs(10);
/// How far before a key frame's packet its picture may begin.
const PICTURE_HEAD_MAX: u64 = 16;

/// The SSRC from which a layer comes at present.
struct Source {
    ssrc: u32,
    ledger: Ledger,
    line: Line,
    /// Added to its timestamps to get onto the layer's line.
    timestamp_offset: u32,
    /// The lowest place that it has taken.
    began: Option<u64>,
    /// Its latest report as it was sent: for `lsr` and `dlsr`.
    report: Option<(NtpTime, Instant)>,
}

/// One layer.
pub(crate) struct Encoding {
    payload: Payload,
    /// Id of the dependency descriptor, where it comes.
    descriptor: Option<u8>,
    pub key_frames: KeyFrames,
    pub missing: Missing,
    source: Option<Source>,
    ring: Ring,
    group: Option<Group>,
    pictures: Pictures,
    newest: Option<(Instant, u32)>,
    /// Of a mirrored layer: the highest place that came over.
    highest_taken: u64,
    rate: Rate,
    counts: Counts,
    clock: Option<SenderClock>,
}

impl Encoding {
    pub(super) fn new(spec: &Uplink) -> Self {
        let codec = spec.payload.codec;
        let ring = if codec.kind() == Kind::Video { VIDEO_RING } else { AUDIO_RING };
        Self {
            payload: spec.payload,
            descriptor: spec.extensions.dependency_descriptor,
            key_frames: KeyFrames::default(),
            missing: Missing::new(codec.kind()),
            source: None,
            ring: Ring::new(ring),
            group: None,
            pictures: Pictures::new(codec),
            newest: None,
            highest_taken: 0,
            rate: Rate::default(),
            counts: Counts::default(),
            clock: None,
        }
    }

    /// The SSRC that was latched, once media has come.
    pub(crate) fn ssrc(&self) -> Option<u32> {
        self.source.as_ref().map(|source| source.ssrc)
    }

    /// A packet by its place.
    pub(crate) fn at(&self, place: u64) -> Option<&Stored> {
        self.ring.at(place)
    }

    /// The highest place so far.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.ring.highest()
    }

    /// The latest packet: when it arrived, and its timestamp on the layer's line.
    pub(crate) fn newest(&self) -> Option<(Instant, u32)> {
        self.newest
    }

    pub(crate) fn clock(&self) -> Option<&SenderClock> {
        self.clock.as_ref()
    }

    /// Bits per second of each temporal layer together with those below it.
    pub(crate) fn rates(&self, now: Instant) -> [u64; TEMPORAL_MAX] {
        self.rate.cumulative(now)
    }

    /// Where a new subscriber begins with what is here already, if that shows it a picture sooner than a new key frame. The rate is
    /// that of its link, where it is known.
    pub(crate) fn cached_group(&self, now: Instant, bits_per_second: Option<u64>) -> Option<&Stored> {
        let (group, highest) = self.group.as_ref().zip(self.ring.highest())?;
        let place = group.serves(now, highest, bits_per_second).then(|| group.first());
        self.ring.at(place?)
    }

    fn is_video(&self) -> bool {
        self.payload.codec.kind() == Kind::Video
    }

    /// Only video needs key frames; audio is complete in itself.
    pub(crate) fn wish_key_frame(&mut self, urgency: Urgency) {
        if self.is_video() {
            self.key_frames.wish(urgency);
        }
    }

    /// Whether to ask for a key frame now; true counts as asked.
    pub(crate) fn ask_key_frame(&mut self, now: Instant) -> bool {
        if self.key_frames.due(now).is_none_or(|due| due > now) {
            return false;
        }
        if let Some(group) = &self.group {
            self.key_frames.weigh(group.key_frame_bytes(), self.rates(now)[TEMPORAL_MAX - 1]);
        }
        self.key_frames.ask(now)
    }

    /// When [`Missing::ask`] or [`KeyFrames::ask`] have something to do.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        self.source.as_ref()?;
        [self.missing.due(), self.key_frames.due(now)].into_iter().flatten().min()
    }

    /// Takes a packet of the media SSRC, as it came or out of a retransmission.
    pub(crate) fn accept(&mut self, now: Instant, bytes: &Bytes, flow: Flow) -> Result<Accepted, Refused> {
        let Ok(packet) = Packet::parse(bytes) else { return Err(Refused::Late) };
        if self.ssrc() != Some(packet.ssrc()) {
            self.begin_source(now, &packet);
        }
        let (seq, repaired) = self.note(now, &packet, flow)?;
        let Some(source) = &mut self.source else { return Err(Refused::Late) };
        let padding = packet.payload().is_empty();
        let place = if padding { source.line.skip(seq) } else { Some(source.line.place(seq).ok_or(Refused::Late)?) };
        if let Some(place) = place {
            self.store(now, place, &packet, bytes)?;
        }
        Ok(Accepted { place, repaired, padding })
    }

    fn store(&mut self, now: Instant, place: u64, packet: &Packet<'_>, bytes: &Bytes) -> Result<(), Refused> {
        let Some(source) = &mut self.source else { return Err(Refused::Late) };
        source.began = Some(source.began.map_or(place, |began| began.min(place)));
        let timestamp = packet.timestamp().wrapping_add(source.timestamp_offset);
        let descriptor = self.descriptor.and_then(|id| packet.extension(id));
        let (picture, mut marks) = self.pictures.note(packet.payload(), descriptor);
        marks.red = self.payload.red_pt == Some(packet.payload_type());
        self.rate.note(now, bytes.len(), marks.temporal);
        self.counts.add(timestamp, picture.key && self.is_video(), packet.payload().len());
        if self.ring.highest().is_none_or(|highest| place > highest) {
            self.newest = Some((now, timestamp));
        }
        let (key, payload) = (picture.key, packet.payload_range());
        let stored = Stored { seq: place, timestamp, key, marks: Marks::default(), packet: bytes.clone(), payload };
        if !self.ring.insert(stored) {
            return Err(Refused::Late);
        }
        if let Some(group) = &mut self.group {
            group.add(place, timestamp, bytes.len());
        }
        marks.opens = self.opens(place, timestamp, &picture);
        self.ring.mark(place, marks);
        if picture.key {
            self.key_frames.came(now);
        }
        if marks.opens && self.is_video() && self.group.as_ref().is_none_or(|group| group.first() < place) {
            self.group = Some(Group::begin(now, &self.ring, place, timestamp));
        }
        Ok(())
    }

    /// Whether a subscriber can begin with this packet: it is the first of a key frame that a decoder needs. Where the packet itself
    /// does not say so, all before it must have come.
    fn opens(&self, place: u64, timestamp: u32, picture: &Picture) -> bool {
        if !picture.key || picture.first {
            return picture.key;
        }
        // What came first of a source may have overtaken what lies before it.
        let began = self.source.as_ref().and_then(|source| source.began).unwrap_or(place);
        for before in (place.saturating_sub(PICTURE_HEAD_MAX)..place).rev() {
            if before < began {
                return false;
            }
            match self.ring.at(before) {
                None => return false,
                Some(stored) if stored.timestamp != timestamp => return true,
                Some(stored) if stored.key => return false,
                Some(_) => {}
            }
        }
        true
    }

    /// The packet's extended sequence number, and whether it was asked for.
    fn note(&mut self, now: Instant, packet: &Packet<'_>, flow: Flow) -> Result<(u64, bool), Refused> {
        let silent = self.newest.is_some_and(|(before, _)| now.saturating_duration_since(before) > SILENCE);
        if silent {
            self.key_frames.revive();
        }
        let Some(source) = &mut self.source else { return Err(Refused::Late) };
        match source.ledger.arrive(now, packet.sequence(), packet.timestamp()) {
            Arrival::Ahead { seq, missing } => {
                // What was lost in an outage is too old already.
                if silent && missing.end - missing.start >= OUTAGE_MIN {
                    self.missing.forgo(missing);
                    self.wish_key_frame(Urgency::Now);
                } else if !self.missing.open(now, missing) {
                    self.wish_key_frame(Urgency::Now);
                }
                Ok((seq, false))
            }
            Arrival::Behind { seq } => {
                // Where retransmissions have a stream of their own, all else came by itself.
                let overtaken = flow == Flow::Media && self.payload.rtx_pt.is_some();
                Ok((seq, self.missing.close(now, seq, overtaken)))
            }
            Arrival::Duplicate => Err(Refused::Duplicate),
            Arrival::Late | Arrival::Stray => Err(Refused::Late),
            Arrival::Restart => {
                self.begin_source(now, packet);
                self.note(now, packet, flow)
            }
        }
    }

    /// Another SSRC, or the same one counting anew: the line goes on where it was.
    fn begin_source(&mut self, now: Instant, packet: &Packet<'_>) {
        let offset = self.source.as_ref().map_or(0, |source| source.timestamp_offset);
        let rate = self.payload.codec.clock_rate();
        let timestamp_offset = match self.newest {
            None => offset,
            Some((then, newest)) => {
                let expected = newest.wrapping_add(ticks(now.saturating_duration_since(then), rate));
                let error = packet.timestamp().wrapping_add(offset).wrapping_sub(expected) as i32;
                let same_clock = u64::from(error.unsigned_abs()) <= CLOCK_JUMP.as_secs() * u64::from(rate);
                if same_clock { offset } else { expected.wrapping_sub(packet.timestamp()) }
            }
        };
        let mut line = Line::new();
        if let Some(before) = self.source.take() {
            line = before.line;
            // The extender of the new ledger begins in its second cycle.
            line.restart((1 << 16) + u64::from(packet.sequence()));
            self.missing.clear();
            self.pictures.restart();
            self.clock = None;
            self.wish_key_frame(Urgency::Now);
        }
        let ledger = Ledger::new(rate);
        self.source = Some(Source { ssrc: packet.ssrc(), ledger, line, timestamp_offset, began: None, report: None });
    }

    /// The publisher's sender report. True if it is the first of its source.
    pub(crate) fn sender_report(&mut self, now: Instant, info: &SenderInfo) -> bool {
        let Some(source) = self.source.as_mut().filter(|source| source.ssrc == info.ssrc) else { return false };
        source.report = Some((info.ntp, now));
        // Zero means "no wall clock" (RFC 3550 §6.4.1); all ones are sent by senders that have none yet.
        if info.ntp.0 >> 32 == 0 || info.ntp.0 >> 32 == 0xffff_ffff {
            return false;
        }
        let rtp = info.rtp.wrapping_add(source.timestamp_offset);
        self.clock.replace(SenderClock { ntp: info.ntp, rtp, arrival: now }).is_none()
    }

    /// The numbers so far.
    pub(super) fn report(&self, now: Instant, track: TrackId, layer: Layer) -> UplinkReport {
        UplinkReport {
            track,
            layer,
            packets: self.counts.packets,
            bytes: self.counts.bytes,
            lost: self.missing.lost_so_far(),
            nacked: self.missing.asked_so_far(),
            key_frames_asked: self.key_frames.asked_so_far(),
            key_frames: self.counts.key_frames,
            bitrate: self.rates(now)[TEMPORAL_MAX - 1],
        }
    }

    /// The receiver report block about this layer, once its SSRC is known.
    pub(crate) fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        let source = self.source.as_mut()?;
        let mut block = source.ledger.report(source.ssrc);
        if let Some((ntp, arrival)) = source.report {
            block.lsr = ntp.middle();
            block.dlsr = ticks(now.saturating_duration_since(arrival), 1 << 16);
        }
        Some(block)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use minamo_media::rtp::Header;
    use minamo_media::{Codec, TrackId};

    use super::*;
    use crate::model::Extensions;

    fn new_encoding() -> Encoding {
        let payload = Payload { codec: Codec::H264, pt: 102, rtx_pt: None, red_pt: None };
        let spec = Uplink {
            track: TrackId(1),
            mid: "v".into(),
            payload,
            extensions: Extensions::default(),
            ssrc: None,
            rtx_ssrc: None,
            rids: Vec::new(),
            tap: None,
        };
        Encoding::new(&spec)
    }

    fn packet(ssrc: u32, sequence: u16, timestamp: u32) -> Bytes {
        let mut bytes = Vec::new();
        Header { payload_type: 102, sequence, timestamp, ssrc, ..Header::default() }.write(&mut bytes);
        bytes.extend_from_slice(&[0x65, 0x88, 1]);
        bytes.into()
    }

    #[test]
    fn another_ssrc_goes_on_where_the_one_before_ended() {
        let (mut encoding, start) = (new_encoding(), Instant::now());
        let first = encoding.accept(start, &packet(1, 500, 1000), Flow::Media).unwrap().place.unwrap();
        let later = start + Duration::from_secs(1);
        let second = encoding.accept(later, &packet(2, 60_000, 3_000_000_000), Flow::Media).unwrap().place.unwrap();
        assert_eq!(second, first + 1);
        assert_eq!(encoding.at(second).unwrap().timestamp, 1000 + 90_000);
        let third = encoding.accept(later, &packet(2, 60_001, 3_000_003_000), Flow::Media).unwrap().place.unwrap();
        assert_eq!(encoding.at(third).unwrap().timestamp, 1000 + 93_000);
        assert_eq!(encoding.report_block(later).unwrap().ssrc, 2);
    }

    #[test]
    fn a_count_that_begins_anew_keeps_its_clock() {
        let (mut encoding, start) = (new_encoding(), Instant::now());
        let first = encoding.accept(start, &packet(1, 500, 1000), Flow::Media).unwrap().place.unwrap();
        let later = start + Duration::from_secs(60);
        assert_eq!(encoding.accept(later, &packet(1, 20_000, 5_401_000), Flow::Media).unwrap_err(), Refused::Late);
        let second = encoding.accept(later, &packet(1, 20_001, 5_401_000), Flow::Media).unwrap().place.unwrap();
        assert_eq!(second, first + 1);
        assert_eq!(encoding.at(second).unwrap().timestamp, 5_401_000);
    }

    #[test]
    fn what_an_outage_took_is_not_asked_for_but_a_key_frame_is() {
        let (start, late) = (Instant::now(), Duration::from_millis(900));
        for (pause, lost, asks) in [(late, 40, false), (late, 2, true), (Duration::from_millis(40), 40, true)] {
            let mut encoding = new_encoding();
            encoding.accept(start, &packet(1, 500, 1000), Flow::Media).unwrap();
            encoding.accept(start + pause, &packet(1, 501 + lost, 100_000), Flow::Media).unwrap();
            assert_eq!(encoding.missing.due().is_some(), asks, "{pause:?} {lost}");
        }
    }

    #[test]
    fn reports_without_a_wall_clock_are_not_passed_on() {
        let (mut encoding, now) = (new_encoding(), Instant::now());
        encoding.accept(now, &packet(1, 500, 1000), Flow::Media).unwrap();
        for (ntp, taken) in
            [(5, false), (0xffff_ffff_0000_0000, false), (0xe000_0000_0000_0000, true), (0xe000_0001_0000_0000, false)]
        {
            let info = SenderInfo { ssrc: 1, ntp: NtpTime(ntp), rtp: 7, packets: 0, octets: 0 };
            assert_eq!(encoding.sender_report(now, &info), taken, "{ntp:x}");
        }
        assert_eq!(encoding.clock().unwrap().ntp, NtpTime(0xe000_0001_0000_0000));
    }

    /// A key frame of H.264 whose parameter sets come late does not open without them.
    #[test]
    fn a_slice_whose_parameter_sets_are_missing_opens_nothing() {
        let (mut encoding, now) = (new_encoding(), Instant::now());
        let mut accept = |sequence, timestamp, payload: &[u8]| {
            let mut bytes = Vec::new();
            Header { payload_type: 102, sequence, timestamp, ssrc: 1, ..Header::default() }.write(&mut bytes);
            bytes.extend_from_slice(payload);
            let place = encoding.accept(now, &bytes.into(), Flow::Media).unwrap().place.unwrap();
            encoding.at(place).unwrap().marks.opens
        };
        let (sets, slice, delta): (&[u8], &[u8], &[u8]) = (&[0x67, 1], &[0x65, 0x88], &[0x41, 0x9a]);
        assert!(!accept(10, 0, delta));
        assert!(accept(11, 3000, slice), "no parameter sets, and nothing is missing");
        assert!(!accept(13, 6000, slice), "12 may have some");
        assert!(accept(12, 6000, sets));
        assert!(accept(20, 9000, sets), "whatever is missing before");
        assert!(!accept(21, 9000, slice), "the second of its picture");
    }

    /// The first packet of a source that comes may be the second that was sent.
    #[test]
    fn a_slice_that_comes_first_of_its_source_opens_nothing() {
        let (mut encoding, now) = (new_encoding(), Instant::now());
        let mut accept = |ssrc, sequence, timestamp, payload: &[u8]| {
            let mut bytes = Vec::new();
            Header { payload_type: 102, sequence, timestamp, ssrc, ..Header::default() }.write(&mut bytes);
            bytes.extend_from_slice(payload);
            let place = encoding.accept(now, &bytes.into(), Flow::Media).ok()?.place?;
            Some(encoding.at(place)?.marks.opens)
        };
        let (sets, slice, delta): (&[u8], &[u8], &[u8]) = (&[0x67, 1], &[0x65, 0x88], &[0x41, 0x9a]);
        assert_eq!(accept(1, 11, 0, slice), Some(false));
        assert_eq!(accept(1, 10, 0, sets), Some(true), "overtaken, and here now");
        assert_eq!(accept(1, 12, 3000, delta), Some(false));
        assert_eq!(accept(2, 501, 6000, slice), Some(false), "another source");
        assert_eq!(accept(2, 502, 9000, delta), Some(false));
        assert_eq!(accept(2, 503, 12_000, slice), Some(true), "nothing is missing before");
    }
}
