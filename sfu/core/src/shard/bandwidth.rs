//! Congestion control toward subscribers: feedback in, probes out, layers by what the way carries.

use std::time::Instant;

use super::{PeerTransport, Shard};
use crate::bandwidth::{Demand, Step, Way};
use crate::downlink::{Allowance, Downlink};
use crate::model::{Layer, LayerWish, PeerEvent, PeerId};
use crate::peer::Peer;
use crate::shard::ShardEvent;
use crate::track::Track;

/// What a video packet costs on the wire beside the RTP packet that came in, in percent; and what audio's small ones do, in bits a
/// second: 50 of 44 bytes.
const VIDEO_PERCENT: u64 = 105;
const AUDIO_OVERHEAD: u64 = 50 * 44 * 8;
/// Between the rates of two steps there is a difference worth a switch.
const STEP_MIN_PERCENT: u64 = 110;
/// A padding packet carries so much (RFC 3550 §5.1).
const PADDING_MAX: usize = 255;

impl<T: PeerTransport> Shard<T> {
    /// A subscriber's transport-wide feedback.
    pub(super) fn transport_feedback(&mut self, now: Instant, id: PeerId, message: &[u8]) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let rtt = peer.rtt();
        let Some(way) = &mut peer.way else { return };
        if way.feedback(now, message, rtt) {
            self.stats.feedbacks_in += 1;
            self.allocate(now, id);
        } else {
            self.stats.dropped_malformed += 1;
        }
    }

    /// A subscriber's REMB.
    pub(super) fn receiver_estimate(&mut self, now: Instant, id: PeerId, bits_per_second: u64) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| !peer.downlinks.is_empty()) else { return };
        peer.way.get_or_insert_with(|| Box::new(Way::new(now, None))).remb(now, bits_per_second);
        self.allocate(now, id);
    }

    /// Shares the way to the peer out anew, if it is time.
    fn allocate(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Peer { way: Some(way), downlinks, .. } = &mut **peer else { return };
        if !way.allocates(now) {
            return;
        }
        way.can_probe(downlinks.iter().any(Downlink::can_pad));
        let demands: Vec<Demand> =
            downlinks.iter().filter_map(|downlink| demand(now, downlink, self.tracks.get(&downlink.spec.track)?)).collect();
        let mut changed = Vec::new();
        let flowing = flowing(&demands, downlinks);
        for chosen in way.allocate(now, &demands, flowing) {
            let layer = chosen.step.map(|step| Layer(step.layer));
            let temporal = chosen.step.map_or(0, |step| step.temporal);
            let best = demands.iter().find(|demand| demand.track == chosen.track).and_then(|demand| demand.steps.last().copied());
            // The best of those that flow is no limit: a better one may begin to.
            let allowance = if chosen.step == best { Allowance::UNLIMITED } else { Allowance { layer, temporal } };
            let Some(downlink) = downlinks.iter().find(|downlink| downlink.spec.track == chosen.track) else { continue };
            if downlink.allowance() != allowance {
                changed.push((chosen.track, allowance, downlink.spec.ssrc));
            }
        }
        for (.., ssrc) in changed.iter().filter(|(_, allowance, _)| allowance.layer.is_none()) {
            way.forget(*ssrc);
        }
        for (track, allowance, _) in changed {
            self.stats.allowances_changed += 1;
            self.allow(now, id, track, allowance);
        }
        self.serve_way(now, id);
    }

    /// Sends what has waited in the pacer, and the padding that is due.
    pub(super) fn serve_way(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.connected) else { return };
        let Peer { way: Some(way), downlinks, transport, .. } = &mut **peer else { return };
        while let Some(paced) = way.paced(now) {
            transport.send_rtp(&paced.packet, &[]);
            way.recycle(paced);
        }
        self.stats.dropped_beyond_way += way.take_dropped();
        let mut bytes = way.padding(now);
        while let Some(downlink) = downlinks.iter_mut().find(|downlink| bytes > 0 && downlink.can_pad()) {
            downlink.write_padding(PADDING_MAX as u8, &mut self.scratch);
            way.stamp(now, &mut self.scratch, &[], false);
            transport.send_rtp(&self.scratch, &[]);
            self.stats.paddings_out += 1;
            bytes = bytes.saturating_sub(self.scratch.len());
        }
        self.outbox.list(peer);
    }

    /// Says how unstable the way to the peer is, when that has changed.
    pub(super) fn serve_network(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.connected) else { return };
        let level = peer.way.as_ref().map_or(0, |way| way.instability());
        // Worse at once, better step by step: one for each report.
        let level = level.max(peer.network.saturating_sub(1));
        if std::mem::replace(&mut peer.network, level) != level {
            self.outbox.push(ShardEvent::Peer(id, PeerEvent::Network(level)));
        }
    }
}

/// What is sent at present.
fn flowing(demands: &[Demand], downlinks: &[Downlink]) -> u64 {
    let of = |demand: &Demand| {
        let layer = downlinks.iter().find(|downlink| downlink.spec.track == demand.track).and_then(Downlink::layer);
        let mut steps = demand.steps.iter().rev();
        steps.find(|step| demand.audio || layer.is_some_and(|layer| step.layer <= layer.0)).map_or(0, |step| step.bps)
    };
    demands.iter().map(of).sum()
}

/// What the track could take of the subscriber's way; `None` where nothing of it is wished.
fn demand(now: Instant, downlink: &Downlink, track: &Track) -> Option<Demand> {
    let id = downlink.spec.track;
    if !track.is_video() {
        let bps = track.layers(now).map(|layer| layer.bits_per_second[0]).max().unwrap_or(0);
        let steps = vec![Step { layer: 0, temporal: u8::MAX, bps: bps + AUDIO_OVERHEAD }];
        return Some(Demand { track: id, audio: true, steps });
    }
    let ceiling = match downlink.wish() {
        LayerWish::Best => u8::MAX,
        LayerWish::AtMost(layer) => layer.0,
        LayerWish::Off => return None,
    };
    let mut steps: Vec<Step> = Vec::new();
    for layer in track.layers(now).filter(|layer| layer.flows) {
        // Where nothing flows as low as it should be, the lowest that does is sent.
        if layer.layer.0 > ceiling && !steps.is_empty() {
            continue;
        }
        for (temporal, bps) in layer.bits_per_second.iter().enumerate() {
            let bps = bps * VIDEO_PERCENT / 100;
            match steps.last_mut() {
                // As good as the one before, at the same price.
                Some(last) if last.layer == layer.layer.0 && bps * 100 < last.bps * STEP_MIN_PERCENT => {
                    (last.temporal, last.bps) = (temporal as u8, last.bps.max(bps));
                }
                Some(last) if bps * 100 < last.bps * STEP_MIN_PERCENT => {}
                _ => steps.push(Step { layer: layer.layer.0, temporal: temporal as u8, bps }),
            }
        }
    }
    steps.retain(|step| step.bps > 0);
    Some(Demand { track: id, audio: false, steps })
}
