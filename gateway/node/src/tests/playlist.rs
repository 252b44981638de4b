//! What is shown while a publisher publishes.

use super::*;

#[tokio::test]
async fn the_playlists_appear_and_name_what_is_there() {
    let theatre = Theatre::new();
    assert_eq!(theatre.get("/hls/c/playlist.m3u8").await.error_type(), "NOT_LIVE");
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 7).await;

    let multivariant = theatre.get("/hls/c/playlist.m3u8").await;
    assert_eq!(multivariant.status, 200);
    assert_eq!(multivariant.header("content-type"), "application/vnd.apple.mpegurl");
    for expected in ["avc1.42", "mp4a.40.2", "RESOLUTION=160x96", "video.m3u8", "audio.m3u8"] {
        assert!(multivariant.text().contains(expected), "{expected} in\n{}", multivariant.text());
    }
    for rendition in ["video", "audio"] {
        let text = theatre.playlist(rendition).await;
        let parts = uris(&text, "#EXT-X-PART:");
        assert!(parts.len() >= 12, "{text}");
        assert!(segments(&text).len() >= 2, "{text}");
        assert_eq!(uris(&text, "#EXT-X-PRELOAD-HINT:").len(), 1, "{text}");
        assert!(text.contains("#EXT-X-PROGRAM-DATE-TIME:2026-11-20T00:00:0"), "{text}");
        assert!(!text.contains("#EXT-X-ENDLIST") && count(&text, "#EXT-X-DISCONTINUITY") == 0, "{text}");
    }
}

#[tokio::test]
async fn parts_join_to_segments_of_sane_boxes() {
    let theatre = Theatre::new();
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 6).await;
    for (rendition, content_type) in [("video", "video/mp4"), ("audio", "audio/mp4")] {
        let text = theatre.playlist(rendition).await;
        let init = theatre.get(&format!("/hls/c/{}", uris(&text, "#EXT-X-MAP:")[0])).await;
        assert_eq!(boxes(&init.body).unwrap(), ["ftyp", "moov"]);
        assert_eq!(init.header("content-type"), content_type);
        let segment = segments(&text)[0].clone();
        let whole = theatre.get(&format!("/hls/c/{segment}")).await;
        let stem = segment.trim_end_matches(".m4s").to_owned() + ".";
        let mut joined = Vec::new();
        for part in uris(&text, "#EXT-X-PART:").iter().filter(|part| part.starts_with(&stem)) {
            let part = theatre.get(&format!("/hls/c/{part}")).await;
            assert_eq!(boxes(&part.body).unwrap(), ["moof", "mdat"]);
            assert_eq!(part.header("cache-control"), "public, max-age=31536000, immutable");
            joined.extend(part.body);
        }
        assert!(!joined.is_empty() && joined == whole.body, "{rendition}");
    }
}

/// The 64-bit baseMediaDecodeTime of the first fragment (ISO/IEC 14496-12 §8.8.12).
fn decode_time(part: &[u8]) -> u64 {
    let at = part.windows(4).position(|name| name == b"tfdt").unwrap();
    assert_eq!(part[at + 4], 1, "64 bit");
    u64::from_be_bytes(part[at + 8..at + 16].try_into().unwrap())
}

#[tokio::test]
async fn sound_and_pictures_of_a_segment_begin_together_and_are_dated_alike() {
    let theatre = Theatre::new();
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 9).await;
    let (video, audio) = (theatre.playlist("video").await, theatre.playlist("audio").await);
    let dates = |text: &str| text.lines().filter(|line| line.contains("PROGRAM-DATE-TIME")).count();
    assert!(dates(&video) >= 1 && dates(&audio) >= 1);
    for (v, a) in segments(&video).iter().zip(segments(&audio)) {
        let v = decode_time(&theatre.get(&format!("/hls/c/{v}")).await.body) as f64 / 90_000.0;
        let a = decode_time(&theatre.get(&format!("/hls/c/{a}")).await.body) as f64 / 48_000.0;
        assert!((v - a).abs() < 0.04, "{v} {a}");
    }
}

#[test]
fn boxes_that_do_not_add_up_are_noticed() {
    let mut data = vec![0, 0, 0, 9, b'm', b'o', b'o', b'f', 1, 0, 0, 0, 8, b'm', b'd', b'a', b't'];
    assert_eq!(boxes(&data).unwrap(), ["moof", "mdat"]);
    data.pop();
    assert!(boxes(&data).is_err());
    assert!(boxes(&[0; 8]).is_err());
}

#[tokio::test]
async fn a_blocking_reload_answers_when_the_part_is_there() {
    let theatre = Theatre::new();
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 5).await;
    let text = theatre.playlist("video").await;
    let hint = uris(&text, "#EXT-X-PRELOAD-HINT:")[0].clone();
    let (msn, part) = hint.trim_start_matches("v-").trim_end_matches(".m4s").split_once('.').unwrap();
    let playlist = theatre.ask(format!("/hls/c/video.m3u8?_HLS_msn={msn}&_HLS_part={part}"));
    let swapped = theatre.ask(format!("/hls/c/video.m3u8?_HLS_part={part}&_HLS_msn={msn}"));
    let media = theatre.ask(format!("/hls/c/{hint}"));
    breathe().await;
    assert!(!playlist.is_finished() && !media.is_finished(), "nothing may be sent before the part is complete");
    theatre.run(&mut [&mut source], Duration::from_millis(500)).await;
    let playlist = playlist.await.unwrap();
    assert_eq!(playlist.status, 200);
    assert!(uris(playlist.text(), "#EXT-X-PART:").contains(&hint), "{}", playlist.text());
    assert_eq!(playlist.header("cache-control"), "public, max-age=24");
    assert_eq!(playlist.body, swapped.await.unwrap().body);
    assert_eq!(boxes(&media.await.unwrap().body).unwrap(), ["moof", "mdat"]);
}

#[tokio::test]
async fn a_whole_segment_can_be_waited_for_and_the_past_is_answered_at_once() {
    let theatre = Theatre::new();
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 5).await;
    let text = theatre.playlist("audio").await;
    let first: u64 = tag(&text, "#EXT-X-MEDIA-SEQUENCE:").unwrap().parse().unwrap();
    let next = first + segments(&text).len() as u64;
    let waiting = theatre.ask(format!("/hls/c/audio.m3u8?_HLS_msn={next}"));
    breathe().await;
    assert!(!waiting.is_finished());
    assert_eq!(theatre.get("/hls/c/audio.m3u8?_HLS_msn=0").await.status, 200);
    assert_eq!(theatre.get(&format!("/hls/c/audio.m3u8?_HLS_msn={first}")).await.status, 200);
    theatre.run_secs(&mut source, 3).await;
    let answer = waiting.await.unwrap();
    assert!(segments(answer.text()).contains(&format!("a-{next}.m4s")), "{}", answer.text());
}

#[tokio::test]
async fn an_answer_that_is_ahead_of_its_request_is_kept_no_longer_than_a_plain_one() {
    let theatre = Theatre::new();
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 9).await;
    let text = theatre.playlist("video").await;
    let first: u64 = tag(&text, "#EXT-X-MEDIA-SEQUENCE:").unwrap().parse().unwrap();
    let newest = uris(&text, "#EXT-X-PART:").pop().unwrap();
    let (msn, part) = newest.trim_start_matches("v-").trim_end_matches(".m4s").split_once('.').unwrap();
    let (msn, part): (u64, u64) = (msn.parse().unwrap(), part.parse().unwrap());
    let complete = first + segments(&text).len() as u64 - 1;
    for (query, expected) in [
        (String::new(), "public, max-age=1"),
        ("?_HLS_msn=0".into(), "public, max-age=1"),
        (format!("?_HLS_msn={first}"), "public, max-age=1"),
        (format!("?_HLS_msn={first}&_HLS_part=0"), "public, max-age=1"),
        (format!("?_HLS_msn={first}&_HLS_part=99"), "public, max-age=1"),
        (format!("?_HLS_msn={complete}"), "public, max-age=24"),
        (format!("?_HLS_msn={msn}&_HLS_part={part}"), "public, max-age=24"),
    ] {
        let answer = theatre.get(&format!("/hls/c/video.m3u8{query}")).await;
        assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::OK, expected), "{query}");
    }
}

#[tokio::test]
async fn another_picture_size_is_one_discontinuity_with_a_new_init_section() {
    let theatre = Theatre::new();
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 4).await;
    source.resize(320, 192);
    theatre.run_secs(&mut source, 4).await;
    let text = theatre.playlist("video").await;
    assert_eq!(count(&text, "#EXT-X-DISCONTINUITY"), 1, "{text}");
    let inits = uris(&text, "#EXT-X-MAP:");
    assert_eq!(inits.len(), 2, "{text}");
    assert_ne!(theatre.get(&format!("/hls/c/{}", inits[0])).await.body, theatre.get(&format!("/hls/c/{}", inits[1])).await.body);
    assert_eq!(count(&theatre.playlist("audio").await, "#EXT-X-DISCONTINUITY"), 1);
}

#[tokio::test]
async fn sound_alone_and_pictures_alone_are_programmes_too() {
    for (video, audio, there, absent) in [(false, true, "audio", "video"), (true, false, "video", "audio")] {
        let theatre = Theatre::new();
        let mut source = Source::new("P", 1, video, audio);
        theatre.join(&source);
        theatre.run_secs(&mut source, 5).await;
        assert!(segments(&theatre.playlist(there).await).len() >= 2);
        let multivariant = theatre.get("/hls/c/playlist.m3u8").await;
        assert!(multivariant.text().contains(there) && !multivariant.text().contains(absent), "{}", multivariant.text());
        assert_eq!(theatre.get(&format!("/hls/c/{absent}.m3u8")).await.error_type(), "NOT_FOUND");
    }
}
