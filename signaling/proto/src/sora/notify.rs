//! `notify`: what happens in the room.

use serde::Serialize;
use serde_json::Value;

use super::{Rid, Role};

/// `notify`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notify {
    /// RFC 3339, UTC, microseconds.
    pub timestamp: String,
    /// The room's present life.
    pub session_id: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened, tagged by `event_type`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event_type")]
pub enum Event {
    /// A connection's media is up.
    #[serde(rename = "connection.created")]
    ConnectionCreated {
        /// Whose.
        #[serde(flatten)]
        connection: ConnectionEvent,
        /// Only in the newcomer's own copy: who was there before.
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Vec<Present>>,
    },
    /// Another minute has passed for this connection.
    #[serde(rename = "connection.updated")]
    ConnectionUpdated(ConnectionEvent),
    /// A connection is over.
    #[serde(rename = "connection.destroyed")]
    ConnectionDestroyed(ConnectionEvent),
    /// Somebody is in focus now.
    #[serde(rename = "spotlight.focused")]
    SpotlightFocused(SpotlightChange),
    /// Somebody is no longer in focus.
    #[serde(rename = "spotlight.unfocused")]
    SpotlightUnfocused(SpotlightChange),
    /// The receiver's own way is more or less stable than before.
    #[serde(rename = "network.status")]
    NetworkStatus {
        /// 0 for stable, 3 for very unstable.
        unstable_level: u8,
    },
    /// The receiver itself is now sent another layer of somebody's video.
    #[serde(rename = "simulcast.switched")]
    SimulcastSwitched(SimulcastSwitched),
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
    /// `udp` or `tcp`: how its media goes.
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
    /// `signaling_notify_metadata` that the auth webhook issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authz_metadata: Option<Value>,
    /// What was put there later, by the API or by RPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
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
        *self.of(role) += 1;
        self.channel_connections += 1;
    }

    /// Counts one less.
    pub fn uncount(&mut self, role: Role) {
        let of = self.of(role);
        *of = of.saturating_sub(1);
        self.channel_connections = self.channel_connections.saturating_sub(1);
    }

    fn of(&mut self, role: Role) -> &mut usize {
        match role {
            Role::SendRecv => &mut self.channel_sendrecv_connections,
            Role::SendOnly => &mut self.channel_sendonly_connections,
            Role::RecvOnly => &mut self.channel_recvonly_connections,
        }
    }
}

/// Who came into focus, or went out of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpotlightChange {
    /// The channel.
    pub channel_id: String,
    /// The client's choice, or the connection id.
    pub client_id: String,
    /// The client's choice, or the connection id.
    pub bundle_id: String,
    /// The connection.
    pub connection_id: String,
    /// Whether it has audio.
    pub audio: bool,
    /// Whether it has video.
    pub video: bool,
    /// In focus by order of the API, not by its voice.
    pub fixed: bool,
    /// How many are in focus at most.
    pub spotlight_number: u8,
}

/// Another layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimulcastSwitched {
    /// Whose video.
    pub sender_connection_id: String,
    /// Which way it went.
    pub priority: Priority,
    /// Who caused it: the sender by sending other layers, the receiver by its wish or its network.
    pub trigger: Trigger,
    /// What the receiver may ask for over RPC.
    pub rpc_rids: Vec<Rid>,
    /// What the server chooses among by itself.
    pub auto_rids: Vec<Rid>,
    /// What the receiver has asked for, or the best.
    pub request_rid: &'static str,
    /// What it is sent now, `none` for nothing.
    pub current_rid: &'static str,
    /// What it was sent before, `none` for nothing.
    pub previous_rid: &'static str,
}

/// Which way a switch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Priority {
    Higher,
    Lower,
}

/// Who caused a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Trigger {
    Sender,
    Receiver,
}
