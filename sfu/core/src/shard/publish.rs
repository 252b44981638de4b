//! A publisher's packet: found, accounted for, kept, copied to the tap, forwarded.

use std::time::Instant;

use bytes::BytesMut;
use minamo_media::TrackId;
use minamo_media::rtp::Packet;

use super::{PeerTransport, Shard, TapInput};
use crate::model::PeerId;
use crate::peer::{Flow, Peer, Stranger, unwrap_rtx};
use crate::track::{Refused, Stored, Track};

impl<T: PeerTransport> Shard<T> {
    /// One plain RTP packet of a peer.
    pub(super) fn publish(&mut self, now: Instant, id: PeerId, packet: BytesMut) {
        self.stats.rtp_in += 1;
        let Some((track, packet, flow)) = self.find_track(now, id, packet) else { return };
        let packet = packet.freeze();
        let Some(entry) = self.tracks.get_mut(&track) else { return };
        let accepted = match entry.accept(now, &packet, flow) {
            Ok(accepted) => accepted,
            Err(Refused::Duplicate) => return self.stats.dropped_duplicate += 1,
            Err(Refused::Late) => return self.stats.dropped_late += 1,
        };
        self.stats.retransmissions_received += u64::from(accepted.repaired);
        self.stats.dropped_padding += u64::from(accepted.padding && accepted.place.is_none());
        let tapped = entry.spec.tap.is_some();
        if let Some(place) = accepted.place {
            self.forward(now, track, place);
        }
        if tapped && !self.outbox.push_tap_packet(TapInput::Packet { track, arrival: now, packet }) {
            self.stats.dropped_tap += 1;
        }
    }

    /// Whose packet it is, the original where it is a retransmission, and the flow that it came in.
    fn find_track(&mut self, now: Instant, id: PeerId, bytes: BytesMut) -> Option<(TrackId, BytesMut, Flow)> {
        let peer = self.peers.get_mut(&id)?;
        let Ok(packet) = Packet::parse(&bytes) else {
            self.stats.dropped_malformed += 1;
            return None;
        };
        if let Some(sequence) = peer.transport_cc.and_then(|id| packet.extension(id)).and_then(|data| data.try_into().ok()) {
            peer.arrivals.note(now, u16::from_be_bytes(sequence));
        }
        match peer.latch.resolve(&packet) {
            Ok((track, Flow::Media)) => Some((track, bytes, Flow::Media)),
            Ok((track, Flow::Rtx)) => {
                let entry = self.tracks.get(&track)?;
                // Before the media there is nothing to repair: a probe.
                let original = entry.ssrc().and_then(|ssrc| unwrap_rtx(bytes, ssrc, entry.spec.payload.pt));
                self.stats.dropped_padding += u64::from(original.is_none());
                Some((track, original?, Flow::Rtx))
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

    /// Sends the packet at a place to everybody who is sent the track.
    fn forward(&mut self, now: Instant, track: TrackId, place: u64) {
        let Some(entry) = self.tracks.get_mut(&track) else { return };
        let (Some(stored), Some(subscribers)) = (entry.at(place), self.subscribers.get(&track)) else { return };
        let mut someone_waits = false;
        for id in subscribers {
            let Some(peer) = self.peers.get_mut(id).filter(|peer| peer.connected) else { continue };
            match forward_to(now, peer, entry, stored, &mut self.scratch) {
                Some(sent) => self.stats.rtp_out += sent,
                None => someone_waits = true,
            }
            self.outbox.list(peer);
        }
        if someone_waits {
            // Also after a wish was given up; the publisher's deadline is set after this packet.
            entry.wish_key_frame();
        }
    }
}

/// Returns how many packets went out: one, or more where the subscriber begins, none of before. `None` while it waits for a key frame.
fn forward_to<T: PeerTransport>(
    now: Instant,
    peer: &mut Peer<T>,
    track: &Track,
    stored: &Stored,
    scratch: &mut Vec<u8>,
) -> Option<u64> {
    let downlink = peer.downlinks.iter_mut().find(|downlink| downlink.spec.track == track.spec.track)?;
    let begins = downlink.start_at(stored);
    if !downlink.is_started() {
        return None;
    }
    if !downlink.write(stored, &track.spec.extensions, scratch) {
        return Some(0);
    }
    peer.transport.send_rtp(scratch);
    let mut sent = 1;
    if begins {
        // Packets that overtook the beginning of the key frame went by before this subscriber was let in.
        let rest = stored.seq + 1..=track.highest().unwrap_or(stored.seq);
        for overtaking in rest.filter_map(|place| track.at(place)) {
            if downlink.write(overtaking, &track.spec.extensions, scratch) {
                peer.transport.send_rtp(scratch);
                sent += 1;
            }
        }
        super::reports::send_sender_report(now, peer, track, scratch);
    }
    Some(sent)
}

impl<T: PeerTransport> Shard<T> {
    /// A packet of the ring once more, for a NACK.
    pub(super) fn send_again(&mut self, id: PeerId, track: TrackId, place: u64) -> bool {
        let Some(entry) = self.tracks.get(&track) else { return false };
        let (Some(stored), Some(peer)) = (entry.at(place), self.peers.get_mut(&id)) else { return false };
        let Some(downlink) = peer.downlinks.iter_mut().find(|downlink| downlink.spec.track == track) else { return false };
        let written = downlink.write_again(stored, &entry.spec.extensions, &mut self.scratch);
        if written {
            peer.transport.send_rtp(&self.scratch);
        }
        written
    }
}
