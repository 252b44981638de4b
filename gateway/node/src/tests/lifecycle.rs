//! Publishers come, vanish, return and leave.

use super::*;
use crate::ProgrammeState;

fn sequence(playlist: &str) -> u64 {
    tag(playlist, "#EXT-X-MEDIA-SEQUENCE:").unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_clean_leave_shows_the_last_parts_and_then_ends_the_playlists() {
    let theatre = Theatre::new();
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 5).await;
    assert_eq!(theatre.gateway.state(&theatre.channel), ProgrammeState::Live);
    let hint = uris(&theatre.playlist("video").await, "#EXT-X-PRELOAD-HINT:")[0].clone();
    let hinted = theatre.ask(format!("/hls/c/{hint}"));
    let far =
        theatre.ask("/hls/c/audio.m3u8?_HLS_msn=".to_owned() + &(sequence(&theatre.playlist("audio").await) + 2).to_string());
    breathe().await;
    theatre.leave(&source, true);
    theatre.gateway.settle().await;
    let mut last = Vec::new();
    for rendition in ["video", "audio"] {
        let text = theatre.playlist(rendition).await;
        assert!(!text.contains("#EXT-X-ENDLIST") && !text.contains("PRELOAD-HINT"), "{text}");
        last.push(segments(&text).pop());
    }
    theatre.run(&mut [], Duration::from_secs(1)).await;
    for (rendition, last) in ["video", "audio"].into_iter().zip(last) {
        let text = theatre.playlist(rendition).await;
        assert!(text.trim_end().ends_with("#EXT-X-ENDLIST"), "{text}");
        assert_eq!(segments(&text).pop(), last, "nothing new comes with ENDLIST");
    }
    assert_eq!(theatre.gateway.state(&theatre.channel), ProgrammeState::Ended);
    assert!(theatre.gateway.playlists(&theatre.channel).is_empty());
    // Those who waited are answered: with the last part or 404, and with the playlist as it is.
    assert!([StatusCode::OK, StatusCode::NOT_FOUND].contains(&hinted.await.unwrap().status));
    assert_eq!(far.await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn an_ended_programme_leaves_memory_in_its_time() {
    let theatre = Theatre::new();
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 4).await;
    theatre.leave(&source, true);
    theatre.run(&mut [], Duration::from_secs(1)).await;
    assert_eq!(theatre.get("/hls/c/playlist.m3u8").await.status, 200);
    theatre.clock.advance(GatewayConfig::default().ended_retention);
    theatre.gateway.settle().await;
    assert_eq!(theatre.get("/hls/c/playlist.m3u8").await.error_type(), "NOT_LIVE");
    assert_eq!(theatre.gateway.state(&theatre.channel), ProgrammeState::Ended);
}

#[tokio::test]
async fn who_returns_in_time_goes_on_behind_a_discontinuity() {
    let theatre = Theatre::new();
    let mut source = Source::new("P1", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 5).await;
    theatre.leave(&source, false);
    let before = theatre.playlist("video").await;
    theatre.run(&mut [], Duration::from_secs(3)).await;
    assert!(!theatre.playlist("audio").await.contains("ENDLIST"));
    let mut returned = Source::new("P2", 11, true, true);
    theatre.join(&returned);
    theatre.run_secs(&mut returned, 5).await;
    let after = theatre.playlist("video").await;
    assert!(count(&after, "#EXT-X-DISCONTINUITY") >= 1 && !after.contains("ENDLIST"), "{after}");
    assert!(sequence(&after) - sequence(&before) < 10, "{after}");
    assert_eq!(theatre.gateway.playlists(&theatre.channel)[0].publisher.as_str(), "P2");
    assert!(!after.lines().last().unwrap().contains("GAP"), "{after}");
}

#[tokio::test]
async fn who_does_not_return_has_ended() {
    let theatre = Theatre::new();
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 4).await;
    theatre.leave(&source, false);
    theatre.run(&mut [], Duration::from_secs(58)).await;
    assert!(!theatre.playlist("audio").await.contains("ENDLIST"));
    theatre.run(&mut [], Duration::from_secs(3)).await;
    assert!(theatre.playlist("audio").await.contains("ENDLIST"));
    assert!(theatre.playlist("video").await.contains("ENDLIST"));
}

#[tokio::test]
async fn after_the_end_a_new_playlist_stands_under_the_same_url() {
    let theatre = Theatre::new();
    let mut source = Source::new("P1", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 5).await;
    theatre.leave(&source, true);
    theatre.gateway.settle().await;
    let ended = theatre.playlist("video").await;
    let mut next = Source::new("P2", 11, true, true);
    theatre.join(&next);
    theatre.run(&mut [&mut next], Duration::from_secs(4)).await;
    let text = theatre.playlist("video").await;
    assert!(!text.contains("ENDLIST"));
    assert!(sequence(&text) > sequence(&ended) + segments(&ended).len() as u64 - 1, "{ended}\n{text}");
    assert_ne!(uris(&text, "#EXT-X-MAP:"), uris(&ended, "#EXT-X-MAP:"), "init sections are immutable for a year");
    // The last viewers of the first programme still get its media.
    assert_eq!(theatre.get(&format!("/hls/c/{}", segments(&ended)[0])).await.status, 200);
    assert_eq!(theatre.gateway.state(&theatre.channel), ProgrammeState::Live);
}

#[tokio::test]
async fn the_second_publisher_waits_and_takes_over() {
    let theatre = Theatre::new();
    let mut first = Source::new("P1", 1, true, true);
    let mut second = Source::new("P2", 11, true, true);
    theatre.join(&first);
    theatre.join(&second);
    theatre.run(&mut [&mut first, &mut second], Duration::from_secs(4)).await;
    let playlists = theatre.gateway.playlists(&theatre.channel);
    assert_eq!(playlists.len(), 1);
    assert_eq!((playlists[0].publisher.as_str(), playlists[0].path.as_str()), ("P1", "/hls/c/playlist.m3u8"));
    theatre.leave(&first, true);
    theatre.run_secs(&mut second, 4).await;
    assert_eq!(theatre.gateway.playlists(&theatre.channel)[0].publisher.as_str(), "P2");
    let text = theatre.playlist("video").await;
    assert!(!text.contains("ENDLIST") && count(&text, "#EXT-X-DISCONTINUITY") == 1, "{text}");
}

#[tokio::test]
async fn each_publisher_has_a_programme_when_asked_for() {
    let settings = ProgrammeSettings { per_publisher: true, ..ProgrammeSettings::default() };
    let theatre = Theatre::with(GatewayConfig { workers: 2, ..GatewayConfig::default() }, settings);
    let mut first = Source::new("P1", 1, true, true);
    let mut second = Source::new("P2", 11, false, true);
    theatre.join(&first);
    theatre.join(&second);
    theatre.run(&mut [&mut first, &mut second], Duration::from_secs(4)).await;
    let paths: Vec<String> = theatre.gateway.playlists(&theatre.channel).into_iter().map(|entry| entry.path).collect();
    assert_eq!(paths, ["/hls/c/P1/playlist.m3u8", "/hls/c/P2/playlist.m3u8"]);
    for path in &paths {
        assert_eq!(theatre.get(path).await.status, 200);
    }
    assert_eq!(theatre.get("/hls/c/P3/playlist.m3u8").await.error_type(), "NOT_LIVE");
    theatre.leave(&first, true);
    theatre.run_secs(&mut second, 2).await;
    assert!(theatre.get("/hls/c/P1/video.m3u8").await.text().contains("ENDLIST"));
    assert_eq!(theatre.gateway.playlists(&theatre.channel).len(), 1);
    assert_eq!(theatre.gateway.state(&theatre.channel), ProgrammeState::Live);
}

#[tokio::test]
async fn deleting_a_channel_is_404_at_once_for_those_who_wait_too() {
    let theatre = Theatre::new();
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 4).await;
    let hint = uris(&theatre.playlist("video").await, "#EXT-X-PRELOAD-HINT:")[0].clone();
    let waiting = theatre.ask(format!("/hls/c/{hint}"));
    breathe().await;
    theatre.gateway.delete(&theatre.channel);
    assert_eq!(theatre.get("/hls/c/playlist.m3u8").await.error_type(), "UNKNOWN_CHANNEL");
    theatre.gateway.settle().await;
    assert_eq!(waiting.await.unwrap().status, 404);
    assert_eq!(theatre.gateway.state(&theatre.channel), ProgrammeState::Unknown);
    theatre.run_secs(&mut source, 1).await;
    assert_eq!(theatre.get("/hls/c/playlist.m3u8").await.error_type(), "UNKNOWN_CHANNEL");
}

#[tokio::test]
async fn shutdown_ends_every_playlist_and_goes_on_serving() {
    let theatre = Theatre::new();
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 4).await;
    let gateway = theatre.gateway.clone();
    let shutdown = tokio::spawn(async move { gateway.shutdown().await });
    breathe().await;
    theatre.run_secs(&mut source, 1).await;
    shutdown.await.unwrap();
    for rendition in ["video", "audio"] {
        assert!(theatre.playlist(rendition).await.trim_end().ends_with("#EXT-X-ENDLIST"));
    }
}

#[tokio::test]
async fn a_muted_microphone_is_silence_and_a_black_camera_is_a_gap() {
    let theatre = Theatre::new();
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 4).await;
    let before = segments(&theatre.playlist("audio").await).len();
    theatre.run(&mut [], Duration::from_secs(6)).await;
    let audio = theatre.playlist("audio").await;
    assert!(segments(&audio).len() >= before + 2 || sequence(&audio) > 0, "{audio}");
    assert!(!audio.contains("GAP"), "{audio}");
    let video = theatre.playlist("video").await;
    assert!(video.contains("GAP=YES"), "{video}");
}

#[tokio::test]
async fn a_camera_that_comes_late_begins_anew_under_the_same_url() {
    let theatre = Theatre::new();
    let mut silent = Source::new("P", 1, true, true);
    let mut voice = Source::new("P", 1, false, true);
    theatre.join(&silent);
    theatre.run_secs(&mut voice, 8).await;
    assert_eq!(theatre.get("/hls/c/playlist.m3u8").await.error_type(), "NOT_LIVE");
    theatre.run_secs(&mut voice, 6).await;
    let alone = theatre.get("/hls/c/playlist.m3u8").await;
    assert!(alone.status == 200 && !alone.text().contains("avc1"), "{}", alone.text());
    silent.force_key_frame();
    theatre.run_secs(&mut silent, 4).await;
    assert!(theatre.get("/hls/c/playlist.m3u8").await.text().contains("avc1"));
}
