//! One m-section together with what it stands for in the SFU.

use minamo_media::{Codec, TrackId};
use minamo_sfu_core::model::{Downlink, Extensions, LayerWish, Payload, Tap, Uplink};
use minamo_signaling_proto::sdp::extension::{
    ABS_SEND_TIME, AUDIO_LEVEL, DEPENDENCY_DESCRIPTOR, Extension, MID, REPAIRED_RID, RID, TRANSPORT_CC, VIDEO_ORIENTATION,
};
use minamo_signaling_proto::sdp::{AnswerSection, Body, Format, MediaKind, Section};

/// One m-section and its state.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub section: Section,
    /// The track that comes or goes here; `None` for data and removed sections.
    pub track: Option<TrackId>,
    /// Up- and downlinks: the SFU has been told. Removed sections: the client has confirmed it, so the place may be taken again.
    pub agreed: bool,
}

impl Slot {
    pub(super) fn new(mid: String, body: Body, track: Option<TrackId>) -> Self {
        Self { section: Section { mid, body }, track, agreed: false }
    }

    pub(super) fn is_downlink(&self) -> bool {
        matches!(self.section.body, Body::Downlink(_))
    }

    pub(super) fn is_uplink(&self) -> bool {
        matches!(self.section.body, Body::Uplink { .. })
    }

    /// Gives the section up. `agreed`: the client said so itself.
    pub(super) fn remove(&mut self, agreed: bool) {
        if let Some(format) = self.section.body.format().cloned() {
            self.section.body = Body::Removed(format);
            self.track = None;
            self.agreed = agreed;
        }
    }

    /// Whether an answer's section can belong to this one.
    pub(super) fn matches(&self, answer: &AnswerSection) -> bool {
        let kind = match self.section.body.kind() {
            None => MediaKind::Application,
            Some(minamo_media::Kind::Audio) => MediaKind::Audio,
            Some(minamo_media::Kind::Video) => MediaKind::Video,
        };
        let live = self.section.is_live() && !answer.rejected;
        answer.kind == kind && (!live || answer.mid.as_ref() == Some(&self.section.mid))
    }

    /// The track as the SFU shall take it from the client.
    pub(super) fn uplink(&self, answer: &AnswerSection, tap: Option<&Tap>) -> Option<Uplink> {
        let (Body::Uplink { uplink, layers }, Some(track)) = (&self.section.body, self.track) else { return None };
        let payload = payload(&uplink.format, answer)?;
        let extensions = extensions(answer);
        let agreed = layers.iter().filter(|layer| extensions.rid.is_some() && answer.rids.contains(&layer.rid));
        let rids: Vec<String> = agreed.map(|layer| layer.rid.clone()).collect();
        // A simulcast sender's SSRCs are not in its answer; what some client writes there is of no layer in particular.
        let (ssrc, rtx_ssrc) = if rids.is_empty() { (answer.ssrc, answer.rtx_ssrc) } else { (None, None) };
        Some(Uplink {
            track,
            mid: self.section.mid.clone(),
            payload,
            extensions,
            ssrc,
            rtx_ssrc: rtx_ssrc.filter(|_| payload.rtx_pt.is_some()),
            rids,
            tap: tap
                .filter(|_| matches!(payload.codec, Codec::Opus | Codec::H264 | Codec::Vp8 | Codec::Vp9))
                .map(|tap| tap.of(payload.codec)),
        })
    }

    /// The track as the SFU shall send it to the client.
    pub(super) fn downlink(&self, answer: &AnswerSection) -> Option<Downlink> {
        let (Body::Downlink(downlink), Some(track)) = (&self.section.body, self.track) else { return None };
        let payload = payload(&downlink.format, answer)?;
        Some(Downlink {
            track,
            mid: self.section.mid.clone(),
            payload,
            extensions: extensions(answer),
            ssrc: downlink.ssrc,
            rtx_ssrc: downlink.rtx_ssrc.filter(|_| payload.rtx_pt.is_some()),
            layer: LayerWish::Best,
        })
    }
}

fn payload(format: &Format, answer: &AnswerSection) -> Option<Payload> {
    let listed = |pt: u8| answer.payload_types.contains(&pt).then_some(pt);
    Some(Payload { codec: format.codec, pt: listed(format.pt)?, rtx_pt: format.rtx_pt.and_then(listed), red_pt: None })
}

fn extensions(answer: &AnswerSection) -> Extensions {
    let agreed = |extension: Extension| answer.agrees(extension).then_some(extension.id);
    Extensions {
        mid: agreed(MID),
        rid: agreed(RID),
        repaired_rid: agreed(REPAIRED_RID),
        transport_cc: agreed(TRANSPORT_CC),
        abs_send_time: agreed(ABS_SEND_TIME),
        audio_level: agreed(AUDIO_LEVEL),
        video_orientation: agreed(VIDEO_ORIENTATION),
        dependency_descriptor: agreed(DEPENDENCY_DESCRIPTOR),
    }
}
