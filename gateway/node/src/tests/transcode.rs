//! What cannot, or shall not, be shown as it comes.

use minamo_media::{AccessUnit, Codec, TrackInfo};
use minamo_transcode::{Fit, Profile, Refused, RungSettings};

use super::*;
use crate::{TranscodePolicy, TranscodeSettings, TranscodeState};

fn with_pool(threads: usize) -> GatewayConfig {
    GatewayConfig { transcode: PoolConfig { threads, pixels_per_second: Some(1 << 40) }, ..GatewayConfig::default() }
}

fn normalised() -> ProgrammeSettings {
    let rung = RungSettings { width: 160, height: 96, fit: Fit::Pad, fps: None, bitrate: 200_000, profile: Profile::Main };
    let transcode = TranscodeSettings { policy: TranscodePolicy::Normalise, rung: Some(rung) };
    ProgrammeSettings { transcode, ..ProgrammeSettings::default() }
}

/// Seven seconds of a publisher whose pictures change their size three times; the video playlist.
async fn through_sizes(theatre: &Theatre) -> String {
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    for (width, height) in [(160, 96), (320, 180), (96, 160), (640, 360)] {
        source.resize(width, height);
        theatre.run(&mut [&mut source], Duration::from_millis(1760)).await;
    }
    theatre.playlist("video").await
}

#[tokio::test]
async fn a_normalised_channel_keeps_its_size_whatever_comes() {
    let theatre = Theatre::with(with_pool(1), normalised());
    let text = through_sizes(&theatre).await;
    assert_eq!(theatre.gateway.transcoding(&theatre.channel), [TranscodeState::Running]);
    assert_eq!((count(&text, "#EXT-X-DISCONTINUITY"), uris(&text, "#EXT-X-MAP:").len()), (0, 1), "{text}");
    assert!(!text.contains("GAP"), "{text}");
    assert!(segments(&text).len() >= 2, "{text}");
    let multivariant = theatre.get("/hls/c/playlist.m3u8").await;
    assert!(
        multivariant.text().contains("RESOLUTION=160x96") && multivariant.text().contains("avc1.4d"),
        "{}",
        multivariant.text()
    );
}

#[tokio::test]
async fn without_room_it_is_shown_as_it_came() {
    let theatre = Theatre::with(with_pool(0), normalised());
    let text = through_sizes(&theatre).await;
    assert_eq!(theatre.gateway.transcoding(&theatre.channel), [TranscodeState::Refused(Refused::Off)]);
    assert!(count(&text, "#EXT-X-DISCONTINUITY") >= 2, "the negative control of the test above:\n{text}");
}

#[tokio::test]
async fn transcoding_ends_with_its_publisher() {
    let theatre = Theatre::with(with_pool(1), normalised());
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 3).await;
    assert_eq!(theatre.gateway.transcoding(&theatre.channel), [TranscodeState::Running]);
    theatre.leave(&source, true);
    theatre.run(&mut [], Duration::from_secs(2)).await;
    assert!(theatre.gateway.transcoding(&theatre.channel).is_empty());
    assert!(theatre.playlist("video").await.contains("#EXT-X-ENDLIST"));
}

/// The head of a VP8 key frame of 64 by 64 pixels (RFC 6386 §9.1); what follows is of no codec.
const VP8_KEY: [u8; 24] = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 64, 0, 0xff, 0xff, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

/// Three seconds of sound, and pictures in VP8.
async fn with_vp8(theatre: &Theatre) {
    let mut source = Source::new("P", 1, false, true);
    let track = TrackId(9);
    theatre.join(&source);
    theatre.push(
        &source,
        TapEvent::TrackAdded(TrackInfo { track, publisher: source.id.clone(), codec: Codec::Vp8, rids: Vec::new() }),
    );
    for n in 0..90 {
        theatre.run(&mut [&mut source], Duration::from_millis(40)).await;
        let data = bytes::Bytes::from_static(&VP8_KEY);
        let unit = AccessUnit { layer: 0, rtp: n * 3600, arrival: theatre.clock.now(), key: true, after_loss: false, data };
        theatre.push(&source, TapEvent::AccessUnit(track, unit));
    }
}

#[tokio::test]
async fn vp8_without_room_leaves_sound_alone() {
    let theatre = Theatre::with(with_pool(0), ProgrammeSettings::default());
    with_vp8(&theatre).await;
    assert_eq!(theatre.gateway.transcoding(&theatre.channel), [TranscodeState::Refused(Refused::Off)]);
    assert!(!segments(&theatre.playlist("audio").await).is_empty());
    assert_eq!(theatre.get("/hls/c/video.m3u8").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn damaged_vp8_asks_for_a_key_frame_and_harms_nobody() {
    let theatre = Theatre::with(with_pool(1), ProgrammeSettings::default());
    with_vp8(&theatre).await;
    assert_eq!(theatre.gateway.transcoding(&theatre.channel), [TranscodeState::Running]);
    assert!(theatre.wishes.0.lock().unwrap().contains(&TrackId(9)));
}
