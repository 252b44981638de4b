//! Signaling's word.

use std::time::Instant;

use minamo_media::{TrackId, TrackInfo};

use super::{PeerTransport, Shard, ShardEvent, TapInput};
use crate::bandwidth::Way;
use crate::downlink::Downlink;
use crate::model::{self, CloseReason, Command, IceCredentials, LayerCause, PeerEvent, PeerId, Tap};
use crate::peer::{DOWNLINKS_MAX, Peer, UPLINKS_MAX};
use crate::track::Track;

impl<T: PeerTransport> Shard<T> {
    /// Signaling's word. Unknown peers and tracks are ignored.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        self.clock = Some(now);
        match command.peer().or_else(|| self.tracks.get(&command.track()?).map(|track| track.owner)) {
            Some(id) => {
                self.contained(now, id, |shard| shard.obey(now, command));
            }
            None => self.obey(now, command),
        }
    }

    fn obey(&mut self, now: Instant, command: Command) {
        match command {
            Command::AddPeer { peer, ice } => self.add_peer(now, peer, ice),
            Command::SetRemote { peer, fingerprint } => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.transport.set_remote_fingerprint(fingerprint);
                }
                self.after_input(now, peer);
            }
            Command::AddUplink(peer, uplink) => self.add_uplink(now, peer, uplink),
            Command::RemoveUplink(peer, track) => self.remove_uplink(now, peer, track),
            Command::AddDownlink(peer, downlink) => self.add_downlink(now, peer, downlink),
            Command::RemoveDownlink(peer, track) => self.remove_downlink(peer, track),
            Command::RemovePeer { peer, clean } => self.remove_peer(now, peer, clean),
            Command::RequestKeyFrame(track) => self.wish_key_frames(now, track),
            Command::SetLayer(peer, track, wish) => self.set_layer(now, peer, track, wish),
            Command::RequestBitrate(track, bits_per_second) => self.wish_bitrate(now, track, bits_per_second),
            Command::RestartIce { peer, ice } => self.restart_ice(peer, ice),
            #[cfg(feature = "faults")]
            Command::Fault(peer, fault) => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.faults.set(fault);
                }
            }
            Command::OpenChannel(peer, spec) => self.open_channel(now, peer, spec),
            Command::SendData(peer, message) => self.send_data(now, peer, &message),
            Command::CloseChannels(peer) => self.close_channels(now, peer),
            Command::Report(peer) => self.report(now, peer),
        }
    }

    fn add_peer(&mut self, now: Instant, id: PeerId, ice: IceCredentials) {
        if self.peers.contains_key(&id) {
            return;
        }
        if self.peers.len() >= self.config.peers_max || !self.addresses.expect(&ice.ufrag, id) {
            self.stats.refused_peers += 1;
            self.outbox.push(ShardEvent::Peer(id, PeerEvent::Closed(CloseReason::Refused)));
            return;
        }
        let ufrag = ice.ufrag.clone();
        let transport = (self.make_transport)(now, ice);
        self.peers.insert(id, Box::new(Peer::new(now, id, ufrag, transport)));
        self.stats.peers += 1;
        self.rearm(now, id);
    }

    /// Both pairs of credentials are good until the first check with the new ones.
    fn restart_ice(&mut self, id: PeerId, ice: IceCredentials) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if !self.addresses.expect(&ice.ufrag, id) {
            self.stats.dropped_commands += 1;
            return;
        }
        // A second restart before the first was used takes its place.
        if let Some(unused) = peer.next_ufrag.replace(ice.ufrag.clone()) {
            self.addresses.forget_ufrag(&unused);
        }
        peer.transport.restart_ice(ice);
    }

    fn add_uplink(&mut self, now: Instant, id: PeerId, uplink: model::Uplink) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.uplinks.len() >= UPLINKS_MAX || self.tracks.contains_key(&uplink.track) {
            self.stats.dropped_commands += 1;
            return;
        }
        peer.uplinks.push(uplink.track);
        peer.latch.add(uplink.clone());
        peer.transport_cc = peer.transport_cc.or(uplink.extensions.transport_cc);
        if let Some(Tap { channel, publisher, layers }) = uplink.tap.clone() {
            peer.tap = uplink.tap.clone();
            let rids = if layers { uplink.rids.clone() } else { Vec::new() };
            let info = TrackInfo { track: uplink.track, publisher: publisher.clone(), codec: uplink.payload.codec, rids };
            self.outbox.push(ShardEvent::Tap(TapInput::TrackAdded { channel, publisher, info }));
        }
        let track = uplink.track;
        self.tracks.insert(track, Track::new(id, uplink));
        self.stats.uplinks += 1;
        self.offer_track(track);
        self.reflow(now, track);
        self.rearm(now, id);
    }

    fn remove_uplink(&mut self, now: Instant, id: PeerId, track: TrackId) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.uplinks.contains(&track)) else { return };
        peer.uplinks.retain(|uplink| *uplink != track);
        peer.latch.remove(track);
        self.forget_track(track);
        self.rearm(now, id);
    }

    pub(super) fn forget_track(&mut self, id: TrackId) {
        let Some(track) = self.tracks.remove(&id) else { return };
        if track.mirror {
            return self.leave_home(id);
        }
        self.withdraw_track(id);
        self.stats.uplinks -= 1;
        if track.spec.tap.is_some() {
            self.outbox.push(ShardEvent::Tap(TapInput::TrackRemoved { track: id }));
        }
    }

    fn add_downlink(&mut self, now: Instant, id: PeerId, downlink: model::Downlink) {
        let track = downlink.track;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.downlinks.len() >= DOWNLINKS_MAX || peer.downlink(track).is_some() {
            self.stats.dropped_commands += 1;
            return;
        }
        if let Some(extension) = downlink.extensions.transport_cc {
            peer.way.get_or_insert_with(|| Box::new(Way::new(now, Some(extension))));
        }
        let before = peer.downlinks.iter().position(|other| other.spec.ssrc == downlink.ssrc).map(|at| peer.downlinks.remove(at));
        let predecessor = before.as_ref().map(|before| before.spec.track);
        // Picture and sound: a vector by itself begins with room for four.
        if peer.downlinks.is_empty() {
            peer.downlinks.reserve_exact(2);
        }
        peer.downlinks.push(match before {
            Some(before) => before.succeed(now, downlink),
            None => Downlink::new(downlink),
        });
        if let Some(predecessor) = predecessor {
            self.unsubscribe(id, predecessor);
        }
        self.subscribers.entry(track).or_default().push(id);
        self.stats.downlinks += 1;
        self.mirror_track(now, track);
        self.choose_layer(now, id, track, LayerCause::Wish);
    }

    fn remove_downlink(&mut self, id: PeerId, track: TrackId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let before = peer.downlinks.len();
        peer.downlinks.retain(|downlink| downlink.spec.track != track);
        if peer.downlinks.len() < before {
            self.unsubscribe(id, track);
        }
    }

    fn unsubscribe(&mut self, id: PeerId, track: TrackId) {
        self.stats.downlinks -= 1;
        let Some(subscribers) = self.subscribers.get_mut(&track) else { return };
        subscribers.retain(|subscriber| *subscriber != id);
        if subscribers.is_empty() {
            self.subscribers.remove(&track);
        }
    }

    /// Frees everything that the peer had, and says goodbye to it.
    pub(super) fn remove_peer(&mut self, now: Instant, id: PeerId, clean: bool) {
        let Some(mut peer) = self.peers.remove(&id) else { return };
        self.stats.peers -= 1;
        self.addresses.remove(&peer);
        if let Some(armed) = peer.armed {
            self.timers.remove(&(armed, id));
        }
        for track in std::mem::take(&mut peer.uplinks) {
            self.forget_track(track);
        }
        for downlink in std::mem::take(&mut peer.downlinks) {
            self.unsubscribe(id, downlink.spec.track);
        }
        if let Some(Tap { channel, publisher, .. }) = peer.tap.take() {
            self.outbox.push(ShardEvent::Tap(TapInput::PublisherGone { channel, publisher, clean }));
        }
        peer.transport.close(now);
        self.departed += peer.transport.counters();
        self.outbox.bid_farewell(*peer);
    }
}
