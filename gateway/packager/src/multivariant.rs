//! The multivariant playlist (rule 9). Short enough to be written by hand; the tests read it with m3u8-rs.

use crate::captions::CaptionTrack;
use crate::config::AudioConfig;
use crate::container::VideoFormat;
use crate::rendition::Rendition;

const AUDIO_GROUP: &str = "audio";
const CAPTION_GROUP: &str = "captions";

/// One EXT-X-STREAM-INF.
pub(crate) struct Variant<'a> {
    pub rendition: Rendition,
    /// The format and pictures per second.
    pub video: Option<(&'a VideoFormat, f64)>,
    /// Peak of its I-frame playlist, where there is one.
    pub i_frame_bps: Option<u64>,
    /// With its sound.
    pub peak_bps: u64,
    pub average_bps: u64,
}

pub(crate) fn render(variants: &[Variant<'_>], audio: Option<&AudioConfig>, tracks: &[CaptionTrack]) -> String {
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    if let (true, Some(audio)) = (variants.iter().any(|variant| variant.video.is_some()), audio) {
        out += &format!(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{AUDIO_GROUP}\",NAME=\"Main\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"{}\",URI=\"{}\"\n",
            audio.channels,
            Rendition::Audio.playlist_name(),
        );
    }
    out += &captions(tracks);
    for variant in variants {
        write_variant(&mut out, variant, audio.is_some(), !tracks.is_empty());
    }
    for variant in variants {
        out += &i_frames(variant);
    }
    out
}

fn write_variant(out: &mut String, variant: &Variant<'_>, audio: bool, subtitles: bool) {
    let mut codecs: Vec<&str> = variant.video.iter().map(|(format, _)| format.codec.as_str()).collect();
    codecs.extend(audio.then_some(minamo_media::aac::CODEC_STRING));
    *out += &format!(
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\"",
        variant.peak_bps,
        variant.average_bps,
        codecs.join(",")
    );
    if let Some((format, pictures_per_second)) = variant.video {
        *out += &format!(",RESOLUTION={}x{},FRAME-RATE={pictures_per_second:.3}", format.width, format.height);
        if audio {
            *out += &format!(",AUDIO=\"{AUDIO_GROUP}\"");
        }
        if subtitles {
            *out += &format!(",SUBTITLES=\"{CAPTION_GROUP}\"");
        }
        *out += ",CLOSED-CAPTIONS=NONE";
    }
    *out += &format!("\n{}\n", variant.rendition.playlist_name());
}

fn captions(tracks: &[CaptionTrack]) -> String {
    let line = |(track, of): (u8, &CaptionTrack)| {
        let uri = Rendition::Captions(track).playlist_name();
        let (language, name) = (&of.language, &of.name);
        format!(
            "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"{CAPTION_GROUP}\",NAME=\"{name}\",LANGUAGE=\"{language}\",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI=\"{uri}\"\n"
        )
    };
    (0..).zip(tracks).map(line).collect()
}

/// Rule 29.
fn i_frames(variant: &Variant<'_>) -> String {
    let (Some((format, _)), Some(bps)) = (variant.video, variant.i_frame_bps) else { return String::new() };
    let (codec, width, height) = (&format.codec, format.width, format.height);
    let Rendition::Video(rung) = variant.rendition else { return String::new() };
    let uri = Rendition::IFrames(rung).playlist_name();
    format!("#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={bps},CODECS=\"{codec}\",RESOLUTION={width}x{height},URI=\"{uri}\"\n")
}
