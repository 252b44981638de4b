//! What a session wants done.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use minamo_sfu_core::model::{Command, Fingerprint, PeerEvent};
use minamo_signaling_proto::sdp::Candidate;
use minamo_signaling_proto::sora::{BadMessage, Connect};
use serde_json::Value;

use super::Published;

/// Our side of every transport.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// For offers, best first.
    pub candidates: Vec<Candidate>,
    /// Of our certificate.
    pub fingerprint: Fingerprint,
}

/// A short upper-case token: the reason of a WebSocket close, and the label of its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reason(pub &'static str);

impl From<BadMessage> for Reason {
    fn from(bad: BadMessage) -> Self {
        Self(bad.0)
    }
}

/// How a WebSocket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// 1000, 1001 or 4490.
    pub code: u16,
    /// At most 123 bytes.
    pub reason: Reason,
    /// The peer left on purpose, its own or ours: its programme ends at once instead of waiting for it to come back.
    pub clean: bool,
}

impl Closing {
    /// The client asked for it.
    pub const DISCONNECT: Self = Self { code: 1000, reason: Reason("TYPE-DISCONNECT"), clean: true };
    /// The API asked for it.
    pub const API: Self = Self { code: 1000, reason: Reason("DISCONNECTED-API"), clean: true };
    /// Its time is over (`connection_lifetime` of the auth webhook).
    pub const LIFETIME: Self = Self { code: 1000, reason: Reason("LIFETIME-EXPIRED"), clean: true };
    /// The client was told to go elsewhere.
    pub const REDIRECTED: Self = Self { code: 1000, reason: Reason("REDIRECTED"), clean: true };
    /// Nothing came from it any more, and another publisher wants its place. Not clean: it is most likely the same one, come back.
    pub const REPLACED: Self = Self::error("PUBLISHER-REPLACED");
    /// The server stops.
    pub const SHUTDOWN: Self = Self { code: 1001, reason: Reason("SERVER-SHUTDOWN"), clean: true };

    /// Something is wrong with this connection.
    #[must_use]
    pub const fn error(reason: &'static str) -> Self {
        Self { code: 4490, reason: Reason(reason), clean: false }
    }
}

impl From<Reason> for Closing {
    fn from(reason: Reason) -> Self {
        Self { code: 4490, reason, clean: false }
    }
}

/// What the shell shall do, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Look the channel up, let the connection into the room, then call [`super::Session::admit`] or [`super::Session::close`].
    Join(Box<Connect>),
    /// Send this text frame over the WebSocket.
    Send(Utf8Bytes),
    /// Tell the SFU. Should it be too busy, call [`super::Session::close`].
    Sfu(Command),
    /// Media is up: tell everybody, the newcomer too.
    Created,
    /// The room now has exactly these tracks of this connection.
    Publish(Vec<Published>),
    /// Another minute has passed: tell everybody.
    Updated {
        /// Since media is up.
        minutes: u64,
    },
    /// The SFU says this of the client's voice, layers or network: tell the room.
    Heard(PeerEvent),
    /// Pass this payload on to everybody who receives the label.
    Message(Arc<str>, Bytes),
    /// Carry out this JSON-RPC request and give the response to [`super::Session::say`].
    Rpc(String),
    /// The client's statistics, as its `getStats` gives them: keep the last.
    ClientStats(Value),
    /// The connection leaves the room: tell everybody, if they were told that it came.
    Leave,
    /// Drop the WebSocket: nobody answers there, and the connection does without.
    HangUp,
    /// The auth webhook refuses the connection: close the WebSocket with 4490 and these words.
    Refuse(String),
    /// The connection is over for this reason; the WebSocket, where there still is one, is closed with it. Nothing is said after it.
    Close(Closing),
}
