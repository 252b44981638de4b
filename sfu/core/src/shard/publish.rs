//! A publisher's packet: found, accounted for, kept, copied to the tap, forwarded.

use std::time::Instant;

use bytes::BytesMut;
use minamo_media::TrackId;
use minamo_media::rtp::Packet;

use super::{PeerTransport, Shard, TapInput};
use crate::model::PeerId;
use crate::peer::{Flow, Stranger, unwrap_rtx};
use crate::track::Refused;

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
        #[cfg(feature = "faults")]
        self.peers.get(&id).into_iter().for_each(|peer| peer.faults.trip(crate::model::Fault::Uplink));
        let tapped = entry.spec.tap.is_some();
        if let Some(place) = accepted.place {
            // The marker is on a picture's last packet. What is repaired is late already.
            let more = entry.is_video() && flow == Flow::Media && !Packet::parse(&packet).is_ok_and(|packet| packet.marker());
            self.forward(now, track, place, more);
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
}
