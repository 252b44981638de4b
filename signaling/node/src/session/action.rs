//! What a session wants done.

use std::net::SocketAddr;

use minamo_sfu_core::model::{Command, Fingerprint};
use minamo_signaling_proto::sora::{BadMessage, Connect};

use super::Published;

/// Our side of every transport.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// For offers, best first.
    pub candidates: Vec<SocketAddr>,
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
    /// Send this text frame.
    Send(String),
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
    /// The connection leaves the room: tell everybody, if they were told that it came.
    Leave,
    /// Close the WebSocket. Nothing comes after it.
    Close(Closing),
}
