//! What is said at intervals: transport-cc feedback, receiver reports, sender reports, bitrate limits.

use std::time::Instant;

use minamo_media::{Kind, TrackId};

use super::{OUR_SSRC, PeerTransport, Shard};
use crate::downlink::Downlink;
use crate::model::{Layer, PeerId};
use crate::peer::{Peer, REPORT_INTERVAL};
use crate::rtcp;
use crate::track::Track;

/// A compound is closed before it outgrows a datagram.
const COMPOUND_MAX: usize = 1000;
/// REMB limits all that a peer sends; its audio gets this much beside its limited video.
const AUDIO_ALLOWANCE: u64 = 128_000;

/// The CNAME of everything that a shard sends: one clock, one name (RFC 3550 §6.5.1).
const CNAME: &str = "minamo";

impl<T: PeerTransport> Shard<T> {
    /// Transport-wide feedback, if it is due.
    pub(super) fn serve_feedback(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.arrivals.due().is_none_or(|due| due > now) {
            return;
        }
        let media = peer.uplinks.iter().find_map(|track| self.tracks.get(track)?.ssrcs().next()).unwrap_or(0);
        loop {
            self.scratch.clear();
            if !peer.arrivals.report(OUR_SSRC, media, &mut self.scratch) {
                return;
            }
            peer.transport.send_rtcp(&self.scratch);
            self.stats.feedbacks_out += 1;
        }
    }

    /// Receiver and sender reports, if they are due.
    pub(super) fn serve_reports(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.reports_due.is_some_and(|due| due <= now)) else { return };
        peer.reports_due = Some(now + REPORT_INTERVAL);
        let mut blocks = Vec::new();
        for track in &peer.uplinks {
            blocks.extend(self.tracks.get_mut(track).into_iter().flat_map(|track| track.report_blocks(now)));
        }
        self.scratch.clear();
        if !blocks.is_empty() {
            rtcp::receiver_report(&mut self.scratch, OUR_SSRC, &blocks);
            rtcp::sdes(&mut self.scratch, &[OUR_SSRC], CNAME);
        }
        for downlink in &mut peer.downlinks {
            let Some(track) = self.tracks.get(&downlink.spec.track) else { continue };
            let rate = track.spec.payload.codec.clock_rate();
            let Some(info) = downlink.clock(track).and_then(|clock| downlink.sender_report(now, clock, rate)) else { continue };
            if self.scratch.len() > COMPOUND_MAX {
                peer.transport.send_rtcp(&self.scratch);
                self.scratch.clear();
            }
            rtcp::sender_report(&mut self.scratch, &info);
            rtcp::sdes(&mut self.scratch, &[info.ssrc], CNAME);
        }
        if !self.scratch.is_empty() {
            peer.transport.send_rtcp(&self.scratch);
        }
        self.serve_bitrate(id);
        self.serve_network(id);
    }

    /// The first report of a layer's clock goes on at once: until then its subscribers cannot put sound and pictures together.
    pub(super) fn announce_clock(&mut self, now: Instant, track: TrackId, layer: Layer) {
        let (Some(entry), Some(subscribers)) = (self.tracks.get(&track), self.subscribers.get(&track)) else { return };
        for id in subscribers {
            let Some(peer) = self.peers.get_mut(id).filter(|peer| peer.connected) else { continue };
            let Peer { downlinks, transport, .. } = &mut **peer;
            let sent = |downlink: &&mut Downlink| downlink.spec.track == track && downlink.layer() == Some(layer);
            if let Some(downlink) = downlinks.iter_mut().find(sent) {
                send_sender_report(now, transport, downlink, entry, &mut self.scratch);
            }
            self.outbox.list(peer);
        }
    }

    /// REMB: the sum of the limits, once every video track of the peer has one.
    pub(super) fn serve_bitrate(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.connected) else { return };
        let (mut sources, mut total) = (Vec::new(), 0u64);
        for track in peer.uplinks.iter().filter_map(|track| self.tracks.get(track)) {
            let limit = match track.spec.payload.codec.kind() {
                Kind::Audio => Some(AUDIO_ALLOWANCE),
                Kind::Video => track.bitrate_wish,
            };
            let Some(limit) = limit else { return };
            total = total.saturating_add(limit);
            sources.extend(track.ssrcs());
        }
        let wished = peer.uplinks.iter().any(|track| self.tracks.get(track).is_some_and(|track| track.bitrate_wish.is_some()));
        if wished && !sources.is_empty() {
            self.scratch.clear();
            rtcp::remb(&mut self.scratch, OUR_SSRC, &sources, total);
            peer.transport.send_rtcp(&self.scratch);
        }
    }
}

/// One track's sender report to one subscriber, if it is already sent to it and has a clock.
pub(super) fn send_sender_report<T: PeerTransport>(
    now: Instant,
    transport: &mut T,
    downlink: &mut Downlink,
    track: &Track,
    scratch: &mut Vec<u8>,
) {
    let Some(clock) = downlink.clock(track) else { return };
    let Some(info) = downlink.sender_report(now, clock, track.spec.payload.codec.clock_rate()) else { return };
    scratch.clear();
    rtcp::sender_report(scratch, &info);
    rtcp::sdes(scratch, &[info.ssrc], CNAME);
    transport.send_rtcp(scratch);
}
