//! Which track and layer an SSRC belongs to: found by mid and rid, by the answer's SSRCs or by payload type, then remembered.

use std::collections::{HashMap, VecDeque};

use minamo_media::TrackId;
use minamo_media::rtp::Packet;

use crate::model::{LAYERS_MAX, Layer, Uplink};

/// SSRCs remembered that were a track's once; at the bound the oldest is forgotten.
const RETIRED_MAX: usize = 16;

/// What an SSRC carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Media,
    /// Retransmissions of it (RFC 4588).
    Rtx,
}

/// Why a packet belongs to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    Ssrc,
    PayloadType,
}

/// Where a packet belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub track: TrackId,
    /// 0 without simulcast.
    pub layer: Layer,
    pub flow: Flow,
}

#[derive(Debug)]
struct Claim {
    spec: Uplink,
    /// By layer.
    media: [Option<u32>; LAYERS_MAX],
    rtx: [Option<u32>; LAYERS_MAX],
}

/// The SSRCs of one peer: at most two for each layer of its uplinks, and some that are over.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    claims: Vec<Claim>,
    bound: HashMap<u32, Owner>,
    retired: VecDeque<Retired>,
}

/// An SSRC that was a track's once.
#[derive(Debug)]
struct Retired {
    ssrc: u32,
    /// Of a removed track: its mid, and what the SSRC was. `None` where a new SSRC took its place: it does not come back.
    was: Option<(String, Owner)>,
}

impl Latch {
    pub(crate) fn add(&mut self, spec: Uplink) {
        self.claims.push(Claim { spec, media: [None; LAYERS_MAX], rtx: [None; LAYERS_MAX] });
    }

    /// What is still under way of a removed track must not become another's, but the same sender may come back.
    pub(crate) fn remove(&mut self, track: TrackId) {
        let mid = self.claims.iter().find(|claim| claim.spec.track == track).map(|claim| claim.spec.mid.clone());
        let mut over: Vec<(u32, Owner)> =
            self.bound.iter().filter(|(_, owner)| owner.track == track).map(|(ssrc, owner)| (*ssrc, *owner)).collect();
        over.sort_unstable_by_key(|(ssrc, _)| *ssrc);
        for (ssrc, owner) in over {
            self.retire(ssrc, mid.clone().map(|mid| (mid, owner)));
        }
        self.claims.retain(|claim| claim.spec.track != track);
        self.bound.retain(|_, owner| owner.track != track);
    }

    /// The track and layer whose media has this SSRC, as latched or as the answer said.
    pub(crate) fn media(&self, ssrc: u32) -> Option<(TrackId, Layer)> {
        match self.bound.get(&ssrc) {
            Some(owner) => (owner.flow == Flow::Media).then_some((owner.track, owner.layer)),
            None => self.claims.iter().find(|claim| claim.spec.ssrc == Some(ssrc)).map(|claim| (claim.spec.track, Layer(0))),
        }
    }

    /// Whose packet this is.
    pub(crate) fn resolve(&mut self, packet: &Packet<'_>) -> Result<Owner, Stranger> {
        let (ssrc, pt) = (packet.ssrc(), packet.payload_type());
        if let Some(owner) = self.bound.get(&ssrc).copied() {
            let claim = self.claims.iter().find(|claim| claim.spec.track == owner.track).ok_or(Stranger::Ssrc)?;
            return if claim.flow_of(pt) == Some(owner.flow) { Ok(owner) } else { Err(Stranger::PayloadType) };
        }
        if let Some(retired) = self.retired.iter().position(|retired| retired.ssrc == ssrc) {
            return self.come_back(retired, packet);
        }
        // A mid that is nobody's names a track that is gone, or is yet to come.
        if self.by_mid(packet).is_none() && self.names_a_mid(packet) {
            return Err(Stranger::Ssrc);
        }
        let at = self
            .by_mid(packet)
            .or_else(|| self.by_rid(packet))
            .or_else(|| self.by_answer(ssrc))
            .or_else(|| self.by_payload_type(pt))
            .ok_or(Stranger::Ssrc)?;
        let claim = &self.claims[at];
        let flow = claim.flow_of(pt).ok_or(Stranger::PayloadType)?;
        let layer = claim.layer_of(packet, flow).ok_or(Stranger::Ssrc)?;
        Ok(self.bind(at, ssrc, layer, flow))
    }

    /// An SSRC of a removed track: a browser that stops a sender and starts it again keeps both its mid and its SSRC. It is heard
    /// again where the packet, the answer or the mid of then says whose it is.
    fn come_back(&mut self, retired: usize, packet: &Packet<'_>) -> Result<Owner, Stranger> {
        let Retired { ssrc, was } = &self.retired[retired];
        let (mid, was) = was.as_ref().ok_or(Stranger::Ssrc)?;
        let same = |claim: &Claim| claim.spec.mid == *mid;
        let kept_mid = || self.claims.iter().position(same);
        let named = self.names_a_mid(packet);
        let at = if named { self.by_mid(packet) } else { self.by_answer(*ssrc).or_else(kept_mid) }.ok_or(Stranger::Ssrc)?;
        let claim = &self.claims[at];
        let flow = claim.flow_of(packet.payload_type()).ok_or(Stranger::PayloadType)?;
        let kept = (same(claim) && usize::from(was.layer.0) < claim.spec.rids.len().max(1)).then_some(was.layer);
        let layer = claim.layer_of(packet, flow).or(kept).ok_or(Stranger::Ssrc)?;
        let ssrc = *ssrc;
        self.retired.remove(retired);
        Ok(self.bind(at, ssrc, layer, flow))
    }

    fn by_mid(&self, packet: &Packet<'_>) -> Option<usize> {
        self.claims.iter().position(|claim| {
            let mid = claim.spec.extensions.mid.and_then(|id| packet.extension(id));
            mid.is_some_and(|mid| mid == claim.spec.mid.as_bytes())
        })
    }

    fn names_a_mid(&self, packet: &Packet<'_>) -> bool {
        let ids = self.claims.iter().filter_map(|claim| claim.spec.extensions.mid);
        ids.into_iter().any(|id| packet.extension(id).is_some())
    }

    /// A packet without a mid that names a layer: only where one track alone has such a layer.
    fn by_rid(&self, packet: &Packet<'_>) -> Option<usize> {
        let layer = |claim: &Claim| claim.layer_of(packet, claim.flow_of(packet.payload_type())?);
        let mut named =
            self.claims.iter().enumerate().filter(|(_, claim)| claim.is_simulcast() && layer(claim).is_some()).map(|(at, _)| at);
        let only = named.next()?;
        named.next().is_none().then_some(only)
    }

    fn by_answer(&self, ssrc: u32) -> Option<usize> {
        self.claims.iter().position(|claim| claim.spec.ssrc == Some(ssrc) || claim.spec.rtx_ssrc == Some(ssrc))
    }

    /// Only where it is unambiguous, and only for a track that has no SSRC yet.
    fn by_payload_type(&self, pt: u8) -> Option<usize> {
        let open = |claim: &Claim| match claim.flow_of(pt) {
            Some(Flow::Media) => claim.media[0].is_none(),
            Some(Flow::Rtx) => claim.rtx[0].is_none(),
            None => false,
        };
        let mut open = self.claims.iter().enumerate().filter(|(_, claim)| !claim.is_simulcast() && open(claim)).map(|(at, _)| at);
        let only = open.next()?;
        open.next().is_none().then_some(only)
    }

    fn retire(&mut self, ssrc: u32, was: Option<(String, Owner)>) {
        if self.retired.len() == RETIRED_MAX {
            self.retired.pop_front();
        }
        self.retired.push_back(Retired { ssrc, was });
    }

    fn bind(&mut self, at: usize, ssrc: u32, layer: Layer, flow: Flow) -> Owner {
        let claim = &mut self.claims[at];
        let track = claim.spec.track;
        let slots = if flow == Flow::Media { &mut claim.media } else { &mut claim.rtx };
        if let Some(before) = slots[usize::from(layer.0)].replace(ssrc) {
            self.bound.remove(&before);
            self.retire(before, None);
        }
        let owner = Owner { track, layer, flow };
        self.bound.insert(ssrc, owner);
        owner
    }
}

impl Claim {
    fn flow_of(&self, pt: u8) -> Option<Flow> {
        if pt == self.spec.payload.pt || self.spec.payload.red_pt == Some(pt) {
            Some(Flow::Media)
        } else if self.spec.payload.rtx_pt == Some(pt) {
            Some(Flow::Rtx)
        } else {
            None
        }
    }

    fn is_simulcast(&self) -> bool {
        self.spec.rids.len() > 1
    }

    /// The layer that the packet names: by its rid, or by its repaired-rid where it is a retransmission (RFC 8852 §3).
    fn layer_of(&self, packet: &Packet<'_>, flow: Flow) -> Option<Layer> {
        if !self.is_simulcast() {
            return Some(Layer(0));
        }
        let id = if flow == Flow::Media { self.spec.extensions.rid } else { self.spec.extensions.repaired_rid };
        let rid = packet.extension(id?)?;
        let at = self.spec.rids.iter().take(LAYERS_MAX).position(|known| known.as_bytes() == rid)?;
        Some(Layer(at as u8))
    }
}

#[cfg(test)]
mod tests {
    use minamo_media::Codec;
    use minamo_media::rtp::Header;

    use super::*;
    use crate::model::{Extensions, Payload};

    fn uplink(track: u64, mid: &str, pt: u8, ssrc: Option<u32>) -> Uplink {
        Uplink {
            track: TrackId(track),
            mid: mid.into(),
            payload: Payload { codec: Codec::H264, pt, rtx_pt: Some(pt + 1), red_pt: None },
            extensions: Extensions { mid: Some(4), ..Extensions::default() },
            ssrc,
            rtx_ssrc: ssrc.map(|ssrc| ssrc + 1),
            rids: Vec::new(),
            tap: None,
        }
    }

    fn resolve(latch: &mut Latch, ssrc: u32, payload_type: u8, mid: Option<&str>) -> Result<(u64, Flow), Stranger> {
        let extensions: Vec<_> = mid.iter().map(|mid| (4, mid.as_bytes())).collect();
        let mut bytes = Vec::new();
        Header { payload_type, ssrc, extensions: &extensions, ..Header::default() }.write(&mut bytes);
        latch.resolve(&Packet::parse(&bytes).unwrap()).map(|owner| (owner.track.0, owner.flow))
    }

    #[test]
    fn the_mid_goes_first_and_is_remembered() {
        let mut latch = Latch::default();
        latch.add(uplink(1, "a", 102, Some(10)));
        latch.add(uplink(2, "b", 102, None));
        assert_eq!(resolve(&mut latch, 10, 102, Some("b")), Ok((2, Flow::Media)));
        assert_eq!(resolve(&mut latch, 10, 102, None), Ok((2, Flow::Media)));
        assert_eq!(resolve(&mut latch, 11, 103, None), Ok((1, Flow::Rtx)));
        assert_eq!(resolve(&mut latch, 12, 102, Some("a")), Ok((1, Flow::Media)));
    }

    #[test]
    fn the_answer_then_the_payload_type_where_it_is_unambiguous() {
        let mut latch = Latch::default();
        latch.add(uplink(1, "a", 102, Some(10)));
        latch.add(uplink(2, "b", 96, None));
        assert_eq!(latch.media(10), Some((TrackId(1), Layer(0))));
        assert_eq!(resolve(&mut latch, 10, 102, None), Ok((1, Flow::Media)));
        assert_eq!(resolve(&mut latch, 77, 96, None), Ok((2, Flow::Media)));
        assert_eq!(resolve(&mut latch, 78, 97, None), Ok((2, Flow::Rtx)));
        assert_eq!(resolve(&mut latch, 79, 96, None), Err(Stranger::Ssrc));
        assert_eq!(resolve(&mut latch, 77, 50, None), Err(Stranger::PayloadType));
    }

    #[test]
    fn what_is_under_way_of_a_removed_track_is_nobodys() {
        let mut latch = Latch::default();
        latch.add(uplink(1, "v", 96, None));
        assert_eq!(resolve(&mut latch, 10, 96, Some("v")), Ok((1, Flow::Media)));
        latch.remove(TrackId(1));
        latch.add(uplink(2, "w", 96, None));
        assert_eq!(resolve(&mut latch, 10, 96, None), Err(Stranger::Ssrc), "its SSRC was the other's");
        assert_eq!(resolve(&mut latch, 11, 96, Some("v")), Err(Stranger::Ssrc), "it says that it is the other's");
        assert_eq!(resolve(&mut latch, 12, 96, None), Ok((2, Flow::Media)));
    }

    #[test]
    fn a_sender_that_comes_back_under_its_ssrc_is_heard() {
        let removed = || {
            let mut latch = Latch::default();
            latch.add(uplink(1, "v", 96, None));
            assert_eq!(resolve(&mut latch, 10, 96, Some("v")), Ok((1, Flow::Media)));
            assert_eq!(resolve(&mut latch, 11, 97, Some("v")), Ok((1, Flow::Rtx)));
            latch.remove(TrackId(1));
            assert_eq!(resolve(&mut latch, 10, 96, Some("v")), Err(Stranger::Ssrc));
            latch
        };
        for named in [Some("v"), None] {
            let mut latch = removed();
            latch.add(uplink(2, "v", 96, None));
            assert_eq!(resolve(&mut latch, 10, 96, named), Ok((2, Flow::Media)), "the same mid");
            assert_eq!(resolve(&mut latch, 11, 97, named), Ok((2, Flow::Rtx)));
            assert_eq!(resolve(&mut latch, 10, 96, None), Ok((2, Flow::Media)));
        }
        let mut latch = removed();
        latch.add(uplink(2, "w", 96, Some(10)));
        assert_eq!(resolve(&mut latch, 10, 96, None), Ok((2, Flow::Media)), "the answer names it");
        let mut latch = removed();
        latch.add(uplink(2, "w", 96, None));
        assert_eq!(resolve(&mut latch, 10, 96, Some("v")), Err(Stranger::Ssrc), "under way still");
        assert_eq!(resolve(&mut latch, 10, 96, None), Err(Stranger::Ssrc));
        assert_eq!(resolve(&mut latch, 10, 96, Some("w")), Ok((2, Flow::Media)), "it says whose it is");
    }

    #[test]
    fn two_tracks_of_one_payload_type_wait_for_a_mid() {
        let mut latch = Latch::default();
        latch.add(uplink(1, "a", 102, None));
        latch.add(uplink(2, "b", 102, None));
        assert_eq!(resolve(&mut latch, 5, 102, None), Err(Stranger::Ssrc));
        assert_eq!(resolve(&mut latch, 5, 102, Some("b")), Ok((2, Flow::Media)));
        assert_eq!(resolve(&mut latch, 6, 102, None), Ok((1, Flow::Media)));
    }

    #[test]
    fn an_ssrc_that_was_replaced_does_not_come_back() {
        let mut latch = Latch::default();
        latch.add(uplink(1, "a", 102, None));
        assert_eq!(resolve(&mut latch, 5, 102, Some("a")), Ok((1, Flow::Media)));
        assert_eq!(resolve(&mut latch, 6, 102, Some("a")), Ok((1, Flow::Media)));
        assert_eq!(resolve(&mut latch, 5, 102, Some("a")), Err(Stranger::Ssrc));
        latch.remove(TrackId(1));
        assert_eq!(resolve(&mut latch, 6, 102, Some("a")), Err(Stranger::Ssrc));
    }

    fn simulcast(track: u64, mid: &str) -> Uplink {
        let extensions = Extensions { mid: Some(4), rid: Some(5), repaired_rid: Some(6), ..Extensions::default() };
        Uplink { extensions, rids: vec!["r0".into(), "r1".into(), "r2".into()], ..uplink(track, mid, 96, None) }
    }

    /// The layer and flow of a packet with these extensions.
    fn layer(latch: &mut Latch, ssrc: u32, payload_type: u8, extensions: &[(u8, &[u8])]) -> Result<(u64, u8, Flow), Stranger> {
        let mut bytes = Vec::new();
        Header { payload_type, ssrc, extensions, ..Header::default() }.write(&mut bytes);
        latch.resolve(&Packet::parse(&bytes).unwrap()).map(|owner| (owner.track.0, owner.layer.0, owner.flow))
    }

    #[test]
    fn layers_are_found_by_rid_and_their_retransmissions_by_repaired_rid_even_before_them() {
        let mut latch = Latch::default();
        latch.add(simulcast(1, "a"));
        latch.add(simulcast(2, "b"));
        let (a, r1, repaired): ((u8, &[u8]), _, _) = ((4, b"a"), (5, b"r1".as_slice()), (6, b"r1".as_slice()));
        assert_eq!(layer(&mut latch, 21, 97, &[a, repaired]), Ok((1, 1, Flow::Rtx)));
        assert_eq!(layer(&mut latch, 20, 96, &[a]), Err(Stranger::Ssrc), "which layer?");
        assert_eq!(layer(&mut latch, 20, 96, &[r1]), Err(Stranger::Ssrc), "which track?");
        assert_eq!(layer(&mut latch, 20, 96, &[a, r1]), Ok((1, 1, Flow::Media)));
        assert_eq!(layer(&mut latch, 20, 96, &[]), Ok((1, 1, Flow::Media)), "remembered");
        assert_eq!(layer(&mut latch, 21, 97, &[]), Ok((1, 1, Flow::Rtx)));
        assert_eq!(layer(&mut latch, 22, 96, &[a, (5, b"r9")]), Err(Stranger::Ssrc));
        assert_eq!(layer(&mut latch, 30, 96, &[(4, b"b"), (5, b"r2")]), Ok((2, 2, Flow::Media)));
        assert_eq!(latch.media(30), Some((TrackId(2), Layer(2))));
        // Another SSRC of the same layer takes over; the one before does not come back.
        assert_eq!(layer(&mut latch, 40, 96, &[a, r1]), Ok((1, 1, Flow::Media)));
        assert_eq!(layer(&mut latch, 20, 96, &[a, r1]), Err(Stranger::Ssrc));
        latch.remove(TrackId(1));
        assert_eq!(layer(&mut latch, 50, 96, &[(5, b"r0")]), Ok((2, 0, Flow::Media)), "only one has it now");
        // The same sender again: its layers are those of then, but not the SSRC that was replaced.
        latch.add(simulcast(3, "a"));
        assert_eq!(layer(&mut latch, 40, 96, &[]), Ok((3, 1, Flow::Media)));
        assert_eq!(layer(&mut latch, 21, 97, &[]), Ok((3, 1, Flow::Rtx)));
        assert_eq!(layer(&mut latch, 20, 96, &[a, r1]), Err(Stranger::Ssrc));
    }
}
