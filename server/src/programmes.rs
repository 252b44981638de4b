//! The glue between signaling and the gateway: a channel's settings become a programme's.

use std::sync::Arc;
use std::time::Duration;

use minamo_catalog::Channel;
use minamo_gateway::{Access, Gateway, NotTold, ProgrammeSettings, Rung, TranscodePolicy, TranscodeSettings, TranscodeState};
use minamo_media::{ChannelId, ConnectionId};
use minamo_packager::{CaptionTrack, Cipher, Cue, CueTime, DateRange, DateRangeRefused, key_id_of, key_of};
use minamo_signaling::{Caption, CaptionTime, Captions, Later, Metadata, MetadataRefused, PlaylistPath, Programmes, Transcoding};
use minamo_signaling_proto::api::{CaptionSpec, ChannelSettings, H264Profile, TranscodeChoice, VideoSpec};
use minamo_transcode::{Fit, Profile, RungSettings};

use crate::config::HlsConfig;

/// The HLS side as signaling sees it.
pub(crate) struct HlsProgrammes {
    pub(crate) gateway: Gateway,
    pub(crate) config: HlsConfig,
}

impl Programmes for HlsProgrammes {
    fn open(&self, channel: &Channel) {
        open(&self.gateway, &self.config, channel);
    }

    fn delete(&self, channel: &ChannelId) {
        self.gateway.delete(channel);
    }

    fn playlists(&self, channel: &ChannelId) -> Vec<PlaylistPath> {
        let entries = self.gateway.playlists(channel).into_iter();
        entries.map(|entry| PlaylistPath { publisher: entry.publisher, path: entry.path }).collect()
    }

    fn transcoding(&self, channel: &ChannelId) -> Option<Transcoding> {
        let states = self.gateway.transcoding(channel);
        let refused = states.iter().find_map(|state| match state {
            TranscodeState::Refused(refused) => Some(Transcoding::Refused { reason: refused.reason(), why: refused.to_string() }),
            TranscodeState::Running => None,
        });
        refused.or(states.first().map(|_| Transcoding::Running))
    }

    fn key_id<'a>(&self, kid: &'a str) -> Option<&'a str> {
        key_id_of(kid)
    }

    fn media_key(&self, channel: &Channel, kid: &str) -> Option<[u8; 16]> {
        ChannelSettings::stored(&channel.settings).ok()?.encrypt_key_uri?;
        key_of(channel.secret.bytes(), kid)
    }

    fn sign(&self, channel: &Channel, path: &str, expires: u64) -> Option<String> {
        let signed = ChannelSettings::stored(&channel.settings).ok()?.signed_urls;
        signed.then(|| Access::new(channel.secret.bytes(), self.config.signed_session).sign(path, expires))
    }

    fn add_metadata(
        &self,
        channel: &ChannelId,
        publisher: Option<&ConnectionId>,
        metadata: Metadata,
    ) -> Later<Result<(), MetadataRefused>> {
        let (gateway, channel, publisher) = (self.gateway.clone(), channel.clone(), publisher.cloned());
        let Metadata { id, start, duration, planned_duration: planned, attributes } = metadata;
        let range = DateRange { id, start, duration, planned, attributes };
        Box::pin(async move { gateway.add_date_range(&channel, publisher.as_ref(), &range).await.map_err(refused) })
    }

    fn add_captions(&self, channel: &ChannelId, captions: Captions) -> Later<Result<(), MetadataRefused>> {
        let (gateway, channel) = (self.gateway.clone(), channel.clone());
        let Captions { language, publisher, cues } = captions;
        let cues = cues.into_iter().map(cue).collect();
        Box::pin(
            async move { gateway.add_captions(&channel, publisher.as_ref(), language.as_deref(), cues).await.map_err(refused) },
        )
    }
}

fn cue(caption: Caption) -> Cue {
    let at = |time| match time {
        CaptionTime::Wall(since) => CueTime::Wall(since),
        CaptionTime::Programme(since) => CueTime::Programme(since),
    };
    Cue { start: at(caption.start), end: at(caption.end), text: caption.text }
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn refused(why: NotTold) -> MetadataRefused {
    let words = why.to_string();
    match why {
        NotTold::NotLive => MetadataRefused::NotLive,
        NotTold::NoTrack => MetadataRefused::NoTrack,
        NotTold::Busy | NotTold::Refused(DateRangeRefused::Full) => MetadataRefused::Full(words),
        NotTold::Refused(_) => MetadataRefused::Conflict(words),
    }
}

/// The channel may be tapped from now on, if it has HLS at all.
pub(crate) fn open(gateway: &Gateway, config: &HlsConfig, channel: &Channel) {
    if channel.kind.has_hls() {
        gateway.open(channel.id.clone(), settings(config, channel));
    }
}

/// What the channel was created with, or defaults where the catalog holds what this version cannot read.
fn settings(config: &HlsConfig, channel: &Channel) -> ProgrammeSettings {
    let (per_publisher, part_target) = (channel.kind.has_playlist_per_publisher(), config.part_target);
    let defaults = ProgrammeSettings { per_publisher, part_target, ..Default::default() };
    let asked = match ChannelSettings::stored(&channel.settings) {
        Ok(asked) => asked,
        Err(error) => {
            tracing::warn!(channel = %channel.id, %error, "the channel's settings cannot be read: defaults are used");
            return defaults;
        }
    };
    let seconds = asked.hls.first().and_then(|item| item.duration_seconds);
    let secret = channel.secret.bytes();
    let track = |of: &CaptionSpec| CaptionTrack { language: of.language.clone(), name: of.name.clone() };
    let cipher = |uri: &String| Cipher::new(uri.clone(), channel.secret.key_id(), secret, config.rotation());
    let part_seconds = asked.hls.first().and_then(|item| item.part_seconds);
    ProgrammeSettings {
        part_target: part_seconds.map_or(defaults.part_target, Duration::from_secs_f64),
        cipher: asked.encrypt_key_uri.as_ref().map(cipher),
        access: asked.signed_urls.then(|| Arc::new(Access::new(secret, config.signed_session))),
        captions: asked.captions.iter().map(track).collect(),
        start_offset_ms: asked.start_time_offset().map(|seconds| (seconds * 1000.0) as i64),
        audio_bps: asked.audio_bps_max().unwrap_or(defaults.audio_bps),
        segment_target: seconds.map_or(defaults.segment_target, Duration::from_secs_f64),
        transcode: transcode(&asked),
        ladder: asked.ladder().iter().map(rung).collect(),
        ..defaults
    }
}

/// The largest picture that the channel asks for.
fn transcode(asked: &ChannelSettings) -> TranscodeSettings {
    let policy = match asked.transcode {
        Some(TranscodeChoice::Normalise) => TranscodePolicy::Normalise,
        Some(TranscodeChoice::Transmux) | None => TranscodePolicy::Transmux,
    };
    let largest = asked.hls.iter().filter_map(|item| item.video).max_by_key(|video| video.width * video.height);
    let rung = largest.map(|video| RungSettings {
        width: video.width as usize,
        height: video.height as usize,
        fit: if policy == TranscodePolicy::Normalise { Fit::Pad } else { Fit::Inside },
        fps: Some(video.fps as f32),
        bitrate: video.bps,
        profile: match video.codec {
            H264Profile::H264Baseline => Profile::Baseline,
            H264Profile::H264Main => Profile::Main,
            H264Profile::H264High => Profile::High,
        },
    });
    TranscodeSettings { policy, rung }
}

fn rung(asked: &VideoSpec) -> Rung {
    Rung { width: asked.width, height: asked.height, fps: asked.fps, bps: asked.bps }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use minamo_catalog::{Channel, ChannelKind, ChannelSecret};
    use minamo_gateway::{ProgrammeSettings, TranscodePolicy};
    use minamo_media::ChannelId;
    use minamo_transcode::{Fit, Profile};
    use serde_json::{Value, json};

    use crate::config::HlsConfig;

    fn channel(kind: ChannelKind, settings: Value) -> Channel {
        Channel { id: ChannelId::from("c"), kind, settings, created_at: SystemTime::UNIX_EPOCH, secret: ChannelSecret::default() }
    }

    #[test]
    fn what_was_asked_for_reaches_the_programme() {
        let hls =
            json!({"hls": [{"durationSeconds": 1, "partSeconds": 0.25, "audio": {"bps": 64000}}, {"audio": {"bps": 96000}}]});
        let settings = super::settings(&HlsConfig::default(), &channel(ChannelKind::MultistreamWithHls, hls));
        assert!(settings.per_publisher);
        assert_eq!((settings.audio_bps, settings.segment_target), (96_000, Duration::from_secs(1)));
        assert_eq!(settings.part_target, Duration::from_millis(250));
    }

    #[test]
    fn the_largest_picture_is_what_is_transcoded_to() {
        let video = |width, height, codec| json!({"width": width, "height": height, "fps": 30, "bps": 1_000_000, "codec": codec});
        let hls = json!([{"video": video(640, 360, "h264_main")}, {"video": video(1280, 720, "h264_baseline")}, {}]);
        let with = |policy: Value| {
            let mut asked = json!({"hls": hls.clone()});
            asked["transcode"] = policy;
            super::settings(&HlsConfig::default(), &channel(ChannelKind::Single, asked)).transcode
        };
        let rung = with(json!("transmux")).rung.unwrap();
        assert_eq!((rung.width, rung.height, rung.profile, rung.fit), (1280, 720, Profile::Baseline, Fit::Inside));
        let normalised = with(json!("normalise"));
        assert_eq!((normalised.policy, normalised.rung.unwrap().fit), (TranscodePolicy::Normalise, Fit::Pad));
    }

    #[test]
    fn protection_and_start_reach_the_programme() {
        let hls = json!({"hls": [{"startTimeOffset": -2.5}], "encrypt_key_uri": "https://keys.example/", "signed_urls": true});
        let settings = super::settings(&HlsConfig::default(), &channel(ChannelKind::Single, hls));
        assert!(settings.cipher.is_some() && settings.access.is_some());
        assert_eq!(settings.start_offset_ms, Some(-2_500));
    }

    #[test]
    fn what_cannot_be_read_gives_defaults() {
        let config = HlsConfig { part_target: Duration::from_millis(200), ..HlsConfig::default() };
        let settings = super::settings(&config, &channel(ChannelKind::Single, json!({"hls": [{"video": {"width": 0}}]})));
        assert_eq!(settings, ProgrammeSettings { part_target: Duration::from_millis(200), ..Default::default() });
    }
}
