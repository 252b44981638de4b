//! The one negotiation of a session: offer in, answer and the SFU's tracks out. What a viewer gets is chosen in [`super::viewing`].

use http::StatusCode;
use minamo_media::{Codec, ConnectionId, TrackInfo};
use minamo_sfu_core::model::{self, Extensions, IceCredentials, LayerWish, Payload, Tap};
use minamo_signaling_proto::sdp::extension::{
    ABS_SEND_TIME, AUDIO_LEVEL, DEPENDENCY_DESCRIPTOR, Extension, MID, REPAIRED_RID, RID, TRANSPORT_CC, VIDEO_ORIENTATION,
};
use minamo_signaling_proto::sdp::{self, ClientOffer, Format, MediaKind, OfferedSection, Preference, Reply, ServerAnswer};
use minamo_signaling_proto::sora::Connect;

use super::viewing::Watched;
use crate::api::ApiError;
use crate::ids;
use crate::session::{Endpoint, Names, Published};

pub(super) const KINDS: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];
/// What was chosen for one section.
pub(super) struct Choice<T> {
    pub section: usize,
    pub format: Format,
    pub of: T,
}

/// What a publisher shall send: the first audio and the first video, where it may, with the most bits per second that `connect`
/// allows.
pub(super) fn choose_uplinks(
    offer: &ClientOffer,
    preference: Preference,
    connect: &Connect,
) -> Result<Vec<Choice<Option<u64>>>, ApiError> {
    let (mut chosen, mut forbidden) = (Vec::new(), false);
    for kind in KINDS {
        let Some(at) = offer.sections.iter().position(|section| section.sends(kind)) else { continue };
        let section = &offer.sections[at];
        let Some(kbps_max) = kbps_max(connect, kind) else {
            forbidden = true;
            continue;
        };
        let preference = if kind == MediaKind::Video { preference } else { Preference::Client };
        let format = section.choose_uplink(preference).ok_or_else(|| not_taken(section, preference))?;
        chosen.push(Choice { section: at, format, of: kbps_max.map(|kbps| u64::from(kbps) * 1000) });
    }
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    if forbidden {
        return Err(super::candidate::forbidden("the auth webhook allows nothing of what the offer sends"));
    }
    let why = "the offer sends nothing: no audio or video section is sendonly or sendrecv";
    Err(ApiError::new(StatusCode::BAD_REQUEST, "INVALID_SDP", why))
}

/// `None`: nothing of that kind. Without a number: as much as it likes.
fn kbps_max(connect: &Connect, kind: MediaKind) -> Option<Option<u32>> {
    match kind {
        MediaKind::Audio => connect.audio.map(|audio| audio.bit_rate_kbps),
        MediaKind::Video => connect.video.as_ref().map(|video| video.bit_rate_kbps),
        MediaKind::Application | MediaKind::Other => None,
    }
}

fn not_taken(section: &OfferedSection, preference: Preference) -> ApiError {
    let offered = section.codec_names.join(", ");
    let why = match preference {
        Preference::Only(codec) => format!("the auth webhook wants {}, the offer has {offered}", codec.rtpmap_name()),
        _ => format!("none of the codecs offered ({offered}) is taken: {} are", sdp::TAKEN),
    };
    ApiError::new(StatusCode::NOT_ACCEPTABLE, "NO_COMMON_CODEC", why)
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
        choice: Choice<Option<u64>>,
        publisher: &ConnectionId,
        tap: Option<&Tap>,
        video_bps_max: Option<u32>,
    ) {
        let Choice { section, format, of: wished } = choice;
        let (offered, reply) = &mut self.sections[section];
        let (track, payload) = (ids::next_track(), payload(&format));
        let tapped = matches!(payload.codec, Codec::Opus | Codec::H264 | Codec::Vp8 | Codec::Vp9);
        if tap.is_some() && !tapped {
            tracing::info!(codec = ?payload.codec, %publisher, "video of this codec is forwarded but does not go to HLS");
        }
        let simulcast = !offered.rids.is_empty();
        // Layers are bound by their names: an SSRC in the offer would be that of one of them.
        let ssrc = offered.common.ssrc.filter(|_| !simulcast);
        self.tracks.uplinks.push(model::Uplink {
            track,
            mid: offered.mid.clone(),
            payload,
            extensions: extensions(&offered.uplink_extensions(payload.codec)),
            ssrc,
            rtx_ssrc: offered.common.rtx_ssrc.filter(|_| ssrc.is_some() && payload.rtx_pt.is_some()),
            rids: if simulcast { offered.rids.clone() } else { Vec::new() },
            tap: tap.filter(|_| tapped).map(|tap| tap.of(payload.codec)),
        });
        let info = TrackInfo { track, publisher: publisher.clone(), codec: payload.codec, rids: Vec::new() };
        self.tracks.published.push(Published { info, fmtp: format.fmtp.as_str().into() });
        let is_video = offered.common.kind == MediaKind::Video;
        let bitrate_max = video_bps_max.filter(|_| is_video).map(u64::from);
        // Half and quarter size take about a third more together than the full one alone.
        let bitrate_max =
            if simulcast && !tap.is_some_and(|tap| tap.layers) { bitrate_max.map(|bps| bps * 4 / 3) } else { bitrate_max };
        let bitrate_max = [wished, bitrate_max].into_iter().flatten().min();
        *reply = Reply::Uplink { uplink: sdp::Uplink { format, bitrate_max }, simulcast };
    }

    /// The client receives this. Says as what it goes on when the track is another one.
    pub(super) fn downlink(&mut self, choice: Choice<TrackInfo>) -> Watched {
        let Choice { section, format, of } = choice;
        let (ssrc, rtx_ssrc) = self.fresh_ssrcs(format.rtx_pt.is_some());
        let (offered, reply) = &mut self.sections[section];
        let downlink = model::Downlink {
            track: of.track,
            mid: offered.mid.clone(),
            payload: payload(&format),
            extensions: extensions(&offered.downlink_extensions()),
            ssrc,
            rtx_ssrc,
            layer: LayerWish::Best,
        };
        self.tracks.downlinks.push(downlink.clone());
        let (stream_id, track_id) = (of.publisher.to_string(), self.names.track_id());
        let is_other = |other: &&Format| other.pt != format.pt && other.codec != Codec::H265;
        let others = offered.formats.iter().filter(is_other).cloned().collect();
        let watched = Watched::new(offered.clone(), downlink);
        *reply = Reply::Downlink { downlink: sdp::Downlink { format, stream_id, track_id, ssrc, rtx_ssrc }, others };
        watched
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

    /// The m-line's words and the mid of the first section that is not refused: it stands for all of the bundle.
    pub(super) fn tagged(&self) -> ([String; 3], String) {
        let live = self.sections.iter().find(|(_, reply)| *reply != Reply::Refused);
        live.map(|(section, _)| (section.words.clone(), section.mid.clone())).unwrap_or_default()
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

pub(super) fn payload(format: &Format) -> Payload {
    Payload { codec: format.codec, pt: format.pt, rtx_pt: format.rtx_pt, red_pt: format.red_pt }
}

fn extensions(agreed: &[(u8, Extension)]) -> Extensions {
    let id_of = |extension: Extension| agreed.iter().find(|(_, agreed)| *agreed == extension).map(|(id, _)| *id);
    Extensions {
        mid: id_of(MID),
        rid: id_of(RID),
        repaired_rid: id_of(REPAIRED_RID),
        transport_cc: id_of(TRANSPORT_CC),
        abs_send_time: id_of(ABS_SEND_TIME),
        audio_level: id_of(AUDIO_LEVEL),
        video_orientation: id_of(VIDEO_ORIENTATION),
        dependency_descriptor: id_of(DEPENDENCY_DESCRIPTOR),
    }
}
