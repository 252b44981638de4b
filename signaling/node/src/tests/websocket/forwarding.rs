//! Layers, spotlight, filters and metadata: asked for by `connect` and by the API, told to the SFU and to clients.

use axum::body::Body;
use http::Request;
use minamo_media::TrackId;
use minamo_sfu_core::model::{Command, Layer, LayerCause, LayerWish, PeerEvent};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Client, Server};
use crate::SignalingConfig;
use crate::api::{ApiState, ApiToken};

async fn call(server: &Server, target: &str, body: &Value) -> (u16, Value) {
    let state = ApiState {
        catalog: server.catalog.clone(),
        programmes: server.programmes.clone(),
        signaling: server.signaling.clone(),
        token: ApiToken::new("right"),
        public_url: None,
    };
    let request = Request::post("/").header("host", "x").header("authorization", "Bearer right").header("x-sora-target", target);
    let response = crate::api::router(state).oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

async fn ok(server: &Server, target: &str, body: &Value) -> Value {
    let (status, answer) = call(server, target, body).await;
    assert_eq!(status, 200, "{target} {body}: {answer}");
    answer
}

fn connect(role: &str, extra: &Value) -> Value {
    let mut message = json!({"type": "connect", "role": role, "channel_id": "room"});
    message.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    message
}

/// The layers that the SFU was told, of new tracks and of old ones.
fn layers(server: &Server) -> Vec<LayerWish> {
    let layer = |command: &Command| match command {
        Command::AddDownlink(_, downlink) if downlink.payload.rtx_pt.is_some() => Some(downlink.layer),
        Command::SetLayer(_, _, layer) => Some(*layer),
        _ => None,
    };
    server.sfu.commands.lock().unwrap().iter().filter_map(layer).collect()
}

fn video_of(server: &Server, nth: usize) -> TrackId {
    let video = |command: &Command| match command {
        Command::AddUplink(_, uplink) if uplink.payload.rtx_pt.is_some() => Some(uplink.track),
        _ => None,
    };
    server.sfu.commands.lock().unwrap().iter().filter_map(video).nth(nth).unwrap()
}

impl Client {
    /// The publishers of what it is offered, once each.
    async fn re_offered(&mut self) -> Vec<String> {
        let re_offer = self.next_of("re-offer").await;
        let sdp = re_offer["sdp"].as_str().unwrap().to_owned();
        self.answer("re-answer", &re_offer).await;
        sdp.lines().filter_map(|line| line.strip_prefix("a=msid:")).map(|line| line.split(' ').next().unwrap().into()).collect()
    }

    async fn event(&mut self, event_type: &str) -> Value {
        let notify = self.next_of("notify").await;
        assert_eq!(notify["event_type"], event_type, "{notify}");
        notify
    }
}

#[tokio::test]
async fn a_layer_is_asked_for_and_the_switch_is_told() {
    let server = Server::start(SignalingConfig::default()).await;
    let (sender, _) = Client::join_with(&server, connect("sendonly", &json!({"simulcast": true}))).await;
    let (mut receiver, _) = Client::join_with(&server, connect("recvonly", &json!({"simulcast_request_rid": "r0"}))).await;
    server.until(|server| layers(server) == [LayerWish::AtMost(Layer(0))]).await;

    let mut body = json!({"channel_id": "room", "receiver_connection_id": receiver.connection_id, "rid": "r2"});
    assert_eq!(ok(&server, "Sora_20251217.RequestSimulcastRid", &body).await, body);
    server.until(|server| layers(server).last() == Some(&LayerWish::Best)).await;
    let legacy = json!({"channel_id": "room", "recv_connection_id": receiver.connection_id, "rid": "none",
        "send_connection_id": sender.connection_id});
    ok(&server, "Sora_20201005.RequestRtpStream", &legacy).await;
    server.until(|server| layers(server).last() == Some(&LayerWish::Off)).await;

    let switched = |from, to| PeerEvent::LayerSwitched { track: video_of(&server, 0), from, to, cause: LayerCause::Wish };
    server.sfu.tell(1, switched(Some(Layer(0)), Some(Layer(2))));
    let notify = receiver.event("simulcast.switched").await;
    let expected = json!({"sender_connection_id": sender.connection_id, "priority": "higher", "trigger": "receiver",
        "request_rid": "none", "current_rid": "r2", "previous_rid": "r0"});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(notify[name], *value, "{name}");
    }
    assert!(notify["timestamp"].is_string() && notify["rpc_rids"].is_array() && notify["auto_rids"].is_array());
    server.sfu.tell(1, PeerEvent::Network(2));
    assert_eq!(receiver.event("network.status").await["unstable_level"], 2);

    body["rid"] = json!("r9");
    let (status, error) = call(&server, "Sora_20251217.RequestSimulcastRid", &body).await;
    assert_eq!((status, &error["error_type"]), (400, &json!("INVALID_PARAMETER")));
    assert!(error["error"].as_str().unwrap().starts_with("rid: "), "{error}");
    body["rid"] = json!("r0");
    body["sender_connection_id"] = json!("nobody");
    let (status, error) = call(&server, "Sora_20251217.RequestSimulcastRid", &body).await;
    assert_eq!((status, &error["error_type"]), (404, &json!("UNKNOWN_CONNECTION")));
    body["channel_id"] = json!("nowhere");
    let (status, error) = call(&server, "Sora_20251217.RequestSimulcastRid", &body).await;
    assert_eq!((status, &error["error_type"]), (404, &json!("UNKNOWN_CHANNEL")));
    let (status, error) = call(&server, "Sora_20251217.RequestSimulcastRid", &json!({"channel_id": "room"})).await;
    assert_eq!(status, 400);
    assert!(error["error"].as_str().unwrap().starts_with("receiver_connection_id: "), "{error}");
}

#[tokio::test]
async fn filters_act_at_once() {
    let server = Server::start(SignalingConfig::default()).await;
    let (sender, _) = Client::join(&server, "room", "sendonly").await;
    let rules = json!([[{"field": "client_id", "operator": "is_in", "values": [sender.connection_id]}]]);
    let filter = json!({"forwarding_filters": [{"name": "mine", "rules": rules}]});
    let (mut receiver, _) = Client::join_with(&server, connect("recvonly", &filter)).await;
    assert!(layers(&server).is_empty(), "nothing of it was sent");
    let mut body = json!({"channel_id": "room", "connection_id": receiver.connection_id, "name": "mine"});
    let listed = ok(&server, "Sora_20230628.ListConnectionForwardingFilters", &body).await;
    assert_eq!(listed, json!([{"name": "mine", "priority": 32767, "action": "block", "rules": rules}]));
    ok(&server, "Sora_20230628.DeleteConnectionForwardingFilter", &body).await;
    assert_eq!(receiver.re_offered().await, vec![sender.connection_id.clone(); 2]);
    server.until(|server| layers(server).len() == 1).await;
    assert_eq!(call(&server, "Sora_20230628.DeleteConnectionForwardingFilter", &body).await.0, 404);

    body["rules"] = rules;
    ok(&server, "Sora_20230628.CreateChannelForwardingFilter", &body).await;
    let removed = |server: &Server| {
        let commands = server.sfu.commands.lock().unwrap();
        commands.iter().filter(|command| matches!(command, Command::RemoveDownlink(..))).count()
    };
    server.until(|server| removed(server) == 2).await;
    assert!(receiver.re_offered().await.is_empty());
    let (status, error) = call(&server, "Sora_20230628.CreateChannelForwardingFilter", &body).await;
    assert_eq!((status, &error["error_type"]), (409, &json!("DUPLICATE_FORWARDING_FILTER")));
    body["action"] = json!("allow");
    ok(&server, "Sora_20230628.UpdateChannelForwardingFilter", &body).await;
    assert_eq!(receiver.re_offered().await.len(), 2);
    body["rules"] = json!([[{"field": "x"}]]);
    let (status, error) = call(&server, "Sora_20230628.UpdateChannelForwardingFilter", &body).await;
    assert_eq!(status, 400);
    assert!(error["error"].as_str().unwrap().starts_with("rules[0][0]"), "{error}");
}

#[tokio::test]
async fn the_spotlight_follows_voices_and_orders() {
    let server = Server::start(SignalingConfig::default()).await;
    let wishes = json!({"spotlight": true, "spotlight_number": 1, "simulcast": true, "spotlight_unfocus_rid": "none"});
    let (anna, _) = Client::join_with(&server, connect("sendonly", &wishes)).await;
    let (bert, _) = Client::join_with(&server, connect("sendonly", &wishes)).await;
    let (mut viewer, _) =
        Client::join_with(&server, connect("recvonly", &json!({"spotlight": true, "spotlight_unfocus_rid": "none"}))).await;
    let (mut stranger, _) = Client::join(&server, "room", "recvonly").await;
    viewer.event("connection.created").await;
    server.until(|server| layers(server).len() == 4).await;
    assert_eq!(layers(&server)[..2], [LayerWish::Off; 2]);
    assert_eq!(layers(&server)[2..], [LayerWish::Best; 2], "who takes no part sees everybody");

    server.sfu.tell(0, PeerEvent::AudioLevel(TrackId(0), 110));
    let focused = viewer.event("spotlight.focused").await;
    assert_eq!(
        (&focused["connection_id"], &focused["fixed"], &focused["spotlight_number"]),
        (&json!(anna.connection_id), &json!(false), &json!(1))
    );
    server.until(|server| layers(server)[4..] == [LayerWish::AtMost(Layer(1))]).await;

    let body = json!({"channel_id": "room", "connection_id": bert.connection_id});
    assert_eq!(ok(&server, "Sora_20200807.FocusSpotlightFixed", &body).await, body);
    assert_eq!(viewer.event("spotlight.unfocused").await["connection_id"], json!(anna.connection_id));
    assert_eq!(viewer.event("spotlight.focused").await["fixed"], json!(true));
    server.until(|server| layers(server).len() == 7).await;
    ok(&server, "Sora_20200807.ChangeSpotlightNumber", &json!({"channel_id": "room", "spotlight_number": 2})).await;
    assert_eq!(viewer.event("spotlight.focused").await["connection_id"], json!(anna.connection_id), "she still speaks");

    let rids = json!({"channel_id": "room", "recv_connection_id": viewer.connection_id,
        "requests": [{"send_connection_id": anna.connection_id, "spotlight_focus_rid": "r2", "spotlight_unfocus_rid": "r0"}]});
    ok(&server, "Sora_20211215.BatchRequestSpotlightRid", &rids).await;
    server.until(|server| layers(server).last() == Some(&LayerWish::Best)).await;
    ok(&server, "Sora_20211215.ResetSpotlightRid", &rids).await;
    server.until(|server| layers(server).last() == Some(&LayerWish::AtMost(Layer(1)))).await;
    let of_stranger = json!({"channel_id": "room", "recv_connection_id": stranger.connection_id, "spotlight_focus_rid": "r2"});
    let (status, error) = call(&server, "Sora_20211215.RequestSpotlightRid", &of_stranger).await;
    assert_eq!((status, &error["error_type"]), (409, &json!("NO_SPOTLIGHT")));
    ok(&server, "Sora_20200807.UnfocusSpotlight", &body).await;
    viewer.event("spotlight.unfocused").await;
    let (late, _) = Client::join(&server, "room", "recvonly").await;
    assert_eq!(stranger.event("connection.created").await["connection_id"], json!(late.connection_id), "the first that it hears");
}

#[tokio::test]
async fn metadata_is_put_pushed_and_shown_to_who_comes_later() {
    let server = Server::start(SignalingConfig::default()).await;
    let (mut anna, _) = Client::join(&server, "room", "recvonly").await;
    let mut body = json!({"channel_id": "room", "connection_id": anna.connection_id, "metadata": {"mood": 1}});
    assert_eq!(ok(&server, "Sora_20201124.PutSignalingNotifyMetadata", &body).await, json!({"mood": 1}));
    body.as_object_mut().unwrap().extend(json!({"key": "hand", "value": "up", "push": true}).as_object().unwrap().clone());
    assert_eq!(ok(&server, "Sora_20201124.PutSignalingNotifyMetadataItem", &body).await, json!({"mood": 1, "hand": "up"}));
    let push = anna.next_of("push").await["data"].clone();
    let expected = json!({"type": "signaling_notify_metadata_ext", "action": "PutMetadataItem", "key": "hand", "value": "up",
        "metadata": {"mood": 1, "hand": "up"}, "channel_id": "room", "connection_id": anna.connection_id,
        "client_id": anna.connection_id, "bundle_id": anna.connection_id});
    assert_eq!(push, expected);
    let (_bert, created) = Client::join(&server, "room", "recvonly").await;
    assert_eq!(created["data"][0]["metadata"], json!({"mood": 1, "hand": "up"}));
    let listed = ok(&server, "Sora_20201124.ListSignalingNotifyMetadata", &json!({"channel_id": "room"})).await;
    assert_eq!(listed.as_array().unwrap().len(), 2);
    body["metadata"] = json!("x".repeat(9000));
    assert_eq!(call(&server, "Sora_20201124.PutSignalingNotifyMetadata", &body).await.0, 400);
    body["metadata"] = json!(5);
    ok(&server, "Sora_20201124.PutSignalingNotifyMetadata", &body).await;
    assert_eq!(call(&server, "Sora_20201124.PutSignalingNotifyMetadataItem", &body).await.0, 400);
}

#[tokio::test]
async fn a_key_frame_is_asked_for_again_until_one_came() {
    use minamo_sfu_core::model::UplinkReport;
    let server = Server::start(SignalingConfig::default()).await;
    let (sender, _) = Client::join(&server, "room", "sendonly").await;
    let track = video_of(&server, 0);
    let body = json!({"channel_id": "room", "connection_id": sender.connection_id});
    assert_eq!(ok(&server, "Sora_20241218.RequestKeyFrame", &body).await, body);
    let asked = |server: &Server| {
        let commands = server.sfu.commands.lock().unwrap();
        commands.iter().filter(|command| **command == Command::RequestKeyFrame(track)).count()
    };
    server.until(|server| asked(server) == 2).await;
    let uplink = UplinkReport {
        track,
        layer: Layer(0),
        packets: 0,
        bytes: 0,
        lost: 0,
        nacked: 0,
        key_frames_asked: 0,
        key_frames: 1,
        bitrate: 0,
    };
    server.sfu.uplinks.lock().unwrap().push(uplink);
    let reports = |server: &Server| {
        let commands = server.sfu.commands.lock().unwrap();
        commands.iter().filter(|command| matches!(command, Command::Report(_))).count()
    };
    let before = reports(&server);
    server.until(|server| reports(server) > before).await;
    // The wait can only hide a fault on a slow machine, not make one up.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert!(asked(&server) <= 3, "one came: {}", asked(&server));
    assert_eq!(call(&server, "Sora_20241218.RequestKeyFrame", &json!({"channel_id": "room"})).await.0, 400);
}
