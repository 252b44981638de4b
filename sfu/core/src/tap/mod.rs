//! The tap: from a publisher's packets to access units. Runs on a thread of its own, off the forwarding path.

mod reorder;
mod track;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use minamo_media::{NtpTime, TapEvent, TrackId, TrackInfo};

use self::track::TappedTrack;
use crate::model::LAYERS_MAX;

/// Tracks of one publisher, each layer counted; more are ignored. The shard lets a peer have fewer.
const TRACKS_MAX: usize = 32;
/// Events that nobody polled; at the bound access units and reports are dropped, and the next unit says `after_loss`.
const EVENTS_MAX: usize = 1024;

/// Reorders and depacketizes the tracks of one publisher.
///
/// A packet waits at most 400 ms (audio 200 ms) for one that is missing before it. What did not come by then is lost: a video
/// track then drops units until the next key frame and wishes for one; an audio track goes on with `after_loss`.
#[derive(Default)]
pub struct Assembler {
    /// By track and layer.
    tracks: BTreeMap<(TrackId, u8), TappedTrack>,
    events: VecDeque<TapEvent>,
    dropped: u64,
}

impl Assembler {
    /// An assembler without tracks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A track was negotiated. [`TapEvent::TrackAdded`] follows.
    pub fn add_track(&mut self, info: TrackInfo) {
        let layers = info.rids.len().clamp(1, LAYERS_MAX) as u8;
        if self.tracks.contains_key(&(info.track, 0)) || self.tracks.len() >= TRACKS_MAX {
            return;
        }
        for layer in 0..layers {
            self.tracks.insert((info.track, layer), TappedTrack::new(info.codec, layer));
        }
        self.events.push_back(TapEvent::TrackAdded(info));
    }

    /// Nothing more will come of the track. [`TapEvent::TrackRemoved`] follows, after what was still waiting.
    pub fn remove_track(&mut self, track: TrackId) {
        let mut known = false;
        for layer in 0..LAYERS_MAX as u8 {
            let Some(mut tapped) = self.tracks.remove(&(track, layer)) else { break };
            known = true;
            tapped.finish();
            collect(track, &mut tapped, &mut self.events, &mut self.dropped);
        }
        if known {
            self.events.push_back(TapEvent::TrackRemoved(track));
        }
    }

    /// One plain RTP packet of a layer; those of layers that were not negotiated are dropped.
    pub fn push_packet(&mut self, arrival: Instant, track: TrackId, layer: u8, packet: Bytes) {
        self.with((track, layer), |tapped| tapped.push_packet(arrival, packet));
    }

    /// The picture before the packet with this number, which comes next, was cut off and will not be completed.
    pub fn cut(&mut self, track: TrackId, sequence: u16) {
        self.with((track, 0), |tapped| tapped.cut(sequence));
    }

    /// One sender report: its RTP timestamp as on the wire, and the publisher's clock.
    pub fn push_report(&mut self, arrival: Instant, track: TrackId, layer: u8, rtp32: u32, ntp: NtpTime) {
        self.with((track, layer), |tapped| tapped.push_report(arrival, rtp32, ntp));
    }

    /// Time has come to give up on what is missing.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |tapped: &TappedTrack| tapped.due().is_some_and(|due| due <= now);
        let due: Vec<(TrackId, u8)> = self.tracks.iter().filter(|(_, tapped)| due(tapped)).map(|(id, _)| *id).collect();
        for track in due {
            self.with(track, |tapped| tapped.handle_timeout(now));
        }
    }

    /// When to call [`Self::handle_timeout`]; `None` while nothing is missing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.tracks.values().filter_map(TappedTrack::due).min()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<TapEvent> {
        self.events.pop_front()
    }

    /// A track whose pictures are useless until the next key frame; ask its publisher for one. Given once for each loss: whoever
    /// fulfils the wish repeats it until the key frame comes.
    pub fn poll_wish(&mut self) -> Option<TrackId> {
        self.tracks.iter_mut().find_map(|((id, _), tapped)| tapped.take_wish().then_some(*id))
    }

    /// Access units and reports dropped because nobody polled.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn with(&mut self, of: (TrackId, u8), act: impl FnOnce(&mut TappedTrack)) {
        let Some(tapped) = self.tracks.get_mut(&of) else { return };
        act(tapped);
        collect(of.0, tapped, &mut self.events, &mut self.dropped);
    }
}

fn collect(track: TrackId, tapped: &mut TappedTrack, events: &mut VecDeque<TapEvent>, dropped: &mut u64) {
    while let Some(event) = tapped.poll(track) {
        if events.len() < EVENTS_MAX {
            events.push_back(event);
        } else {
            *dropped += 1;
            tapped.lose();
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use std::time::Duration;

    use minamo_media::rtp::Header;
    use minamo_media::{AccessUnit, Codec, SenderReport};

    use super::*;

    const TRACK: TrackId = TrackId(1);

    fn assembler(codec: Codec) -> Assembler {
        let mut assembler = Assembler::new();
        assembler.add_track(TrackInfo { track: TRACK, publisher: "p".into(), codec, rids: Vec::new() });
        assert!(matches!(assembler.poll_event(), Some(TapEvent::TrackAdded(_))));
        assembler
    }

    fn packet(sequence: u16, timestamp: u32, payload: &[u8]) -> Bytes {
        let mut bytes = Vec::new();
        Header { marker: true, payload_type: 111, sequence, timestamp, ssrc: 5, extensions: &[] }.write(&mut bytes);
        bytes.extend_from_slice(payload);
        bytes.into()
    }

    fn units(assembler: &mut Assembler) -> Vec<AccessUnit> {
        let unit = |event| match event {
            TapEvent::AccessUnit(_, unit) => Some(unit),
            _ => None,
        };
        std::iter::from_fn(|| assembler.poll_event()).filter_map(unit).collect()
    }

    #[test]
    fn a_wrap_between_the_first_report_and_the_first_packet() {
        let (mut assembler, now) = (assembler(Codec::Opus), Instant::now());
        assembler.push_report(now, TRACK, 0, u32::MAX - 959, NtpTime(1 << 32));
        assert_eq!(assembler.poll_event(), None, "no line to lie on yet");
        assembler.push_packet(now, TRACK, 0, packet(1, 960, &[0x78, 1]));
        let report = SenderReport { layer: 0, rtp: -960, ntp: NtpTime(1 << 32), arrival: now };
        assert_eq!(assembler.poll_event(), Some(TapEvent::SenderReport(TRACK, report)));
        assert_eq!(units(&mut assembler)[0].rtp, 960);
    }

    #[test]
    fn a_wrap_between_packets_and_a_report_behind_it() {
        let (mut assembler, now) = (assembler(Codec::Opus), Instant::now());
        assembler.push_packet(now, TRACK, 0, packet(1, u32::MAX - 959, &[0x78, 1]));
        assembler.push_packet(now, TRACK, 0, packet(2, 0, &[0x78, 2]));
        let line: Vec<i64> = units(&mut assembler).iter().map(|unit| unit.rtp).collect();
        assert_eq!(line, [(1 << 32) - 960, 1 << 32]);
        assembler.push_report(now, TRACK, 0, u32::MAX, NtpTime(1 << 32));
        assert!(matches!(assembler.poll_event(), Some(TapEvent::SenderReport(_, report)) if report.rtp == (1 << 32) - 1));
    }

    #[test]
    fn loss_of_pictures_waits_then_wishes_then_goes_on_with_a_key_frame() {
        let (mut assembler, start) = (assembler(Codec::H264), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let (key, delta): (&[u8], &[u8]) = (&[0x65, 0x88, 1], &[0x41, 0x9a, 1]);
        for (ms, sequence, nal) in [(0, 1, key), (33, 2, delta), (99, 4, delta)] {
            assembler.push_packet(at(ms), TRACK, 0, packet(sequence, u32::from(sequence) * 3000, nal));
        }
        assert_eq!(units(&mut assembler).len(), 2);
        assert_eq!(assembler.poll_wish(), None);
        assert_eq!(assembler.poll_timeout(), Some(at(499)));
        assembler.handle_timeout(at(499));
        assert_eq!(assembler.poll_wish(), Some(TRACK));
        assert_eq!(assembler.poll_wish(), None);
        assembler.push_packet(at(500), TRACK, 0, packet(5, 15_000, delta));
        assert_eq!(units(&mut assembler), []);
        assembler.push_packet(at(530), TRACK, 0, packet(6, 18_000, key));
        let unit = &units(&mut assembler)[0];
        assert!(unit.key && unit.after_loss && unit.arrival == at(530));
        assembler.push_packet(at(550), TRACK, 0, packet(7, 21_000, delta));
        assert!(!units(&mut assembler)[0].after_loss);
    }

    #[test]
    fn a_picture_that_was_cut_off_is_left_out() {
        let slice = |sequence, timestamp, marker, nal: &[u8]| {
            let mut bytes = Vec::new();
            Header { marker, payload_type: 111, sequence, timestamp, ssrc: 5, extensions: &[] }.write(&mut bytes);
            bytes.extend_from_slice(nal);
            Bytes::from(bytes)
        };
        let (key, delta): (&[u8], &[u8]) = (&[0x65, 0x88, 1], &[0x41, 0x9a, 1]);
        for cut in [true, false] {
            let (mut assembler, now) = (assembler(Codec::H264), Instant::now());
            assembler.push_packet(now, TRACK, 0, slice(1, 0, true, key));
            // Two slices of three; their order in time does not matter.
            assembler.push_packet(now, TRACK, 0, slice(3, 3000, false, delta));
            if cut {
                assembler.cut(TRACK, 4);
            }
            assembler.push_packet(now, TRACK, 0, slice(2, 3000, false, delta));
            assembler.push_packet(now, TRACK, 0, slice(4, 6000, true, key));
            let times: Vec<(i64, bool)> = units(&mut assembler).iter().map(|unit| (unit.rtp, unit.after_loss)).collect();
            let all = [(0, false), (3000, false), (6000, false)];
            assert_eq!(times, if cut { vec![all[0], all[2]] } else { all.to_vec() });
            assert_eq!(assembler.poll_wish(), None, "the key frame is there");
        }
    }

    #[test]
    fn removing_a_track_gives_out_what_waits() {
        let (mut assembler, now) = (assembler(Codec::Opus), Instant::now());
        assembler.push_packet(now, TRACK, 0, packet(1, 0, &[0x78, 1]));
        assembler.push_packet(now, TRACK, 0, packet(3, 1920, &[0x78, 3]));
        assembler.push_packet(now, TRACK, 0, packet(5, 3840, &[0x78, 5]));
        assembler.remove_track(TRACK);
        let kinds: Vec<_> = std::iter::from_fn(|| assembler.poll_event()).collect();
        assert_eq!(kinds.len(), 4);
        assert_eq!(kinds.last(), Some(&TapEvent::TrackRemoved(TRACK)));
    }

    #[test]
    fn a_queue_that_nobody_polls_is_bounded() {
        let (mut assembler, now) = (assembler(Codec::Opus), Instant::now());
        for sequence in 0..3000u16 {
            assembler.push_packet(now, TRACK, 0, packet(sequence, u32::from(sequence) * 960, &[0x78, 1]));
        }
        assert_eq!(assembler.events.len(), EVENTS_MAX);
        assert_eq!(assembler.dropped(), 3000 - EVENTS_MAX as u64);
    }
}
