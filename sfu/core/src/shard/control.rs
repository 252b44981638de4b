//! RTCP of peers: reports of publishers, requests of subscribers; and wishes for key frames and bitrates.

use std::time::Instant;

use minamo_media::TrackId;

use super::{OUR_SSRC, PeerTransport, Shard, ShardEvent, TapInput};
use crate::model::PeerId;
use crate::rtcp::{self, Nacks, Packet, ReportBlocks, SenderInfo};

/// A publisher keeps the last REMB for ever, so lifting a limit is saying a high one.
const NO_LIMIT: u64 = 1_000_000_000;

impl<T: PeerTransport> Shard<T> {
    /// One plain compound packet of a peer.
    pub(super) fn control(&mut self, now: Instant, id: PeerId, compound: &[u8]) {
        #[cfg(feature = "faults")]
        self.trip(id, crate::model::Fault::Control);
        if !rtcp::is_rtcp(compound) {
            self.stats.dropped_malformed += 1;
        }
        for packet in rtcp::packets(compound) {
            match packet {
                Packet::SenderReport(info, blocks) => {
                    self.sender_report(now, id, &info);
                    self.report_blocks(now, id, blocks);
                }
                Packet::ReceiverReport(blocks) => self.report_blocks(now, id, blocks),
                Packet::Nack { media, missing } => self.nacked(now, id, media, missing),
                Packet::Pli { media } => self.key_frame_requested(now, id, media),
                Packet::Fir(sources) => sources.take(8).for_each(|media| self.key_frame_requested(now, id, media)),
                Packet::TransportCc(message) => self.transport_feedback(now, id, message),
                Packet::Remb(bits_per_second) => self.receiver_estimate(now, id, bits_per_second),
                Packet::Bye | Packet::Other => {}
            }
        }
    }

    fn sender_report(&mut self, now: Instant, id: PeerId, info: &SenderInfo) {
        let Some(track) = self.peers.get(&id).and_then(|peer| peer.latch.media_track(info.ssrc)) else { return };
        let Some(entry) = self.tracks.get_mut(&track) else { return };
        let first = entry.sender_report(now, info);
        if entry.spec.tap.is_some() {
            let report = TapInput::Report { track, rtp32: info.rtp, ntp: info.ntp, arrival: now };
            self.outbox.push(ShardEvent::Tap(report));
        }
        if first {
            self.announce_clock(now, track);
        }
    }

    fn report_blocks(&mut self, now: Instant, id: PeerId, blocks: ReportBlocks<'_>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        for block in blocks {
            if let Some(downlink) = peer.downlink_of(block.ssrc) {
                downlink.receiver_report(now, &block);
            }
        }
    }

    fn nacked(&mut self, now: Instant, id: PeerId, media: u32, missing: Nacks<'_>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        self.stats.nacks_in += 1;
        let Some(downlink) = peer.downlink_of(media) else { return };
        let track = downlink.spec.track;
        // The budget of the downlink bounds this list, whatever the NACK says.
        let places: Vec<u64> = missing.filter_map(|sequence| downlink.nacked(now, sequence)).collect();
        for place in places {
            let served = self.send_again(now, id, track, place);
            self.stats.retransmissions_served += u64::from(served);
            self.stats.retransmissions_refused += u64::from(!served);
            self.stats.rtp_out += u64::from(served);
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            self.outbox.list(peer);
        }
    }

    fn key_frame_requested(&mut self, now: Instant, id: PeerId, media: u32) {
        let track = self.peers.get_mut(&id).and_then(|peer| peer.downlink_of(media)).map(|downlink| downlink.spec.track);
        if let Some(track) = track {
            self.wish_key_frame(now, track);
        }
    }

    /// Somebody needs a key frame: asks at once if that is allowed now, else when it is.
    pub(super) fn wish_key_frame(&mut self, now: Instant, track: TrackId) {
        let Some(entry) = self.tracks.get_mut(&track) else { return };
        self.stats.key_frames_wished += 1;
        entry.wish_key_frame();
        let owner = entry.owner;
        self.on_behalf(owner, |shard| {
            shard.serve_wishes(now, owner);
            shard.rearm(now, owner);
        });
    }

    /// What the peer's tracks want of it now: key frames and missing packets.
    pub(super) fn serve_wishes(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.connected) else { return };
        let mut missing = Vec::new();
        for track in &peer.uplinks {
            let Some(entry) = self.tracks.get_mut(track) else { continue };
            let Some(ssrc) = entry.ssrc() else { continue };
            self.scratch.clear();
            if entry.missing.due().is_some_and(|due| due <= now) {
                missing.clear();
                entry.missing.ask(now, &mut missing);
                if !missing.is_empty() {
                    rtcp::nack(&mut self.scratch, OUR_SSRC, ssrc, &missing);
                    self.stats.nacks_out += 1;
                    self.stats.retransmissions_asked += missing.len() as u64;
                }
            }
            self.stats.packets_lost += entry.missing.take_lost();
            if entry.missing.take_doubted() {
                entry.wish_key_frame();
            }
            if entry.key_frames.ask(now) {
                rtcp::pli(&mut self.scratch, OUR_SSRC, ssrc);
                self.stats.key_frames_asked += 1;
            }
            if !self.scratch.is_empty() {
                peer.transport.send_rtcp(&self.scratch);
            }
        }
        self.outbox.list(peer);
    }

    /// Keeps a bitrate wish (0 lifts it) and tells the publisher at once; it is repeated with the reports.
    pub(super) fn wish_bitrate(&mut self, now: Instant, track: TrackId, bits_per_second: u64) {
        let Some(entry) = self.tracks.get_mut(&track) else { return };
        entry.bitrate_wish = Some(if bits_per_second > 0 { bits_per_second } else { NO_LIMIT });
        let owner = entry.owner;
        self.serve_bitrate(owner);
        self.rearm(now, owner);
    }
}
