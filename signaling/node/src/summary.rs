//! A connection as the API lists it.

use minamo_media::{ChannelId, ConnectionId};
use minamo_signaling_proto::sora::Role;

/// One connection of a channel.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ConnectionSummary {
    /// The channel.
    #[serde(serialize_with = "as_text")]
    pub channel_id: ChannelId,
    /// The connection.
    #[serde(serialize_with = "as_text")]
    pub connection_id: ConnectionId,
    /// The client's choice, or the connection id.
    pub client_id: String,
    /// The client's choice, or the connection id.
    pub bundle_id: String,
    /// The room's present life.
    pub session_id: String,
    /// Sends, receives or both.
    pub role: Role,
    /// When it joined, Unix seconds.
    pub created_time: i64,
    /// When it joined, RFC 3339, UTC, microseconds.
    pub created_timestamp: String,
    /// Whether it has audio.
    pub audio: bool,
    /// Whether it has video.
    pub video: bool,
    /// Always true.
    pub multistream: bool,
    /// Whether it asked for simulcast.
    pub simulcast: bool,
    /// Whether it asked for spotlight.
    pub spotlight: bool,
    /// Whether its media is up.
    pub connected: bool,
}

fn as_text<T: std::fmt::Display, S: serde::Serializer>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
