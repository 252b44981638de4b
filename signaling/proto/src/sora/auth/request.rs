//! What the application's server is asked.

use minamo_media::Codec;
use serde_json::{Map, Value, json};

use super::super::{
    Audio, AudioParams, Av1Params, Connect, Counters, DataChannel, H265Params, OpusParams, SORA_VERSION, Video, VideoParams,
};

/// Everything that the request tells.
#[derive(Clone, Debug)]
pub struct AuthRequest<'a> {
    /// What the client asks for.
    pub connect: &'a Connect,
    /// The connection that is to be.
    pub connection_id: &'a str,
    /// Unique to this request.
    pub id: &'a str,
    /// RFC 3339, UTC, microseconds.
    pub timestamp: &'a str,
    /// The node's name.
    pub node_name: &'a str,
    /// The room without this connection.
    pub counters: Counters,
    /// Whether it comes by WHIP.
    pub whip: bool,
    /// Whether it comes by WHEP.
    pub whep: bool,
}

impl AuthRequest<'_> {
    /// The request's body. Members that the client left out are left out, but for those that have a default.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Connect { role, channel_id, client_id, bundle_id, metadata, signaling_notify_metadata, .. } = self.connect;
        let Connect { audio, video, forwarding, data, client, .. } = self.connect;
        let spotlight = forwarding.spotlight.as_ref();
        let optional = [
            ("client_id", json!(client_id)),
            ("bundle_id", json!(bundle_id)),
            ("metadata", json!(metadata)),
            // The older name of the same.
            ("auth_metadata", json!(metadata)),
            ("signaling_notify_metadata", json!(signaling_notify_metadata)),
            ("simulcast_request_rid", json!(forwarding.request_rid)),
            ("spotlight_number", json!(spotlight.and_then(|wishes| wishes.number))),
            ("spotlight_focus_rid", json!(spotlight.and_then(|wishes| wishes.focus_rid))),
            ("spotlight_unfocus_rid", json!(spotlight.and_then(|wishes| wishes.unfocus_rid))),
            ("audio_streaming_language_code", json!(client.audio_streaming_language_code)),
        ];
        let mut body = json!({
            "timestamp": self.timestamp,
            "id": self.id,
            "version": SORA_VERSION,
            "label": "Minamo",
            "node_name": self.node_name,
            "role": role,
            "channel_id": channel_id,
            "connection_id": self.connection_id,
            "multistream": true,
            "simulcast": forwarding.simulcast,
            "spotlight": spotlight.is_some(),
            "data_channel_signaling": data.signaling.unwrap_or(false),
            "ignore_disconnect_websocket": data.ignore_disconnect_websocket.unwrap_or(false),
            "whip": self.whip,
            "whep": self.whep,
            "e2ee": false,
            "sora_client": sora_client(self.connect),
        });
        let Value::Object(members) = &mut body else { return body };
        members.extend(optional.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)));
        if let Ok(Value::Object(counters)) = serde_json::to_value(self.counters) {
            members.extend(counters);
        }
        if !forwarding.filters.is_empty() {
            members.insert("forwarding_filters".into(), json!(forwarding.filters));
        }
        if !data.channels.is_empty() {
            let entry = |channel: &DataChannel| json!({"label": channel.label, "direction": channel.direction, "compress": channel.compress, "ordered": channel.ordered});
            members.insert("data_channels".into(), data.channels.iter().map(entry).collect());
        }
        audio_members(*audio, members);
        video_members(video, members);
        body
    }
}

fn sora_client(connect: &Connect) -> Value {
    let raw = connect.client.sora_client.as_deref().unwrap_or_default();
    // `Sora JavaScript SDK 2026.1.0`
    let (kind, version) = raw.rsplit_once(' ').unwrap_or((raw, ""));
    json!({
        "type": kind,
        "raw": raw,
        "version": version,
        "libwebrtc": connect.client.libwebrtc,
        "environment": connect.client.environment,
    })
}

fn audio_members(audio: Audio, members: &mut Map<String, Value>) {
    members.insert("audio".into(), audio.is_some().into());
    let Some(AudioParams { bit_rate_kbps, opus }) = audio else { return };
    members.insert("audio_codec_type".into(), "OPUS".into());
    if let Some(kbps) = bit_rate_kbps {
        members.insert("audio_bit_rate".into(), kbps.into());
    }
    let OpusParams { channels, maxplaybackrate, minptime, ptime, stereo, sprop_stereo, useinbandfec, usedtx } = opus;
    let own = [
        ("channels", json!(channels)),
        ("maxplaybackrate", json!(maxplaybackrate)),
        ("minptime", json!(minptime)),
        ("ptime", json!(ptime)),
        ("stereo", json!(stereo)),
        ("sprop_stereo", json!(sprop_stereo)),
        ("useinbandfec", json!(useinbandfec)),
        ("usedtx", json!(usedtx)),
    ];
    insert_params(members, "audio_opus_params", own);
}

/// Where a codec is chosen, with what the client said of that one.
fn video_members(video: &Video, members: &mut Map<String, Value>) {
    members.insert("video".into(), video.is_some().into());
    let Some(VideoParams { codec, bit_rate_kbps, h264, vp9_profile_id, av1, h265 }) = video else { return };
    if let Some(codec) = codec {
        members.insert("video_codec_type".into(), codec.rtpmap_name().into());
    }
    if let Some(kbps) = bit_rate_kbps {
        members.insert("video_bit_rate".into(), (*kbps).into());
    }
    match codec {
        Some(Codec::Vp9) => insert_params(members, "video_vp9_params", [("profile_id", json!(vp9_profile_id))]),
        Some(Codec::H264) => insert_params(members, "video_h264_params", [("profile_level_id", json!(h264.profile_level_id))]),
        Some(Codec::Av1) => {
            let Av1Params { profile, level_idx, tier } = av1;
            let own = [("profile", json!(profile)), ("level_idx", json!(level_idx)), ("tier", json!(tier))];
            insert_params(members, "video_av1_params", own);
        }
        Some(Codec::H265) => {
            let H265Params { profile_id, level_id, tier_flag } = h265;
            let own = [("profile_id", json!(profile_id)), ("level_id", json!(level_id)), ("tier_flag", json!(tier_flag))];
            insert_params(members, "video_h265_params", own);
        }
        Some(Codec::Opus | Codec::Vp8) | None => {}
    }
}

/// Only what the client said, and nothing where it said nothing.
fn insert_params<const N: usize>(members: &mut Map<String, Value>, name: &str, params: [(&str, Value); N]) {
    let said = params.into_iter().filter(|(_, value)| !value.is_null());
    let said: Map<String, Value> = said.map(|(name, value)| (name.to_owned(), value)).collect();
    if !said.is_empty() {
        members.insert(name.to_owned(), said.into());
    }
}
