//! Who hears of whom.

use minamo_sfu_core::model::Command;
use serde_json::{Value, json};

use super::{Client, Server};
use crate::SignalingConfig;

fn counters(notify: &Value) -> [u64; 4] {
    ["", "sendrecv_", "sendonly_", "recvonly_"].map(|role| notify[format!("channel_{role}connections")].as_u64().unwrap())
}

#[tokio::test]
async fn two_meet_and_part() {
    let server = Server::start(SignalingConfig::default()).await;
    let connect = json!({"type": "connect", "role": "sendrecv", "channel_id": "room", "client_id": "anna", "signaling_notify_metadata": {"n": 1}});
    let (mut anna, created) = Client::join_with(&server, connect).await;
    assert_eq!((&created["data"], counters(&created)), (&json!([]), [1, 1, 0, 0]));
    let (mut ben, created) = Client::join(&server, "room", "sendrecv").await;
    let present = json!([{"client_id": "anna", "bundle_id": anna.connection_id, "connection_id": anna.connection_id, "authn_metadata": {"n": 1}}]);
    assert_eq!((&created["data"], counters(&created)), (&present, [2, 2, 0, 0]));

    let heard = anna.next_of("notify").await;
    assert_eq!((&heard["connection_id"], heard.get("data")), (&json!(ben.connection_id), None));
    for member in ["event_type", "timestamp", "session_id", "channel_id", "role", "client_id", "bundle_id", "turn_transport_type"]
    {
        assert!(heard[member].is_string(), "{member}: {heard}");
    }
    assert_eq!((&heard["audio"], &heard["video"], &heard["minutes"]), (&json!(true), &json!(true), &json!(0)));
    let re_offer = anna.next_of("re-offer").await;
    assert_eq!(re_offer["sdp"].as_str().unwrap().matches(&format!("a=msid:{} ", ben.connection_id)).count(), 2);
    anna.answer("re-answer", &re_offer).await;
    server
        .until(|server| {
            server.sfu.commands.lock().unwrap().iter().filter(|command| matches!(command, Command::AddDownlink(..))).count() == 4
        })
        .await;

    ben.say(&json!({"type": "disconnect"})).await;
    assert_eq!(ben.closed().await, (1000, "TYPE-DISCONNECT".into()));
    let gone = anna.next_of("notify").await;
    assert_eq!((&gone["event_type"], &gone["connection_id"]), (&json!("connection.destroyed"), &json!(ben.connection_id)));
    assert_eq!((counters(&gone), &gone["session_id"]), ([1, 1, 0, 0], &created["session_id"]));
    let re_offer = anna.next_of("re-offer").await;
    assert_eq!(re_offer["sdp"].as_str().unwrap().matches(" 0 UDP/TLS").count(), 2);
}

#[tokio::test]
async fn a_bundle_does_not_hear_itself() {
    let server = Server::start(SignalingConfig::default()).await;
    let connect = |role| json!({"type": "connect", "role": role, "channel_id": "room", "bundle_id": "b"});
    let (mut one, _) = Client::join_with(&server, connect("sendrecv")).await;
    let (_two, created) = Client::join_with(&server, connect("sendonly")).await;
    assert_eq!((&created["data"], counters(&created)), (&json!([]), [2, 1, 1, 0]));
    let (stranger, _) = Client::join(&server, "room", "recvonly").await;
    let heard = one.next_of("notify").await;
    assert_eq!(heard["connection_id"], json!(stranger.connection_id), "the first it hears is the stranger");
}

#[tokio::test]
async fn a_single_channel_has_one_publisher_at_a_time() {
    let server = Server::start(SignalingConfig::default()).await;
    let (publisher, _) = Client::join(&server, "single", "sendonly").await;
    assert_eq!(server.programmes.opened.lock().unwrap().as_slice(), ["single".into()], "opened before the first media");
    let (_viewer, _) = Client::join(&server, "single", "recvonly").await;
    let mut second = Client::open(&server).await;
    second.say(&json!({"type": "connect", "role": "sendrecv", "channel_id": "single"})).await;
    assert_eq!(second.closed().await, (4490, "PUBLISHER-ALREADY-CONNECTED".into()));
    drop(publisher);
    server.until(|server| server.signaling.connections(&"single".into()).len() == 1).await;
    Client::join(&server, "single", "sendonly").await;
    let _many = (Client::join(&server, "hls-room", "sendonly").await, Client::join(&server, "hls-room", "sendonly").await);
}

#[tokio::test]
async fn only_channels_with_hls_are_tapped() {
    let server = Server::start(SignalingConfig::default()).await;
    let _clients = (Client::join(&server, "room", "sendonly").await, Client::join(&server, "hls-room", "sendonly").await);
    let commands = server.sfu.commands.lock().unwrap();
    let tapped: Vec<bool> = commands
        .iter()
        .filter_map(|command| match command {
            Command::AddUplink(_, uplink) => Some(uplink.tap.is_some()),
            _ => None,
        })
        .collect();
    assert_eq!(tapped, [false, false, true, true]);
    assert_eq!(server.programmes.opened.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn every_life_of_a_room_has_its_own_session_id() {
    let server = Server::start(SignalingConfig::default()).await;
    let (first, created) = Client::join(&server, "room", "recvonly").await;
    let summary = server.signaling.connections(&"room".into()).remove(0);
    assert_eq!((summary.connection_id.as_str(), summary.connected), (first.connection_id.as_str(), true));
    assert_eq!(json!(summary.session_id), created["session_id"]);
    assert_eq!((summary.session_id.len(), summary.connection_id.as_str().len()), (26, 26));
    drop(first);
    server.until(|server| server.signaling.connections(&"room".into()).is_empty()).await;
    let (_again, later) = Client::join(&server, "room", "recvonly").await;
    assert_ne!(later["session_id"], created["session_id"]);
}
