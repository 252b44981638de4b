//! Which track an SSRC belongs to: found by mid, by the answer's SSRCs or by payload type, then remembered.

use std::collections::{HashMap, VecDeque};

use minamo_media::TrackId;
use minamo_media::rtp::Packet;

use crate::model::Uplink;

/// SSRCs that were a track's once; a new one took their place, and they do not come back.
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

#[derive(Debug)]
struct Claim {
    spec: Uplink,
    media: Option<u32>,
    rtx: Option<u32>,
}

/// The SSRCs of one peer: at most two for each of its uplinks, and some that are over.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    claims: Vec<Claim>,
    bound: HashMap<u32, (TrackId, Flow)>,
    retired: VecDeque<u32>,
}

impl Latch {
    pub(crate) fn add(&mut self, spec: Uplink) {
        self.claims.push(Claim { spec, media: None, rtx: None });
    }

    pub(crate) fn remove(&mut self, track: TrackId) {
        self.claims.retain(|claim| claim.spec.track != track);
        self.bound.retain(|_, (bound, _)| *bound != track);
    }

    /// The track whose media has this SSRC, as latched or as the answer said.
    pub(crate) fn media_track(&self, ssrc: u32) -> Option<TrackId> {
        match self.bound.get(&ssrc) {
            Some((track, Flow::Media)) => Some(*track),
            Some((_, Flow::Rtx)) => None,
            None => self.claims.iter().find(|claim| claim.spec.ssrc == Some(ssrc)).map(|claim| claim.spec.track),
        }
    }

    /// Whose packet this is.
    pub(crate) fn resolve(&mut self, packet: &Packet<'_>) -> Result<(TrackId, Flow), Stranger> {
        let (ssrc, pt) = (packet.ssrc(), packet.payload_type());
        if let Some((track, flow)) = self.bound.get(&ssrc).copied() {
            let claim = self.claims.iter().find(|claim| claim.spec.track == track).ok_or(Stranger::Ssrc)?;
            return if claim.flow_of(pt) == Some(flow) { Ok((track, flow)) } else { Err(Stranger::PayloadType) };
        }
        if self.retired.contains(&ssrc) {
            return Err(Stranger::Ssrc);
        }
        let at =
            self.by_mid(packet).or_else(|| self.by_answer(ssrc)).or_else(|| self.by_payload_type(pt)).ok_or(Stranger::Ssrc)?;
        let flow = self.claims[at].flow_of(pt).ok_or(Stranger::PayloadType)?;
        Ok((self.bind(at, ssrc, flow), flow))
    }

    fn by_mid(&self, packet: &Packet<'_>) -> Option<usize> {
        self.claims.iter().position(|claim| {
            let mid = claim.spec.extensions.mid.and_then(|id| packet.extension(id));
            mid.is_some_and(|mid| mid == claim.spec.mid.as_bytes())
        })
    }

    fn by_answer(&self, ssrc: u32) -> Option<usize> {
        self.claims.iter().position(|claim| claim.spec.ssrc == Some(ssrc) || claim.spec.rtx_ssrc == Some(ssrc))
    }

    /// Only where it is unambiguous, and only for a track that has no SSRC yet.
    fn by_payload_type(&self, pt: u8) -> Option<usize> {
        let open = |claim: &Claim| match claim.flow_of(pt) {
            Some(Flow::Media) => claim.media.is_none(),
            Some(Flow::Rtx) => claim.rtx.is_none(),
            None => false,
        };
        let mut open = self.claims.iter().enumerate().filter(|(_, claim)| open(claim)).map(|(at, _)| at);
        let only = open.next()?;
        open.next().is_none().then_some(only)
    }

    fn bind(&mut self, at: usize, ssrc: u32, flow: Flow) -> TrackId {
        let claim = &mut self.claims[at];
        let slot = if flow == Flow::Media { &mut claim.media } else { &mut claim.rtx };
        if let Some(before) = slot.replace(ssrc) {
            self.bound.remove(&before);
            if self.retired.len() == RETIRED_MAX {
                self.retired.pop_front();
            }
            self.retired.push_back(before);
        }
        self.bound.insert(ssrc, (claim.spec.track, flow));
        claim.spec.track
    }
}

impl Claim {
    fn flow_of(&self, pt: u8) -> Option<Flow> {
        if pt == self.spec.payload.pt {
            Some(Flow::Media)
        } else if self.spec.payload.rtx_pt == Some(pt) {
            Some(Flow::Rtx)
        } else {
            None
        }
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
            payload: Payload { codec: Codec::H264, pt, rtx_pt: Some(pt + 1) },
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
        latch.resolve(&Packet::parse(&bytes).unwrap()).map(|(track, flow)| (track.0, flow))
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
        assert_eq!(latch.media_track(10), Some(TrackId(1)));
        assert_eq!(resolve(&mut latch, 10, 102, None), Ok((1, Flow::Media)));
        assert_eq!(resolve(&mut latch, 77, 96, None), Ok((2, Flow::Media)));
        assert_eq!(resolve(&mut latch, 78, 97, None), Ok((2, Flow::Rtx)));
        assert_eq!(resolve(&mut latch, 79, 96, None), Err(Stranger::Ssrc));
        assert_eq!(resolve(&mut latch, 77, 50, None), Err(Stranger::PayloadType));
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
}
