//! The home's side: tells of its tracks, and passes their packets on to the shards that mirror them.

use std::sync::Arc;
use std::time::Instant;

use minamo_media::TrackId;

use super::{Packets, PeerTransport, Shard, ShardIndex, Word};
use crate::model::Layer;
use crate::track::{Encoding, Track, layers};

/// Places that are sent again for one request; as many as may be missing at once.
const AGAIN_MAX: usize = 512;

impl<T: PeerTransport> Shard<T> {
    /// Tells the others of a track of ours.
    pub(in crate::shard) fn offer_track(&mut self, track: TrackId) {
        let Some(entry) = self.tracks.get(&track).filter(|_| self.relay.is_some()) else { return };
        let word = Word::Offered(entry.owner, Arc::new(entry.spec.clone()));
        self.relay(None, word);
    }

    /// The track is over.
    pub(in crate::shard) fn withdraw_track(&mut self, track: TrackId) {
        let Some(relay) = &mut self.relay else { return };
        relay.watchers.remove(&track);
        self.relay(None, Word::Withdrawn(track));
    }

    /// Whether another shard mirrors the track.
    pub(in crate::shard) fn is_relayed(&self, track: TrackId) -> bool {
        self.relay.as_ref().is_some_and(|relay| relay.watchers.contains_key(&track))
    }

    /// The layers that are watched on other shards, one bit each.
    pub(in crate::shard) fn watched_elsewhere(&self, track: TrackId) -> u8 {
        let watchers = self.relay.as_ref().and_then(|relay| relay.watchers.get(&track));
        watchers.into_iter().flatten().fold(0, |bits, (_, layers)| bits | layers)
    }

    /// The first burst goes to the shards that mirror its track, before anybody here is served: the way there takes time, too.
    pub(in crate::shard) fn relay_burst(&mut self) {
        let Some((track, layer, places)) = self.fanout.fresh().filter(|(track, ..)| self.is_relayed(*track)) else { return };
        let Some(entry) = self.tracks.get(&track) else { return };
        let Some(encoding) = entry.encoding(layer) else { return };
        let stored = |(arrival, place): &(Instant, u64)| Some((*arrival, encoding.at(*place)?.clone()));
        let packets = places.iter().filter_map(stored).collect();
        let packets = Arc::new(Packets { track, layer, flowing: entry.flowing(), old: false, packets });
        let watchers = self.relay.as_ref().and_then(|relay| relay.watchers.get(&track)).cloned().unwrap_or_default();
        for (shard, _) in watchers {
            self.relay(Some(shard), Word::Packets(packets.clone()));
        }
    }

    /// The clock of a layer was told anew.
    pub(in crate::shard) fn relay_clock(&mut self, track: TrackId, layer: Layer) {
        let Some(watchers) = self.relay.as_ref().and_then(|relay| relay.watchers.get(&track)).cloned() else { return };
        let encoding = self.tracks.get(&track).and_then(|entry| entry.encoding(layer));
        let Some(clock) = encoding.and_then(Encoding::clock).copied() else { return };
        for (shard, _) in watchers {
            self.relay(Some(shard), Word::Clock(track, layer, clock));
        }
    }

    /// A shard mirrors a track of ours. The first time it gets what a subscriber begins with.
    pub(super) fn watched_there(&mut self, now: Instant, from: ShardIndex, track: TrackId, watched: u8) {
        let Some(relay) = &mut self.relay else { return };
        let Some(entry) = self.tracks.get(&track).filter(|entry| !entry.mirror) else {
            return self.relay(Some(from), Word::Withdrawn(track));
        };
        let watchers = relay.watchers.entry(track).or_default();
        if let Some((_, layers)) = watchers.iter_mut().find(|(shard, _)| *shard == from) {
            *layers = watched;
            return;
        }
        watchers.push((from, watched));
        for word in beginning(now, track, entry) {
            self.relay(Some(from), word);
        }
    }

    pub(super) fn left_there(&mut self, from: ShardIndex, track: TrackId) {
        let Some(relay) = &mut self.relay else { return };
        let Some(watchers) = relay.watchers.get_mut(&track) else { return };
        watchers.retain(|(shard, _)| *shard != from);
        if watchers.is_empty() {
            relay.watchers.remove(&track);
        }
    }

    /// Packets that were lost on the way to a mirror. Those that are missing here, too, go over when they come.
    pub(super) fn relay_again(&mut self, now: Instant, to: ShardIndex, track: TrackId, layer: Layer, places: &[u64]) {
        let Some(entry) = self.tracks.get(&track) else { return };
        let Some(encoding) = entry.encoding(layer) else { return };
        let stored = places.iter().take(AGAIN_MAX).filter_map(|place| Some((now, encoding.at(*place)?.clone())));
        let packets: Vec<_> = stored.collect();
        if !packets.is_empty() {
            let packets = Packets { track, layer, flowing: entry.flowing(), old: false, packets };
            self.relay(Some(to), Word::Packets(Arc::new(packets)));
        }
    }
}

/// What a new mirror begins with: the clocks, and the current groups of pictures. The latter without anything in them say at least which
/// layers flow.
fn beginning(now: Instant, track: TrackId, entry: &Track) -> Vec<Word> {
    let mut words = Vec::new();
    for (layer, encoding) in layers(entry) {
        let places = encoding.group_places(now).into_iter().flatten();
        let began = encoding.group_began().unwrap_or(now);
        let mut packets: Vec<_> = places.filter_map(|place| Some((began, encoding.at(place)?.clone()))).collect();
        if let (Some((arrival, _)), Some((newest, _))) = (packets.last_mut(), encoding.newest()) {
            *arrival = newest;
        }
        words.push(Word::Packets(Arc::new(Packets { track, layer, flowing: entry.flowing(), old: true, packets })));
        // Behind the packets: they name the source that the clock is of.
        words.extend(encoding.clock().map(|clock| Word::Clock(track, layer, *clock)));
    }
    words
}
