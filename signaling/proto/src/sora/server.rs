//! What the server says.
//!
//! The members of [`Offer`] are not optional on purpose: a missing one aborts the process of C++ and Python clients.

use serde::Serialize;
use serde_json::Value;

use super::{Encoding, Notify, OfferedChannel};

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
    /// Something that the application's server has to say.
    Push {
        /// An object.
        data: Value,
    },
    /// All data channels are open: from now on they carry the signaling.
    Switched {
        /// The connection now outlives its WebSocket. Mandatory for the iOS client.
        ignore_disconnect_websocket: bool,
    },
    /// Connect there instead. The WebSocket must be closed right after it: the C++ client waits for that.
    Redirect {
        /// A `ws://` or `wss://` URL.
        location: String,
    },
    /// Only on the data channel `stats`: asks for `stats`.
    ReqStats,
    /// Only on the data channel `signaling`: the connection ends.
    Close {
        /// 1000, or 4490 for errors.
        code: u16,
        /// At most 123 bytes.
        reason: String,
    },
}

impl ServerMessage {
    /// The text frame.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Plain structs with string keys cannot fail to serialise; a `Value` inside came out of JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The version that offers carry: that of the vendor's server whose protocol this is. Sample applications read
/// `major.minor.patch` out of it and use RPC from 2025.2.0 on, the release that its methods are named after.
pub const SORA_VERSION: &str = "2025.2.0";

/// `offer`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offer {
    /// Session description.
    pub sdp: String,
    /// ICE servers and policy. Its absence aborts C++ and Python clients.
    pub config: IceConfig,
    /// Who and where.
    #[serde(flatten)]
    pub ids: OfferedIds,
    /// Which m-sections the client sends in.
    pub mid: Mids,
    /// [`SORA_VERSION`]
    pub version: &'static str,
    /// Always true.
    pub multistream: bool,
    /// Simulcast and spotlight.
    #[serde(flatten)]
    pub layers: OfferedLayers,
    /// Data channels and what goes over them.
    #[serde(flatten)]
    pub data: OfferedData,
    /// Audio and video.
    #[serde(flatten)]
    pub kinds: OfferedKinds,
    /// What the auth webhook issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// Who a connection is, for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OfferedIds {
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
}

/// Simulcast and spotlight as agreed, not as wished.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OfferedLayers {
    /// Clients apply `encodings` only when this is true.
    pub simulcast: bool,
    /// Always false.
    pub simulcast_multicodec: bool,
    /// Takes part in the spotlight.
    pub spotlight: bool,
    /// For a simulcast sender: all three, lowest first. Absent for everybody else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub encodings: Vec<Encoding>,
}

/// Data channels as agreed. All members are absent where none are opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OfferedData {
    /// Exactly those that will be opened: clients count them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_channels: Vec<OfferedChannel>,
    /// Signaling switches to data channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_channel_signaling: Option<bool>,
    /// The connection then outlives its WebSocket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_disconnect_websocket: Option<bool>,
    /// Methods that it may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rpc_methods: Vec<String>,
}

/// Audio and video of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OfferedKinds {
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
