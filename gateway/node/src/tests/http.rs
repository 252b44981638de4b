//! The HTTP side: refusals, CORS, compression, ranges, bounds.

use std::io::Read;

use super::*;

async fn live() -> (Theatre, Source) {
    let theatre = Theatre::new();
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 5).await;
    (theatre, source)
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn what_is_not_there_is_404_with_words() {
    let (theatre, _) = live().await;
    for (path, expected) in [
        ("/hls/nobody/playlist.m3u8", "UNKNOWN_CHANNEL"),
        ("/hls/c/P/playlist.m3u8", "NOT_LIVE"),
        ("/hls/c/other.m3u8", "NOT_FOUND"),
        ("/hls/c/v-1.m4s", "NOT_FOUND"),
        ("/hls/c/v-99999999999999999999.m4s", "NOT_FOUND"),
        ("/hls/c/v-init-77.mp4", "NOT_FOUND"),
        ("/hls/c/v-..%2f..%2fetc", "NOT_FOUND"),
        ("/hls/%ff/playlist.m3u8", "NOT_FOUND"),
    ] {
        let answer = theatre.get(path).await;
        assert_eq!((answer.status, answer.error_type().as_str()), (StatusCode::NOT_FOUND, expected), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(answer.header("cache-control"), "max-age=1", "{path}");
    }
}

#[tokio::test]
async fn directives_that_cannot_be_obeyed_are_400_at_once() {
    let (theatre, _) = live().await;
    let text = theatre.playlist("video").await;
    let first: u64 = tag(&text, "#EXT-X-MEDIA-SEQUENCE:").unwrap().parse().unwrap();
    let far = format!("_HLS_msn={}", first + 100);
    let far_part = format!("_HLS_msn={}&_HLS_part=400", first + segments(&text).len() as u64);
    for query in ["_HLS_part=1", "_HLS_msn=-1", "_HLS_msn=a", "_HLS_msn=1&_HLS_msn=2", "_HLS_skip=maybe", &far, &far_part] {
        let answer = theatre.get(&format!("/hls/c/video.m3u8?{query}")).await;
        assert_eq!((answer.status, answer.error_type().as_str()), (StatusCode::BAD_REQUEST, "BAD_REQUEST"), "{query}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
    assert_eq!(theatre.get("/hls/c/video.m3u8?_HLS_other=1&x=y").await.status, 200);
}

#[tokio::test]
async fn any_page_may_ask() {
    let (theatre, _) = live().await;
    let asked =
        [("origin", "https://a.example"), ("access-control-request-method", "GET"), ("access-control-request-headers", "range")];
    for path in ["/hls/c/video.m3u8", "/hls/c/P/video.m3u8", "/hls/nobody/x"] {
        let answer = theatre.request(request("OPTIONS", path, &asked)).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(answer.header("access-control-max-age"), "86400");
        assert!(answer.header("access-control-allow-headers").contains("Range"));
        assert!(answer.header("access-control-allow-methods").contains("GET"));
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
    let answer = theatre.get("/hls/c/video.m3u8").await;
    assert!(answer.header("access-control-expose-headers").contains("Date"));
    let refused = theatre.request(request("POST", "/hls/c/video.m3u8", &[])).await;
    assert_eq!((refused.status, refused.error_type().as_str()), (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"));
    assert_eq!(refused.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn playlists_are_compressed_for_those_who_take_it() {
    let (theatre, _) = live().await;
    for path in ["/hls/c/playlist.m3u8", "/hls/c/video.m3u8"] {
        let plain = theatre.get(path).await;
        assert_eq!(plain.header("content-encoding"), "");
        let packed = theatre.request(request("GET", path, &[("accept-encoding", "gzip, br")])).await;
        assert_eq!(packed.header("content-encoding"), "gzip");
        assert_eq!(packed.header("vary"), "Accept-Encoding");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, plain.text());
        assert_eq!(plain.header("cache-control"), "public, max-age=1");
    }
}

#[tokio::test]
async fn heads_and_ranges_of_media() {
    let (theatre, _) = live().await;
    let name = segments(&theatre.playlist("video").await)[0].clone();
    let path = format!("/hls/c/{name}");
    let whole = theatre.get(&path).await;
    let length = whole.body.len();
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let head = theatre.request(request("HEAD", &path, &[])).await;
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-length"), length.to_string());
    let part = theatre.request(request("GET", &path, &[("range", "bytes=10-19")])).await;
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.body, whole.body[10..20]);
    assert_eq!(part.header("content-range"), format!("bytes 10-19/{length}"));
    let beyond = theatre.request(request("GET", &path, &[("range", "bytes=99999999-")])).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), format!("bytes */{length}"));
}

#[tokio::test]
async fn one_more_than_may_wait_is_refused() {
    let config = GatewayConfig { waiters_max: 2, ..GatewayConfig::default() };
    let theatre = Theatre::with(config, ProgrammeSettings::default());
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 5).await;
    let hint = uris(&theatre.playlist("video").await, "#EXT-X-PRELOAD-HINT:")[0].clone();
    let waiting = [theatre.ask(format!("/hls/c/{hint}")), theatre.ask(format!("/hls/c/{hint}"))];
    breathe().await;
    let refused = theatre.get(&format!("/hls/c/{hint}")).await;
    assert_eq!((refused.status, refused.error_type().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED"));
    assert_eq!((refused.header("retry-after"), refused.header("cache-control")), ("1", "no-store"));
    theatre.playlist("video").await;
    theatre.run_secs(&mut source, 1).await;
    for waiter in waiting {
        assert_eq!(waiter.await.unwrap().status, 200);
    }
    // Their places are free again.
    let hint = uris(&theatre.playlist("video").await, "#EXT-X-PRELOAD-HINT:")[0].clone();
    let waiting = theatre.ask(format!("/hls/c/{hint}"));
    theatre.run_secs(&mut source, 1).await;
    assert_eq!(waiting.await.unwrap().status, 200);
}

#[tokio::test]
async fn what_does_not_come_within_three_targets_is_503() {
    let (theatre, _) = live().await;
    let hint = uris(&theatre.playlist("video").await, "#EXT-X-PRELOAD-HINT:")[0].clone();
    let (msn, part) = hint.trim_start_matches("v-").trim_end_matches(".m4s").split_once('.').unwrap();
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let answer = theatre.get(&format!("/hls/c/video.m3u8?_HLS_msn={msn}&_HLS_part={part}")).await;
    assert_eq!((answer.status, answer.error_type().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "TIMEOUT"));
    assert_eq!(began.elapsed().as_secs(), 12);
    assert_eq!(theatre.get(&format!("/hls/c/{hint}")).await.status, 503);
}

#[tokio::test]
async fn a_thousand_waiters_get_the_same_body() {
    let (theatre, mut source) = live().await;
    let hint = uris(&theatre.playlist("video").await, "#EXT-X-PRELOAD-HINT:")[0].clone();
    let (msn, part) = hint.trim_start_matches("v-").trim_end_matches(".m4s").split_once('.').unwrap();
    let path = format!("/hls/c/video.m3u8?_HLS_msn={msn}&_HLS_part={part}");
    let waiting: Vec<_> = (0..1000).map(|_| theatre.ask(path.clone())).collect();
    breathe().await;
    assert!(waiting.iter().all(|waiter| !waiter.is_finished()));
    theatre.run(&mut [&mut source], Duration::from_millis(500)).await;
    let mut bodies = HashSet::new();
    for waiter in waiting {
        bodies.insert(waiter.await.unwrap().body);
    }
    assert_eq!(bodies.len(), 1);
}
