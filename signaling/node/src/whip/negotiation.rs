//! The one negotiation of a session: offer in, answer and the SFU's tracks out.

use std::cmp::Reverse;
use std::collections::HashMap;

use http::StatusCode;
use minamo_media::{ChannelId, Codec, ConnectionId, TrackId, TrackInfo};
use minamo_sfu_core::model::{self, Extensions, IceCredentials, LayerWish, Payload};
use minamo_signaling_proto::sdp::extension::{ABS_SEND_TIME, AUDIO_LEVEL, Extension, MID, TRANSPORT_CC, VIDEO_ORIENTATION};
use minamo_signaling_proto::sdp::{self, ClientOffer, Format, MediaKind, OfferedSection, Reply, ServerAnswer};

use crate::api::ApiError;
use crate::ids;
use crate::session::{Endpoint, Names, Published};

const KINDS: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];
/// When a viewer without a publisher may ask again, in seconds.
const RETRY_AFTER_S: u32 = 2;

/// What was chosen for one section.
pub(super) struct Choice<T> {
    section: usize,
    format: Format,
    of: T,
}

/// What a publisher shall send: the first audio and the first video.
pub(super) fn choose_uplinks(offer: &ClientOffer) -> Result<Vec<Choice<()>>, ApiError> {
    let mut chosen = Vec::new();
    for kind in KINDS {
        let Some(at) = offer.sections.iter().position(|section| section.sends(kind)) else { continue };
        let section = &offer.sections[at];
        let format = section.choose_uplink().ok_or_else(|| not_taken(section))?;
        chosen.push(Choice { section: at, format, of: () });
    }
    if chosen.is_empty() {
        let why = "the offer sends nothing: no audio or video section is sendonly or sendrecv";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "INVALID_SDP", why));
    }
    Ok(chosen)
}

fn not_taken(section: &OfferedSection) -> ApiError {
    let why = format!("none of the codecs offered ({}) is taken: {} are", section.codec_names.join(", "), sdp::TAKEN);
    ApiError::new(StatusCode::NOT_ACCEPTABLE, "NO_COMMON_CODEC", why)
}

/// What a viewer gets of the tracks that are there now: of the fullest publishers first, the oldest of these first.
pub(super) fn choose_downlinks(
    offer: &ClientOffer,
    mut wanted: Vec<Published>,
    downlinks_max: usize,
) -> Result<Vec<Choice<TrackInfo>>, ApiError> {
    if wanted.is_empty() {
        let why = "nobody publishes in this channel now: try again later";
        return Err(ApiError::new(StatusCode::CONFLICT, "NOT_LIVE", why).retry_after_s(RETRY_AFTER_S));
    }
    order(&mut wanted);
    let mut chosen = Vec::new();
    for kind in KINDS {
        let tracks = wanted.iter().filter(|published| kind_of(published.info.codec) == kind);
        let sections = offer.sections.iter().enumerate().filter(|(_, section)| section.receives(kind));
        for (published, (at, section)) in tracks.zip(sections) {
            let format = section.choose_downlink(published.info.codec, &published.fmtp);
            let format = format.ok_or_else(|| not_offered(published, section))?;
            chosen.push(Choice { section: at, format, of: published.info.clone() });
        }
    }
    chosen.truncate(downlinks_max);
    if chosen.is_empty() {
        let kinds: Vec<_> = wanted.iter().map(|published| published.info.codec.rtpmap_name()).collect();
        let why = format!("the publisher sends {}, but no section of the offer would receive that", kinds.join(", "));
        return Err(ApiError::new(StatusCode::NOT_ACCEPTABLE, "NO_COMMON_MEDIA", why));
    }
    Ok(chosen)
}

fn not_offered(published: &Published, section: &OfferedSection) -> ApiError {
    let codec = published.info.codec.rtpmap_name();
    let fmtp = if published.fmtp.is_empty() { String::new() } else { format!(" ({})", published.fmtp) };
    let why = format!("the publisher sends {codec}{fmtp}, the offer takes {}", section.codec_names.join(", "));
    ApiError::new(StatusCode::NOT_ACCEPTABLE, "NO_COMMON_CODEC", why)
}

fn order(wanted: &mut [Published]) {
    let mut publishers: HashMap<ConnectionId, (Reverse<usize>, TrackId)> = HashMap::new();
    for Published { info, .. } in wanted.iter() {
        let (Reverse(count), first) = publishers.entry(info.publisher.clone()).or_insert((Reverse(0), info.track));
        *count += 1;
        *first = info.track.min(*first);
    }
    wanted.sort_by_key(|published| (publishers.get(&published.info.publisher).copied(), published.info.track));
}

fn kind_of(codec: Codec) -> MediaKind {
    match codec.kind() {
        minamo_media::Kind::Audio => MediaKind::Audio,
        minamo_media::Kind::Video => MediaKind::Video,
    }
}

/// What the SFU and the room are told.
#[derive(Default)]
pub(super) struct Tracks {
    pub uplinks: Vec<model::Uplink>,
    pub published: Vec<Published>,
    pub downlinks: Vec<model::Downlink>,
}

/// An answer in the making.
pub(super) struct Answering {
    names: Names,
    pub ice: IceCredentials,
    pub tracks: Tracks,
    sections: Vec<(OfferedSection, Reply)>,
}

impl Answering {
    pub(super) fn new(seed: [u8; 32], sections: Vec<OfferedSection>) -> Self {
        let mut names = Names::new(seed);
        let ice = names.ice_credentials();
        let sections = sections.into_iter().map(|section| (section, Reply::Refused)).collect();
        Self { names, ice, tracks: Tracks::default(), sections }
    }

    /// The client sends this. `tap`: the names under which it goes to HLS.
    pub(super) fn uplink(
        &mut self,
        choice: Choice<()>,
        publisher: &ConnectionId,
        tap: Option<&(ChannelId, ConnectionId)>,
        video_bps_max: Option<u32>,
    ) {
        let Choice { section, format, .. } = choice;
        let (offered, reply) = &mut self.sections[section];
        let (track, payload) = (ids::next_track(), payload(&format));
        let tapped = matches!(payload.codec, Codec::Opus | Codec::H264);
        if tap.is_some() && !tapped {
            tracing::info!(codec = ?payload.codec, %publisher, "video of this codec is forwarded but does not go to HLS");
        }
        self.tracks.uplinks.push(model::Uplink {
            track,
            mid: offered.mid.clone(),
            payload,
            extensions: extensions(&offered.uplink_extensions()),
            ssrc: offered.common.ssrc,
            rtx_ssrc: offered.common.rtx_ssrc.filter(|_| payload.rtx_pt.is_some()),
            rids: Vec::new(),
            tap: tap.filter(|_| tapped).cloned(),
        });
        let info = TrackInfo { track, publisher: publisher.clone(), codec: payload.codec };
        self.tracks.published.push(Published { info, fmtp: format.fmtp.as_str().into() });
        let is_video = offered.common.kind == MediaKind::Video;
        let bitrate_max = video_bps_max.filter(|_| is_video).map(u64::from);
        *reply = Reply::Uplink(sdp::Uplink { format, bitrate_max });
    }

    /// The client receives this.
    pub(super) fn downlink(&mut self, choice: Choice<TrackInfo>) {
        let Choice { section, format, of } = choice;
        let (ssrc, rtx_ssrc) = self.fresh_ssrcs(format.rtx_pt.is_some());
        let (offered, reply) = &mut self.sections[section];
        self.tracks.downlinks.push(model::Downlink {
            track: of.track,
            mid: offered.mid.clone(),
            payload: payload(&format),
            extensions: extensions(&offered.downlink_extensions()),
            ssrc,
            rtx_ssrc,
            layer: LayerWish::Best,
        });
        let (stream_id, track_id) = (of.publisher.to_string(), self.names.track_id());
        *reply = Reply::Downlink(sdp::Downlink { format, stream_id, track_id, ssrc, rtx_ssrc });
    }

    fn fresh_ssrcs(&mut self, with_rtx: bool) -> (u32, Option<u32>) {
        let mut taken: Vec<u32> = Vec::new();
        for downlink in &self.tracks.downlinks {
            taken.extend([Some(downlink.ssrc), downlink.rtx_ssrc].into_iter().flatten());
        }
        let mut fresh = || loop {
            let ssrc = self.names.ssrc();
            if !taken.contains(&ssrc) {
                taken.push(ssrc);
                return ssrc;
            }
        };
        (fresh(), with_rtx.then(fresh))
    }

    /// The answer's text.
    pub(super) fn text(&mut self, endpoint: &Endpoint) -> String {
        let answer = ServerAnswer {
            origin: self.names.origin(),
            ice_ufrag: &self.ice.ufrag,
            ice_pwd: &self.ice.pwd,
            fingerprint: &endpoint.fingerprint.0,
            candidates: &endpoint.candidates,
            sections: &self.sections,
        };
        answer.to_string()
    }
}

fn payload(format: &Format) -> Payload {
    Payload { codec: format.codec, pt: format.pt, rtx_pt: format.rtx_pt }
}

fn extensions(agreed: &[(u8, Extension)]) -> Extensions {
    let id_of = |extension: Extension| agreed.iter().find(|(_, agreed)| *agreed == extension).map(|(id, _)| *id);
    Extensions {
        mid: id_of(MID),
        rid: None,
        repaired_rid: None,
        transport_cc: id_of(TRANSPORT_CC),
        abs_send_time: id_of(ABS_SEND_TIME),
        audio_level: id_of(AUDIO_LEVEL),
        video_orientation: id_of(VIDEO_ORIENTATION),
        dependency_descriptor: None,
    }
}
