//! The API as a caller sees it: requests in, statuses and bodies out.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode};
use minamo_catalog::{Catalog, Channel};
use minamo_media::{ChannelId, ConnectionId};
use minamo_sfu_core::model::{Command, Fingerprint, IceCredentials, PeerId};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{ApiState, ApiToken, BODY_BYTES_MAX, router};
use crate::media_plane::OnPeerEvent;
use crate::{Busy, MediaPlane, PlaylistPath, Programmes, Signaling, SignalingConfig};

const CREATE: &str = "ImageFlux_20180905.CreateChannel";
const CREATE_MULTISTREAM: &str = "ImageFlux_20200316.CreateMultistreamChannel";
const CREATE_MULTISTREAM_WITH_HLS: &str = "ImageFlux_20200316.CreateMultistreamChannelWithHLS";
const DELETE: &str = "ImageFlux_20180501.DeleteChannel";
const LIST_IDS: &str = "ImageFlux_20200729.ListChannelIDs";
const GET_KEY: &str = "ImageFlux_20200707.GetEncryptKey";
const LIST_PLAYLISTS: &str = "ImageFlux_20200207.ListPlaylistURLs";

/// An SFU without media: nobody joins in these tests.
struct NoMedia;

impl MediaPlane for NoMedia {
    fn candidates(&self) -> Vec<SocketAddr> {
        vec![SocketAddr::from(([127, 0, 0, 1], 9))]
    }
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint([0; 32])
    }
    fn add_peer(&self, _: PeerId, _: IceCredentials, _: OnPeerEvent) -> Result<(), Busy> {
        Err(Busy)
    }
    fn command(&self, _: Command) -> Result<(), Busy> {
        Err(Busy)
    }
}

/// Programmes that remember what was asked; every open one has one publisher.
#[derive(Default)]
struct Asked {
    open: Mutex<Vec<ChannelId>>,
}

impl Programmes for Asked {
    fn open(&self, channel: &Channel) {
        self.open.lock().unwrap().push(channel.id.clone());
    }
    fn delete(&self, channel: &ChannelId) {
        self.open.lock().unwrap().retain(|open| open != channel);
    }
    fn playlists(&self, channel: &ChannelId) -> Vec<PlaylistPath> {
        let open = self.open.lock().unwrap().contains(channel);
        let path = format!("/hls/{channel}/P1/playlist.m3u8");
        if open { vec![PlaylistPath { publisher: ConnectionId::from("P1"), path }] } else { Vec::new() }
    }
    fn key_id<'a>(&self, kid: &'a str) -> Option<&'a str> {
        kid.split_once('-').map(|(id, _)| id)
    }
    fn media_key(&self, _: &Channel, _: &str) -> Option<[u8; 16]> {
        Some([0x2a; 16])
    }
}

struct Api {
    router: Router,
    catalog: Catalog,
    programmes: Arc<Asked>,
}

impl Api {
    async fn start(public_url: Option<&str>) -> Self {
        let catalog = Catalog::open("sqlite::memory:").await.unwrap();
        let programmes = Arc::new(Asked::default());
        let signaling = Signaling::new(NoMedia, catalog.clone(), programmes.clone(), SignalingConfig::default());
        let state = ApiState {
            catalog: catalog.clone(),
            programmes: programmes.clone(),
            signaling,
            token: ApiToken::new("right"),
            public_url: public_url.map(|url| url.parse().unwrap()),
        };
        Self { router: router(state), catalog, programmes }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 10 * BODY_BYTES_MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn call(&self, target: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        self.send(post(target).header("authorization", "Bearer right").body(body.into()).unwrap()).await
    }

    async fn ok(&self, target: &str, body: &Value) -> Value {
        let (status, answer) = self.call(target, body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{target}: {answer}");
        answer
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).header("host", "live.example").header("authorization", "Bearer right");
        self.send(request.body(Body::empty()).unwrap()).await
    }
}

fn post(target: &str) -> http::request::Builder {
    Request::post("/").header("host", "live.example:8080").header("X-Sora-Target", target)
}

fn hls_body() -> Value {
    json!({"hls": [{"video": {"width": 640, "height": 480, "fps": 30, "bps": 1_000_000}, "audio": {"bps": 64000}}]})
}

fn text<'a>(answer: &'a Value, member: &str) -> &'a str {
    answer[member].as_str().unwrap_or_else(|| panic!("no text {member} in {answer}"))
}

#[tokio::test]
async fn create_channel_answers_the_three_urls() {
    let api = Api::start(None).await;
    let answer = api.ok(CREATE, &hls_body()).await;
    let id = text(&answer, "channel_id");
    let expected = json!({
        "channel_id": id,
        "sora_url": "ws://live.example:8080/signaling",
        "playlist_url": format!("http://live.example:8080/hls/{id}/playlist.m3u8"),
    });
    assert_eq!(answer, expected);
    let kept = api.catalog.channel(&ChannelId::from(id)).await.unwrap().unwrap();
    assert_eq!(kept.settings["hls"][0]["video"]["width"], 640);
    assert_eq!(*api.programmes.open.lock().unwrap(), [ChannelId::from(id)]);
}

#[tokio::test]
async fn rooms_have_no_playlist_in_advance() {
    let api = Api::start(None).await;
    for (target, body) in [(CREATE_MULTISTREAM, String::new()), (CREATE_MULTISTREAM_WITH_HLS, hls_body().to_string())] {
        let (status, answer) = api.call(target, body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let mut members: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["channel_id", "sora_url"], "{target}");
    }
}

#[tokio::test]
async fn urls_follow_the_proxy_and_a_public_url_beats_both() {
    let forwarded = || {
        let request = post(CREATE).header("authorization", "bearer right").header("x-forwarded-proto", "https");
        request.header("x-forwarded-host", "edge.example").body(Body::from(hls_body().to_string())).unwrap()
    };
    let (_, answer) = Api::start(None).await.send(forwarded()).await;
    assert_eq!(text(&answer, "sora_url"), "wss://edge.example/signaling");
    assert!(text(&answer, "playlist_url").starts_with("https://edge.example/hls/"));
    let (_, answer) = Api::start(Some("https://public.example/")).await.send(forwarded()).await;
    assert_eq!(text(&answer, "sora_url"), "wss://public.example/signaling");
}

#[tokio::test]
async fn a_deleted_channel_is_gone_everywhere() {
    let api = Api::start(None).await;
    let keep = api.ok(CREATE, &hls_body()).await["channel_id"].clone();
    let gone = api.ok(CREATE, &hls_body()).await["channel_id"].clone();
    assert_eq!(api.ok(LIST_IDS, &json!({})).await, json!({"channel_ids": [keep, gone]}));

    assert_eq!(api.ok(DELETE, &json!({"channel_id": gone})).await, json!({}));
    assert_eq!(api.ok(LIST_IDS, &Value::Null).await, json!({"channel_ids": [keep]}));
    assert_eq!(*api.programmes.open.lock().unwrap(), [ChannelId::from(keep.as_str().unwrap())]);
    for target in [DELETE, LIST_PLAYLISTS] {
        let (status, answer) = api.call(target, json!({"channel_id": gone}).to_string()).await;
        assert_eq!((status, text(&answer, "error_type")), (StatusCode::NOT_FOUND, "UNKNOWN_CHANNEL"), "{target}");
    }
    assert_eq!(api.get(&format!("/v1/channels/{}", gone.as_str().unwrap())).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn playlists_are_listed_by_publisher() {
    let api = Api::start(None).await;
    let id = api.ok(CREATE_MULTISTREAM_WITH_HLS, &hls_body()).await["channel_id"].clone();
    let url = format!("http://live.example:8080/hls/{}/P1/playlist.m3u8", id.as_str().unwrap());
    let expected = json!({"channel_id": id, "hls": [{"connection_id": "P1", "playlist_url": url}]});
    assert_eq!(api.ok(LIST_PLAYLISTS, &json!({"channel_id": id})).await, expected);
}

#[tokio::test]
async fn who_has_no_token_gets_401_and_nothing_happens() {
    let api = Api::start(None).await;
    let requests = [
        post(CREATE),
        post(CREATE).header("authorization", "Bearer wrong"),
        post(CREATE).header("authorization", "Basic right"),
        post(CREATE).header("authorization", "Bearer"),
        post(CREATE).header("authorization", "right"),
        post("Nonsense"),
        Request::get("/v1/channels").header("host", "live.example"),
        Request::get("/v1/channels/x").header("authorization", "Bearer righ"),
    ];
    for request in requests {
        let (status, answer) = api.send(request.body(Body::from(hls_body().to_string())).unwrap()).await;
        assert_eq!((status, text(&answer, "error_type")), (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"));
    }
    assert!(api.catalog.channel_ids().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_bad_request_is_told_which_field() {
    let api = Api::start(None).await;
    let video = |member: &str, value: Value| {
        let mut body = hls_body();
        body["hls"][0]["video"][member] = value;
        body.to_string()
    };
    let cases = [
        (video("width", json!(0)), "hls[0].video.width"),
        (video("fps", json!(10000)), "hls[0].video.fps"),
        (video("height", json!("480")), "hls[0].video.height"),
        (video("codec", json!("vp9")), "hls[0].video.codec"),
        (json!({"hls": vec![hls_body()["hls"][0].clone(); 100]}).to_string(), "hls"),
        (json!({"hls": []}).to_string(), "hls"),
        (json!({"hls": 1}).to_string(), "hls"),
        (json!({}).to_string(), "hls"),
        (String::new(), "hls"),
        ("[]".to_owned(), "body"),
        (json!({"hls": [{"audio": {"bps": -1}}]}).to_string(), "hls[0].audio.bps"),
        (
            json!({"hls": [{"archive": {"archive_destination_id": "d"}}]}).to_string(),
            "hls[0].archive.archive_destination_id: is not supported yet",
        ),
    ];
    for (body, field) in cases {
        let (status, answer) = api.call(CREATE, body.clone()).await;
        assert_eq!((status, text(&answer, "error_type")), (StatusCode::BAD_REQUEST, "INVALID_PARAMETER"), "{body}");
        let (path, words) = field.split_once(": ").unwrap_or((field, ""));
        assert!(text(&answer, "error").starts_with(&format!("{path}: {words}")), "{field} is not named: {answer}");
    }
    assert!(api.catalog.channel_ids().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_would_be_ignored_is_refused_and_empty_is_off() {
    let api = Api::start(None).await;
    for target in [CREATE, CREATE_MULTISTREAM, CREATE_MULTISTREAM_WITH_HLS] {
        let mut body = hls_body();
        body["encrypt_key_uri"] = json!("http://customer.example/");
        if target == CREATE_MULTISTREAM {
            body["hls"] = Value::Null;
        }
        let (status, answer) = api.call(target, body.to_string()).await;
        assert_eq!((status, text(&answer, "error_type")), (StatusCode::BAD_REQUEST, "INVALID_PARAMETER"), "{target}");
        assert!(text(&answer, "error").starts_with("encrypt_key_uri: "), "{answer}");
    }
    assert!(api.catalog.channel_ids().await.unwrap().is_empty());
    let mut body = hls_body();
    body["event_webhook_url"] = json!("https://customer.example/");
    for name in ["encrypt_key_uri", "auth_webhook_url"] {
        body[name] = json!("");
    }
    body["hls"][0]["archive"] = json!({"archive_destination_id": ""});
    api.ok(CREATE, &body).await;
}

#[tokio::test]
async fn a_kid_gives_its_key_as_long_as_its_channel_lives() {
    let api = Api::start(None).await;
    let mut body = hls_body();
    body["encrypt_key_uri"] = json!("https://customer.example/key");
    let id = text(&api.ok(CREATE, &body).await, "channel_id").to_owned();
    let channel = api.catalog.channel(&ChannelId::from(id.as_str())).await.unwrap().unwrap();
    let kid = json!({"kid": format!("{}-1", channel.secret.key_id())});
    assert_eq!(api.ok(GET_KEY, &kid).await, json!({"encrypt_key": "2a".repeat(16)}));
    for unknown in ["0000000000000000-1", "nonsense"] {
        let (status, answer) = api.call(GET_KEY, json!({"kid": unknown}).to_string()).await;
        assert_eq!((status, text(&answer, "error_type")), (StatusCode::NOT_FOUND, "UNKNOWN_KEY"), "{unknown}");
    }
    let (status, answer) = api.call(GET_KEY, "{}").await;
    assert_eq!((status, text(&answer, "error_type")), (StatusCode::BAD_REQUEST, "INVALID_PARAMETER"));
    let (status, _) = api.send(post(GET_KEY).body(Body::from(kid.to_string())).unwrap()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    api.ok(DELETE, &json!({"channel_id": id})).await;
    assert_eq!(api.call(GET_KEY, kid.to_string()).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_bad_channel_id_is_told() {
    let api = Api::start(None).await;
    for target in [DELETE, LIST_PLAYLISTS] {
        for body in [json!({}), json!({"channel_id": ""}), json!({"channel_id": 1}), json!({"channel_id": "x".repeat(256)})] {
            let (status, answer) = api.call(target, body.to_string()).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
            assert!(text(&answer, "error").contains("channel_id"), "{answer}");
        }
    }
}

#[tokio::test]
async fn bad_json_is_told_where() {
    let api = Api::start(None).await;
    for body in ["{\"hls\": [", "{\"hls\": }", "nonsense", "{} {}", "\u{0}"] {
        let (status, answer) = api.call(CREATE, body).await;
        assert_eq!((status, text(&answer, "error_type")), (StatusCode::BAD_REQUEST, "INVALID_JSON"), "{body}");
        assert!(text(&answer, "error").contains("line 1 column "), "{answer}");
    }
    let (status, answer) = api.call(CREATE, Body::from(b"{\"hls\": \"\xff\"}".to_vec())).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    let (status, answer) = api.call(CREATE, "[".repeat(100_000)).await;
    assert_eq!((status, text(&answer, "error_type")), (StatusCode::BAD_REQUEST, "INVALID_JSON"));
}

#[tokio::test]
async fn an_unknown_target_is_named() {
    let api = Api::start(None).await;
    for target in ["ImageFlux_20180905.Nonsense", "ImageFlux_20180906.CreateChannel", "CreateChannel"] {
        let (status, answer) = api.call(target, "{}").await;
        assert_eq!((status, text(&answer, "error_type")), (StatusCode::BAD_REQUEST, "UNKNOWN_TARGET"));
        assert!(text(&answer, "error").contains(target), "{answer}");
    }
    let without = Request::post("/").header("host", "a").header("authorization", "Bearer right").body(Body::empty()).unwrap();
    let (status, answer) = api.send(without).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text(&answer, "error").contains("X-Sora-Target"), "{answer}");
    let (_, answer) = api.call(&"x".repeat(5000), "{}").await;
    assert!(text(&answer, "error").len() < 200, "an answer as long as the question");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_one_at_the_limit_is_read() {
    let api = Api::start(None).await;
    let mut body = json!({"ignored": ""}).to_string();
    body.insert_str(body.len() - 2, &"x".repeat(BODY_BYTES_MAX - body.len()));
    assert_eq!(api.call(CREATE_MULTISTREAM, body.clone()).await.0, StatusCode::OK);
    body.push(' ');
    let (status, answer) = api.call(CREATE_MULTISTREAM, body).await;
    assert_eq!((status, text(&answer, "error_type")), (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE"));
}

#[tokio::test]
async fn v1_answers_with_every_url_that_the_channel_has() {
    let api = Api::start(None).await;
    let single = api.ok(CREATE, &hls_body()).await["channel_id"].as_str().unwrap().to_owned();
    let room = api.ok(CREATE_MULTISTREAM, &json!({})).await["channel_id"].as_str().unwrap().to_owned();
    let (status, answer) = api.get(&format!("/v1/channels/{single}")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(text(&answer, "kind"), "single");
    assert_eq!(text(&answer, "sora_url"), "ws://live.example/signaling");
    assert_eq!(text(&answer, "whip_url"), format!("http://live.example/whip/{single}"));
    assert_eq!(text(&answer, "whep_url"), format!("http://live.example/whep/{single}"));
    assert_eq!(text(&answer, "playlist_url"), format!("http://live.example/hls/{single}/playlist.m3u8"));
    assert_eq!(text(&answer, "dash_url"), format!("http://live.example/hls/{single}/manifest.mpd"));
    assert_eq!(text(&answer, "ts_url"), format!("http://live.example/hls/{single}/ts.m3u8"));
    assert_eq!(text(&answer, "watch_url"), format!("http://live.example/watch/{single}"));
    assert!(text(&answer, "created_at").ends_with('Z'));
    let (_, answer) = api.get(&format!("/v1/channels/{room}")).await;
    assert!(answer.get("playlist_url").is_none() && answer.get("watch_url").is_none(), "{answer}");
    let many = api.ok(CREATE_MULTISTREAM_WITH_HLS, &hls_body()).await["channel_id"].as_str().unwrap().to_owned();
    let (_, answer) = api.get(&format!("/v1/channels/{many}")).await;
    assert!(answer.get("playlist_url").is_none() && answer.get("watch_url").is_none(), "one for each publisher: {answer}");
    let expected = json!([{
        "connection_id": "P1",
        "playlist_url": format!("http://live.example/hls/{many}/P1/playlist.m3u8"),
        "dash_url": format!("http://live.example/hls/{many}/P1/manifest.mpd"),
        "ts_url": format!("http://live.example/hls/{many}/P1/ts.m3u8"),
        "watch_url": format!("http://live.example/watch/{many}/P1"),
    }]);
    assert_eq!(answer["hls"], expected);
    let (status, answer) = api.get("/v1/channels/nobody").await;
    assert_eq!((status, text(&answer, "error_type")), (StatusCode::NOT_FOUND, "UNKNOWN_CHANNEL"));
}

#[tokio::test]
async fn v1_lists_in_pages() {
    let api = Api::start(None).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(api.ok(CREATE, &hls_body()).await["channel_id"].as_str().unwrap().to_owned());
    }
    let mut seen = Vec::new();
    let mut path = "/v1/channels?limit=2".to_owned();
    loop {
        let (status, answer) = api.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        seen.extend(answer["channels"].as_array().unwrap().iter().map(|channel| text(channel, "channel_id").to_owned()));
        let Some(next) = answer["next"].as_str() else { break };
        path = format!("/v1/channels?limit=2&after={next}");
    }
    assert_eq!(seen, made);
    for query in ["limit=0", "limit=1001", "limit=x", "page=2"] {
        assert_eq!(api.get(&format!("/v1/channels?{query}")).await.0, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_may_call_with_its_token() {
    let api = Api::start(None).await;
    let preflight = Request::builder()
        .method(Method::OPTIONS)
        .uri("/")
        .header("origin", "https://studio.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,x-sora-target")
        .body(Body::empty())
        .unwrap();
    let response = api.router.clone().oneshot(preflight).await.unwrap();
    assert!(response.status().is_success());
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    let allowed = response.headers()["access-control-allow-headers"].to_str().unwrap().to_lowercase();
    assert!(allowed.contains("authorization") && allowed.contains("x-sora-target"), "{allowed}");
}

#[tokio::test]
async fn a_catalog_that_does_not_answer_is_503() {
    let api = Api::start(None).await;
    api.catalog.close().await;
    let (status, answer) = api.call(CREATE, hls_body().to_string()).await;
    assert_eq!((status, text(&answer, "error_type")), (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"));
}

#[tokio::test]
async fn get_of_the_root_is_left_to_a_page() {
    let api = Api::start(None).await;
    let page = Router::new().route("/", axum::routing::get(async || "page"));
    let merged = page.merge(api.router.clone());
    let response = merged.clone().oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let response = merged.oneshot(post(CREATE).body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}
