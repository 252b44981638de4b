//! What a channel is created with.

use serde::Serialize;
use serde_json::Value;

use super::field::{Field, InvalidField};

/// A channel's settings as validated from a create request. Serialises to the request's own form, which
/// [`ChannelSettings::stored`] reads back: that is how the catalog keeps it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChannelSettings {
    /// The renditions that are asked for: 1 to 10, none for a channel without HLS.
    pub hls: Vec<HlsSpec>,
    /// Asked about every connection; without it everybody may join.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_webhook_url: Option<String>,
    /// Kept, but nobody is told yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_webhook_url: Option<String>,
    /// Playlists are encrypted, and name this URL (https) for their keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypt_key_uri: Option<String>,
    /// Languages in which the application feeds captions, at most 4.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub captions: Vec<CaptionSpec>,
    /// Playlists need a signature in their URL.
    #[serde(skip_serializing_if = "is_off")]
    pub signed_urls: bool,
    /// Kept as it came; its meaning upstream is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<u32>,
    /// Not of ImageFlux: what becomes of pictures. Without it, `transmux`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcode: Option<TranscodeChoice>,
}

/// `transmux` or `normalise`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TranscodeChoice {
    /// Shown as they come where players can show them.
    Transmux,
    /// Decoded and encoded anew to the largest size in `hls`, whatever size comes.
    Normalise,
}

/// One item of `captions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaptionSpec {
    /// RFC 5646, as `ja` or `en-GB`.
    pub language: String,
    /// What viewers choose by; the language itself when it is left out.
    pub name: String,
}

/// One item of `hls`: a variant of the playlist.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HlsSpec {
    /// Wished segment length in seconds, 1 to 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// Wished part length (PART-TARGET) in seconds, 0.1 to 2: not one of ImageFlux's members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_seconds: Option<f64>,
    /// For `#EXT-X-START:TIME-OFFSET`, seconds, negative counts from the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time_offset: Option<f64>,
    /// `None` for an audio-only variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoSpec>,
    /// Its sound.
    pub audio: AudioSpec,
}

/// The picture of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct VideoSpec {
    /// Pixels, 36 to 4096.
    pub width: u32,
    /// Pixels, 36 to 4096.
    pub height: u32,
    /// Pictures per second, 1 to 120.
    pub fps: u32,
    /// At most so many bits per second.
    pub bps: u32,
    /// Wished profile.
    pub codec: H264Profile,
}

/// `h264_high` (default), `h264_main` or `h264_baseline`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum H264Profile {
    /// High.
    #[default]
    H264High,
    /// Main.
    H264Main,
    /// Constrained Baseline.
    H264Baseline,
}

/// The sound of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AudioSpec {
    /// Bits per second, one of the values of [`round_audio_bps`].
    pub bps: u32,
}

impl Default for AudioSpec {
    fn default() -> Self {
        Self { bps: 96_000 }
    }
}

const HLS_ITEMS_MAX: usize = 10;
const CAPTIONS_MAX: usize = 4;
const TEXT_BYTES_MAX: usize = 2048;

impl ChannelSettings {
    /// Reads the body of CreateChannel or CreateMultistreamChannelWithHLS.
    ///
    /// # Errors
    /// The first member that is missing, of the wrong type or out of range.
    pub fn with_hls(body: &Value) -> Result<Self, InvalidField> {
        let body = Field::body(body)?;
        let items = body.required("hls")?.items(1..=HLS_ITEMS_MAX)?;
        let hls = items.iter().map(hls_spec).collect::<Result<_, _>>()?;
        let signed_urls = body.member("signed_urls").map(|field| field.flag()).transpose()?.unwrap_or(false);
        Ok(Self { hls, encrypt_key_uri: key_url(&body)?, captions: captions(&body)?, signed_urls, ..without_hls(&body)? })
    }

    /// Reads the body of CreateMultistreamChannel.
    ///
    /// # Errors
    /// The first member that is of the wrong type or out of range.
    pub fn without_hls(body: &Value) -> Result<Self, InvalidField> {
        without_hls(&Field::body(body)?)
    }

    /// Reads back what was serialised, for whichever kind of channel.
    ///
    /// # Errors
    /// As the two above.
    pub fn stored(settings: &Value) -> Result<Self, InvalidField> {
        let has_hls = settings.get("hls").and_then(Value::as_array).is_some_and(|items| !items.is_empty());
        if has_hls { Self::with_hls(settings) } else { Self::without_hls(settings) }
    }

    /// Where playback starts, in seconds from the beginning or (negative) from the end: the first variant's that says.
    #[must_use]
    pub fn start_time_offset(&self) -> Option<f64> {
        self.hls.iter().find_map(|item| item.start_time_offset)
    }

    /// The largest video bitrate that a variant asks for, in bits per second: what a publisher need not exceed.
    #[must_use]
    pub fn video_bps_max(&self) -> Option<u32> {
        self.hls.iter().filter_map(|item| item.video).map(|video| video.bps).max()
    }

    /// The pictures that are asked for, the largest first. Equal ones count once; only the largest where all is encoded anew.
    #[must_use]
    pub fn ladder(&self) -> Vec<VideoSpec> {
        let mut rungs: Vec<VideoSpec> = self.hls.iter().filter_map(|item| item.video).collect();
        rungs.sort_by_key(|rung| std::cmp::Reverse((rung.width * rung.height, rung.bps, rung.fps)));
        rungs.dedup();
        if self.transcode == Some(TranscodeChoice::Normalise) {
            rungs.truncate(1);
        }
        rungs
    }

    /// The largest audio bitrate that a variant asks for, in bits per second.
    #[must_use]
    pub fn audio_bps_max(&self) -> Option<u32> {
        self.hls.iter().map(|item| item.audio.bps).max()
    }
}

fn without_hls(body: &Field<'_>) -> Result<ChannelSettings, InvalidField> {
    let has_hls = body.member("hls").is_some();
    if let Some(field) = body.member("encrypt_key_uri").filter(|_| !has_hls)
        && bounded_text(&field)?.is_some()
    {
        return Err(field.wrong("is only for channels with HLS"));
    }
    Ok(ChannelSettings {
        hls: Vec::new(),
        encrypt_key_uri: None,
        captions: Vec::new(),
        signed_urls: false,
        auth_webhook_url: url(body, "auth_webhook_url")?,
        event_webhook_url: url(body, "event_webhook_url")?,
        environment: body.member("environment").map(|field| field.integer(0..=u32::MAX)).transpose()?,
        transcode: body
            .member("transcode")
            .map(|field| field.one_of(&[("transmux", TranscodeChoice::Transmux), ("normalise", TranscodeChoice::Normalise)]))
            .transpose()?,
    })
}

fn hls_spec(item: &Field<'_>) -> Result<HlsSpec, InvalidField> {
    item.object()?;
    if let Some(archive) = item.member("archive") {
        archive.object()?;
        unsupported(&archive, "archive_destination_id", "nothing would be recorded")?;
    }
    Ok(HlsSpec {
        duration_seconds: item.member("durationSeconds").map(|field| field.number(1.0..=30.0)).transpose()?,
        part_seconds: item.member("partSeconds").map(|field| field.number(0.1..=2.0)).transpose()?,
        start_time_offset: item.member("startTimeOffset").map(|field| field.number(-86_400.0..=86_400.0)).transpose()?,
        video: item.member("video").map(|field| video_spec(&field)).transpose()?,
        audio: item.member("audio").map(|field| audio_spec(&field)).transpose()?.unwrap_or_default(),
    })
}

fn video_spec(video: &Field<'_>) -> Result<VideoSpec, InvalidField> {
    video.object()?;
    let profiles = [
        ("h264_high", H264Profile::H264High),
        ("h264_main", H264Profile::H264Main),
        ("h264_baseline", H264Profile::H264Baseline),
    ];
    Ok(VideoSpec {
        width: video.required("width")?.integer(36..=4096)?,
        height: video.required("height")?.integer(36..=4096)?,
        fps: video.required("fps")?.integer(1..=120)?,
        bps: video.required("bps")?.integer(1_000..=100_000_000)?,
        codec: video.member("codec").map(|field| field.one_of(&profiles)).transpose()?.unwrap_or_default(),
    })
}

fn audio_spec(audio: &Field<'_>) -> Result<AudioSpec, InvalidField> {
    audio.object()?;
    let Some(bps) = audio.member("bps") else { return Ok(AudioSpec::default()) };
    Ok(AudioSpec { bps: round_audio_bps(bps.integer(0..=u32::MAX)?) })
}

/// A member that must not be ignored silently: who sends it counts on what it does. Left out, or empty, it is off.
fn unsupported(field: &Field<'_>, name: &str, otherwise: &str) -> Result<(), InvalidField> {
    let Some(field) = field.member(name) else { return Ok(()) };
    match bounded_text(&field)? {
        None => Ok(()),
        Some(_) => Err(field.wrong(format!("is not supported yet ({otherwise}): leave it out or empty"))),
    }
}

fn captions(body: &Field<'_>) -> Result<Vec<CaptionSpec>, InvalidField> {
    let Some(field) = body.member("captions") else { return Ok(Vec::new()) };
    let mut found: Vec<CaptionSpec> = Vec::new();
    for item in field.items(0..=CAPTIONS_MAX)? {
        item.object()?;
        let language = item.required("language")?;
        let tag = language.bounded_text(35)?;
        let name = item.member("name").map(|field| super::metadata::quotable(&field, 100)).transpose()?.unwrap_or(tag);
        if tag.bytes().any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-') {
            return Err(language.wrong("must be a language tag such as ja or en-GB"));
        }
        if found.iter().any(|other| other.language.eq_ignore_ascii_case(tag) || other.name == name) {
            return Err(item.wrong("has the language or the name of another"));
        }
        found.push(CaptionSpec { language: tag.to_owned(), name: name.to_owned() });
    }
    Ok(found)
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_off(switch: &bool) -> bool {
    !switch
}

/// What stands in a quoted string of a playlist, with `?kid=` or `&kid=` behind it.
fn key_url(body: &Field<'_>) -> Result<Option<String>, InvalidField> {
    let Some(field) = body.member("encrypt_key_uri") else { return Ok(None) };
    let Some(text) = bounded_text(&field)? else { return Ok(None) };
    let host = text.strip_prefix("https://").unwrap_or_default();
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'\\' | b'<' | b'>'));
    if host.is_empty() || host.starts_with(['/', '?']) || !plain {
        return Err(field.wrong("must be a URL that starts with https://, without a fragment"));
    }
    Ok(Some(text))
}

/// An empty string means: off.
fn bounded_text(field: &Field<'_>) -> Result<Option<String>, InvalidField> {
    let text = field.text()?;
    if text.len() > TEXT_BYTES_MAX {
        return Err(field.wrong(format!("must have at most {TEXT_BYTES_MAX} bytes, got {}", text.len())));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn url(body: &Field<'_>, name: &str) -> Result<Option<String>, InvalidField> {
    let Some(field) = body.member(name) else { return Ok(None) };
    let Some(text) = bounded_text(&field)? else { return Ok(None) };
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !text.chars().any(|c| c.is_control() || c.is_whitespace()) => Ok(Some(text)),
        _ => Err(field.wrong("must be a URL that starts with https:// or http://")),
    }
}

/// The allowed audio bitrate at or below `bps`; below the smallest one, the smallest.
#[must_use]
pub fn round_audio_bps(bps: u32) -> u32 {
    const ALLOWED_KBPS: [u32; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    let fitting = ALLOWED_KBPS.iter().rev().map(|kbps| kbps * 1000).find(|allowed| *allowed <= bps);
    fitting.unwrap_or(32_000)
}
