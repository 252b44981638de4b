//! WHIP and WHEP as clients see them, and what the room, the SFU and Sora peers see of their members.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, Method, Request, StatusCode};
use minamo_media::Codec;
use minamo_sfu_core::model::{CloseReason, Command, Downlink, Tap, Uplink};
use minamo_signaling_proto::sdp::{Answer, Direction, SDP_BYTES_MAX};
use minamo_signaling_proto::sora::Role;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::server::{Server, TOKEN};
use super::*;
use crate::SignalingConfig;

const CHROMIUM: &str = include_str!("../../../../proto/tests/offers/chromium-156-whip.sdp");
const VIEWER: &str = include_str!("../../../../proto/tests/offers/chromium-156-whep.sdp");
const OBS: &str = include_str!("../../../../proto/tests/offers/obs-like.sdp");
const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

struct Said {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Said {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Self { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn error_type(&self) -> (u16, String) {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        assert!(body["error"].as_str().is_some_and(|words| words.len() > 10), "no words: {}", self.body);
        (self.status.as_u16(), body["error_type"].as_str().unwrap_or_default().to_owned())
    }
}

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn request(server: &Server, method: Method, path: &str, headers: Headers<'_>, body: impl Into<Body>) -> Said {
    let mut request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {TOKEN}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = server.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
    Said::of(response).await
}

async fn post(server: &Server, path: &str, offer: &str) -> Said {
    request(server, Method::POST, path, &[("content-type", SDP)], offer.to_owned()).await
}

/// In the room, media up. The path of its session.
async fn joined(server: &Server, path: &str, offer: &str) -> String {
    let before = connected(server, path);
    let said = post(server, path, offer).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.body);
    server.until(|server| connected(server, path) > before).await;
    said.header("location").to_owned()
}

fn connected(server: &Server, path: &str) -> usize {
    let channel = path.rsplit('/').next().unwrap();
    server.signaling.connections(&channel.into()).iter().filter(|member| member.connected).count()
}

async fn delete(server: &Server, path: &str) -> StatusCode {
    request(server, Method::DELETE, path, &[], Body::empty()).await.status
}

fn uplinks(server: &Server) -> Vec<Uplink> {
    let uplink = |command: &Command| match command {
        Command::AddUplink(_, uplink) => Some(uplink.clone()),
        _ => None,
    };
    server.sfu.commands.lock().unwrap().iter().filter_map(uplink).collect()
}

fn downlinks(server: &Server) -> Vec<Downlink> {
    let downlink = |command: &Command| match command {
        Command::AddDownlink(_, downlink) => Some(downlink.clone()),
        _ => None,
    };
    server.sfu.commands.lock().unwrap().iter().filter_map(downlink).collect()
}

#[tokio::test]
async fn a_publisher_gets_an_answer_a_url_and_a_tag() {
    let server = Server::start(SignalingConfig::default()).await;
    let said = post(&server, "/whip/single", CHROMIUM).await;
    assert_eq!((said.status, said.header("content-type")), (StatusCode::CREATED, SDP), "{}", said.body);
    let location = said.header("location");
    let id = location.strip_prefix("/whip/single/").unwrap();
    let etag = said.header("etag").trim_matches('"');
    assert!(said.header("etag") == format!("\"{etag}\"") && etag.len() == 26 && etag != id, "{etag}");
    assert_eq!(said.header("accept-patch"), FRAGMENT);
    assert!(said.headers.get("link").is_none(), "there are no ICE servers to name");
    let answer = Answer::parse(&said.body).unwrap();
    assert!(answer.sections.iter().all(|section| section.direction == Direction::RecvOnly && !section.rejected));
    assert_eq!(answer.fingerprint(), Some([9; 32]));

    let [audio, video] = &uplinks(&server)[..] else { panic!() };
    assert_eq!((audio.payload.codec, audio.payload.pt, audio.mid.as_str()), (Codec::Opus, 111, "0"));
    assert_eq!((video.payload.codec, video.payload.pt, video.payload.rtx_pt), (Codec::H264, 108, Some(109)));
    assert_eq!((video.extensions.mid, video.extensions.video_orientation), (Some(4), Some(13)));
    assert!(video.ssrc.is_some() && video.rtx_ssrc.is_some());
    let Tap { channel, publisher, .. } = video.tap.clone().expect("a channel with HLS is tapped");
    assert_eq!((channel.as_str(), *server.programmes.opened.lock().unwrap() == [channel.clone()]), ("single", true));

    server.until(|server| connected(server, "single") == 1).await;
    let [member] = &server.signaling.connections(&channel)[..] else { panic!() };
    assert_eq!((&member.connection_id, member.role, member.audio, member.video), (&publisher, Role::SendOnly, true, true));
    assert_ne!(id, publisher.as_str(), "the room knows connection ids: they must not be keys to the session");
}

#[tokio::test]
async fn delete_ends_it_cleanly_and_frees_the_place() {
    let server = Server::start(SignalingConfig::default()).await;
    let session = joined(&server, "/whip/single", OBS).await;
    assert_eq!(post(&server, "/whip/single", CHROMIUM).await.error_type(), (409, "PUBLISHER_ALREADY_CONNECTED".into()));
    for wrong in [session.replace("whip", "whep"), session.replace("single", "room"), format!("{session}x")] {
        assert_eq!(delete(&server, &wrong).await, StatusCode::NOT_FOUND, "{wrong}");
    }
    assert_eq!(connected(&server, "single"), 1);
    assert_eq!(delete(&server, &session).await, StatusCode::OK);
    assert_eq!((server.sfu.removals(), server.sfu.peers()), (vec![true], 0));
    assert_eq!(delete(&server, &session).await, StatusCode::NOT_FOUND);
    joined(&server, "/whip/single", CHROMIUM).await;
}

#[tokio::test]
async fn sora_peers_hear_of_a_publisher_and_get_its_tracks() {
    let server = Server::start(SignalingConfig::default()).await;
    let (mut sora, _) = Client::join(&server, "hls-room", "recvonly").await;
    let session = joined(&server, "/whip/hls-room", OBS).await;
    let created = sora.next_of("notify").await;
    assert_eq!((&created["event_type"], &created["role"]), (&json!("connection.created"), &json!("sendonly")));
    let offer = sora.next_of("re-offer").await;
    let sdp = offer["sdp"].as_str().unwrap();
    assert!(sdp.contains(&format!("a=msid:{} ", created["connection_id"].as_str().unwrap())), "{sdp}");
    assert!(sdp.contains("stereo=1") && sdp.contains("profile-level-id=42e01f"), "{sdp}");
    sora.answer("re-answer", &offer).await;
    assert_eq!(delete(&server, &session).await, StatusCode::OK);
    let destroyed = sora.next_of("notify").await;
    assert_eq!(
        (&destroyed["event_type"], &destroyed["connection_id"]),
        (&json!("connection.destroyed"), &created["connection_id"])
    );
}

#[tokio::test]
async fn a_viewer_gets_what_is_there_and_is_let_go_when_nobody_comes_back() {
    let patience = std::time::Duration::from_millis(50);
    let server = Server::start(SignalingConfig { viewer_patience: patience, ..SignalingConfig::default() }).await;
    let early = post(&server, "/whep/single", VIEWER).await;
    assert_eq!((early.error_type(), early.header("retry-after")), ((409, "NOT_LIVE".into()), "2"));
    assert!(server.signaling.connections(&"single".into()).is_empty(), "it has left the room again");

    let publisher = joined(&server, "/whip/single", OBS).await;
    let viewer = joined(&server, "/whep/single", VIEWER).await;
    assert!(viewer.starts_with("/whep/single/"));
    let sent = uplinks(&server);
    let received = downlinks(&server);
    let tracks = |track: fn(&Uplink) -> _| sent.iter().map(track).collect::<Vec<_>>();
    assert_eq!(received.iter().map(|downlink| downlink.track).collect::<Vec<_>>(), tracks(|uplink| uplink.track));
    assert_eq!(received[1].payload.codec, Codec::H264);
    assert!(received[1].rtx_ssrc.is_some() && received[1].ssrc != received[0].ssrc);

    assert_eq!(delete(&server, &publisher).await, StatusCode::OK);
    server.until(|server| server.signaling.connections(&"single".into()).is_empty()).await;
    assert_eq!(server.sfu.peers(), 0);
    assert_eq!(delete(&server, &viewer).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_viewer_without_the_publishers_codec_is_told_which() {
    let server = Server::start(SignalingConfig::default()).await;
    joined(&server, "/whip/single", CHROMIUM).await;
    let said = post(&server, "/whep/single", &VIEWER.replace(" H264/90000", " X264/90000")).await;
    assert_eq!(said.error_type(), (406, "NO_COMMON_CODEC".into()));
    assert!(said.body.contains("sends H264 (") && said.body.contains("VP8"), "{}", said.body);
    let said = post(&server, "/whep/single", CHROMIUM).await;
    assert_eq!(said.error_type(), (406, "NO_COMMON_MEDIA".into()), "an offer that only sends");
    assert_eq!(server.signaling.connections(&"single".into()).len(), 1, "nobody was left in the room");
}

#[tokio::test]
async fn a_peer_that_vanishes_leaves_unclean_and_its_url_is_gone() {
    let server = Server::start(SignalingConfig::default()).await;
    let session = joined(&server, "/whip/single", CHROMIUM).await;
    server.sfu.lose_all(CloseReason::IceTimeout);
    server.until(|server| server.signaling.connections(&"single".into()).is_empty()).await;
    assert!(server.sfu.removals().is_empty(), "the SFU has forgotten it by itself");
    assert_eq!(delete(&server, &session).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn closing_the_channel_and_stopping_end_sessions_too() {
    let server = Server::start(SignalingConfig::default()).await;
    joined(&server, "/whip/single", CHROMIUM).await;
    server.signaling.close_channel(&"single".into()).await;
    assert_eq!(server.sfu.peers(), 0);
    joined(&server, "/whip/room", CHROMIUM).await;
    server.signaling.shutdown().await;
    assert_eq!((server.sfu.peers(), server.sfu.removals()), (0, vec![true, true]));
    assert_eq!(post(&server, "/whip/room", CHROMIUM).await.error_type(), (503, "OVERLOADED".into()));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_words_and_leaves_nobody_behind() {
    let server = Server::start(SignalingConfig::default()).await;
    let cases = [
        (post(&server, "/whip/nobody", CHROMIUM).await, 404, "UNKNOWN_CHANNEL"),
        (post(&server, "/whep/nobody", VIEWER).await, 404, "UNKNOWN_CHANNEL"),
        (post(&server, "/whip/single", "hello").await, 400, "INVALID_SDP"),
        (post(&server, "/whip/single", "").await, 400, "INVALID_SDP"),
        (post(&server, "/whip/single", VIEWER).await, 400, "INVALID_SDP"),
        (post(&server, "/whip/single", &OBS.replace("H264/90000", "H265/90000")).await, 406, "NO_COMMON_CODEC"),
        (request(&server, Method::POST, "/whip/single", &[], CHROMIUM).await, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (request(&server, Method::POST, "/whip/single", &[("content-type", SDP)], b"v=0\xff".to_vec()).await, 400, "INVALID_SDP"),
        (post(&server, "/whip/single", &"v".repeat(SDP_BYTES_MAX + 1)).await, 413, "PAYLOAD_TOO_LARGE"),
    ];
    for (said, status, error_type) in cases {
        assert_eq!(said.error_type(), (status, error_type.into()));
    }
    server.sfu.busy.store(true, Ordering::Relaxed);
    assert_eq!(post(&server, "/whip/single", CHROMIUM).await.error_type(), (503, "OVERLOADED".into()));
    server.sfu.busy.store(false, Ordering::Relaxed);
    assert!(server.signaling.connections(&"single".into()).is_empty());
    joined(&server, "/whip/single", CHROMIUM).await;
}

#[tokio::test]
async fn who_has_no_token_gets_401_whatever_it_asks() {
    let server = Server::start(SignalingConfig::default()).await;
    let session = joined(&server, "/whip/single", CHROMIUM).await;
    for token in [None, Some("Bearer wrong"), Some("Basic right"), Some("right")] {
        for (method, path) in
            [(Method::POST, "/whip/room"), (Method::POST, "/whep/single"), (Method::DELETE, &session), (Method::PATCH, &session)]
        {
            let mut request = Request::builder().method(method).uri(path).header("content-type", SDP);
            if let Some(token) = token {
                request = request.header("authorization", token);
            }
            let response = server.router.clone().oneshot(request.body(Body::from(CHROMIUM)).unwrap()).await.unwrap();
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            assert_eq!(Said::of(response).await.error_type(), (401, "UNAUTHORIZED".into()), "{path} {token:?}");
        }
    }
    assert_eq!((connected(&server, "single"), connected(&server, "room")), (1, 0));
}

async fn patch(server: &Server, session: &str, if_match: Option<&str>, body: &str) -> Said {
    let mut headers = vec![("content-type", FRAGMENT)];
    headers.extend(if_match.map(|tag| ("if-match", tag)));
    request(server, Method::PATCH, session, &headers, body.to_owned()).await
}

const TRICKLE: &str = "a=ice-ufrag:wQvN\r\na=ice-pwd:7ObUvWFnDlXzyRlYUBlAWI\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
    a=candidate:1 1 udp 1 192.0.2.7 9 typ host\r\n";

async fn with_token(server: &Server, token: &str, method: Method, path: &str, body: &str) -> Said {
    let request = Request::builder().method(method).uri(path).header("content-type", SDP);
    let request = request.header("authorization", format!("Bearer {token}")).body(Body::from(body.to_owned())).unwrap();
    Said::of(server.router.clone().oneshot(request).await.unwrap()).await
}

#[tokio::test]
async fn the_auth_webhook_judges_bearer_strings_of_its_channel_only() {
    let server = Server::start(super::operations::uncompressed()).await;
    let (url, mut asks) = super::operations::webhook(json!({"allowed": true, "client_id": "camera"})).await;
    super::operations::guarded(&server, &url).await;
    let said = with_token(&server, "ticket", Method::POST, "/whip/guarded", CHROMIUM).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.body);
    let asked = asks.recv().await.unwrap();
    assert_eq!((&asked["metadata"], &asked["whip"]), (&json!({"access_token": "ticket"}), &json!(true)));
    let session = said.header("location");
    for (token, status) in [("other", 401), ("ticket", 200)] {
        assert_eq!(with_token(&server, token, Method::DELETE, session, "").await.status, status, "{token}");
    }
    for (token, path) in [("ticket", "/whip/room"), ("ticket", "/whip/nobody"), (&"x".repeat(9000), "/whip/guarded")] {
        assert_eq!(with_token(&server, token, Method::POST, path, CHROMIUM).await.error_type(), (401, "UNAUTHORIZED".into()));
    }
    assert_eq!(post(&server, "/whip/guarded", CHROMIUM).await.status, StatusCode::CREATED);
    assert!(asks.recv().await.unwrap()["metadata"].is_null(), "the API token is nobody else's business");
}

#[tokio::test]
async fn the_webhook_decides_what_a_publisher_sends() {
    let cases = [
        (json!({"audio": false, "video_bit_rate": 300, "video_codec_type": "VP8"}), vec![(Codec::Vp8, Some(300_000))]),
        (json!({"video": false, "audio_bit_rate": 32}), vec![(Codec::Opus, Some(32_000))]),
        (json!({}), vec![(Codec::Opus, None), (Codec::Vp8, None)]),
    ];
    for (mut answer, expected) in cases {
        let server = Server::start(super::operations::uncompressed()).await;
        answer["allowed"] = true.into();
        let (url, mut asks) = super::operations::webhook(answer.clone()).await;
        super::operations::guarded(&server, &url).await;
        let said = with_token(&server, "ticket", Method::POST, "/whip/guarded", CHROMIUM).await;
        assert_eq!(said.status, StatusCode::CREATED, "{}", said.body);
        let sent: Vec<Codec> = uplinks(&server).iter().map(|uplink| uplink.payload.codec).collect();
        assert_eq!(sent, expected.iter().map(|(codec, _)| *codec).collect::<Vec<_>>(), "{answer}");
        let caps: Vec<&str> = said.body.lines().filter_map(|line| line.strip_prefix("b=TIAS:")).collect();
        let wanted: Vec<String> = expected.iter().filter_map(|(_, cap)| cap.map(|cap: u32| cap.to_string())).collect();
        assert_eq!(caps, wanted, "{answer}");
        let [member] = &server.signaling.connections(&"guarded".into())[..] else { panic!() };
        let kinds = (sent.contains(&Codec::Opus), sent.len() > 1 || !sent.contains(&Codec::Opus));
        assert_eq!((member.audio, member.video), kinds, "{answer}");
        let asked = asks.recv().await.unwrap();
        assert_eq!((&asked["audio"], &asked["video"]), (&json!(true), &json!(true)));
    }
}

#[tokio::test]
async fn what_the_webhook_wants_and_the_offer_has_not_is_refused() {
    for (way, offer, answer, refusal) in [
        ("whip", CHROMIUM, json!({"allowed": true, "audio": false, "video": false}), (403, "AUTH_REFUSED")),
        ("whip", OBS, json!({"allowed": true, "video_codec_type": "AV1"}), (406, "NO_COMMON_CODEC")),
        ("whip", CHROMIUM, json!({"allowed": true, "video_codec_type": "H265"}), (406, "NO_COMMON_CODEC")),
        ("whep", VIEWER, json!({"allowed": true, "audio": false, "video": false}), (403, "AUTH_REFUSED")),
    ] {
        let server = Server::start(super::operations::uncompressed()).await;
        let (url, _asks) = super::operations::webhook(answer.clone()).await;
        super::operations::guarded(&server, &url).await;
        let said = with_token(&server, "ticket", Method::POST, &format!("/{way}/guarded"), offer).await;
        assert_eq!(said.error_type(), (refusal.0, refusal.1.into()), "{answer}");
        assert!(server.signaling.connections(&"guarded".into()).is_empty(), "nobody is left behind");
    }
}

#[tokio::test]
async fn publishers_and_viewers_end_with_their_lifetime() {
    let server = Server::start(super::operations::uncompressed()).await;
    let (url, _asks) = super::operations::webhook(json!({"allowed": true, "connection_lifetime": 1, "audio": false})).await;
    super::operations::guarded(&server, &url).await;
    let publisher = joined(&server, "/whip/guarded", CHROMIUM).await;
    let viewer = joined(&server, "/whep/guarded", VIEWER).await;
    assert_eq!(downlinks(&server).len(), 1, "no sound for the viewer");
    server.until(|server| server.signaling.connections(&"guarded".into()).is_empty() && server.sfu.peers() == 0).await;
    assert_eq!(server.sfu.removals(), [true, true], "on purpose");
    for session in [publisher, viewer] {
        assert_eq!(delete(&server, &session).await, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn layers_are_asked_for_by_name() {
    let server = Server::start(SignalingConfig::default()).await;
    let offer = format!("{CHROMIUM}a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send f;h;q\r\n");
    let said = post(&server, "/whip/room", &offer).await;
    assert!(said.body.contains("a=simulcast:recv "), "{}", said.body);
    let video = uplinks(&server).remove(1);
    assert_eq!((video.rids, video.ssrc), (vec!["q".into(), "h".into(), "f".into()], None));
    assert_eq!((video.extensions.rid, video.extensions.repaired_rid), (Some(10), Some(11)));
}

#[tokio::test]
async fn candidates_are_taken_from_whoever_knows_the_tag() {
    let server = Server::start(SignalingConfig::default()).await;
    let said = post(&server, "/whip/single", OBS).await;
    let (session, tag) = (said.header("location").to_owned(), said.header("etag").to_owned());
    for (if_match, status) in [
        (Some(tag.as_str()), 204),
        (Some("*"), 204),
        (Some(format!("\"other\", {tag}").as_str()), 204),
        (None, 428),
        (Some("\"other\""), 412),
        (Some(format!("W/{tag}").as_str()), 412),
    ] {
        let said = patch(&server, &session, if_match, TRICKLE).await;
        assert_eq!((said.status.as_u16(), said.header("accept-patch")), (status, FRAGMENT), "{if_match:?} {}", said.body);
    }
    let without = TRICKLE.lines().skip(2).collect::<Vec<_>>().join("\r\n");
    assert_eq!(patch(&server, &session, Some(&tag), &without).await.status, 204, "credentials may be left out");
    let sdp = request(&server, Method::PATCH, &session, &[("content-type", SDP), ("if-match", &tag)], TRICKLE).await;
    assert_eq!((sdp.error_type(), sdp.header("accept-patch")), ((415, "UNSUPPORTED_MEDIA_TYPE".into()), FRAGMENT));
    for bad in ["", "hello", "a=ice-ufrag:other\r\n", "a=ice-ufrag:other\r\na=ice-pwd:x\r\n"] {
        assert_eq!(patch(&server, &session, Some(&tag), bad).await.error_type(), (400, "INVALID_SDP_FRAGMENT".into()), "{bad}");
    }
    let long = "a=mid:0\r\n".repeat(10_000);
    assert_eq!(patch(&server, &session, Some(&tag), &long).await.error_type(), (413, "PAYLOAD_TOO_LARGE".into()));
    assert_eq!(patch(&server, "/whip/single/nobody", Some(&tag), TRICKLE).await.error_type(), (404, "UNKNOWN_SESSION".into()));
    assert!(restarts(&server).is_empty());
}

fn restarts(server: &Server) -> Vec<String> {
    let ufrag = |command: &Command| match command {
        Command::RestartIce { ice, .. } => Some(ice.ufrag.clone()),
        _ => None,
    };
    server.sfu.commands.lock().unwrap().iter().filter_map(ufrag).collect()
}

#[tokio::test]
async fn new_credentials_restart_ice_once() {
    let server = Server::start(SignalingConfig::default()).await;
    let said = post(&server, "/whip/single", OBS).await;
    let (session, first) = (said.header("location").to_owned(), said.header("etag").to_owned());
    let restart = TRICKLE.replace("wQvN", "other");
    let said = patch(&server, &session, Some("*"), &restart).await;
    assert_eq!((said.status, said.header("content-type")), (StatusCode::OK, FRAGMENT), "{}", said.body);
    let second = said.header("etag").to_owned();
    let [ours] = &restarts(&server)[..] else { panic!() };
    assert!(
        said.body.contains(&format!("a=ice-ufrag:{ours}\r\na=ice-pwd:")) && said.body.contains("a=mid:0\r\n"),
        "{}",
        said.body
    );
    assert!(
        said.body.contains("a=candidate:1 1 udp ") && said.body.contains("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"),
        "{}",
        said.body
    );
    assert!(first != second && !said.body.contains('\0'));
    assert_eq!(patch(&server, &session, Some(&first), TRICKLE).await.error_type(), (412, "PRECONDITION_FAILED".into()));
    assert_eq!(patch(&server, &session, Some(&second), &restart).await.status, 204, "candidates of the ICE session of now");
    assert_eq!(restarts(&server).len(), 1);
    assert_eq!(patch(&server, &session, Some("*"), TRICKLE).await.status, 200, "and back");
    assert_eq!(delete(&server, &session).await, StatusCode::OK);
}

#[tokio::test]
async fn other_methods_are_refused_with_those_that_are_there() {
    let server = Server::start(SignalingConfig::default()).await;
    let session = joined(&server, "/whip/single", OBS).await;
    for (method, path, allow) in
        [(Method::GET, "/whip/single", "POST"), (Method::PUT, "/whep/single", "POST"), (Method::GET, &session, "DELETE,PATCH")]
    {
        let said = request(&server, method, path, &[], Body::empty()).await;
        assert_eq!((said.error_type(), said.header("allow")), ((405, "METHOD_NOT_ALLOWED".into()), allow), "{path}");
    }
    assert_eq!(connected(&server, "single"), 1);
}

#[tokio::test]
async fn a_viewer_is_sent_whoever_comes_next_in_the_same_place() {
    let server = Server::start(SignalingConfig::default()).await;
    let first = joined(&server, "/whip/room", OBS).await;
    joined(&server, "/whep/room", VIEWER).await;
    assert_eq!(delete(&server, &first).await, StatusCode::OK);
    joined(&server, "/whip/room", CHROMIUM).await;
    server.until(|server| downlinks(server).len() == 4).await;
    let ([audio, video, other_audio, other_video], sent) = (&downlinks(&server)[..], uplinks(&server)) else { panic!() };
    assert_eq!((other_audio.ssrc, other_video.ssrc, other_video.rtx_ssrc), (audio.ssrc, video.ssrc, video.rtx_ssrc));
    assert_eq!((other_audio.track, other_video.track), (sent[2].track, sent[3].track));
    assert_eq!((video.payload.codec, other_video.payload.codec), (Codec::H264, Codec::Vp8), "in a codec that it had offered too");
    assert!(other_video.payload.pt != video.payload.pt && other_video.mid == video.mid);
    assert_eq!(server.signaling.connections(&"room".into()).len(), 2);
}

#[tokio::test]
async fn a_viewer_may_name_its_publisher() {
    let server = Server::start(SignalingConfig::default()).await;
    joined(&server, "/whip/room", OBS).await;
    joined(&server, "/whip/room", CHROMIUM).await;
    let ids: Vec<_> = server.signaling.connections(&"room".into()).into_iter().map(|member| member.connection_id).collect();
    let sent = uplinks(&server);
    let publisher = |id: &minamo_media::ConnectionId| format!("/whep/room?publisher={id}");
    assert_eq!(post(&server, &publisher(&"nobody".into()), VIEWER).await.error_type(), (409, "NOT_LIVE".into()));
    let mut seen = Vec::new();
    for id in &ids {
        let said = post(&server, &publisher(id), VIEWER).await;
        assert_eq!(said.status, StatusCode::CREATED, "{}", said.body);
        assert!(said.body.contains(&format!("a=msid:{id} ")), "{}", said.body);
        seen.push(downlinks(&server).pop().unwrap().track);
    }
    seen.sort();
    assert_eq!(seen, [sent[1].track, sent[3].track]);
}

#[tokio::test]
async fn pages_of_other_origins_may_use_it() {
    let server = Server::start(SignalingConfig::default()).await;
    let said = request(
        &server,
        Method::OPTIONS,
        "/whip/single",
        &[
            ("origin", "https://studio.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ],
        Body::empty(),
    )
    .await;
    assert!(said.status.is_success());
    assert_eq!((said.header("access-control-allow-origin"), said.header("accept-post")), ("*", SDP));
    let said =
        request(&server, Method::POST, "/whip/single", &[("content-type", SDP), ("origin", "https://a.example")], CHROMIUM).await;
    let exposed = said.header("access-control-expose-headers").to_lowercase();
    assert!(["location", "etag", "link"].iter().all(|name| exposed.contains(name)), "{exposed}");
    let said =
        request(&server, Method::OPTIONS, said.header("location"), &[("origin", "https://a.example")], Body::empty()).await;
    let allowed = said.header("access-control-allow-methods");
    assert!(allowed.contains("PATCH") && allowed.contains("DELETE"), "{allowed}");
}
