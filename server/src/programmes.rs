//! The glue between signaling and the gateway: a channel's settings become a programme's.

use std::time::Duration;

use minamo_catalog::Channel;
use minamo_gateway::{Gateway, ProgrammeSettings, TranscodePolicy, TranscodeSettings, TranscodeState};
use minamo_media::ChannelId;
use minamo_signaling::{PlaylistPath, Programmes, Transcoding};
use minamo_signaling_proto::api::{ChannelSettings, H264Profile, TranscodeChoice};
use minamo_transcode::{Fit, Profile, RungSettings};

/// The HLS side as signaling sees it.
pub(crate) struct HlsProgrammes {
    pub(crate) gateway: Gateway,
    /// PART-TARGET of channels that do not say.
    pub(crate) part_target: Duration,
}

impl Programmes for HlsProgrammes {
    fn open(&self, channel: &Channel) {
        open(&self.gateway, channel, self.part_target);
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
}

/// The channel may be tapped from now on, if it has HLS at all.
pub(crate) fn open(gateway: &Gateway, channel: &Channel, part_target: Duration) {
    if channel.kind.has_hls() {
        gateway.open(channel.id.clone(), settings(channel, part_target));
    }
}

/// What the channel was created with, or defaults where the catalog holds what this version cannot read.
fn settings(channel: &Channel, part_target: Duration) -> ProgrammeSettings {
    let per_publisher = channel.kind.has_playlist_per_publisher();
    let defaults = ProgrammeSettings { per_publisher, part_target, ..Default::default() };
    let asked = match ChannelSettings::stored(&channel.settings) {
        Ok(asked) => asked,
        Err(error) => {
            tracing::warn!(channel = %channel.id, %error, "the channel's settings cannot be read: defaults are used");
            return defaults;
        }
    };
    let seconds = asked.hls.iter().find_map(|item| item.duration_seconds);
    let part_seconds = asked.hls.iter().find_map(|item| item.part_seconds);
    ProgrammeSettings {
        part_target: part_seconds.map_or(part_target, Duration::from_secs_f64),
        audio_bps: asked.audio_bps_max().unwrap_or(defaults.audio_bps),
        segment_target: seconds.map_or(defaults.segment_target, Duration::from_secs_f64),
        transcode: transcode(&asked),
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use minamo_catalog::{Channel, ChannelKind, ChannelSecret};
    use minamo_gateway::{ProgrammeSettings, TranscodePolicy};
    use minamo_media::ChannelId;
    use minamo_transcode::{Fit, Profile};
    use serde_json::{Value, json};

    fn channel(kind: ChannelKind, settings: Value) -> Channel {
        Channel { id: ChannelId::from("c"), kind, settings, created_at: SystemTime::UNIX_EPOCH, secret: ChannelSecret::default() }
    }

    #[test]
    fn what_was_asked_for_reaches_the_programme() {
        let hls =
            json!({"hls": [{"durationSeconds": 1, "partSeconds": 0.25, "audio": {"bps": 64000}}, {"audio": {"bps": 96000}}]});
        let settings = super::settings(&channel(ChannelKind::MultistreamWithHls, hls), Duration::from_millis(200));
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
            super::settings(&channel(ChannelKind::Single, asked), Duration::from_millis(200)).transcode
        };
        let rung = with(json!("transmux")).rung.unwrap();
        assert_eq!((rung.width, rung.height, rung.profile, rung.fit), (1280, 720, Profile::Baseline, Fit::Inside));
        let normalised = with(json!("normalise"));
        assert_eq!((normalised.policy, normalised.rung.unwrap().fit), (TranscodePolicy::Normalise, Fit::Pad));
    }

    #[test]
    fn what_cannot_be_read_gives_defaults() {
        let settings =
            super::settings(&channel(ChannelKind::Single, json!({"hls": [{"video": {"width": 0}}]})), Duration::from_millis(200));
        assert_eq!(settings, ProgrammeSettings { part_target: Duration::from_millis(200), ..Default::default() });
    }
}
