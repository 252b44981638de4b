//! The WebSocket of one connection.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};

use crate::session::Reason;

/// A client that takes a frame no faster than this is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the client may take to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) struct Socket {
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
}

/// What came over a WebSocket.
pub(crate) enum Frame {
    Text(Utf8Bytes),
    Binary,
    /// Something of the protocol below.
    Nothing,
    /// The client did something wrong.
    Bad(Reason),
    Closed,
}

impl Socket {
    pub(crate) fn new(socket: WebSocket) -> Self {
        let (sink, stream) = socket.split();
        Self { sink, stream }
    }

    pub(crate) async fn next(&mut self) -> Frame {
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => Frame::Text(text),
            Some(Ok(Message::Binary(_))) => Frame::Binary,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Frame::Nothing,
            Some(Ok(Message::Close(_))) | None => Frame::Closed,
            Some(Err(error)) => fault(&error).map_or(Frame::Closed, Frame::Bad),
        }
    }

    /// Whether the client is still there.
    pub(crate) async fn send(&mut self, text: Utf8Bytes) -> bool {
        let sent = tokio::time::timeout(WRITE_TIMEOUT, self.sink.send(Message::Text(text))).await;
        matches!(sent, Ok(Ok(())))
    }

    /// Says goodbye and waits a little for the client to say it too.
    pub(crate) async fn close(mut self, code: u16, reason: Utf8Bytes) {
        let goodbye = async {
            if self.sink.send(Message::Close(Some(CloseFrame { code, reason }))).await.is_ok() {
                while let Some(Ok(_)) = self.stream.next().await {}
            }
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, goodbye).await;
    }
}

/// What the client did wrong, or `None` when the connection simply broke.
fn fault(error: &axum::Error) -> Option<Reason> {
    let text = error.to_string();
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    if io.is_some() || text.contains("IO error") || text.contains("Connection reset") || text.contains("closed") {
        None
    } else if text.contains("too long") || text.contains("too big") {
        Some(Reason("MESSAGE-TOO-LARGE"))
    } else {
        Some(Reason("BAD-FRAME"))
    }
}
