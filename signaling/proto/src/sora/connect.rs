//! `connect`: who wants to join, and with what.

use minamo_media::Codec;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{BadMessage, DataWishes, ForwardingWishes, RequestRid, SPOTLIGHT_NUMBER_MAX, SpotlightWishes, forwarding_filters};

/// Longest `channel_id`, `client_id`, `bundle_id`, in bytes.
pub const ID_BYTES_MAX: usize = 255;
/// Longest `signaling_notify_metadata` as JSON text: it is copied to everyone in the room.
pub const METADATA_BYTES_MAX: usize = 8 * 1024;

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sends and receives.
    SendRecv,
    /// Only sends.
    SendOnly,
    /// Only receives.
    RecvOnly,
}

impl Role {
    /// Whether it publishes.
    #[must_use]
    pub fn sends(self) -> bool {
        self != Self::RecvOnly
    }

    /// Whether it gets others' tracks.
    #[must_use]
    pub fn receives(self) -> bool {
        self != Self::SendOnly
    }
}

/// The `connect` message, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Connect {
    /// Sends, receives or both.
    pub role: Role,
    /// 1 to [`ID_BYTES_MAX`] bytes.
    pub channel_id: String,
    /// Chosen by the client; may repeat.
    pub client_id: Option<String>,
    /// Connections of one bundle do not receive each other.
    pub bundle_id: Option<String>,
    /// Goes to the auth webhook.
    pub metadata: Option<Value>,
    /// Goes into notifications as `authn_metadata`.
    pub signaling_notify_metadata: Option<Value>,
    /// What it sends as audio (for a receiver: whether it wants any).
    pub audio: Audio,
    /// What it sends as video (for a receiver: whether it wants any).
    pub video: Video,
    /// How it wants tracks forwarded: simulcast, spotlight, filters.
    pub forwarding: ForwardingWishes,
    /// Signaling and messages over data channels.
    pub data: DataWishes,
    /// Which software, and what it came through.
    pub client: Client,
}

/// What a client says of itself. The texts are cut to [`ID_BYTES_MAX`] bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The SDK and its version.
    pub sora_client: Option<String>,
    /// A native SDK's build of it.
    pub libwebrtc: Option<String>,
    /// User agent or operating system.
    pub environment: Option<String>,
    /// For speech to text: passed on.
    pub audio_streaming_language_code: Option<String>,
    /// Already redirected once.
    pub redirect: bool,
}

/// `audio`: off, or on with parameters.
pub type Audio = Option<AudioParams>;
/// `video`: off, or on with parameters.
pub type Video = Option<VideoParams>;

/// Wishes of `audio`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioParams {
    /// 6 to 510.
    pub bit_rate_kbps: Option<u32>,
    /// Reflected in the offer's fmtp.
    pub opus: OpusParams,
}

/// `opus_params` (RFC 7587 §6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of RFC 7587")]
pub struct OpusParams {
    pub channels: Option<u32>,
    pub maxplaybackrate: Option<u32>,
    pub minptime: Option<u32>,
    pub ptime: Option<u32>,
    pub stereo: Option<bool>,
    pub sprop_stereo: Option<bool>,
    pub useinbandfec: Option<bool>,
    pub usedtx: Option<bool>,
}

/// Wishes of `video`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoParams {
    /// `None` leaves the choice to the server.
    pub codec: Option<Codec>,
    /// 1 to 50000.
    pub bit_rate_kbps: Option<u32>,
    /// For H.264.
    pub h264: H264Params,
    /// VP9 profile 0 to 3.
    pub vp9_profile_id: Option<u32>,
    /// For AV1.
    pub av1: Av1Params,
    /// For H.265.
    pub h265: H265Params,
}

/// `av1_params`, written into the offer's fmtp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Av1Params {
    /// 0 to 2.
    pub profile: Option<u32>,
    /// 0 to 31.
    pub level_idx: Option<u32>,
    /// 0 or 1.
    pub tier: Option<u32>,
}

/// `h265_params`, written into the offer's fmtp. `tx_mode` is always SRST.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct H265Params {
    /// 0 to 31.
    pub profile_id: Option<u32>,
    /// 0 to 255.
    pub level_id: Option<u32>,
    /// 0 or 1.
    pub tier_flag: Option<u32>,
}

/// `h264_params`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct H264Params {
    /// Six lower-case hexadecimal digits.
    pub profile_level_id: Option<String>,
}

const BIT_RATE_KBPS: (u32, u32) = (1, 50_000);

impl Connect {
    /// Somebody of whom nothing else is known, as who comes without Sora's messages.
    #[must_use]
    pub fn of(role: Role, channel_id: &str) -> Self {
        Self {
            role,
            channel_id: channel_id.to_owned(),
            client_id: None,
            bundle_id: None,
            metadata: None,
            signaling_notify_metadata: None,
            audio: Some(AudioParams::default()),
            video: Some(VideoParams::default()),
            forwarding: ForwardingWishes::default(),
            data: DataWishes::default(),
            client: Client::default(),
        }
    }

    /// `message` is an object.
    pub(super) fn parse(message: &Value) -> Result<Self, BadMessage> {
        let get = |name: &str| message.get(name).filter(|value| !value.is_null());
        Ok(Self {
            role: role(get("role"))?,
            channel_id: id(get("channel_id"), "INVALID-CHANNEL-ID")?.ok_or(BadMessage("MISSING-CHANNEL-ID"))?,
            client_id: id(get("client_id"), "INVALID-CLIENT-ID")?,
            bundle_id: id(get("bundle_id"), "INVALID-BUNDLE-ID")?,
            metadata: get("metadata").cloned(),
            signaling_notify_metadata: notify_metadata(get("signaling_notify_metadata"))?,
            audio: audio(get("audio"))?,
            video: video(get("video"))?,
            forwarding: forwarding(message)?,
            data: DataWishes::parse(message)?,
            client: client(message),
        })
    }
}

fn role(value: Option<&Value>) -> Result<Role, BadMessage> {
    match value.ok_or(BadMessage("MISSING-ROLE"))?.as_str() {
        Some("sendrecv") => Ok(Role::SendRecv),
        Some("sendonly") => Ok(Role::SendOnly),
        Some("recvonly") => Ok(Role::RecvOnly),
        _ => Err(BadMessage("INVALID-ROLE")),
    }
}

fn client(message: &Value) -> Client {
    let text = |name: &str| message.get(name).and_then(Value::as_str).map(|text| super::truncate(text, ID_BYTES_MAX).into());
    Client {
        sora_client: text("sora_client"),
        libwebrtc: text("libwebrtc"),
        environment: text("environment"),
        audio_streaming_language_code: text("audio_streaming_language_code"),
        redirect: message.get("redirect").and_then(Value::as_bool).unwrap_or(false),
    }
}

fn forwarding(message: &Value) -> Result<ForwardingWishes, BadMessage> {
    let get = |name: &str| message.get(name).filter(|value| !value.is_null());
    let simulcast = match get("simulcast") {
        None => false,
        Some(Value::Bool(on)) => *on,
        Some(Value::Object(_)) => true,
        Some(_) => return Err(BadMessage("INVALID-SIMULCAST")),
    };
    let request_rid = RequestRid::parse(get("simulcast_request_rid"), "INVALID-SIMULCAST-REQUEST-RID")?;
    let older = RequestRid::parse(get("simulcast_rid"), "INVALID-SIMULCAST-RID")?;
    Ok(ForwardingWishes {
        simulcast,
        request_rid: request_rid.or(older),
        spotlight: spotlight(message)?,
        encodings: None,
        filters: forwarding_filters(message)?.unwrap_or_default(),
    })
}

/// `spotlight_number` by itself.
pub(super) fn spotlight_number(value: Option<&Value>) -> Result<Option<u8>, BadMessage> {
    let number = integer(value, (1, SPOTLIGHT_NUMBER_MAX as u32), "INVALID-SPOTLIGHT-NUMBER")?;
    Ok(number.and_then(|number| u8::try_from(number).ok()))
}

fn spotlight(message: &Value) -> Result<Option<SpotlightWishes>, BadMessage> {
    const NUMBER: (u32, u32) = (1, SPOTLIGHT_NUMBER_MAX as u32);
    let get = |name: &str| message.get(name).filter(|value| !value.is_null());
    let focus_rid = RequestRid::parse(get("spotlight_focus_rid"), "INVALID-SPOTLIGHT-FOCUS-RID")?;
    let unfocus_rid = RequestRid::parse(get("spotlight_unfocus_rid"), "INVALID-SPOTLIGHT-UNFOCUS-RID")?;
    let number = integer(get("spotlight_number"), NUMBER, "INVALID-SPOTLIGHT-NUMBER")?;
    let number = match get("spotlight") {
        Some(Value::Bool(true)) => number,
        // The number itself, as older clients write.
        older @ Some(Value::Number(_)) => number.or(integer(older, NUMBER, "INVALID-SPOTLIGHT")?),
        // The vendor's server refuses that too; a number alone it does not mind.
        None | Some(Value::Bool(false)) if focus_rid.is_some() || unfocus_rid.is_some() => {
            return Err(BadMessage("SPOTLIGHT-RID-WITHOUT-SPOTLIGHT"));
        }
        None | Some(Value::Bool(false)) => return Ok(None),
        Some(_) => return Err(BadMessage("INVALID-SPOTLIGHT")),
    };
    let number = number.and_then(|number| u8::try_from(number).ok());
    Ok(Some(SpotlightWishes { number, focus_rid, unfocus_rid }))
}

pub(super) fn id(value: Option<&Value>, invalid: &'static str) -> Result<Option<String>, BadMessage> {
    let Some(value) = value else { return Ok(None) };
    let text = value.as_str().ok_or(BadMessage(invalid))?;
    if text.is_empty() || text.len() > ID_BYTES_MAX {
        return Err(BadMessage(invalid));
    }
    Ok(Some(text.to_owned()))
}

pub(super) fn notify_metadata(value: Option<&Value>) -> Result<Option<Value>, BadMessage> {
    let Some(value) = value else { return Ok(None) };
    if value.to_string().len() > METADATA_BYTES_MAX {
        return Err(BadMessage("SIGNALING-NOTIFY-METADATA-TOO-LARGE"));
    }
    Ok(Some(value.clone()))
}

/// `Ok(None)` where the member turns the kind off, the empty object where it turns it on without wishes.
fn switch(value: Option<&Value>, invalid: &'static str) -> Result<Option<Map<String, Value>>, BadMessage> {
    match value {
        None | Some(Value::Bool(true)) => Ok(Some(Map::new())),
        Some(Value::Bool(false)) => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members.clone())),
        Some(_) => Err(BadMessage(invalid)),
    }
}

pub(super) fn audio(value: Option<&Value>) -> Result<Audio, BadMessage> {
    let Some(audio) = switch(value, "INVALID-AUDIO")? else { return Ok(None) };
    match audio.get("codec_type").filter(|value| !value.is_null()).map(Value::as_str) {
        None | Some(Some("OPUS")) => {}
        Some(_) => return Err(BadMessage("UNSUPPORTED-AUDIO-CODEC-TYPE")),
    }
    Ok(Some(AudioParams {
        bit_rate_kbps: integer(audio.get("bit_rate"), (6, 510), "INVALID-AUDIO-BIT-RATE")?,
        opus: opus_params(audio.get("opus_params"))?,
    }))
}

fn opus_params(value: Option<&Value>) -> Result<OpusParams, BadMessage> {
    const INVALID: &str = "INVALID-OPUS-PARAMS";
    let Some(params) = switch(value, INVALID)? else { return Err(BadMessage(INVALID)) };
    let number = |name: &str, range| integer(params.get(name), range, INVALID);
    let flag = |name: &str| match params.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(on)) => Ok(Some(*on)),
        Some(_) => Err(BadMessage(INVALID)),
    };
    Ok(OpusParams {
        channels: number("channels", (1, 255))?,
        maxplaybackrate: number("maxplaybackrate", (8_000, 48_000))?,
        minptime: number("minptime", (3, 120))?,
        ptime: number("ptime", (3, 120))?,
        stereo: flag("stereo")?,
        sprop_stereo: flag("sprop_stereo")?,
        useinbandfec: flag("useinbandfec")?,
        usedtx: flag("usedtx")?,
    })
}

pub(super) fn video(value: Option<&Value>) -> Result<Video, BadMessage> {
    let Some(video) = switch(value, "INVALID-VIDEO")? else { return Ok(None) };
    let params = |name: &str, invalid| match video.get(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(params)) => Ok(params.clone()),
        Some(_) => Err(BadMessage(invalid)),
    };
    let (h264, vp9) = (params("h264_params", "INVALID-H264-PARAMS")?, params("vp9_params", "INVALID-VP9-PARAMS")?);
    let profile_level_id = h264.get("profile_level_id").filter(|value| !value.is_null());
    Ok(Some(VideoParams {
        codec: video_codec(video.get("codec_type"))?,
        bit_rate_kbps: integer(video.get("bit_rate"), BIT_RATE_KBPS, "INVALID-VIDEO-BIT-RATE")?,
        h264: H264Params { profile_level_id: profile_level_id.map(read_profile_level_id).transpose()? },
        vp9_profile_id: integer(vp9.get("profile_id"), (0, 3), "INVALID-VP9-PARAMS")?,
        av1: av1_params(&params("av1_params", "INVALID-AV1-PARAMS")?)?,
        h265: h265_params(&params("h265_params", "INVALID-H265-PARAMS")?)?,
    }))
}

fn av1_params(params: &Map<String, Value>) -> Result<Av1Params, BadMessage> {
    let number = |name: &str, max| integer(params.get(name), (0, max), "INVALID-AV1-PARAMS");
    Ok(Av1Params { profile: number("profile", 2)?, level_idx: number("level_idx", 31)?, tier: number("tier", 1)? })
}

fn h265_params(params: &Map<String, Value>) -> Result<H265Params, BadMessage> {
    let number = |name: &str, max| integer(params.get(name), (0, max), "INVALID-H265-PARAMS");
    Ok(H265Params {
        profile_id: number("profile_id", 31)?,
        level_id: number("level_id", 255)?,
        tier_flag: number("tier_flag", 1)?,
    })
}

fn video_codec(value: Option<&Value>) -> Result<Option<Codec>, BadMessage> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    match value.as_str() {
        Some("VP8") => Ok(Some(Codec::Vp8)),
        Some("VP9") => Ok(Some(Codec::Vp9)),
        Some("AV1") => Ok(Some(Codec::Av1)),
        Some("H264") => Ok(Some(Codec::H264)),
        Some("H265") => Ok(Some(Codec::H265)),
        _ => Err(BadMessage("UNSUPPORTED-VIDEO-CODEC-TYPE")),
    }
}

fn read_profile_level_id(value: &Value) -> Result<String, BadMessage> {
    let valid = |text: &&str| text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let text = value.as_str().filter(valid).ok_or(BadMessage("INVALID-H264-PARAMS"))?;
    Ok(text.to_ascii_lowercase())
}

/// A whole number in a range, as a number or as digits in a string: SDKs write both.
fn integer(value: Option<&Value>, range: (u32, u32), invalid: &'static str) -> Result<Option<u32>, BadMessage> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let number = value.as_u64().or_else(|| value.as_str().and_then(|digits| digits.parse().ok()));
    let number = number.and_then(|number| u32::try_from(number).ok());
    let fitting = number.filter(|number| (range.0..=range.1).contains(number));
    fitting.map(Some).ok_or(BadMessage(invalid))
}
