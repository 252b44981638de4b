//! Offers out, answers in: one at a time, everything else waits and is merged.
//!
//! Sections keep their place for the peer's whole life. A track that goes leaves a section with port 0 behind; once the client
//! has confirmed that, the next track of the same kind takes the place under a fresh mid.

use std::collections::HashSet;
use std::sync::Arc;

use minamo_media::{Codec, ConnectionId, Kind, TrackId, TrackInfo};
use minamo_sfu_core::model::{Downlink, Fingerprint, IceCredentials, Tap, Uplink};
use minamo_signaling_proto::sdp::{
    self, Answer, AnswerSection, Body, Description, Format, FormatTable, SECTIONS_MAX, Section, Setup, UplinkLayer,
};

use super::random::Names;
use super::slot::Slot;
use super::{Endpoint, Reason};

/// A track in the room, with the codec parameters that its publisher was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Who sends what.
    pub info: TrackInfo,
    /// `a=fmtp` of its codec.
    pub fmtp: Arc<str>,
}

/// An uplink section of the first offer.
#[derive(Clone, Debug)]
pub(super) struct UplinkWish {
    pub track: TrackId,
    pub codec: Codec,
    pub fmtp: String,
    pub bitrate_max: Option<u64>,
    /// Simulcast layers, lowest first; none without.
    pub layers: Vec<UplinkLayer>,
}

/// What an answer changed.
#[derive(Debug, Default)]
pub(super) struct Agreed {
    pub fingerprint: Option<Fingerprint>,
    pub uplinks: Vec<Uplink>,
    pub downlinks: Vec<Downlink>,
    pub downlinks_removed: Vec<TrackId>,
    /// The client takes data channels.
    pub data: bool,
}

/// So many downlinks at most, whatever the configuration says. With one round of removed sections of each kind beside them the
/// description stays readable for the answer's parser.
pub(super) const DOWNLINKS_MAX: usize = 120;
const _: () = assert!(4 * DOWNLINKS_MAX + 3 <= SECTIONS_MAX);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first offer or, when false, a re-offer waits for its answer.
    Waiting {
        first: bool,
    },
    Stable,
}

pub(super) struct Negotiation {
    names: Names,
    endpoint: Arc<Endpoint>,
    ice: IceCredentials,
    origin: u64,
    version: u64,
    slots: Vec<Slot>,
    formats: FormatTable,
    state: State,
    wanted: Vec<Published>,
    /// Tracks that the client would not take, as for want of the codec. Only of those wanted now.
    refused: HashSet<TrackId>,
    downlinks_max: usize,
    fingerprint: Option<[u8; 32]>,
}

impl Negotiation {
    /// Everything that the first offer will carry. The caller sends [`Negotiation::description`].
    pub(super) fn new(seed: [u8; 32], endpoint: Arc<Endpoint>, uplinks: &[UplinkWish], data: bool, downlinks_max: usize) -> Self {
        let mut names = Names::new(seed);
        let mut negotiation = Self {
            ice: names.ice_credentials(),
            origin: names.origin(),
            names,
            endpoint,
            version: 1,
            slots: Vec::new(),
            formats: FormatTable::default(),
            state: State::Waiting { first: true },
            wanted: Vec::new(),
            refused: HashSet::new(),
            downlinks_max: downlinks_max.min(DOWNLINKS_MAX),
            fingerprint: None,
        };
        negotiation.add_uplinks(uplinks);
        if data || uplinks.is_empty() {
            // Without data channels too: downlinks come and go, and were all of them gone at once, the client would drop the
            // transport with the last.
            negotiation.slots.push(Slot::new("data".into(), Body::Application, None));
        }
        negotiation
    }

    /// Puts the tracks that are there already into the first offer.
    pub(super) fn include(&mut self, wanted: Vec<Published>) {
        self.wanted = wanted;
        self.add_missing_downlinks();
    }

    fn add_uplinks(&mut self, uplinks: &[UplinkWish]) {
        for UplinkWish { track, codec, fmtp, bitrate_max, layers } in uplinks {
            let mid = self.fresh_mid(codec.kind());
            let format = self.formats.format(*codec, fmtp);
            let uplink = sdp::Uplink { format, bitrate_max: *bitrate_max };
            let body = Body::Uplink { uplink, layers: layers.clone() };
            self.slots.push(Slot::new(mid, body, Some(*track)));
        }
    }

    /// The mid extension's one-byte form carries at most 16 bytes.
    fn fresh_mid(&mut self, kind: Kind) -> String {
        let prefix = match kind {
            Kind::Audio => "audio",
            Kind::Video => "video",
        };
        loop {
            let mid = format!("{prefix}_{}", self.names.letters(6));
            if self.slots.iter().all(|slot| slot.section.mid != mid) {
                return mid;
            }
        }
    }

    pub(super) fn ice(&self) -> &IceCredentials {
        &self.ice
    }

    /// The mid of the uplink of that kind.
    pub(super) fn uplink_mid(&self, kind: Kind) -> Option<String> {
        let slot = self.slots.iter().find(|slot| slot.is_uplink() && slot.section.body.kind() == Some(kind))?;
        Some(slot.section.mid.clone())
    }

    /// The offer's text as things stand.
    pub(super) fn description(&self) -> String {
        let sections: Vec<Section> = self.slots.iter().map(|slot| slot.section.clone()).collect();
        let description = Description {
            origin: self.origin,
            version: self.version,
            ice_ufrag: &self.ice.ufrag,
            ice_pwd: &self.ice.pwd,
            fingerprint: &self.endpoint.fingerprint.0,
            candidates: &self.endpoint.candidates,
            sections: &sections,
        };
        description.to_string()
    }

    pub(super) fn is_waiting(&self, first: bool) -> bool {
        self.state == State::Waiting { first }
    }

    /// Says what the client shall be sent from now on. Returns the tracks that it was sent until now and is no more.
    pub(super) fn set_wanted(&mut self, wanted: Vec<Published>) -> Vec<TrackId> {
        self.wanted = wanted;
        let wanted: HashSet<TrackId> = self.wanted.iter().map(|published| published.info.track).collect();
        self.refused.retain(|track| wanted.contains(track));
        let mut stopped = Vec::new();
        for slot in self.slots.iter_mut().filter(|slot| slot.is_downlink() && slot.agreed) {
            if let Some(track) = slot.track.filter(|track| !wanted.contains(track)) {
                slot.agreed = false;
                stopped.push(track);
            }
        }
        stopped
    }

    /// A re-offer, when one is due and none is in flight.
    pub(super) fn re_offer(&mut self) -> Option<String> {
        if self.state != State::Stable || !self.is_due() {
            return None;
        }
        let wishes = self.wishes();
        for slot in self.slots.iter_mut().filter(|slot| slot.is_downlink()) {
            if slot.track.is_none_or(|track| !wishes.contains(&track)) {
                slot.remove(false);
            }
        }
        self.add_missing_downlinks();
        self.version += 1;
        self.state = State::Waiting { first: false };
        Some(self.description())
    }

    fn wishes(&self) -> HashSet<TrackId> {
        let tracks = self.wanted.iter().map(|published| published.info.track);
        tracks.filter(|track| !self.refused.contains(track)).collect()
    }

    fn is_due(&self) -> bool {
        let wishes = self.wishes();
        let shown: HashSet<TrackId> = self.downlink_tracks().collect();
        let gone = shown.iter().any(|track| !wishes.contains(track));
        let room = shown.len() < self.downlinks_max;
        gone || (room && wishes.iter().any(|track| !shown.contains(track)))
    }

    fn downlink_tracks(&self) -> impl Iterator<Item = TrackId> {
        self.slots.iter().filter(|slot| slot.is_downlink()).filter_map(|slot| slot.track)
    }

    fn add_missing_downlinks(&mut self) {
        let shown: HashSet<TrackId> = self.downlink_tracks().collect();
        let room = self.downlinks_max.saturating_sub(shown.len());
        let missing = |published: &&Published| {
            let track = published.info.track;
            !shown.contains(&track) && !self.refused.contains(&track)
        };
        let missing: Vec<Published> = self.wanted.iter().filter(missing).take(room).cloned().collect();
        for published in missing {
            self.add_downlink(&published);
        }
    }

    /// Takes the first place of that kind whose removal the client has confirmed, or a new one at the end.
    fn add_downlink(&mut self, published: &Published) {
        let TrackInfo { track, publisher, codec, .. } = &published.info;
        let kind = codec.kind();
        let format = self.formats.format(*codec, &published.fmtp);
        let mid = self.fresh_mid(kind);
        let body = Body::Downlink(self.downlink(format, publisher));
        let slot = Slot::new(mid, body, Some(*track));
        let free = |slot: &&mut Slot| {
            slot.agreed && matches!(slot.section.body, Body::Removed(_)) && slot.section.body.kind() == Some(kind)
        };
        match self.slots.iter_mut().find(free) {
            Some(place) => *place = slot,
            None => self.slots.push(slot),
        }
    }

    fn downlink(&mut self, format: Format, publisher: &ConnectionId) -> sdp::Downlink {
        let ssrc = self.fresh_ssrc(0);
        let rtx_ssrc = format.rtx_pt.map(|_| self.fresh_ssrc(ssrc));
        let track_id = self.names.track_id();
        sdp::Downlink { format, stream_id: publisher.to_string(), track_id, ssrc, rtx_ssrc }
    }

    fn fresh_ssrc(&mut self, other: u32) -> u32 {
        loop {
            let ssrc = self.names.ssrc();
            let taken = |slot: &Slot| match &slot.section.body {
                Body::Downlink(downlink) => downlink.ssrc == ssrc || downlink.rtx_ssrc == Some(ssrc),
                _ => false,
            };
            if ssrc != other && !self.slots.iter().any(taken) {
                return ssrc;
            }
        }
    }

    /// Takes the answer to the offer in flight.
    ///
    /// # Errors
    /// It is not SDP or no answer to our offer. Nothing has changed then.
    pub(super) fn answer(&mut self, sdp: &str, tap: Option<&Tap>) -> Result<Agreed, Reason> {
        let answer = Answer::parse(sdp).map_err(|bad| {
            tracing::debug!(%bad, "answer cannot be read");
            Reason("INVALID-SDP")
        })?;
        let fingerprint = self.check(&answer)?;
        let first = self.fingerprint.replace(fingerprint).is_none();
        let mut agreed = Agreed { fingerprint: first.then_some(Fingerprint(fingerprint)), ..Agreed::default() };
        let wishes = self.wishes();
        for (slot, section) in self.slots.iter_mut().zip(&answer.sections) {
            match &slot.section.body {
                Body::Application => agreed.data = !section.rejected,
                Body::Removed(_) => slot.agreed = true,
                Body::Uplink { .. } => take_uplink(slot, section, tap, &mut agreed),
                Body::Downlink(_) => take_downlink(slot, section, &wishes, &mut self.refused, &mut agreed),
            }
        }
        self.state = State::Stable;
        Ok(agreed)
    }

    fn check(&self, answer: &Answer) -> Result<[u8; 32], Reason> {
        let same = self.slots.len() == answer.sections.len()
            && self.slots.iter().zip(&answer.sections).all(|(slot, section)| slot.matches(section));
        if !same {
            return Err(Reason("ANSWER-DOES-NOT-MATCH-OFFER"));
        }
        if answer.sections.iter().any(|section| !section.rejected && section.setup == Some(Setup::Passive)) {
            return Err(Reason("INVALID-DTLS-ROLE"));
        }
        let live = |(slot, section): (&Slot, &AnswerSection)| slot.section.is_live() && !section.rejected;
        if !self.slots.iter().zip(&answer.sections).any(live) {
            return Err(Reason("MEDIA-REJECTED"));
        }
        let fingerprint = answer.fingerprint().ok_or(Reason("MISSING-FINGERPRINT"))?;
        match self.fingerprint {
            Some(known) if known != fingerprint => Err(Reason("FINGERPRINT-CHANGED")),
            _ => Ok(fingerprint),
        }
    }

    /// The codec parameters of a track of the client.
    pub(super) fn fmtp(&self, track: TrackId) -> Arc<str> {
        let slot = self.slots.iter().find(|slot| slot.is_uplink() && slot.track == Some(track));
        slot.and_then(|slot| slot.section.body.format()).map_or_else(|| "".into(), |format| format.fmtp.as_str().into())
    }
}

fn take_uplink(slot: &mut Slot, section: &AnswerSection, tap: Option<&Tap>, agreed: &mut Agreed) {
    if section.rejected {
        // The client cannot encode it: it goes on without.
        slot.remove(true);
    } else if !slot.agreed
        && section.direction.sends()
        && let Some(uplink) = slot.uplink(section, tap)
    {
        agreed.uplinks.push(uplink);
        slot.agreed = true;
    }
}

fn take_downlink(
    slot: &mut Slot,
    section: &AnswerSection,
    wishes: &HashSet<TrackId>,
    refused: &mut HashSet<TrackId>,
    agreed: &mut Agreed,
) {
    let Some(track) = slot.track else { return };
    let downlink = slot.downlink(section).filter(|_| !section.rejected && section.direction.receives());
    match downlink {
        Some(downlink) if !slot.agreed && wishes.contains(&track) => {
            slot.agreed = true;
            agreed.downlinks.push(downlink);
        }
        Some(_) => {}
        None => {
            refused.insert(track);
            if slot.agreed {
                slot.agreed = false;
                agreed.downlinks_removed.push(track);
            }
            if section.rejected {
                slot.remove(true);
            }
        }
    }
}
