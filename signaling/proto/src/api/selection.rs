//! Which connections an operation is about.

use minamo_media::{ChannelId, ConnectionId};
use serde_json::Value;

use super::field::{Field, InvalidField};
use super::parse_channel_id;
use crate::sora::{ID_BYTES_MAX, Role};

/// What names the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// All of the channel.
    Channel,
    /// `connection_id`
    Connection,
    /// `client_id`: those of one client.
    Client,
    /// `role`
    Role,
}

/// Connections of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The channel.
    pub channel: ChannelId,
    /// Which of its connections.
    pub who: Selected,
}

/// Which of a channel's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selected {
    /// All.
    All,
    /// This one.
    Connection(ConnectionId),
    /// Those of this client.
    Client(String),
    /// Those of this role.
    Role(Role),
}

impl Selection {
    /// Reads `channel_id` and what else names the connections.
    ///
    /// # Errors
    /// The first member that is missing or wrong.
    pub fn parse(whom: Whom, body: &Value) -> Result<Self, InvalidField> {
        let channel = parse_channel_id(body)?;
        let body = Field::body(body)?;
        let id = |name| body.required(name)?.bounded_text(ID_BYTES_MAX);
        let roles = [("sendrecv", Role::SendRecv), ("sendonly", Role::SendOnly), ("recvonly", Role::RecvOnly)];
        let who = match whom {
            Whom::Channel => Selected::All,
            Whom::Connection => Selected::Connection(id("connection_id")?.into()),
            Whom::Client => Selected::Client(id("client_id")?.to_owned()),
            Whom::Role => Selected::Role(body.required("role")?.one_of(&roles)?),
        };
        Ok(Self { channel, who })
    }

    /// The members that named it, for the answer.
    #[must_use]
    pub fn echo(&self) -> Value {
        let mut echo = serde_json::json!({"channel_id": self.channel.as_str()});
        let (name, value) = match &self.who {
            Selected::All => return echo,
            Selected::Connection(id) => ("connection_id", id.as_str().into()),
            Selected::Client(id) => ("client_id", id.as_str().into()),
            Selected::Role(role) => ("role", serde_json::to_value(role).unwrap_or_default()),
        };
        echo[name] = value;
        echo
    }
}

/// Reads `data` of a push: any JSON but null.
///
/// # Errors
/// It is missing.
pub fn push_data(body: &Value) -> Result<Value, InvalidField> {
    Ok(Field::body(body)?.required("data")?.value().clone())
}

/// Reads `reason` of a disconnect: an object, for the event webhook.
///
/// # Errors
/// It is no object.
pub fn disconnect_reason(body: &Value) -> Result<Option<Value>, InvalidField> {
    let Some(reason) = Field::body(body)?.member("reason") else { return Ok(None) };
    reason.object()?;
    Ok(Some(reason.value().clone()))
}

/// Reads `session_id`, where it must be there.
///
/// # Errors
/// It is missing or no text.
pub fn session_id(body: &Value) -> Result<String, InvalidField> {
    Ok(Field::body(body)?.required("session_id")?.bounded_text(ID_BYTES_MAX)?.to_owned())
}
