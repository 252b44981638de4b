//! RTCP of peers: reports of publishers, requests of subscribers; and wishes for key frames and bitrates.

use std::time::Instant;

use minamo_media::TrackId;

use super::{OUR_SSRC, PeerTransport, Shard, ShardEvent, Stats, TapInput};
use crate::model::{Layer, PeerId};
use crate::rtcp::{self, Nacks, Packet, ReportBlocks, SenderInfo};
use crate::track::{Encoding, Track, Urgency};

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
        let Some((track, layer)) = self.peers.get(&id).and_then(|peer| peer.latch.media(info.ssrc)) else { return };
        let Some(entry) = self.tracks.get_mut(&track) else { return };
        let first = entry.encoding_mut(layer).is_some_and(|encoding| encoding.sender_report(now, info));
        match &entry.feed {
            Some(feed) if feed.layer() == Some(layer) => self.outbox.push_tap_report(now, track, feed, entry),
            Some(_) => {}
            None if entry.spec.tap.is_some() => {
                let report = TapInput::Report { track, layer: layer.0, rtp32: info.rtp, ntp: info.ntp, arrival: now };
                self.outbox.push(ShardEvent::Tap(report));
            }
            None => {}
        }
        self.relay_clock(track, layer);
        if first {
            self.announce_clock(now, track, layer);
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
        let places: Vec<(Layer, u64)> = missing.filter_map(|sequence| downlink.nacked(now, sequence)).collect();
        self.send_all_again(now, id, track, places);
    }

    fn send_all_again(&mut self, now: Instant, id: PeerId, track: TrackId, places: Vec<(Layer, u64)>) {
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

    /// A subscriber has lost its picture. While its first one is on the way it has nothing to lose yet.
    fn key_frame_requested(&mut self, now: Instant, id: PeerId, media: u32) {
        let Some(downlink) = self.peers.get_mut(&id).and_then(|peer| peer.downlink_of(media)) else { return };
        downlink.count_key_frame_asked();
        let opening = downlink.opening(now);
        let urgency = if downlink.is_new(now) { Urgency::Soon } else { Urgency::Now };
        let (track, layer) = (downlink.spec.track, downlink.target().or(downlink.layer()));
        if !opening.is_empty() {
            self.send_all_again(now, id, track, opening);
        }
        self.wish_key_frame(now, track, layer.unwrap_or(Layer(0)), urgency);
    }

    /// Signaling or the tap wants a key frame: of the layer that the tap is given, else of all that come.
    pub(super) fn wish_key_frames(&mut self, now: Instant, track: TrackId) {
        let Some(entry) = self.tracks.get(&track) else { return };
        let layers = entry.feed.as_ref().and_then(|feed| feed.target()).map_or(entry.flowing(), |layer| 1 << layer.0);
        for layer in (0..8).filter(|layer| layers >> layer & 1 == 1) {
            self.wish_key_frame(now, track, Layer(layer), Urgency::Now);
        }
    }

    /// Somebody needs a key frame: asks at once if that is allowed now, else when it is.
    pub(super) fn wish_key_frame(&mut self, now: Instant, track: TrackId, layer: Layer, urgency: Urgency) {
        let Some(entry) = self.tracks.get_mut(&track) else { return };
        self.stats.key_frames_wished += 1;
        entry.wish_key_frame(layer, urgency);
        if entry.mirror {
            return self.rearm_source(now, track);
        }
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
            for encoding in self.tracks.get_mut(track).into_iter().flat_map(Track::encodings_mut) {
                self.scratch.clear();
                ask(now, encoding, &mut missing, &mut self.stats, &mut self.scratch);
                if !self.scratch.is_empty() {
                    peer.transport.send_rtcp(&self.scratch);
                }
            }
        }
        self.outbox.list(peer);
    }

    /// Keeps a bitrate wish (0 lifts it) and tells the publisher at once; it is repeated with the reports.
    pub(super) fn wish_bitrate(&mut self, now: Instant, track: TrackId, bits_per_second: u64) {
        let Some(entry) = self.tracks.get_mut(&track) else { return };
        if entry.mirror {
            return self.wish_home_bitrate(track, bits_per_second);
        }
        entry.bitrate_wish = Some(if bits_per_second > 0 { bits_per_second } else { NO_LIMIT });
        let owner = entry.owner;
        self.serve_bitrate(owner);
        self.rearm(now, owner);
    }
}

/// What a layer wants of its publisher now: key frames and missing packets.
fn ask(now: Instant, encoding: &mut Encoding, missing: &mut Vec<u16>, stats: &mut Stats, out: &mut Vec<u8>) {
    let Some(ssrc) = encoding.ssrc() else { return };
    if encoding.missing.due().is_some_and(|due| due <= now) {
        missing.clear();
        encoding.missing.ask(now, missing);
        if !missing.is_empty() {
            rtcp::nack(out, OUR_SSRC, ssrc, missing);
            stats.nacks_out += 1;
            stats.retransmissions_asked += missing.len() as u64;
        }
    }
    stats.packets_lost += encoding.missing.take_lost();
    if encoding.missing.take_doubted() {
        encoding.wish_key_frame(Urgency::Now);
    }
    if encoding.ask_key_frame(now) {
        rtcp::pli(out, OUR_SSRC, ssrc);
        stats.key_frames_asked += 1;
    }
}
