//! `connect`: who wants to join, and with what.

use minamo_media::Codec;
use serde::Serialize;
use serde_json::{Map, Value};

use super::BadMessage;

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
    /// For the log.
    pub sora_client: Option<String>,
    /// Already redirected once.
    pub redirect: bool,
    /// Wants simulcast. Not agreed to yet.
    pub simulcast: bool,
    /// Wants to signal over data channels. Not agreed to yet.
    pub data_channel_signaling: bool,
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
    /// AV1 profile 0 to 2.
    pub av1_profile: Option<u32>,
}

/// `h264_params`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct H264Params {
    /// Six lower-case hexadecimal digits.
    pub profile_level_id: Option<String>,
}

const BIT_RATE_KBPS: (u32, u32) = (1, 50_000);

impl Connect {
    pub(super) fn parse(members: &Map<String, Value>) -> Result<Self, BadMessage> {
        let get = |name: &str| members.get(name).filter(|value| !value.is_null());
        let flag = |name: &str| get(name).and_then(Value::as_bool).unwrap_or(false);
        let spotlight = flag("spotlight") || get("spotlight").is_some_and(Value::is_number);
        if !spotlight && (get("spotlight_focus_rid").is_some() || get("spotlight_unfocus_rid").is_some()) {
            return Err(BadMessage("SPOTLIGHT-RID-WITHOUT-SPOTLIGHT"));
        }
        Ok(Self {
            role: role(get("role"))?,
            channel_id: id(get("channel_id"), "INVALID-CHANNEL-ID")?.ok_or(BadMessage("MISSING-CHANNEL-ID"))?,
            client_id: id(get("client_id"), "INVALID-CLIENT-ID")?,
            bundle_id: id(get("bundle_id"), "INVALID-BUNDLE-ID")?,
            metadata: get("metadata").cloned(),
            signaling_notify_metadata: notify_metadata(get("signaling_notify_metadata"))?,
            audio: audio(get("audio"))?,
            video: video(get("video"))?,
            sora_client: get("sora_client").and_then(Value::as_str).map(|text| super::truncate(text, ID_BYTES_MAX).into()),
            redirect: flag("redirect"),
            simulcast: flag("simulcast"),
            data_channel_signaling: flag("data_channel_signaling"),
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

fn id(value: Option<&Value>, invalid: &'static str) -> Result<Option<String>, BadMessage> {
    let Some(value) = value else { return Ok(None) };
    let text = value.as_str().ok_or(BadMessage(invalid))?;
    if text.is_empty() || text.len() > ID_BYTES_MAX {
        return Err(BadMessage(invalid));
    }
    Ok(Some(text.to_owned()))
}

fn notify_metadata(value: Option<&Value>) -> Result<Option<Value>, BadMessage> {
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

fn audio(value: Option<&Value>) -> Result<Audio, BadMessage> {
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

fn video(value: Option<&Value>) -> Result<Video, BadMessage> {
    let Some(video) = switch(value, "INVALID-VIDEO")? else { return Ok(None) };
    let params = |name: &str, member: &str, invalid| match video.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(params)) => Ok(params.get(member).filter(|value| !value.is_null()).cloned()),
        Some(_) => Err(BadMessage(invalid)),
    };
    let h264 = params("h264_params", "profile_level_id", "INVALID-H264-PARAMS")?;
    let vp9 = params("vp9_params", "profile_id", "INVALID-VP9-PARAMS")?;
    let av1 = params("av1_params", "profile", "INVALID-AV1-PARAMS")?;
    Ok(Some(VideoParams {
        codec: video_codec(video.get("codec_type"))?,
        bit_rate_kbps: integer(video.get("bit_rate"), BIT_RATE_KBPS, "INVALID-VIDEO-BIT-RATE")?,
        h264: H264Params { profile_level_id: h264.as_ref().map(profile_level_id).transpose()? },
        vp9_profile_id: integer(vp9.as_ref(), (0, 3), "INVALID-VP9-PARAMS")?,
        av1_profile: integer(av1.as_ref(), (0, 2), "INVALID-AV1-PARAMS")?,
    }))
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

fn profile_level_id(value: &Value) -> Result<String, BadMessage> {
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
