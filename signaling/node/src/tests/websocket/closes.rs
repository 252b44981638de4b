//! How connections end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Client, Server};
use crate::SignalingConfig;
use crate::session::Timing;

/// Says one thing on a fresh socket and sees how it is closed.
async fn verdict(server: &Server, message: Message) -> (u16, String) {
    let mut client = Client::open(server).await;
    client.socket.send(message).await.unwrap();
    client.closed().await
}

fn connect(channel: &str, role: &str) -> Message {
    Message::text(json!({"type": "connect", "role": role, "channel_id": channel}).to_string())
}

#[tokio::test]
async fn bad_input_has_a_reason_and_nobody_else_notices() {
    let server = Server::start(SignalingConfig::default()).await;
    let (mut witness, _) = Client::join(&server, "room", "sendrecv").await;
    let cases = [
        (Message::text("{"), "INVALID-JSON"),
        (Message::binary(vec![0; 16]), "BINARY-FRAME"),
        (Message::text("x".repeat(1 << 20)), "INVALID-JSON"),
        (Message::text("x".repeat((1 << 20) + 1)), "MESSAGE-TOO-LARGE"),
        (Message::text(r#"{"type":"answer","sdp":"v=0"}"#), "ANSWER-BEFORE-OFFER"),
        (connect("nowhere", "sendonly"), "CHANNEL-NOT-FOUND"),
        (connect("room", "boss"), "INVALID-ROLE"),
    ];
    for (message, reason) in cases {
        assert_eq!(verdict(&server, message).await, (4490, reason.into()));
    }
    drop(Client::open(&server).await);
    witness.say(&json!({"type": "disconnect", "reason": "NO-ERROR"})).await;
    assert_eq!(witness.next_of_or_close().await, Err((1000, "TYPE-DISCONNECT".into())), "no word about the others");
    server.until(|server| server.sfu.removals() == [true] && server.sfu.peers() == 0).await;
}

impl Client {
    /// The next message that is no ping, or how it was closed.
    async fn next_of_or_close(&mut self) -> Result<Value, (u16, String)> {
        loop {
            match self.frame().await {
                Message::Close(Some(frame)) => return Err((frame.code.into(), frame.reason.to_string())),
                Message::Text(text) if text.contains(r#""type":"ping""#) => {}
                Message::Text(text) => return Ok(serde_json::from_str(&text).unwrap()),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_megabyte_of_sdp_ends_its_own_connection() {
    let server = Server::start(SignalingConfig::default()).await;
    let mut client = Client::open(&server).await;
    client.socket.send(connect("room", "sendrecv")).await.unwrap();
    client.next_of("offer").await;
    client.say(&json!({"type": "answer", "sdp": "v".repeat(1_000_000)})).await;
    assert_eq!(client.closed().await, (4490, "INVALID-SDP".into()));
    server.until(|server| server.sfu.peers() == 0).await;
}

#[tokio::test]
async fn silence_and_half_a_frame() {
    let timing = Timing { connect: Duration::from_millis(50), ..Timing::default() };
    let server = Server::start(SignalingConfig { timing, ..SignalingConfig::default() }).await;
    assert_eq!(Client::open(&server).await.closed().await, (4490, "CONNECT-TIMEOUT".into()));
    let mut client = Client::open(&server).await;
    // A text frame that promises 100 masked bytes and brings none.
    let tokio_tungstenite::MaybeTlsStream::Plain(tcp) = client.socket.get_mut() else { panic!() };
    tcp.write_all(&[0x81, 0x80 | 100, 1, 2, 3, 4]).await.unwrap();
    assert_eq!(client.next_of_or_close().await, Err((4490, "CONNECT-TIMEOUT".into())));
}

#[tokio::test]
async fn a_lost_socket_leaves_the_room_uncleanly() {
    let server = Server::start(SignalingConfig::default()).await;
    let (client, _) = Client::join(&server, "room", "sendonly").await;
    assert_eq!(server.signaling.connections(&"room".into()).len(), 1);
    drop(client);
    server.until(|server| server.signaling.connections(&"room".into()).is_empty()).await;
    assert_eq!(server.sfu.removals(), [false]);
}

#[tokio::test]
async fn the_api_and_the_end_of_the_server() {
    let server = Server::start(SignalingConfig::default()).await;
    let (mut deleted, _) = Client::join(&server, "single", "sendonly").await;
    let (mut other, _) = Client::join(&server, "room", "recvonly").await;
    server.catalog.delete_channel(&"single".into()).await.unwrap();
    let closing = async {
        server.signaling.close_channel(&"single".into()).await;
        server.signaling.connections(&"single".into()).len()
    };
    let (left, closed) = tokio::join!(closing, deleted.closed());
    assert_eq!((left, closed), (0, (1000, "DISCONNECTED-API".into())));
    assert_eq!(verdict(&server, connect("single", "sendonly")).await, (4490, "CHANNEL-NOT-FOUND".into()));
    let ((), closed) = tokio::join!(server.signaling.shutdown(), other.closed());
    assert_eq!(closed, (1001, "SERVER-SHUTDOWN".into()));
    assert_eq!((server.sfu.peers(), server.sfu.removals()), (0, vec![true, true]));
    let Err(Error::Http(refused)) = connect_async(server.url()).await else { panic!("taken while stopping") };
    assert_eq!(refused.status(), 503);
}

#[tokio::test]
async fn limits() {
    let config = SignalingConfig { connections_per_room_max: 2, connections_max: 3, ..SignalingConfig::default() };
    let server = Server::start(config).await;
    let _one = Client::join(&server, "room", "sendrecv").await;
    let two = Client::join(&server, "room", "recvonly").await;
    assert_eq!(verdict(&server, connect("room", "recvonly")).await, (4490, "TOO-MANY-CONNECTIONS".into()));
    drop(two);
    server.until(|server| server.signaling.connections(&"room".into()).len() == 1).await;
    let _three = Client::join(&server, "room", "recvonly").await;
    let _four = Client::open(&server).await;
    let Err(Error::Http(refused)) = connect_async(server.url()).await else { panic!("a fourth socket") };
    assert_eq!(refused.status(), 503);
}

#[tokio::test]
async fn a_busy_sfu_refuses() {
    let server = Server::start(SignalingConfig::default()).await;
    server.sfu.busy.store(true, Ordering::Relaxed);
    assert_eq!(verdict(&server, connect("room", "sendonly")).await.1, "SERVER-OVERLOADED");
    server.until(|server| server.signaling.connections(&"room".into()).is_empty()).await;
}

#[tokio::test]
async fn a_silent_publisher_makes_room_for_another_and_a_live_one_does_not() {
    let server = Server::start(SignalingConfig::default()).await;
    let (mut first, _) = Client::join(&server, "single", "sendonly").await;
    assert_eq!(verdict(&server, connect("single", "sendonly")).await, (4490, "PUBLISHER-ALREADY-CONNECTED".into()));
    server.sfu.silent.store(true, Ordering::Relaxed);
    let (second, first) = tokio::join!(Client::join(&server, "single", "sendonly"), first.closed());
    assert_eq!(first, (4490, "PUBLISHER-REPLACED".into()));
    let connections = server.signaling.connections(&"single".into());
    assert_eq!(connections.iter().map(|one| one.connection_id.as_str()).collect::<Vec<_>>(), [second.0.connection_id]);
}
