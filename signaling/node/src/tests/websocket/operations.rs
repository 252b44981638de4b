//! The Sora operations against connections that are there, messages between clients, and the auth webhook.

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request};
use minamo_catalog::ChannelKind;
use minamo_sfu_core::model::{DataMessage, PeerEvent, PeerId};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::server::TOKEN;
use super::{Client, Server};
use crate::SignalingConfig;
use crate::config::DataDefaults;

async fn call(server: &Server, target: &str, body: Value) -> (u16, Value) {
    let request = Request::builder().method(Method::POST).uri("/").header("x-sora-target", target).header("host", "h");
    let request = request.header("authorization", format!("Bearer {TOKEN}")).body(Body::from(body.to_string())).unwrap();
    let response = server.router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

pub(super) fn uncompressed() -> SignalingConfig {
    let data = DataDefaults { compress: false, ..DataDefaults::default() };
    SignalingConfig { data, webhooks_to_private_addresses: true, ..SignalingConfig::default() }
}

/// In the room over data channels, WebSocket kept. Its notifications come over the fake SFU.
async fn over_data(server: &Server, extra: Value) -> (Client, PeerId) {
    let mut connect = json!({
        "type": "connect", "role": "sendrecv", "channel_id": "room", "data_channel_signaling": true,
        "ignore_disconnect_websocket": true, "data_channels": [{"label": "#x", "direction": "sendrecv"}],
    });
    connect.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let mut client = Client::open(server).await;
    client.say(&connect).await;
    let offer = client.next().await;
    assert_eq!(offer["type"], "offer", "{offer}");
    client.connection_id = offer["connection_id"].as_str().unwrap().to_owned();
    client.answer("answer", &offer).await;
    loop {
        let message = client.next().await;
        if message["type"] == "switched" {
            return (client, server.sfu.last_peer());
        }
    }
}

#[tokio::test]
async fn lists_pushes_and_ends() {
    let server = Server::start(SignalingConfig::default()).await;
    let (mut anna, _) =
        Client::join_with(&server, json!({"type": "connect", "role": "sendrecv", "channel_id": "room", "client_id": "anna"}))
            .await;
    let (mut ben, _) = Client::join(&server, "room", "recvonly").await;
    anna.next_of("notify").await;
    let (_, list) = call(&server, "Sora_20201013.ListChannelConnections", json!({"channel_id": "room"})).await;
    let mut ids: Vec<&str> = list.as_array().unwrap().iter().map(|one| one["connection_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    let mut expected = [anna.connection_id.as_str(), ben.connection_id.as_str()];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert!(list[0]["created_time"].is_i64() && list[0]["audio"] == json!(true) && list[0]["multistream"] == json!(true));
    assert_eq!(call(&server, "Sora_20201013.ListConnections", Value::Null).await.1.as_array().unwrap().len(), 2);
    let channels = call(&server, "Sora_20201013.ListChannels", json!({})).await.1;
    assert_eq!(channels, json!([{"channel_id": "room", "multistream": true, "spotlight": false}]));

    let to_anna = json!({"channel_id": "room", "client_id": "anna", "data": {"n": 1}});
    let echo = call(&server, "Sora_20160711.PushClient", to_anna).await;
    assert_eq!(echo, (200, json!({"channel_id": "room", "client_id": "anna"})));
    assert_eq!(anna.next_of("push").await, json!({"type": "push", "data": {"n": 1}}));
    let to_receivers = json!({"channel_id": "room", "role": "recvonly", "data": {"n": 2}});
    call(&server, "Sora_20201120.PushChannelByRole", to_receivers).await;
    assert_eq!(ben.next_of("push").await["data"], json!({"n": 2}));

    let id = json!({"channel_id": "room", "connection_id": ben.connection_id, "reason": {"why": 1}});
    assert_eq!(call(&server, "Sora_20151104.DisconnectConnection", id).await.0, 200);
    assert_eq!(ben.closed().await, (1000, "DISCONNECTED-API".into()));
    call(&server, "Sora_20151104.DisconnectClient", json!({"channel_id": "room", "client_id": "anna"})).await;
    assert_eq!(anna.closed().await, (1000, "DISCONNECTED-API".into()));
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let server = Server::start(SignalingConfig::default()).await;
    let cases = [
        ("Sora_20151104.DisconnectChannel", json!({"channel_id": "nobody"}), 404, "UNKNOWN_CHANNEL", "nobody"),
        ("Sora_20151104.DisconnectChannel", json!({}), 400, "INVALID_PARAMETER", "channel_id"),
        ("Sora_20151104.DisconnectChannel", json!({"channel_id": "room", "reason": "x"}), 400, "INVALID_PARAMETER", "reason"),
        ("Sora_20151104.DisconnectConnection", json!({"channel_id": "room"}), 400, "INVALID_PARAMETER", "connection_id"),
        (
            "Sora_20151104.DisconnectConnection",
            json!({"channel_id": "room", "connection_id": "x"}),
            404,
            "UNKNOWN_CONNECTION",
            "x",
        ),
        ("Sora_20151104.DisconnectClient", json!({"channel_id": "room", "client_id": "x"}), 404, "UNKNOWN_CLIENT", "x"),
        (
            "Sora_20201120.DisconnectChannelByRole",
            json!({"channel_id": "room", "role": "boss"}),
            400,
            "INVALID_PARAMETER",
            "role",
        ),
        ("Sora_20160711.PushChannel", json!({"channel_id": "room"}), 400, "INVALID_PARAMETER", "data"),
        ("Sora_20170529.GetStatsConnection", json!({"channel_id": "room", "connection_id": "x"}), 404, "UNKNOWN_CONNECTION", "x"),
        ("Sora_20231220.GetSession", json!({"channel_id": "room"}), 404, "UNKNOWN_SESSION", "session"),
        ("Sora_20231220.StartRecording", json!({"channel_id": "room"}), 501, "NOT_AVAILABLE", "not available"),
        ("Sora_20991231.Nothing", json!({}), 400, "UNKNOWN_TARGET", "Nothing"),
    ];
    for (target, body, status, error_type, named) in cases {
        let (found, answer) = call(&server, target, body).await;
        assert_eq!((found, &answer["error_type"]), (status, &json!(error_type)), "{target} {answer}");
        assert!(answer["error"].as_str().unwrap().contains(named), "{answer}");
    }
    let ok = call(&server, "Sora_20151104.DisconnectChannel", json!({"channel_id": "room"})).await;
    assert_eq!(ok, (200, json!({"channel_id": "room"})), "an empty channel is no mistake");
}

#[tokio::test]
async fn statistics_are_asked_for_when_somebody_wants_them() {
    let server = Server::start(SignalingConfig::default()).await;
    let (mut anna, _) = Client::join(&server, "room", "sendrecv").await;
    let id = json!({"channel_id": "room", "connection_id": anna.connection_id});
    let numbers = call(&server, "Sora_20170529.GetStatsConnection", id.clone()).await.1;
    assert!(numbers["total_received_bytes"].is_u64() && numbers["connection_id"] == id["connection_id"], "{numbers}");
    let client = async {
        assert_eq!(anna.next().await, json!({"type": "ping", "stats": true}));
        anna.say(&json!({"type": "pong", "stats": [{"type": "codec"}]})).await;
    };
    let ((_, stats), ()) = tokio::join!(call(&server, "Sora_20211215.GetRtcStats", id), client);
    assert_eq!(stats["rtc_stats"], json!([{"type": "codec"}]));
    assert!(stats["timestamp"].is_string());
    let report = call(&server, "Sora_20171010.GetStatsReport", json!({})).await.1;
    assert_eq!((&report["total_connection_created"], &report["total_ongoing_connections"]), (&json!(1), &json!(1)));
    assert_eq!(report["total_session_created"], 1);
}

#[tokio::test]
async fn a_session_is_ended_by_its_id_only() {
    let server = Server::start(SignalingConfig::default()).await;
    let (mut anna, _) = Client::join(&server, "room", "sendrecv").await;
    let list = call(&server, "Sora_20231220.ListSessions", json!({})).await.1;
    assert_eq!((list[0]["channel_id"].as_str(), &list[0]["channel_connections"]), (Some("room"), &json!(1)));
    let wrong = json!({"channel_id": "room", "session_id": "other"});
    assert_eq!(call(&server, "Sora_20230628.TerminateSession", wrong).await.0, 404);
    let right = json!({"channel_id": "room", "session_id": list[0]["session_id"]});
    assert_eq!(call(&server, "Sora_20230628.TerminateSession", right).await.0, 200);
    assert_eq!(anna.closed().await, (1000, "DISCONNECTED-API".into()));
}

#[tokio::test]
async fn messages_reach_the_others_but_not_the_bundle() {
    let server = Server::start(uncompressed()).await;
    let (anna, from) = over_data(&server, json!({"bundle_id": "b"})).await;
    let (_twin, twin) = over_data(&server, json!({"bundle_id": "b"})).await;
    let header = json!([{"label": "#x", "direction": "recvonly", "header": [{"type": "sender_connection_id"}]}]);
    let (_ben, to) = over_data(&server, json!({"data_channels": header})).await;
    let (_deaf, deaf) = over_data(&server, json!({"data_channels": [{"label": "#x", "direction": "sendonly"}]})).await;
    let message = DataMessage { label: "#x".into(), binary: true, payload: Bytes::from_static(b"hello") };
    server.sfu.say(from, PeerEvent::Data(message));
    server.until(|server| !server.sfu.sent(to, "#x").is_empty()).await;
    assert_eq!(server.sfu.sent(to, "#x"), [format!("{}hello", anna.connection_id)]);
    for other in [from, twin, deaf] {
        assert!(server.sfu.sent(other, "#x").is_empty());
    }
}

#[tokio::test]
async fn a_connection_outlives_its_websocket_and_the_api_still_reaches_it() {
    let server = Server::start(uncompressed()).await;
    let (anna, peer) = over_data(&server, json!({})).await;
    drop(anna);
    call(&server, "Sora_20160711.PushChannel", json!({"channel_id": "room", "data": 1})).await;
    server.until(|server| !server.sfu.sent(peer, "push").is_empty()).await;
    assert_eq!(server.sfu.sent(peer, "push"), [r#"{"type":"push","data":1}"#]);
    call(&server, "Sora_20151104.DisconnectChannel", json!({"channel_id": "room"})).await;
    server.until(|server| server.sfu.peers() == 0).await;
    assert_eq!(server.sfu.sent(peer, "signaling"), [r#"{"type":"close","code":1000,"reason":"DISCONNECTED-API"}"#]);
    assert!(server.signaling.connections(&"room".into()).is_empty());
}

/// An application's server that always answers the same; the requests' bodies come out of the other end.
pub(super) async fn webhook(answer: Value) -> (String, tokio::sync::mpsc::UnboundedReceiver<Value>) {
    let (asked, asks) = tokio::sync::mpsc::unbounded_channel();
    let handler = axum::routing::post(async move |axum::Json(body): axum::Json<Value>| {
        asked.send(body).unwrap();
        axum::Json(answer)
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/auth", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/auth", handler)).await });
    (url, asks)
}

pub(super) async fn guarded(server: &Server, url: &str) {
    let settings = json!({"hls": [], "auth_webhook_url": url});
    server.catalog.create_channel_with_id("guarded".into(), ChannelKind::Multistream, settings).await.unwrap();
}

fn knock() -> Value {
    json!({"type": "connect", "role": "sendrecv", "channel_id": "guarded", "metadata": {"ticket": 7}})
}

#[tokio::test]
async fn the_webhook_says_which_layers_are_sent() {
    let server = Server::start(uncompressed()).await;
    let layers = json!([{"rid": "r1", "maxBitrate": 400_000}, {"rid": "r2", "active": false}]);
    let (url, _asks) = webhook(json!({"allowed": true, "simulcast": true, "simulcast_encodings": layers})).await;
    guarded(&server, &url).await;
    let mut client = Client::open(&server).await;
    client.say(&knock()).await;
    let offer = client.next_of("offer").await;
    assert!(offer["sdp"].as_str().unwrap().contains("a=simulcast:recv r0;r1;~r2\r\n"));
    let encodings = offer["encodings"].as_array().unwrap();
    assert_eq!(encodings.iter().map(|one| one["active"] == true).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(encodings[1]["maxBitrate"], 400_000);
}

#[tokio::test]
async fn the_webhook_lets_in_and_changes() {
    let server = Server::start(uncompressed()).await;
    let answer = json!({
        "allowed": true, "client_id": "you", "video": false, "metadata": {"seat": 3}, "connection_lifetime": 1,
        "signaling_notify_metadata": {"vip": true},
    });
    let (url, mut asks) = webhook(answer).await;
    guarded(&server, &url).await;
    let mut client = Client::open(&server).await;
    client.say(&knock()).await;
    let offer = client.next_of("offer").await;
    assert_eq!((&offer["client_id"], &offer["metadata"], &offer["video"]), (&json!("you"), &json!({"seat": 3}), &json!(false)));
    let asked = asks.recv().await.unwrap();
    assert_eq!((&asked["metadata"], &asked["connection_id"]), (&json!({"ticket": 7}), &offer["connection_id"]));
    client.answer("answer", &offer).await;
    assert_eq!(client.next_of("notify").await["authz_metadata"], json!({"vip": true}));
    assert_eq!(client.closed().await, (1000, "LIFETIME-EXPIRED".into()));
}

#[tokio::test]
async fn the_webhook_refuses_and_failing_it_nobody_gets_in() {
    let server = Server::start(uncompressed()).await;
    let long = "x".repeat(200);
    let (url, _asks) = webhook(json!({"allowed": false, "reason": long})).await;
    guarded(&server, &url).await;
    let mut client = Client::open(&server).await;
    client.say(&knock()).await;
    assert_eq!(client.closed().await, (4490, long[..123].to_owned()));
    for (id, url) in [("away", "http://127.0.0.1:1/".to_owned()), ("odd", webhook(json!({"allowed": 1})).await.0)] {
        let settings = json!({"hls": [], "auth_webhook_url": url});
        server.catalog.create_channel_with_id(id.into(), ChannelKind::Multistream, settings).await.unwrap();
        let mut client = Client::open(&server).await;
        client.say(&json!({"type": "connect", "role": "recvonly", "channel_id": id})).await;
        assert_eq!(client.closed().await, (4490, "AUTH-WEBHOOK-ERROR".into()));
    }
    assert!(server.signaling.connections(&"guarded".into()).is_empty());
}

#[tokio::test]
async fn calls_are_answered_as_granted() {
    let server = Server::start(uncompressed()).await;
    let methods =
        ["RequestSimulcastRid", "RequestSpotlightRid", "PutSignalingNotifyMetadata", "PutSignalingNotifyMetadataItem", "Dance"];
    let methods: Vec<String> = methods.iter().map(|name| format!("2025.2.0/{name}")).collect();
    let (url, _asks) = webhook(json!({"allowed": true, "rpc_methods": methods})).await;
    guarded(&server, &url).await;
    let (anna, peer) = over_data(&server, json!({"channel_id": "guarded"})).await;
    let cases = [
        ("{", json!(null), Err(-32_700)),
        (r#"{"jsonrpc":"2.0","id":1}"#, json!(1), Err(-32_600)),
        (r#"{"jsonrpc":"2.0","id":2,"method":"2025.2.0/ResetSpotlightRid"}"#, json!(2), Err(-32_601)),
        (r#"{"jsonrpc":"2.0","id":3,"method":"2025.2.0/Dance"}"#, json!(3), Err(-32_601)),
        (r#"{"jsonrpc":"2.0","id":4,"method":"2025.2.0/RequestSimulcastRid","params":{"rid":"r9"}}"#, json!(4), Err(-32_602)),
        (
            r#"{"jsonrpc":"2.0","id":5,"method":"2025.2.0/RequestSimulcastRid","params":{"rid":"r1","x":1}}"#,
            json!(5),
            Err(-32_602),
        ),
        (
            r#"{"jsonrpc":"2.0","id":6,"method":"2025.2.0/RequestSpotlightRid","params":{"spotlight_focus_rid":"r1"}}"#,
            json!(6),
            Err(-32_602),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"2025.2.0/PutSignalingNotifyMetadata","params":{"metadata":{"a":1}}}"#,
            json!(null),
            Ok(json!(null)),
        ),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"2025.2.0/PutSignalingNotifyMetadataItem","params":{"key":"b","value":2}}"#,
            json!(7),
            Ok(json!({"metadata": {"a": 1, "b": 2}})),
        ),
        (
            r#"{"jsonrpc":"2.0","id":8,"method":"2025.2.0/RequestSimulcastRid","params":{"rid":"r1"}}"#,
            json!(8),
            Ok(json!({"rid": "r1", "channel_id": "guarded", "recv_connection_id": anna.connection_id})),
        ),
    ];
    let answered = cases.iter().filter(|(_, id, expected)| !(id.is_null() && expected.is_ok())).count();
    for (request, ..) in &cases {
        let message = DataMessage { label: "rpc".into(), binary: false, payload: Bytes::from_static(request.as_bytes()) };
        server.sfu.say(peer, PeerEvent::Data(message));
    }
    server.until(|server| server.sfu.sent(peer, "rpc").len() == answered).await;
    let answers = server.sfu.sent(peer, "rpc");
    let expected = cases.iter().filter(|(_, id, expected)| !(id.is_null() && expected.is_ok()));
    for ((request, id, expected), answer) in expected.zip(answers) {
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(&answer["id"], id, "{request}");
        match expected {
            Ok(result) => assert_eq!(&answer["result"], result, "{request}"),
            Err(code) => assert_eq!(answer["error"]["code"], *code, "{request}"),
        }
    }
}

#[tokio::test]
async fn a_node_that_is_emptied_sends_everybody_away_once() {
    let location = "wss://other.example/signaling";
    let server = Server::start(SignalingConfig { redirect_url: Some(location.into()), ..SignalingConfig::default() }).await;
    let mut client = Client::open(&server).await;
    client.say(&json!({"type": "connect", "role": "recvonly", "channel_id": "room"})).await;
    assert_eq!(client.next().await, json!({"type": "redirect", "location": location}));
    assert_eq!(client.closed().await.0, 1000);
    let sent_here = json!({"type": "connect", "role": "recvonly", "channel_id": "room", "redirect": true});
    Client::join_with(&server, sent_here).await;
}
