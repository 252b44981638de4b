//! The multivariant playlist (rule 9). Short enough to be written by hand; the tests read it with m3u8-rs.

use crate::config::AudioConfig;
use crate::container::VideoFormat;
use crate::rendition::Rendition;

const AUDIO_GROUP: &str = "audio";

/// What it says.
pub(crate) struct Variant<'a> {
    /// The format and pictures per second.
    pub video: Option<(&'a VideoFormat, f64)>,
    pub audio: Option<&'a AudioConfig>,
    pub peak_bps: u64,
    pub average_bps: u64,
}

pub(crate) fn render(variant: &Variant<'_>) -> String {
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    if let (Some(_), Some(audio)) = (variant.video, variant.audio) {
        out += &format!(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{AUDIO_GROUP}\",NAME=\"Main\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"{}\",URI=\"{}\"\n",
            audio.channels,
            Rendition::Audio.playlist_name(),
        );
    }
    let mut codecs: Vec<&str> = variant.video.iter().map(|(format, _)| format.codec.as_str()).collect();
    codecs.extend(variant.audio.map(|_| minamo_media::aac::CODEC_STRING));
    out += &format!(
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\"",
        variant.peak_bps,
        variant.average_bps,
        codecs.join(",")
    );
    if let Some((format, pictures_per_second)) = variant.video {
        out += &format!(",RESOLUTION={}x{},FRAME-RATE={pictures_per_second:.3}", format.width, format.height);
        if variant.audio.is_some() {
            out += &format!(",AUDIO=\"{AUDIO_GROUP}\"");
        }
        out += ",CLOSED-CAPTIONS=NONE";
    }
    let uri = if variant.video.is_some() { Rendition::Video(0) } else { Rendition::Audio }.playlist_name();
    out + "\n" + &uri + "\n"
}
