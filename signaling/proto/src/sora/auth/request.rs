//! What the application's server is asked.

use minamo_media::Codec;
use serde_json::{Map, Value, json};

use super::super::{Audio, Connect, Counters, DataChannel, SORA_VERSION, Video};

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
    let Some(audio) = audio else { return };
    members.insert("audio_codec_type".into(), "OPUS".into());
    if let Some(kbps) = audio.bit_rate_kbps {
        members.insert("audio_bit_rate".into(), kbps.into());
    }
}

fn video_members(video: &Video, members: &mut Map<String, Value>) {
    members.insert("video".into(), video.is_some().into());
    let Some(video) = video else { return };
    if let Some(codec) = video.codec {
        members.insert("video_codec_type".into(), codec.rtpmap_name().into());
    }
    if let Some(kbps) = video.bit_rate_kbps {
        members.insert("video_bit_rate".into(), kbps.into());
    }
    if let (Some(Codec::H264), Some(profile)) = (video.codec, &video.h264.profile_level_id) {
        members.insert("video_h264_params".into(), json!({"profile_level_id": profile}));
    }
}
