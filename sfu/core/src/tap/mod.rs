//! The tap: from a publisher's packets to access units. Runs on a thread of its own, off the forwarding path.

mod reorder;
mod track;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use minamo_media::{NtpTime, TapEvent, TrackId, TrackInfo};

use self::track::TappedTrack;

/// Tracks of one publisher; more are ignored. The shard lets a peer have fewer.
const TRACKS_MAX: usize = 32;
/// Events that nobody polled; at the bound access units and reports are dropped, and the next unit says `after_loss`.
const EVENTS_MAX: usize = 1024;

/// Reorders and depacketizes the tracks of one publisher.
///
/// Every packet waits at most [`reorder::WAIT_MAX`] for one that is missing before it. What did not come by then is lost: a video
/// track then drops units until the next key frame and wishes for one; an audio track goes on with `after_loss`.
#[derive(Default)]
pub struct Assembler {
    tracks: BTreeMap<TrackId, TappedTrack>,
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
        if self.tracks.contains_key(&info.track) || self.tracks.len() >= TRACKS_MAX {
            return;
        }
        self.tracks.insert(info.track, TappedTrack::new(info.codec));
        self.events.push_back(TapEvent::TrackAdded(info));
    }

    /// Nothing more will come of the track. [`TapEvent::TrackRemoved`] follows, after what was still waiting.
    pub fn remove_track(&mut self, track: TrackId) {
        let Some(mut tapped) = self.tracks.remove(&track) else { return };
        tapped.finish();
        self.collect(track, &mut tapped);
        self.events.push_back(TapEvent::TrackRemoved(track));
    }

    /// One plain RTP packet.
    pub fn push_packet(&mut self, arrival: Instant, track: TrackId, packet: Bytes) {
        self.with(track, |tapped| tapped.push_packet(arrival, packet));
    }

    /// One sender report: its RTP timestamp as on the wire, and the publisher's clock.
    pub fn push_report(&mut self, arrival: Instant, track: TrackId, rtp32: u32, ntp: NtpTime) {
        self.with(track, |tapped| tapped.push_report(arrival, rtp32, ntp));
    }

    /// Time has come to give up on what is missing.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |tapped: &TappedTrack| tapped.due().is_some_and(|due| due <= now);
        let due: Vec<TrackId> = self.tracks.iter().filter(|(_, tapped)| due(tapped)).map(|(id, _)| *id).collect();
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
        self.tracks.iter_mut().find_map(|(id, tapped)| tapped.take_wish().then_some(*id))
    }

    /// Access units and reports dropped because nobody polled.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn with(&mut self, track: TrackId, act: impl FnOnce(&mut TappedTrack)) {
        let Some(mut tapped) = self.tracks.remove(&track) else { return };
        act(&mut tapped);
        self.collect(track, &mut tapped);
        self.tracks.insert(track, tapped);
    }

    fn collect(&mut self, track: TrackId, tapped: &mut TappedTrack) {
        while let Some(event) = tapped.poll(track) {
            if self.events.len() < EVENTS_MAX {
                self.events.push_back(event);
            } else {
                self.dropped += 1;
                tapped.lose();
            }
        }
    }
}
