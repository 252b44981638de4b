//! A publisher's packet: found, accounted for, kept, copied to the tap, forwarded.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use minamo_media::TrackId;
use minamo_media::rtp::{Header, Packet, red};

use super::{PeerTransport, Shard, ShardEvent, TapInput};
use crate::model::{PeerEvent, PeerId};
use crate::peer::{Flow, Owner, Stranger, unwrap_rtx};
use crate::track::{Encoding, Refused};

impl<T: PeerTransport> Shard<T> {
    /// One plain RTP packet of a peer.
    pub(super) fn publish(&mut self, now: Instant, id: PeerId, packet: BytesMut) {
        self.stats.rtp_in += 1;
        let Some((owner, packet)) = self.find_track(now, id, packet) else { return };
        let packet = packet.freeze();
        let Owner { track, layer, flow } = owner;
        let Some(entry) = self.tracks.get_mut(&track) else { return };
        let (accepted, other_layers_flow) = match entry.accept(now, layer, &packet, flow) {
            Ok(accepted) => accepted,
            Err(Refused::Duplicate) => return self.stats.dropped_duplicate += 1,
            Err(Refused::Late) => return self.stats.dropped_late += 1,
        };
        self.stats.retransmissions_received += u64::from(accepted.repaired);
        self.stats.dropped_padding += u64::from(accepted.padding && accepted.place.is_none());
        #[cfg(feature = "faults")]
        self.peers.get(&id).into_iter().for_each(|peer| peer.faults.trip(crate::model::Fault::Uplink));
        let (tapped, heard, video) = (entry.spec.tap.is_some(), entry.loudness.is_some(), entry.is_video());
        if other_layers_flow {
            self.reflow(now, track);
        }
        if heard {
            self.hear(now, id, track, &packet);
        }
        if let Some(place) = accepted.place {
            // The marker is on a picture's last packet. What is repaired is late already.
            let more = video && flow == Flow::Media && !Packet::parse(&packet).is_ok_and(|packet| packet.marker());
            self.forward(now, track, layer, place, more);
        }
        if tapped {
            self.tap(now, owner, packet, accepted.place);
        }
    }

    /// The tap gets a plain track as it comes, and of a simulcast track all layers as they come, or one as a subscriber would.
    fn tap(&mut self, now: Instant, owner: Owner, packet: Bytes, place: Option<u64>) {
        let Owner { track, layer, .. } = owner;
        let simulcast = self.tracks.get(&track).is_some_and(|entry| entry.feed.is_some());
        if !simulcast {
            let packet = self.without_red(track, packet);
            if !self.outbox.push_tap_packet(TapInput::Packet { track, layer: layer.0, arrival: now, packet }) {
                self.stats.dropped_tap += 1;
            }
        } else if let Some(place) = place {
            self.feed_tap(now, track, layer, place);
        }
    }

    /// The tap gets plain Opus: the new block alone.
    fn without_red(&self, track: TrackId, bytes: Bytes) -> Bytes {
        let Some(payload) = self.tracks.get(&track).map(|entry| entry.spec.payload) else { return bytes };
        let packet = Packet::parse(&bytes).ok().filter(|packet| payload.red_pt == Some(packet.payload_type()));
        let Some(packet) = packet else { return bytes };
        let Some((_, block)) = red::primary(packet.payload()) else { return bytes };
        let header = Header {
            marker: packet.marker(),
            payload_type: payload.pt,
            sequence: packet.sequence(),
            timestamp: packet.timestamp(),
            ssrc: packet.ssrc(),
            extensions: &[],
        };
        let mut plain = Vec::with_capacity(12 + block.len());
        header.write(&mut plain);
        plain.extend_from_slice(block);
        plain.into()
    }

    /// The level that a packet of sound says.
    fn hear(&mut self, now: Instant, id: PeerId, track: TrackId, packet: &Bytes) {
        let Some(entry) = self.tracks.get_mut(&track) else { return };
        let extension = entry.spec.extensions.audio_level;
        let Some(level) = Packet::parse(packet).ok().and_then(|packet| packet.extension(extension?)?.first().copied()) else {
            return;
        };
        if let Some(level) = entry.loudness.as_mut().and_then(|loudness| loudness.hear(now, level)) {
            self.outbox.push(ShardEvent::Peer(id, PeerEvent::AudioLevel(track, level)));
        }
    }

    /// Whose packet it is, and the original where it is a retransmission.
    fn find_track(&mut self, now: Instant, id: PeerId, bytes: BytesMut) -> Option<(Owner, BytesMut)> {
        let peer = self.peers.get_mut(&id)?;
        let Ok(packet) = Packet::parse(&bytes) else {
            self.stats.dropped_malformed += 1;
            return None;
        };
        if let Some(sequence) = peer.transport_cc.and_then(|id| packet.extension(id)).and_then(|data| data.try_into().ok()) {
            peer.arrivals.note(now, u16::from_be_bytes(sequence));
        }
        match peer.latch.resolve(&packet) {
            Ok(owner) if owner.flow == Flow::Media => {
                let red_pt = self.tracks.get(&owner.track).and_then(|entry| entry.spec.payload.red_pt);
                let is_red = red_pt == Some(packet.payload_type()) && !packet.payload().is_empty();
                let broken = is_red && red::primary(packet.payload()).is_none();
                self.stats.dropped_malformed += u64::from(broken);
                (!broken).then_some((owner, bytes))
            }
            Ok(owner) => {
                let entry = self.tracks.get(&owner.track)?;
                // Before the media there is nothing to repair: a probe.
                let ssrc = entry.encoding(owner.layer).and_then(Encoding::ssrc);
                let original = ssrc.and_then(|ssrc| unwrap_rtx(bytes, ssrc, entry.spec.payload.pt));
                self.stats.dropped_padding += u64::from(original.is_none());
                Some((owner, original?))
            }
            Err(Stranger::Ssrc) => {
                self.stats.dropped_unknown_ssrc += 1;
                None
            }
            Err(Stranger::PayloadType) => {
                self.stats.dropped_payload_type += 1;
                None
            }
        }
    }
}
