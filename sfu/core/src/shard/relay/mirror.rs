//! The other shard's side: takes over what comes, and says what it needs.

use std::sync::Arc;
use std::time::Instant;

use minamo_media::TrackId;
use minamo_media::rtp::Packet;

use super::{Packets, PeerTransport, RENEW, Remote, Shard, ShardIndex, Word};
use crate::model::{Layer, PeerId, Uplink};
use crate::shard::SPIN_GUARD;
use crate::track::{SenderClock, Track};

impl<T: PeerTransport> Shard<T> {
    /// Somebody here wants the track. If it is another shard's, it is mirrored from now on.
    pub(in crate::shard) fn mirror_track(&mut self, now: Instant, track: TrackId) {
        let Some(relay) = &mut self.relay else { return };
        let Some(remote) = relay.remote.get(&track).filter(|_| !self.tracks.contains_key(&track)) else { return };
        let home = remote.home;
        self.tracks.insert(track, Track::mirror(remote.owner, &remote.spec));
        relay.mirrors.push(track);
        let renew_at = *relay.renew_at.get_or_insert(now + RENEW);
        relay.wake(Some(renew_at));
        self.relay(Some(home), Word::Watched(track, 0));
    }

    pub(super) fn remote_offered(&mut self, now: Instant, home: ShardIndex, owner: PeerId, spec: Arc<Uplink>) {
        let track = spec.track;
        if let Some(relay) = &mut self.relay {
            relay.remote.insert(track, Remote { home, owner, spec });
        }
        // Subscribers may come before their publisher.
        if self.subscribers.contains_key(&track) {
            self.mirror_track(now, track);
            self.reflow(now, track);
        }
    }

    pub(super) fn remote_withdrawn(&mut self, track: TrackId) {
        if let Some(relay) = &mut self.relay {
            relay.remote.remove(&track);
        }
        if self.tracks.get(&track).is_some_and(|entry| entry.mirror) {
            self.forget_track(track);
        }
    }

    /// The mirror was removed.
    pub(in crate::shard) fn leave_home(&mut self, track: TrackId) {
        let Some(relay) = &mut self.relay else { return };
        relay.mirrors.retain(|mirror| *mirror != track);
        if let Some(home) = relay.remote.get(&track).map(|remote| remote.home) {
            self.relay(Some(home), Word::Left(track));
        }
    }

    /// The second subscriber in a row was given up over packets of this mirror: its publisher is to go.
    pub(in crate::shard) fn blame_home(&mut self, track: TrackId) {
        self.tell_home(track, Word::Blame(track));
    }

    pub(in crate::shard) fn wish_home_bitrate(&mut self, track: TrackId, bits_per_second: u64) {
        self.tell_home(track, Word::Bitrate(track, bits_per_second));
    }

    fn tell_home(&mut self, track: TrackId, word: Word) {
        let mirror = self.tracks.get(&track).is_some_and(|entry| entry.mirror);
        let home = self.relay.as_ref().filter(|_| mirror).and_then(|relay| relay.remote.get(&track)).map(|remote| remote.home);
        if home.is_some() {
            self.relay(home, word);
        }
    }

    /// What comes of packets that came over: they are kept and forwarded. Contained: should it panic, the mirror goes.
    pub(super) fn mirrored(&mut self, now: Instant, packets: &Packets) {
        let Some(owner) = self.tracks.get(&packets.track).filter(|entry| entry.mirror).map(|entry| entry.owner) else { return };
        self.contained(now, owner, |shard| shard.take_over(now, packets));
    }

    fn take_over(&mut self, now: Instant, packets: &Packets) {
        let Packets { track, layer, flowing, old, ref packets } = *packets;
        let Some(entry) = self.tracks.get_mut(&track) else { return };
        let other_layers_flow = entry.set_flowing(flowing);
        let video = entry.is_video();
        let Some(encoding) = entry.encoding_mut(layer) else { return };
        let mut taken = Vec::with_capacity(packets.len());
        for (arrival, stored) in packets {
            if encoding.take_over(now, *arrival, stored, old) {
                let ends = !video || Packet::parse(&stored.packet).is_ok_and(|packet| packet.marker());
                taken.push((stored.seq, ends));
            }
        }
        self.rearm_source(now, track);
        if other_layers_flow || old {
            // Who is sent nothing yet begins with the old ones.
            self.reflow(now, track);
        }
        for (place, ends) in taken.into_iter().filter(|_| !old) {
            self.forward(now, track, layer, place, !ends);
        }
    }

    pub(super) fn mirrored_clock(&mut self, now: Instant, track: TrackId, layer: Layer, clock: SenderClock) {
        let entry = self.tracks.get_mut(&track).filter(|entry| entry.mirror);
        if entry.and_then(|entry| entry.encoding_mut(layer)).is_some_and(|encoding| encoding.set_clock(clock)) {
            self.announce_clock(now, track, layer);
        }
    }

    /// Brings the deadline in line with what the track wants of its source: its publisher, or its home.
    pub(in crate::shard) fn rearm_source(&mut self, now: Instant, track: TrackId) {
        let Some(entry) = self.tracks.get(&track) else { return };
        if !entry.mirror {
            let owner = entry.owner;
            return self.rearm(now, owner);
        }
        let due = entry.due(now);
        if let Some(relay) = &mut self.relay {
            relay.wake(due);
        }
    }

    /// What mirrors want of their homes, if it is time.
    pub(in crate::shard) fn serve_relay(&mut self, now: Instant) {
        let Some(relay) = self.relay.as_mut().filter(|relay| relay.due.is_some_and(|due| due <= now)) else { return };
        let mirrors = relay.mirrors.clone();
        if relay.renew_at.is_some_and(|at| at <= now) {
            relay.renew_at = Some(now + RENEW).filter(|_| !mirrors.is_empty());
            mirrors.iter().for_each(|track| self.renew(*track));
        }
        mirrors.iter().for_each(|track| self.ask_home(now, *track));
        let due = mirrors.iter().filter_map(|track| self.tracks.get(track)?.due(now)).min();
        let due = due.map(|due| due.max(now + SPIN_GUARD));
        if let Some(relay) = &mut self.relay {
            relay.due = relay.renew_at;
            relay.wake(due);
        }
    }

    /// Says that the mirror is there and what is watched of it, or gives it up.
    fn renew(&mut self, track: TrackId) {
        if self.subscribers.contains_key(&track) {
            let watched = self.watched_here(track);
            self.tell_home(track, Word::Watched(track, watched));
        } else {
            self.forget_track(track);
        }
    }

    fn ask_home(&mut self, now: Instant, track: TrackId) {
        let Some(entry) = self.tracks.get_mut(&track) else { return };
        let wants: Vec<_> = entry.encodings_mut().map(|encoding| encoding.wants(now)).collect();
        for (layer, wants) in wants.into_iter().enumerate() {
            let layer = Layer(layer as u8);
            if !wants.missing.is_empty() {
                self.tell_home(track, Word::Missing(track, layer, wants.missing));
            }
            if let Some(urgency) = wants.key_frame {
                self.tell_home(track, Word::KeyFrame(track, layer, urgency));
            }
        }
    }
}
