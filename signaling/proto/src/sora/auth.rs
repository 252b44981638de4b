//! The auth webhook: what the application's server is asked about a connection, and what it answers.

use minamo_media::Codec;
use serde_json::{Map, Value, json};

use super::connect::{audio, id, notify_metadata, video};
use super::{
    Audio, BadMessage, Connect, Counters, DataWishes, Encoding, RequestRid, SORA_VERSION, SpotlightWishes, Video, data_channels,
    forwarding_filters,
};
use crate::api::InvalidField;
use crate::api::field::Field;

/// Longest `connection_lifetime`, in seconds: a year.
const LIFETIME_SECONDS_MAX: u32 = 366 * 86_400;
/// Longest `metadata` and `event_metadata`, as JSON text.
const METADATA_BYTES_MAX: usize = 8 * 1024;
const RPC_METHODS_MAX: usize = 32;
const REASON_BYTES_MAX: usize = 1024;

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
            let entry = |channel: &super::DataChannel| json!({"label": channel.label, "direction": channel.direction, "compress": channel.compress, "ordered": channel.ordered});
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

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthAnswer {
    /// In, with what it changes.
    Allowed(Box<Allowed>),
    /// Out, for this reason.
    Refused(String),
}

/// What an answer changes and grants. Unknown members are ignored.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowed {
    /// The whole answer: an object.
    answer: Value,
    /// `metadata`, for the client's offer.
    pub metadata: Option<Value>,
    /// `event_metadata`, for event webhooks.
    pub event_metadata: Option<Value>,
    /// `signaling_notify_metadata`, in notifications as `authz_metadata`.
    pub authz_metadata: Option<Value>,
    /// `signaling_notify`: whether the connection is told what happens in the room.
    pub notify: bool,
    /// `rpc_methods`
    pub rpc_methods: Vec<String>,
    /// `connection_lifetime`
    pub lifetime_seconds: Option<u32>,
}

/// An answer that cannot be taken: the connection is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// Not JSON, or no object.
    #[error("it is no JSON object")]
    Json,
    /// A member of the webhook's own.
    #[error(transparent)]
    Field(#[from] InvalidField),
    /// A member that stands for one of `connect`.
    #[error("{0}")]
    Connect(#[from] BadMessage),
}

impl AuthAnswer {
    /// Reads the body of an answer.
    ///
    /// # Errors
    /// It is no JSON object, `allowed` is missing, or a member is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, BadAnswer> {
        let answer: Value = serde_json::from_slice(body).map_err(|_| BadAnswer::Json)?;
        let body = Field::body(&answer).map_err(|_| BadAnswer::Json)?;
        if !body.required("allowed")?.flag()? {
            let reason = body.member("reason").and_then(|reason| reason.text().ok()).unwrap_or("AUTH-REFUSED");
            return Ok(Self::Refused(super::truncate(reason, REASON_BYTES_MAX).to_owned()));
        }
        let method = |field: &Field<'_>| field.bounded_text(super::ID_BYTES_MAX).map(str::to_owned);
        let rpc_methods = match body.member("rpc_methods") {
            Some(list) => list.items(0..=RPC_METHODS_MAX)?.iter().map(method).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let lifetime = body.member("connection_lifetime");
        let lifetime_seconds = lifetime.map(|field| field.integer(1..=LIFETIME_SECONDS_MAX)).transpose()?;
        let (metadata, event_metadata) = (bounded(&body, "metadata")?, bounded(&body, "event_metadata")?);
        let authz_metadata = notify_metadata(answer.get("signaling_notify_metadata").filter(|value| !value.is_null()))?;
        let notify = body.member("signaling_notify").map(|field| field.flag()).transpose()?.unwrap_or(true);
        Ok(Self::Allowed(Box::new(Allowed {
            metadata,
            event_metadata,
            authz_metadata,
            notify,
            rpc_methods,
            lifetime_seconds,
            answer,
        })))
    }
}

fn bounded(body: &Field<'_>, name: &str) -> Result<Option<Value>, InvalidField> {
    let Some(field) = body.member(name) else { return Ok(None) };
    if field.value().to_string().len() > METADATA_BYTES_MAX {
        return Err(field.wrong(format!("must have at most {METADATA_BYTES_MAX} bytes as JSON")));
    }
    Ok(Some(field.value().clone()))
}

impl Allowed {
    /// What the client asked for, as the answer changes it.
    ///
    /// # Errors
    /// A member is not what `connect` could have there.
    pub fn overrule(&self, connect: &mut Connect) -> Result<(), BadMessage> {
        let get = |name: &str| self.answer.get(name).filter(|value| !value.is_null());
        if let Some(client_id) = id(get("client_id"), "INVALID-CLIENT-ID")? {
            connect.client_id = Some(client_id);
        }
        if let Some(bundle_id) = id(get("bundle_id"), "INVALID-BUNDLE-ID")? {
            connect.bundle_id = Some(bundle_id);
        }
        self.overrule_audio(&mut connect.audio)?;
        self.overrule_video(&mut connect.video)?;
        self.overrule_forwarding(connect)?;
        self.overrule_data(&mut connect.data)
    }

    /// The members `<kind>_…` of the answer as `connect.<kind>` has them; `None` where there are none.
    fn kind(&self, kind: &str, names: &[&str]) -> Option<Value> {
        let member = |name: &&str| {
            let value = self.answer.get(format!("{kind}_{name}")).filter(|value| !value.is_null())?;
            Some(((*name).to_owned(), value.clone()))
        };
        let members: Map<String, Value> = names.iter().filter_map(member).collect();
        (!members.is_empty()).then_some(Value::Object(members))
    }

    /// Whether a kind is on: `None` leaves it as it is. Parameters turn it on only together with a `true`, as upstream demands;
    /// with nothing said they change a kind that is on already.
    fn switch(&self, kind: &str, invalid: &'static str) -> Result<Option<bool>, BadMessage> {
        match self.answer.get(kind) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(on)) => Ok(Some(*on)),
            Some(_) => Err(BadMessage(invalid)),
        }
    }

    fn overrule_audio(&self, wishes: &mut Audio) -> Result<(), BadMessage> {
        match self.switch("audio", "INVALID-AUDIO")? {
            Some(false) => *wishes = None,
            Some(true) if wishes.is_none() => *wishes = Some(super::AudioParams::default()),
            _ => {}
        }
        let Some(own) = self.kind("audio", &["codec_type", "bit_rate", "opus_params"]) else { return Ok(()) };
        if let (Some(wishes), Some(own)) = (wishes, audio(Some(&own))?) {
            wishes.bit_rate_kbps = own.bit_rate_kbps.or(wishes.bit_rate_kbps);
            if self.answer.get("audio_opus_params").is_some_and(Value::is_object) {
                wishes.opus = own.opus;
            }
        }
        Ok(())
    }

    fn overrule_video(&self, wishes: &mut Video) -> Result<(), BadMessage> {
        match self.switch("video", "INVALID-VIDEO")? {
            Some(false) => *wishes = None,
            Some(true) if wishes.is_none() => *wishes = Some(super::VideoParams::default()),
            _ => {}
        }
        let names = ["codec_type", "bit_rate", "vp9_params", "av1_params", "h264_params", "h265_params"];
        let Some(own) = self.kind("video", &names) else { return Ok(()) };
        if let (Some(wishes), Some(own)) = (wishes, video(Some(&own))?) {
            wishes.codec = own.codec.or(wishes.codec);
            wishes.bit_rate_kbps = own.bit_rate_kbps.or(wishes.bit_rate_kbps);
            wishes.vp9_profile_id = own.vp9_profile_id.or(wishes.vp9_profile_id);
            let is_given = |name: &str| self.answer.get(name).is_some_and(Value::is_object);
            if is_given("video_h264_params") {
                wishes.h264 = own.h264;
            }
            if is_given("video_av1_params") {
                wishes.av1 = own.av1;
            }
            if is_given("video_h265_params") {
                wishes.h265 = own.h265;
            }
        }
        Ok(())
    }

    fn overrule_forwarding(&self, connect: &mut Connect) -> Result<(), BadMessage> {
        let get = |name: &str| self.answer.get(name).filter(|value| !value.is_null());
        let wishes = &mut connect.forwarding;
        if let Some(simulcast) = self.switch("simulcast", "INVALID-SIMULCAST")? {
            wishes.simulcast = simulcast;
        }
        let rid = RequestRid::parse(get("simulcast_request_rid"), "INVALID-SIMULCAST-REQUEST-RID")?;
        let older = RequestRid::parse(get("simulcast_rid"), "INVALID-SIMULCAST-RID")?;
        wishes.request_rid = rid.or(older).or(wishes.request_rid);
        match self.switch("spotlight", "INVALID-SPOTLIGHT")? {
            Some(false) => wishes.spotlight = None,
            Some(true) if wishes.spotlight.is_none() => wishes.spotlight = Some(SpotlightWishes::default()),
            _ => {}
        }
        if let Some(spotlight) = &mut wishes.spotlight {
            let number = super::connect::spotlight_number(get("spotlight_number"))?;
            let focus = RequestRid::parse(get("spotlight_focus_rid"), "INVALID-SPOTLIGHT-FOCUS-RID")?;
            let unfocus = RequestRid::parse(get("spotlight_unfocus_rid"), "INVALID-SPOTLIGHT-UNFOCUS-RID")?;
            spotlight.number = number.or(spotlight.number);
            spotlight.focus_rid = focus.or(spotlight.focus_rid);
            spotlight.unfocus_rid = unfocus.or(spotlight.unfocus_rid);
        }
        let own = if wishes.spotlight.is_some() { get("spotlight_encodings") } else { None };
        if let Some(encodings) = own.or(get("simulcast_encodings")) {
            wishes.encodings = Some(Encoding::parse_all(encodings)?);
        }
        if let Some(filters) = forwarding_filters(&self.answer)? {
            wishes.filters = filters;
        }
        Ok(())
    }

    fn overrule_data(&self, wishes: &mut DataWishes) -> Result<(), BadMessage> {
        let own = DataWishes::parse(&self.answer)?;
        wishes.signaling = own.signaling.or(wishes.signaling);
        wishes.ignore_disconnect_websocket = own.ignore_disconnect_websocket.or(wishes.ignore_disconnect_websocket);
        if let Some(channels) = data_channels(&self.answer)? {
            wishes.channels = channels;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sora::ClientMessage;

    fn connect(extra: &Value) -> Connect {
        let mut message = json!({"type": "connect", "role": "sendrecv", "channel_id": "c"});
        message.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        match ClientMessage::parse(&message.to_string()).unwrap() {
            ClientMessage::Connect(connect) => *connect,
            other => panic!("{other:?}"),
        }
    }

    fn allowed(extra: &Value) -> Result<Box<Allowed>, BadAnswer> {
        let mut answer = json!({"allowed": true});
        answer.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        match AuthAnswer::parse(answer.to_string().as_bytes())? {
            AuthAnswer::Allowed(allowed) => Ok(allowed),
            AuthAnswer::Refused(reason) => panic!("{reason}"),
        }
    }

    #[test]
    fn what_is_no_answer_lets_nobody_in() {
        for body in
            ["", "null", "[]", "{}", r#"{"allowed":"yes"}"#, r#"{"allowed":1}"#, r#"{"allowed":true,"connection_lifetime":0}"#]
        {
            assert!(AuthAnswer::parse(body.as_bytes()).is_err(), "{body}");
        }
        let refused = AuthAnswer::parse(br#"{"allowed":false,"reason":"no seat"}"#).unwrap();
        assert_eq!(refused, AuthAnswer::Refused("no seat".into()));
    }

    #[test]
    fn overrides_replace_what_they_name_and_nothing_else() {
        let mut wishes =
            connect(&json!({"client_id": "me", "audio": {"bit_rate": 64, "opus_params": {"stereo": true}}, "video": false}));
        let answer = json!({
            "client_id": "you", "audio_bit_rate": 32, "video": true, "video_codec_type": "VP8", "video_bit_rate": 500,
            "simulcast": true, "simulcast_request_rid": "r1", "data_channel_signaling": true, "unknown": [1],
            "data_channels": [{"label": "#x", "direction": "recvonly"}], "rpc_methods": ["2025.2.0/RequestSimulcastRid"],
            "connection_lifetime": 60, "metadata": {"a": 1}, "signaling_notify": false, "signaling_notify_metadata": "x",
        });
        let allowed = allowed(&answer).unwrap();
        allowed.overrule(&mut wishes).unwrap();
        assert_eq!(wishes.client_id.as_deref(), Some("you"));
        let audio = wishes.audio.unwrap();
        assert_eq!((audio.bit_rate_kbps, audio.opus.stereo), (Some(32), Some(true)));
        let video = wishes.video.unwrap();
        assert_eq!((video.codec, video.bit_rate_kbps), (Some(Codec::Vp8), Some(500)));
        assert!(wishes.forwarding.simulcast && wishes.forwarding.request_rid.is_some());
        assert_eq!((wishes.data.signaling, wishes.data.channels.len()), (Some(true), 1));
        assert_eq!((allowed.lifetime_seconds, allowed.notify, allowed.rpc_methods.len()), (Some(60), false, 1));
        assert_eq!((allowed.metadata.clone(), allowed.authz_metadata.clone()), (Some(json!({"a": 1})), Some(json!("x"))));
    }

    #[test]
    fn an_override_that_no_connect_could_have_is_refused() {
        for wrong in [
            json!({"video_codec_type": "DIVX"}),
            json!({"client_id": ""}),
            json!({"audio": "on"}),
            json!({"data_channels": [{"label": "x", "direction": "recvonly"}]}),
            json!({"forwarding_filters": 3}),
        ] {
            let refused = allowed(&wrong).is_err_and(|_| true)
                || allowed(&wrong).unwrap().overrule(&mut connect(&json!({}))).is_err();
            assert!(refused, "{wrong}");
        }
    }

    #[test]
    fn the_request_tells_what_the_client_wants() {
        let connect = connect(
            &json!({"metadata": {"token": "t"}, "sora_client": "Sora JavaScript SDK 2026.1.0", "video": {"codec_type": "H264"}}),
        );
        let request = AuthRequest {
            connect: &connect,
            connection_id: "ID",
            id: "R",
            timestamp: "T",
            node_name: "n",
            counters: Counters::default(),
            whip: false,
            whep: false,
        };
        let body = request.to_json();
        for (name, value) in [
            ("role", json!("sendrecv")),
            ("channel_id", json!("c")),
            ("connection_id", json!("ID")),
            ("metadata", json!({"token": "t"})),
            ("audio", json!(true)),
            ("video_codec_type", json!("H264")),
            ("channel_connections", json!(0)),
            ("whip", json!(false)),
            ("multistream", json!(true)),
        ] {
            assert_eq!(body[name], value, "{name}");
        }
        assert_eq!(
            (&body["sora_client"]["type"], &body["sora_client"]["version"]),
            (&json!("Sora JavaScript SDK"), &json!("2026.1.0"))
        );
        assert!(body.get("client_id").is_none());
    }
}
