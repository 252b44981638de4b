//! The WebSocket route over a real socket, and WHIP and WHEP beside it, with a stand-in for the SFU.

mod closes;
mod forwarding;
mod operations;
mod rooms;
mod server;
mod whip;

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::answering;
use server::Server;

/// Nothing here takes longer, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Sora client without media.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    connection_id: String,
}

impl Client {
    /// An open socket on which nothing was said.
    async fn open(server: &Server) -> Self {
        let (socket, _) = connect_async(server.url()).await.unwrap();
        Self { socket, connection_id: String::new() }
    }

    /// In the room, media up, `connection.created` seen. Also that notification.
    async fn join(server: &Server, channel: &str, role: &str) -> (Self, Value) {
        Self::join_with(server, json!({"type": "connect", "role": role, "channel_id": channel})).await
    }

    async fn join_with(server: &Server, connect: Value) -> (Self, Value) {
        let mut client = Self::open(server).await;
        client.say(&connect).await;
        let offer = client.next().await;
        assert_eq!(offer["type"], "offer", "{offer}");
        client.connection_id = offer["connection_id"].as_str().unwrap().to_owned();
        client.answer("answer", &offer).await;
        let created = client.next_of("notify").await;
        assert_eq!(
            (&created["event_type"], &created["connection_id"]),
            (&json!("connection.created"), &json!(client.connection_id))
        );
        (client, created)
    }

    async fn say(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn answer(&mut self, kind: &str, offer: &Value) {
        let sdp = answering::answer(offer["sdp"].as_str().unwrap());
        self.say(&json!({"type": kind, "sdp": sdp})).await;
    }

    async fn frame(&mut self) -> Message {
        tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("silence").unwrap().unwrap()
    }

    async fn next(&mut self) -> Value {
        match self.frame().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The next message of that type; pings are passed over, others are not.
    async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == kind {
                return message;
            }
            assert_eq!(message["type"], "ping", "{kind} was expected: {message}");
        }
    }

    /// How the server closed.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.frame().await {
                Message::Close(Some(frame)) => {
                    // Sends the answer that the server waits for.
                    let _ = self.socket.next().await;
                    return (frame.code.into(), frame.reason.to_string());
                }
                Message::Text(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
