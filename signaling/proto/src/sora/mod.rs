//! Sora's signaling messages: one JSON object per WebSocket text frame.
//!
//! [`ClientMessage::parse`] never fails in a way that cannot be told to the client: a [`BadMessage`] carries the upper-case
//! token that becomes the close reason. Unknown members are ignored, and every optional member may be `null`.

mod auth;
mod connect;
mod control;
mod data_channels;
mod filter;
mod layers;
mod notify;
mod rpc;
mod server;

use serde_json::{Map, Value};

pub use auth::{Allowed, AuthAnswer, AuthRequest, BadAnswer};
pub use connect::{
    Audio, AudioParams, Av1Params, Client, Connect, H264Params, H265Params, ID_BYTES_MAX, METADATA_BYTES_MAX, OpusParams, Role,
    Video, VideoParams,
};
pub use control::Control;
pub use data_channels::{
    DATA_CHANNELS_MAX, DataChannel, DataDirection, DataWishes, HeaderField, LABEL_CHARS_MAX, OfferedChannel, OfferedHeader,
    SENDER_CONNECTION_ID_BYTES, data_channels,
};
pub use filter::{
    FILTER_NAME_DEFAULT, FILTER_PRIORITY_DEFAULT, FORWARDING_FILTERS_MAX, FilterAction, FilterField, FilterOperator, FilterRule,
    ForwardingFilter, forwarding_filters,
};
pub use layers::{Encoding, ForwardingWishes, RequestRid, Resolution, Rid, SPOTLIGHT_NUMBER_MAX, SpotlightWishes};
pub use notify::{ConnectionEvent, Counters, Event, Notify, Present, Priority, SimulcastSwitched, SpotlightChange, Trigger};
pub use rpc::{RpcCall, RpcError};
pub use server::{
    IceConfig, IceServer, Mids, Offer, OfferedData, OfferedIds, OfferedKinds, OfferedLayers, SORA_VERSION, ServerMessage,
};

/// A message that ends its connection. Displays as the reason of the WebSocket close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadMessage(pub &'static str);

/// A message of the client.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// Wants to join.
    Connect(Box<Connect>),
    /// Answers the offer.
    Answer {
        /// Untrusted text.
        sdp: String,
    },
    /// Answers a re-offer.
    ReAnswer {
        /// Untrusted text.
        sdp: String,
    },
    /// A trickled candidate. An ICE-lite server needs none of them.
    Candidate,
    /// Answers a ping.
    Pong {
        /// The client's statistics, where the ping asked for them.
        stats: Option<Value>,
    },
    /// Wants to leave.
    Disconnect {
        /// The client's reason, any string, at most 255 bytes of it.
        reason: String,
    },
}

impl ClientMessage {
    /// Reads one text frame.
    ///
    /// # Errors
    /// The frame is not JSON, has no known `type`, or lacks what its type needs.
    pub fn parse(text: &str) -> Result<Self, BadMessage> {
        let value: Value = serde_json::from_str(text).map_err(|_| BadMessage("INVALID-JSON"))?;
        let Value::Object(members) = value else { return Err(BadMessage("INVALID-JSON")) };
        match members.get("type").and_then(Value::as_str) {
            None => Err(BadMessage("MISSING-TYPE")),
            Some("connect") => Connect::parse(&Value::Object(members)).map(|connect| Self::Connect(Box::new(connect))),
            Some("answer") => Ok(Self::Answer { sdp: sdp(members)? }),
            Some("re-answer") => Ok(Self::ReAnswer { sdp: sdp(members)? }),
            Some("candidate") => Ok(Self::Candidate),
            Some("pong") => Ok(Self::Pong { stats: members.get("stats").filter(|stats| stats.is_array()).cloned() }),
            Some("disconnect") => Ok(Self::Disconnect { reason: reason(&members) }),
            Some(_) => Err(BadMessage("UNKNOWN-TYPE")),
        }
    }
}

fn sdp(mut members: Map<String, Value>) -> Result<String, BadMessage> {
    match members.remove("sdp") {
        Some(Value::String(sdp)) => Ok(sdp),
        Some(Value::Null) | None => Err(BadMessage("MISSING-SDP")),
        Some(_) => Err(BadMessage("INVALID-SDP")),
    }
}

fn reason(members: &Map<String, Value>) -> String {
    let reason = members.get("reason").and_then(Value::as_str).unwrap_or_default();
    truncate(reason, ID_BYTES_MAX).to_owned()
}

/// The longest prefix of `text` with at most `bytes_max` bytes.
#[must_use]
pub fn truncate(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
