//! A published track: what its publisher sent and still owes, its packets on one unbroken line, and the wishes toward its publisher.

mod key_frames;
mod ledger;
mod line;
mod missing;
mod rate;
mod ring;

use std::time::{Duration, Instant};

use bytes::Bytes;
use minamo_media::rtp::{Packet, is_key_packet};
use minamo_media::{Kind, NtpTime};

use self::key_frames::KeyFrames;
use self::ledger::{Arrival, Ledger};
use self::line::Line;
use self::missing::Missing;
use self::rate::Rate;
pub(crate) use self::rate::TEMPORAL_MAX;
use self::ring::Ring;
pub(crate) use self::ring::Stored;
use crate::model::{Layer, PeerId, Uplink};
use crate::peer::Flow;
use crate::rtcp::{ReportBlock, SenderInfo};

/// Packets kept for retransmission: more than two seconds at 5 Mbit/s. The same as the ledger's window, so that whatever it lets in fits.
const VIDEO_RING: usize = ledger::WINDOW as usize;
/// Five seconds of 20 ms packets.
const AUDIO_RING: usize = 256;
/// After so long without packets the publisher cannot have heard what it was asked in the meantime.
const SILENCE: Duration = Duration::from_millis(500);
/// A silence in which so many packets were lost was an outage of the link: even slow video sends more in that time.
const OUTAGE_MIN: u64 = 12;
/// A timestamp this far from where the clock says it should be belongs to another clock.
const CLOCK_JUMP: Duration = Duration::from_secs(10);

/// One layer of a track, for the allocation of bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerRate {
    /// Which; 0 without simulcast.
    pub layer: Layer,
    /// Packets of it come at present.
    pub flows: bool,
    /// Bits per second over the last second, each temporal layer together with those below it. The last is the whole layer.
    pub bits_per_second: [u64; TEMPORAL_MAX],
}

/// What became of a packet.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    /// Its place, where it is to be forwarded. `None` for padding that left no hole.
    pub place: Option<u64>,
    /// It is a retransmission that had been asked for.
    pub repaired: bool,
    /// It has no content.
    pub padding: bool,
}

/// Why a packet was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Duplicate,
    Late,
}

/// The latest sender report, on the track's line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SenderClock {
    pub ntp: NtpTime,
    pub rtp: u32,
    pub arrival: Instant,
}

/// The SSRC from which a track comes at present.
struct Source {
    ssrc: u32,
    ledger: Ledger,
    /// Added to its timestamps to get onto the track's line.
    timestamp_offset: u32,
}

/// One track of one publisher.
pub(crate) struct Track {
    pub spec: Uplink,
    pub owner: PeerId,
    /// The bitrate that somebody wished.
    pub bitrate_wish: Option<u64>,
    pub key_frames: KeyFrames,
    pub missing: Missing,
    source: Option<Source>,
    line: Line,
    ring: Ring,
    newest: Option<(Instant, u32)>,
    rate: Rate,
    clock: Option<SenderClock>,
    /// As the publisher sent it: for `lsr` and `dlsr`.
    last_report: Option<(NtpTime, Instant)>,
}

impl Track {
    pub(crate) fn new(owner: PeerId, spec: Uplink) -> Self {
        let ring = if spec.payload.codec.kind() == Kind::Video { VIDEO_RING } else { AUDIO_RING };
        Self {
            missing: Missing::new(spec.payload.codec.kind()),
            spec,
            owner,
            bitrate_wish: None,
            key_frames: KeyFrames::default(),
            source: None,
            line: Line::new(),
            ring: Ring::new(ring),
            newest: None,
            rate: Rate::default(),
            clock: None,
            last_report: None,
        }
    }

    pub(crate) fn is_video(&self) -> bool {
        self.spec.payload.codec.kind() == Kind::Video
    }

    /// The SSRC that was latched, once media has come.
    pub(crate) fn ssrc(&self) -> Option<u32> {
        self.source.as_ref().map(|source| source.ssrc)
    }

    /// Each of its layers that ever came, lowest first, and what it takes.
    pub(crate) fn layers(&self, now: Instant) -> impl Iterator<Item = LayerRate> {
        let bits_per_second = self.rate.cumulative(now);
        self.source.iter().map(move |_| LayerRate { layer: Layer(0), flows: true, bits_per_second })
    }

    /// A packet by its place.
    pub(crate) fn at(&self, place: u64) -> Option<&Stored> {
        self.ring.at(place)
    }

    /// The highest place so far.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.ring.highest()
    }

    pub(crate) fn clock(&self) -> Option<&SenderClock> {
        self.clock.as_ref()
    }

    /// Only video needs key frames; audio is complete in itself.
    pub(crate) fn wish_key_frame(&mut self) {
        if self.is_video() {
            self.key_frames.wish();
        }
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
        let place =
            if packet.payload().is_empty() { self.line.skip(seq) } else { Some(self.line.place(seq).ok_or(Refused::Late)?) };
        let padding = packet.payload().is_empty();
        self.rate.note(now, bytes.len(), 0);
        if let Some(place) = place {
            self.store(now, place, &packet, bytes)?;
        }
        Ok(Accepted { place, repaired, padding })
    }

    fn store(&mut self, now: Instant, place: u64, packet: &Packet<'_>, bytes: &Bytes) -> Result<(), Refused> {
        let offset = self.source.as_ref().map_or(0, |source| source.timestamp_offset);
        let timestamp = packet.timestamp().wrapping_add(offset);
        let key = is_key_packet(self.spec.payload.codec, packet.payload());
        if key {
            self.key_frames.came();
        }
        if self.ring.highest().is_none_or(|highest| place > highest) {
            self.newest = Some((now, timestamp));
        }
        if self.ring.insert(Stored { seq: place, timestamp, key, packet: bytes.clone() }) { Ok(()) } else { Err(Refused::Late) }
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
                    self.wish_key_frame();
                } else if !self.missing.open(now, missing) {
                    self.wish_key_frame();
                }
                Ok((seq, false))
            }
            Arrival::Behind { seq } => {
                // Where retransmissions have a stream of their own, all else came by itself.
                let overtaken = flow == Flow::Media && self.spec.payload.rtx_pt.is_some();
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
        let rate = self.spec.payload.codec.clock_rate();
        let timestamp_offset = match self.newest {
            None => offset,
            Some((then, newest)) => {
                let expected = newest.wrapping_add(ticks(now.saturating_duration_since(then), rate));
                let error = packet.timestamp().wrapping_add(offset).wrapping_sub(expected) as i32;
                let same_clock = u64::from(error.unsigned_abs()) <= CLOCK_JUMP.as_secs() * u64::from(rate);
                if same_clock { offset } else { expected.wrapping_sub(packet.timestamp()) }
            }
        };
        if self.source.is_some() {
            // The extender of the new ledger begins in its second cycle.
            self.line.restart((1 << 16) + u64::from(packet.sequence()));
            self.missing.clear();
            self.clock = None;
            self.last_report = None;
            self.wish_key_frame();
        }
        self.source = Some(Source { ssrc: packet.ssrc(), ledger: Ledger::new(rate), timestamp_offset });
    }

    /// The publisher's sender report. True if it is the first of its source.
    pub(crate) fn sender_report(&mut self, now: Instant, info: &SenderInfo) -> bool {
        let Some(source) = self.source.as_ref().filter(|source| source.ssrc == info.ssrc) else { return false };
        self.last_report = Some((info.ntp, now));
        // Zero means "no wall clock" (RFC 3550 §6.4.1); all ones are sent by senders that have none yet.
        if info.ntp.0 >> 32 == 0 || info.ntp.0 >> 32 == 0xffff_ffff {
            return false;
        }
        let rtp = info.rtp.wrapping_add(source.timestamp_offset);
        self.clock.replace(SenderClock { ntp: info.ntp, rtp, arrival: now }).is_none()
    }

    /// The receiver report block about this track, once its SSRC is known.
    pub(crate) fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        let source = self.source.as_mut()?;
        let mut block = source.ledger.report(source.ssrc);
        if let Some((ntp, arrival)) = self.last_report {
            block.lsr = ntp.middle();
            block.dlsr = ticks(now.saturating_duration_since(arrival), 1 << 16);
        }
        Some(block)
    }
}

/// A duration in ticks, wrapping as RTP does.
pub(crate) fn ticks(duration: Duration, rate: u32) -> u32 {
    (duration.as_micros() * u128::from(rate) / 1_000_000) as u32
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use minamo_media::rtp::Header;
    use minamo_media::{Codec, TrackId};

    use super::*;
    use crate::model::{Extensions, Payload};

    fn track() -> Track {
        let payload = Payload { codec: Codec::H264, pt: 102, rtx_pt: None };
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
        Track::new(PeerId(1), spec)
    }

    fn packet(ssrc: u32, sequence: u16, timestamp: u32) -> Bytes {
        let mut bytes = Vec::new();
        Header { payload_type: 102, sequence, timestamp, ssrc, ..Header::default() }.write(&mut bytes);
        bytes.extend_from_slice(&[0x65, 0x88, 1]);
        bytes.into()
    }

    #[test]
    fn another_ssrc_goes_on_where_the_one_before_ended() {
        let (mut track, start) = (track(), Instant::now());
        let first = track.accept(start, &packet(1, 500, 1000), Flow::Media).unwrap().place.unwrap();
        let later = start + Duration::from_secs(1);
        let second = track.accept(later, &packet(2, 60_000, 3_000_000_000), Flow::Media).unwrap().place.unwrap();
        assert_eq!(second, first + 1);
        assert_eq!(track.at(second).unwrap().timestamp, 1000 + 90_000);
        let third = track.accept(later, &packet(2, 60_001, 3_000_003_000), Flow::Media).unwrap().place.unwrap();
        assert_eq!(track.at(third).unwrap().timestamp, 1000 + 93_000);
        assert_eq!(track.report_block(later).unwrap().ssrc, 2);
    }

    #[test]
    fn a_count_that_begins_anew_keeps_its_clock() {
        let (mut track, start) = (track(), Instant::now());
        let first = track.accept(start, &packet(1, 500, 1000), Flow::Media).unwrap().place.unwrap();
        let later = start + Duration::from_secs(60);
        assert_eq!(track.accept(later, &packet(1, 20_000, 5_401_000), Flow::Media).unwrap_err(), Refused::Late);
        let second = track.accept(later, &packet(1, 20_001, 5_401_000), Flow::Media).unwrap().place.unwrap();
        assert_eq!(second, first + 1);
        assert_eq!(track.at(second).unwrap().timestamp, 5_401_000);
    }

    #[test]
    fn what_an_outage_took_is_not_asked_for_but_a_key_frame_is() {
        let (start, late) = (Instant::now(), Duration::from_millis(900));
        for (pause, lost, asks) in [(late, 40, false), (late, 2, true), (Duration::from_millis(40), 40, true)] {
            let mut track = track();
            track.accept(start, &packet(1, 500, 1000), Flow::Media).unwrap();
            track.accept(start + pause, &packet(1, 501 + lost, 100_000), Flow::Media).unwrap();
            assert_eq!(track.missing.due().is_some(), asks, "{pause:?} {lost}");
        }
    }

    #[test]
    fn reports_without_a_wall_clock_are_not_passed_on() {
        let (mut track, now) = (track(), Instant::now());
        track.accept(now, &packet(1, 500, 1000), Flow::Media).unwrap();
        for (ntp, taken) in
            [(5, false), (0xffff_ffff_0000_0000, false), (0xe000_0000_0000_0000, true), (0xe000_0001_0000_0000, false)]
        {
            let info = SenderInfo { ssrc: 1, ntp: NtpTime(ntp), rtp: 7, packets: 0, octets: 0 };
            assert_eq!(track.sender_report(now, &info), taken, "{ntp:x}");
        }
        assert_eq!(track.clock().unwrap().ntp, NtpTime(0xe000_0001_0000_0000));
    }
}
