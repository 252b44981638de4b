//! The client's half of the Sora signaling protocol over a WebSocket.

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// What the server said.
#[derive(Debug)]
pub enum Incoming {
    /// `offer` or `re-offer`: the SDP and whether it was the first.
    Offer {
        /// The offered session description.
        sdp: String,
        /// True for `offer`, false for `re-offer`.
        first: bool,
    },
    /// Any `notify`.
    Notify(Value),
    /// The socket is closed; nothing follows.
    Closed {
        /// WebSocket close code, 1006 when the socket just ended.
        code: u16,
        /// Close reason, possibly empty.
        reason: String,
    },
}

/// One open signaling connection.
pub struct Signaling {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Signaling {
    /// Opens the WebSocket and sends `connect`.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the upgrade.
    pub async fn connect(url: &str, connect: Value) -> Result<Self> {
        let (socket, _) = connect_async(url).await.with_context(|| format!("cannot reach signaling at {url}"))?;
        let mut signaling = Self { socket };
        signaling.send(connect).await?;
        Ok(signaling)
    }

    /// Sends one JSON message.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn send(&mut self, message: Value) -> Result<()> {
        self.socket.send(Message::text(message.to_string())).await.context("signaling socket is gone")
    }

    /// The next thing that matters. Pings are answered here; unknown messages are skipped. Cancel-safe.
    ///
    /// # Errors
    /// When the server sends what is not JSON.
    pub async fn next(&mut self) -> Result<Incoming> {
        loop {
            let text = match self.socket.next().await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string()));
                    return Ok(Incoming::Closed { code, reason });
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Ok(Incoming::Closed { code: 1006, reason: String::new() }),
            };
            let message: Value = serde_json::from_str(&text).context("signaling sent what is not JSON")?;
            match message["type"].as_str() {
                Some(kind @ ("offer" | "re-offer")) => {
                    let Some(sdp) = message["sdp"].as_str() else { bail!("{kind} without sdp") };
                    return Ok(Incoming::Offer { sdp: sdp.to_owned(), first: kind == "offer" });
                }
                Some("ping") => self.send(json!({"type": "pong"})).await?,
                Some("notify") => return Ok(Incoming::Notify(message)),
                _ => {}
            }
        }
    }

    /// Says goodbye and waits for the server's close, at most 3 s as the SDKs do.
    pub async fn disconnect(mut self) {
        let _ = self.send(json!({"type": "disconnect", "reason": "NO-ERROR"})).await;
        let wait = async { while !matches!(self.next().await, Ok(Incoming::Closed { .. }) | Err(_)) {} };
        let _ = tokio::time::timeout(std::time::Duration::from_secs(3), wait).await;
    }
}
