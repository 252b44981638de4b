//! A layer of a track whose publisher lives on another shard. Its packets come over with the places, timestamps and marks that they have
//! there, so that both shards tell the same story; only what was lost between the shards is missed here.

use std::ops::RangeInclusive;
use std::time::Instant;

use super::{Encoding, Group, Ledger, Line, SILENCE, Source, Urgency};
use crate::model::{Layer, PeerId, Uplink};
use crate::track::{SenderClock, Stored, Track};

/// What a mirrored layer wants of its home now.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    /// Places that did not come over.
    pub missing: Vec<u64>,
    /// A key frame, and how badly.
    pub key_frame: Option<Urgency>,
}

impl Track {
    /// An empty copy of a track of another shard's peer.
    pub(crate) fn mirror(owner: PeerId, spec: &Uplink) -> Self {
        // The tap is fed, and sound is listened to, at home.
        let mut track = Self::new(owner, Uplink { tap: None, ..spec.clone() });
        (track.loudness, track.mirror) = (None, true);
        track
    }

    /// Which layers flow at home. True if others than before.
    pub(crate) fn set_flowing(&mut self, flowing: u8) -> bool {
        std::mem::replace(&mut self.flowing, flowing) != flowing
    }
}

impl Encoding {
    /// The places of the current group of pictures, if it is worth taking over.
    pub(crate) fn group_places(&self, now: Instant) -> Option<RangeInclusive<u64>> {
        let (group, highest) = self.group.as_ref().zip(self.ring.highest())?;
        group.serves(now, highest, None).then(|| group.first()..=highest)
    }

    /// When the current group of pictures began.
    pub(crate) fn group_began(&self) -> Option<Instant> {
        self.group.as_ref().map(Group::began)
    }

    /// A packet came over that arrived at home at this time; `old` if it had been forwarded there before this mirror was. False if it
    /// is here already, or is too old.
    pub(crate) fn take_over(&mut self, now: Instant, arrival: Instant, stored: &Stored, old: bool) -> bool {
        let place = stored.seq;
        if self.ring.at(place).is_some() || !self.ring.insert(stored.clone()) {
            return false;
        }
        self.follow_source(stored);
        let before = self.newest.map_or(place, |_| self.highest_taken);
        match place {
            _ if self.newest.is_none() => {}
            _ if place <= before => drop(self.missing.close(now, place, false)),
            _ if self.missing.open(now, before + 1..place) => {}
            _ => self.wish_key_frame(Urgency::Now),
        }
        if self.newest.is_some_and(|(last, _)| now.saturating_duration_since(last) > SILENCE) {
            self.key_frames.revive();
        }
        if self.newest.is_none() || place > before {
            (self.newest, self.highest_taken) = (Some((arrival, stored.timestamp)), place);
        }
        if !old {
            self.rate.note(now, stored.packet.len(), stored.marks.temporal);
        }
        self.follow_pictures(now, arrival, stored);
        true
    }

    /// The home has bound the packets to an SSRC; here that only says that media comes, and from which clock.
    fn follow_source(&mut self, stored: &Stored) {
        let Some(ssrc) = stored.packet.get(8..12).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes) else { return };
        if self.ssrc() != Some(ssrc) {
            self.clock = None;
            let ledger = Ledger::new(self.payload.codec.clock_rate());
            self.source = Some(Source { ssrc, ledger, line: Line::new(), timestamp_offset: 0, began: None, report: None });
        }
    }

    fn follow_pictures(&mut self, now: Instant, arrival: Instant, stored: &Stored) {
        if let Some(group) = &mut self.group {
            group.add(stored.seq, stored.timestamp, stored.packet.len());
        }
        if stored.key {
            self.key_frames.came(now);
        }
        if stored.marks.opens && self.is_video() && self.group.as_ref().is_none_or(|group| group.first() < stored.seq) {
            self.group = Some(Group::begin(arrival, &self.ring, stored.seq, stored.timestamp));
        }
    }

    /// The publisher's clock, as its home knows it. True if there was none.
    pub(crate) fn set_clock(&mut self, clock: SenderClock) -> bool {
        self.clock.replace(clock).is_none()
    }

    /// What to ask the home for now.
    pub(crate) fn wants(&mut self, now: Instant) -> Wants {
        let mut wants = Wants::default();
        if self.source.is_none() {
            return wants;
        }
        if self.missing.due().is_some_and(|due| due <= now) {
            let mut asked = Vec::new();
            self.missing.ask(now, &mut asked);
            let highest = self.highest_taken;
            let place = |sequence: u16| highest.checked_sub(u64::from((highest as u16).wrapping_sub(sequence)));
            wants.missing = asked.into_iter().filter_map(place).collect();
        }
        // Counted at home, where it was lost on the way from the publisher.
        self.missing.take_lost();
        if self.missing.take_doubted() {
            self.wish_key_frame(Urgency::Now);
        }
        let urgency = self.key_frames.urgency();
        wants.key_frame = urgency.filter(|_| self.ask_key_frame(now));
        wants
    }
}

/// Every layer of a track, lowest first.
pub(crate) fn layers(track: &Track) -> impl Iterator<Item = (Layer, &Encoding)> {
    track.encodings.iter().enumerate().map(|(layer, encoding)| (Layer(layer as u8), encoding))
}
