//! What the server says.
//!
//! The members of [`Offer`] are not optional on purpose: a missing one aborts the process of C++ and Python clients.

use serde::Serialize;
use serde_json::Value;

use super::Role;

/// A message of the server, tagged by `type`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ServerMessage {
    /// The first offer.
    Offer(Box<Offer>),
    /// A later one.
    ReOffer {
        /// Session description.
        sdp: String,
    },
    /// Asks for a pong.
    Ping {
        /// Whether the pong shall carry statistics.
        stats: bool,
    },
    /// Tells what happened in the room.
    Notify(Box<Notify>),
}

impl ServerMessage {
    /// The text frame.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Plain structs with string keys cannot fail to serialise; a `Value` inside came out of JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// `offer`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offer {
    /// Session description.
    pub sdp: String,
    /// ICE servers and policy. Its absence aborts C++ and Python clients.
    pub config: IceConfig,
    /// The room's present life.
    pub session_id: String,
    /// This connection.
    pub connection_id: String,
    /// The client's choice, or the connection id.
    pub client_id: String,
    /// The client's choice, or the connection id.
    pub bundle_id: String,
    /// The channel joined.
    pub channel_id: String,
    /// Which m-sections the client sends in.
    pub mid: Mids,
    /// The server's version, `major.minor.patch`.
    pub version: &'static str,
    /// Agreed, not wished.
    pub simulcast: bool,
    /// Always false.
    pub simulcast_multicodec: bool,
    /// Agreed, not wished.
    pub spotlight: bool,
    /// Always true.
    pub multistream: bool,
    /// Whether audio is on.
    pub audio: bool,
    /// `OPUS` where audio is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_codec_type: Option<&'static str>,
    /// kbit/s
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_bit_rate: Option<u32>,
    /// Whether video is on.
    pub video: bool,
    /// For senders: the codec that is offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_codec_type: Option<&'static str>,
    /// kbit/s
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_bit_rate: Option<u32>,
}

/// `offer.config`, handed to `RTCPeerConnection` as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IceConfig {
    /// May be empty.
    pub ice_servers: Vec<IceServer>,
    /// `all` or `relay`.
    pub ice_transport_policy: &'static str,
}

impl Default for IceConfig {
    fn default() -> Self {
        Self { ice_servers: Vec::new(), ice_transport_policy: "all" }
    }
}

/// One entry of `iceServers`; every member is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IceServer {
    /// An array even for one.
    pub urls: Vec<String>,
    /// For TURN.
    pub username: String,
    /// For TURN.
    pub credential: String,
}

/// `offer.mid`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mids {
    /// Absent when the client does not send audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<String>,
    /// Absent when the client does not send video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<String>,
}

/// Which `event_type` a notification has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum EventType {
    /// A connection's media is up.
    #[serde(rename = "connection.created")]
    ConnectionCreated,
    /// Another minute has passed.
    #[serde(rename = "connection.updated")]
    ConnectionUpdated,
    /// A connection is over.
    #[serde(rename = "connection.destroyed")]
    ConnectionDestroyed,
}

/// `notify`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notify {
    /// What happened.
    pub event_type: EventType,
    /// RFC 3339, UTC, microseconds.
    pub timestamp: String,
    /// The room's present life.
    pub session_id: String,
    /// To whom it happened.
    #[serde(flatten)]
    pub event: ConnectionEvent,
    /// Only in the newcomer's own copy of `connection.created`: who was there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Vec<Present>>,
}

/// The members that the three connection events share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectionEvent {
    /// The channel.
    pub channel_id: String,
    /// Its role.
    pub role: Role,
    /// Who.
    #[serde(flatten)]
    pub who: Present,
    /// Whether it has audio.
    pub audio: bool,
    /// Whether it has video.
    pub video: bool,
    /// Minutes since it was created.
    pub minutes: u64,
    /// `udp`: there is no relay.
    pub turn_transport_type: &'static str,
    /// The room after the event.
    #[serde(flatten)]
    pub counters: Counters,
}

/// One connection as others see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Present {
    /// The client's choice, or the connection id.
    pub client_id: String,
    /// The client's choice, or the connection id.
    pub bundle_id: String,
    /// The connection.
    pub connection_id: String,
    /// `signaling_notify_metadata` of its `connect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authn_metadata: Option<Value>,
}

/// Connections in the room whose media is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// All.
    pub channel_connections: usize,
    /// That send and receive.
    pub channel_sendrecv_connections: usize,
    /// That only send.
    pub channel_sendonly_connections: usize,
    /// That only receive.
    pub channel_recvonly_connections: usize,
}

impl Counters {
    /// Counts one more connection of this role.
    pub fn count(&mut self, role: Role) {
        self.channel_connections += 1;
        match role {
            Role::SendRecv => self.channel_sendrecv_connections += 1,
            Role::SendOnly => self.channel_sendonly_connections += 1,
            Role::RecvOnly => self.channel_recvonly_connections += 1,
        }
    }
}
