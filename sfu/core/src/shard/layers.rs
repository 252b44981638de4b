//! Which layers subscribers are sent: wishes, allowances, and what the publishers send.

use std::time::{Duration, Instant};

use bytes::Bytes;
use minamo_media::TrackId;
use minamo_media::rtp::Packet;

use super::{PeerTransport, Shard, ShardEvent, TapInput, fanout};
use crate::downlink::{Allowance, Downlink, Switch};
use crate::model::{Layer, LayerCause, LayerWish, PeerEvent, PeerId};
use crate::track::{Track, Urgency};

/// The tap waits this long for a track's best layer before it begins with a lower one: the layers come one after another.
const TAP_SETTLES: Duration = Duration::from_millis(1500);

impl<T: PeerTransport> Shard<T> {
    /// The allocation of bandwidth has decided how much of a track a subscriber's link carries. Takes effect at the next key frame of
    /// the layer that follows from it, which is asked for; fewer temporal layers and nothing at all take effect at once.
    pub(crate) fn allow(&mut self, now: Instant, id: PeerId, track: TrackId, allowance: Allowance) {
        let Some(downlink) = self.peers.get_mut(&id).and_then(|peer| peer.downlink(track)) else { return };
        if downlink.allowance() != allowance {
            downlink.set_allowance(allowance);
            self.choose_layer(now, id, track, LayerCause::Bandwidth);
        }
    }

    /// Signaling says what the subscriber wants.
    pub(super) fn set_layer(&mut self, now: Instant, id: PeerId, track: TrackId, wish: LayerWish) {
        let Some(downlink) = self.peers.get_mut(&id).and_then(|peer| peer.downlink(track)) else { return };
        if downlink.wish() != wish {
            downlink.set_wish(wish);
            self.choose_layer(now, id, track, LayerCause::Wish);
        }
    }

    /// One subscriber's choice, and the key frame that it needs.
    pub(super) fn choose_layer(&mut self, now: Instant, id: PeerId, track: TrackId, cause: LayerCause) {
        if let Some((layer, urgency)) = self.choose(now, id, track, cause) {
            self.wish_key_frame(now, track, layer, urgency);
        }
    }

    /// Other layers of a track flow than before: everybody chooses anew.
    pub(super) fn reflow(&mut self, now: Instant, track: TrackId) {
        let subscribers = self.subscribers.get(&track).cloned().unwrap_or_default();
        let mut wished: Vec<(Layer, Urgency)> = Vec::new();
        for id in subscribers {
            let Some((layer, urgency)) = self.choose(now, id, track, LayerCause::Publisher) else { continue };
            match wished.iter_mut().find(|(known, _)| *known == layer) {
                Some((_, most)) => *most = urgency.max(*most),
                None => wished.push((layer, urgency)),
            }
        }
        for (layer, urgency) in wished {
            self.wish_key_frame(now, track, layer, urgency);
        }
    }

    /// The layer whose key frame the subscriber needs now. Who is sent nothing yet begins with the cached pictures where that is
    /// sooner.
    fn choose(&mut self, now: Instant, id: PeerId, track: TrackId, cause: LayerCause) -> Option<(Layer, Urgency)> {
        let entry = self.tracks.get(&track)?;
        let peer = self.peers.get_mut(&id).filter(|peer| peer.connected)?;
        let downlink = peer.downlinks.iter_mut().find(|downlink| downlink.spec.track == track)?;
        let stopped = downlink.choose(entry.flowing(), cause);
        report(&mut self.outbox, &mut self.stats, id, entry, stopped);
        let (layer, urgency) = downlink.waits_for()?;
        let rate = peer.way.as_ref().and_then(|way| way.estimate(now));
        let cached = entry.encoding(layer).filter(|_| downlink.layer().is_none())?.cached_group(now, rate);
        let Some(stored) = cached else { return Some((layer, urgency)) };
        let switch = downlink.enter(now, entry, stored, true);
        report(&mut self.outbox, &mut self.stats, id, entry, switch);
        self.stats.cached_starts += 1;
        super::reports::send_sender_report(now, &mut peer.transport, downlink, entry, &mut self.scratch);
        peer.catch_up_due = Some(now);
        self.serve_catch_up(now, id);
        self.rearm(now, id);
        None
    }

    /// One more packet for the tap of a simulcast track, which is a subscriber that is sent the best layer.
    pub(super) fn feed_tap(&mut self, now: Instant, track: TrackId, layer: Layer, place: u64) {
        let Some(entry) = self.tracks.get_mut(&track) else { return };
        let Some(mut feed) = entry.feed.take() else { return };
        let best = entry.flowing() >> entry.top().0 & 1 == 1;
        if best || entry.began().is_some_and(|began| now.saturating_duration_since(began) > TAP_SETTLES) {
            feed.choose(entry.flowing(), LayerCause::Publisher);
        }
        let mut packets = Vec::new();
        let mut push = |head: &mut Vec<u8>, rest: &[u8]| packets.push(Bytes::from([head.as_slice(), rest].concat()));
        let passed = fanout::pass(&mut feed, entry, layer, &[(now, place)], u64::MAX, &mut self.scratch, &mut push);
        let names =
            packets.iter().filter_map(|packet| Packet::parse(packet).ok()).map(|packet| (packet.sequence(), packet.marker()));
        let names: Vec<(u16, bool)> = names.collect();
        // A layer's last picture may have been cut short by the first of another.
        if let Some(sequence) = entry.fed.cut(passed.switch.is_some(), &names) {
            self.outbox.push(ShardEvent::Tap(TapInput::Cut { track, sequence }));
        }
        for packet in packets {
            self.stats.dropped_tap +=
                u64::from(!self.outbox.push_tap_packet(TapInput::Packet { track, layer: 0, arrival: now, packet }));
        }
        if passed.switch.is_some() {
            self.outbox.push_tap_report(now, track, &feed, entry);
        }
        let waits = feed.waits_for().filter(|(target, _)| *target == layer);
        entry.feed = Some(feed);
        if let Some((layer, urgency)) = waits {
            self.wish_key_frame(now, track, layer, urgency);
        }
    }

    /// Tells publishers which layers of their tracks somebody watches.
    pub(super) fn serve_watched(&mut self, now: Instant, id: PeerId) {
        let Some(uplinks) = self.peers.get(&id).map(|peer| peer.uplinks.clone()) else { return };
        for track in uplinks {
            let Some(entry) = self.tracks.get(&track).filter(|entry| entry.is_simulcast()) else { continue };
            let feed = entry.feed.as_ref().map_or(entry.tapped_layers(), |feed| watched_by(feed, entry));
            let watched = feed | self.watched_here(track) | self.watched_elsewhere(track);
            let news = self.tracks.get_mut(&track).and_then(|entry| entry.watched.note(now, watched));
            if let Some(layers) = news {
                self.outbox.push(ShardEvent::Peer(id, PeerEvent::LayersWatched(track, layers)));
            }
        }
    }

    /// The layers of a track that are watched on this shard, one bit each.
    pub(super) fn watched_here(&mut self, track: TrackId) -> u8 {
        let (Some(entry), Some(subscribers)) = (self.tracks.get(&track), self.subscribers.get(&track)) else { return 0 };
        let peers = &mut self.peers;
        let of = |subscriber| Some(watched_by(peers.get_mut(subscriber)?.downlink(track)?, entry));
        subscribers.iter().filter_map(of).fold(0, |bits, layers| bits | layers)
    }

    /// Tells of sound that has stopped.
    pub(super) fn serve_loudness(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else { return };
        for track in &peer.uplinks {
            let loudness = self.tracks.get_mut(track).and_then(|entry| entry.loudness.as_mut());
            if let Some(level) = loudness.and_then(|loudness| loudness.rest(now)) {
                self.outbox.push(ShardEvent::Peer(id, PeerEvent::AudioLevel(*track, level)));
            }
        }
    }
}

/// What a subscriber is sent, what it will be, and what it would be if it came: one bit each.
fn watched_by(downlink: &Downlink, track: &Track) -> u8 {
    let ceiling = downlink.ceiling().map(|ceiling| ceiling.min(track.top()));
    [downlink.layer(), downlink.target(), ceiling].into_iter().flatten().fold(0, |bits, layer| bits | 1 << layer.0.min(7))
}

/// Signaling learns of switches between layers; a track without layers has none.
pub(super) fn report(
    outbox: &mut super::outbox::Outbox,
    stats: &mut super::Stats,
    id: PeerId,
    track: &Track,
    switch: Option<Switch>,
) {
    let Some(Switch { from, to, cause }) = switch.filter(|_| track.is_simulcast()) else { return };
    stats.layers_switched += 1;
    outbox.push(ShardEvent::Peer(id, PeerEvent::LayerSwitched { track: track.spec.track, from, to, cause }));
}
