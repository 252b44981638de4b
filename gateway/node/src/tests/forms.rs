//! DASH and HLS with MPEG-TS over HTTP.

use axum::body::BodyDataStream;
use futures_util::StreamExt;

use super::*;

async fn live() -> (Theatre, Source) {
    let theatre = Theatre::new();
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 7).await;
    (theatre, source)
}

#[tokio::test]
async fn a_programme_is_there_in_every_form() {
    let (theatre, _) = live().await;
    for (name, content_type, word) in [
        ("manifest.mpd", "application/dash+xml", "<SegmentTimeline>"),
        ("ts.m3u8", "application/vnd.apple.mpegurl", "CODECS=\"avc1.42"),
        ("ts-0.m3u8", "application/vnd.apple.mpegurl", "#EXT-X-VERSION:3\n"),
    ] {
        let answer = theatre.get(&format!("/hls/c/{name}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, content_type), "{name}");
        assert_eq!(answer.header("cache-control"), "public, max-age=1");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(answer.text().contains(word), "{}", answer.text());
        let packed = Request::get(format!("/hls/c/{name}")).header("accept-encoding", "gzip").body(Body::empty()).unwrap();
        assert_eq!(theatre.request(packed).await.header("content-encoding"), "gzip");
    }
    let time = theatre.get("/hls/c/time").await;
    assert_eq!((time.text().len(), time.header("cache-control")), ("2026-11-20T00:00:00.000Z".len(), "no-store"));
    for missing in ["ts-1.m3u8", "ts0-1.ts", "ts1-1.ts", "ts-00.m3u8", "manifest.mpd2"] {
        assert_eq!(theatre.get(&format!("/hls/c/{missing}")).await.error_type(), "NOT_FOUND", "{missing}");
    }
    assert_eq!(theatre.get("/hls/nobody/manifest.mpd").await.error_type(), "UNKNOWN_CHANNEL");
}

#[tokio::test]
async fn nothing_is_there_before_the_programme_is() {
    let theatre = Theatre::new();
    for name in ["manifest.mpd", "ts.m3u8", "ts-0.m3u8", "ts0-1.ts"] {
        assert_eq!(theatre.get(&format!("/hls/c/{name}")).await.error_type(), "NOT_LIVE", "{name}");
    }
}

#[tokio::test]
async fn transport_streams_are_made_once_and_served_in_ranges() {
    let (theatre, mut source) = live().await;
    let playlist = theatre.get("/hls/c/ts-0.m3u8").await.text().to_owned();
    let first = segments(&playlist)[0].clone();
    let path = format!("/hls/c/{first}");
    let whole = theatre.get(&path).await;
    assert_eq!((whole.status, whole.header("content-type")), (StatusCode::OK, "video/mp2t"));
    assert_eq!(whole.header("cache-control"), "public, max-age=31536000, immutable");
    assert!(whole.body.len().is_multiple_of(188) && whole.body.chunks(188).all(|packet| packet[0] == 0x47));
    let piece = Request::get(&path).header("range", "bytes=188-375").body(Body::empty()).unwrap();
    let piece = theatre.request(piece).await;
    assert_eq!((piece.status, &piece.body[..]), (StatusCode::PARTIAL_CONTENT, &whole.body[188..376]));
    // The same bytes for as long as CMAF keeps them.
    theatre.run_secs(&mut source, 10).await;
    assert_eq!(theatre.get(&path).await.body, whole.body);
    theatre.run_secs(&mut source, 60).await;
    assert_eq!(theatre.get(&path).await.error_type(), "NOT_FOUND");
}

/// The open segment's name as the MPD tells it, at a moment when it has a part and not all of them.
async fn open_segment(theatre: &Theatre, source: &mut Source) -> String {
    for _ in 0..200 {
        let mpd = theatre.get("/hls/c/manifest.mpd").await.text().to_owned();
        let pictures = mpd.rsplit("media=\"v-").next().unwrap();
        let start = pictures.split("startNumber=\"").nth(1).unwrap();
        let start: u64 = start[..start.find('"').unwrap()].parse().unwrap();
        let listed = pictures[..pictures.find("</SegmentTimeline>").unwrap()].matches("<S ").count() as u64;
        let number = start + listed - 1;
        let playlist = theatre.playlist("video").await;
        if playlist.contains(&format!("\"v-{number}.0.m4s\"")) && !segments(&playlist).contains(&format!("v-{number}.m4s")) {
            return format!("/hls/c/v-{number}.m4s");
        }
        theatre.run(&mut [source], Duration::from_millis(20)).await;
    }
    panic!("no open segment in the MPD");
}

async fn body_of(theatre: &Theatre, path: &str) -> BodyDataStream {
    let response = theatre.router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers().contains_key("content-length"));
    assert_eq!(response.headers()["content-type"], "video/mp4");
    response.into_body().into_data_stream()
}

#[tokio::test]
async fn the_open_segment_grows_under_its_name() {
    let (theatre, mut source) = live().await;
    let path = open_segment(&theatre, &mut source).await;
    let (mut one, mut other) = (body_of(&theatre, &path).await, body_of(&theatre, &path).await);
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let mut waits = 0;
    for _ in 0..200 {
        breathe().await;
        let next = tokio::time::timeout(Duration::ZERO, one.next()).await;
        match next {
            Ok(Some(piece)) => pieces.push(piece.unwrap().to_vec()),
            Ok(None) => break,
            Err(_) => {
                waits += 1;
                theatre.run(&mut [&mut source], Duration::from_millis(40)).await;
            }
        }
    }
    assert!(pieces.len() >= 4 && waits >= 4, "{} pieces, {waits} waits", pieces.len());
    assert!(pieces.iter().all(|piece| boxes(piece).unwrap() == ["moof", "mdat"]));
    let whole = theatre.get(&path).await;
    assert_eq!(whole.header("content-length"), whole.body.len().to_string(), "a file like any other once it is complete");
    assert_eq!(pieces.concat(), whole.body);
    // A slow reader finds everything that it had not asked for yet.
    let mut slow = Vec::new();
    while let Some(piece) = other.next().await {
        slow.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(slow, whole.body);
}

#[tokio::test]
async fn a_segment_that_breaks_off_is_an_error_and_a_reader_who_is_too_late_too() {
    let (theatre, mut source) = live().await;
    let path = open_segment(&theatre, &mut source).await;
    let mut late = body_of(&theatre, &path).await;
    assert!(late.next().await.unwrap().is_ok());
    theatre.run_secs(&mut source, 90).await;
    assert!(late.next().await.unwrap().is_err(), "it has left memory");

    let path = open_segment(&theatre, &mut source).await;
    let mut gone = body_of(&theatre, &path).await;
    assert!(gone.next().await.unwrap().is_ok());
    theatre.gateway.delete(&theatre.channel);
    theatre.run(&mut [], Duration::from_secs(2)).await;
    let rest: Vec<_> = gone.collect().await;
    assert!(rest.last().is_some_and(Result::is_err), "{} pieces and a good end", rest.len());
}

#[tokio::test]
async fn negative_control_no_other_name_is_waited_for() {
    let (theatre, mut source) = live().await;
    let path = open_segment(&theatre, &mut source).await;
    let number: u64 = path.trim_start_matches("/hls/c/v-").trim_end_matches(".m4s").parse().unwrap();
    for other in [format!("/hls/c/v-{}.m4s", number + 1), format!("/hls/c/v1-{number}.m4s")] {
        assert_eq!(theatre.get(&other).await.error_type(), "NOT_FOUND", "{other}");
    }
}
