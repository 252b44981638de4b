//! Data channels: what a client asks for and what it is offered.

use serde::Serialize;
use serde_json::Value;

use super::BadMessage;
use crate::api::InvalidField;
use crate::api::field::Field;

/// Messaging channels of one connection.
pub const DATA_CHANNELS_MAX: usize = 32;
/// Longest label, in characters, its `#` included.
pub const LABEL_CHARS_MAX: usize = 32;
const PROTOCOL_BYTES_MAX: usize = 255;
const HEADER_FIELDS_MAX: usize = 8;
/// Bytes that `sender_connection_id` takes in front of a message.
pub const SENDER_CONNECTION_ID_BYTES: u32 = 26;

/// Who sends on a data channel, seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum DataDirection {
    SendRecv,
    SendOnly,
    RecvOnly,
}

impl DataDirection {
    /// The client sends.
    #[must_use]
    pub fn sends(self) -> bool {
        self != Self::RecvOnly
    }

    /// The client receives.
    #[must_use]
    pub fn receives(self) -> bool {
        self != Self::SendOnly
    }
}

/// What stands in front of each message that a client receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderField {
    /// Whose message it is: [`SENDER_CONNECTION_ID_BYTES`] of ASCII.
    SenderConnectionId,
}

/// One entry of `connect.data_channels`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataChannel {
    /// Begins with `#`; unique in the message.
    pub label: String,
    /// Who sends.
    pub direction: DataDirection,
    /// True unless told otherwise.
    pub ordered: bool,
    /// Milliseconds for which a message is tried. Never together with `max_retransmits`.
    pub max_packet_life_time: Option<u16>,
    /// How often a message is tried again.
    pub max_retransmits: Option<u16>,
    /// Sub-protocol; usually empty.
    pub protocol: String,
    /// Payloads are zlib (RFC 1950).
    pub compress: bool,
    /// In order.
    pub header: Vec<HeaderField>,
}

/// What a client wishes of data channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataWishes {
    /// `data_channel_signaling`; `None` leaves it to the server.
    pub signaling: Option<bool>,
    /// `ignore_disconnect_websocket`; `None` leaves it to the server.
    pub ignore_disconnect_websocket: Option<bool>,
    /// For messages. At most [`DATA_CHANNELS_MAX`].
    pub channels: Vec<DataChannel>,
}

impl DataWishes {
    pub(super) fn parse(message: &Value) -> Result<Self, BadMessage> {
        let flag = |name: &str, invalid| match message.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(on)) => Ok(Some(*on)),
            Some(_) => Err(BadMessage(invalid)),
        };
        Ok(Self {
            signaling: flag("data_channel_signaling", "INVALID-DATA-CHANNEL-SIGNALING")?,
            ignore_disconnect_websocket: flag("ignore_disconnect_websocket", "INVALID-IGNORE-DISCONNECT-WEBSOCKET")?,
            channels: data_channels(message)?.unwrap_or_default(),
        })
    }
}

/// Reads `data_channels` out of a `connect` or an answer of the auth webhook; `None` where it is absent.
///
/// # Errors
/// The reason names what is wrong.
pub fn data_channels(message: &Value) -> Result<Option<Vec<DataChannel>>, BadMessage> {
    const INVALID: BadMessage = BadMessage("INVALID-DATA-CHANNELS");
    let Some(list) = Field::body(message).map_err(|_| INVALID)?.member("data_channels") else { return Ok(None) };
    let mut channels: Vec<DataChannel> = Vec::new();
    for entry in list.items(0..=DATA_CHANNELS_MAX).map_err(|_| INVALID)? {
        let channel = data_channel(&entry)?;
        if channels.iter().any(|other| other.label == channel.label) {
            return Err(BadMessage("DUPLICATE-DATA-CHANNEL-LABEL"));
        }
        channels.push(channel);
    }
    Ok(Some(channels))
}

fn data_channel(entry: &Field<'_>) -> Result<DataChannel, BadMessage> {
    let lifetime = number(entry, "max_packet_life_time", "INVALID-DATA-CHANNEL-MAX-PACKET-LIFE-TIME")?;
    let retransmits = number(entry, "max_retransmits", "INVALID-DATA-CHANNEL-MAX-RETRANSMITS")?;
    if lifetime.is_some() && retransmits.is_some() {
        return Err(BadMessage("DATA-CHANNEL-MAX-PACKET-LIFE-TIME-AND-MAX-RETRANSMITS"));
    }
    Ok(DataChannel {
        label: label(entry)?,
        direction: direction(entry)?,
        ordered: flag(entry, "ordered", "INVALID-DATA-CHANNEL-ORDERED")?.unwrap_or(true),
        max_packet_life_time: lifetime,
        max_retransmits: retransmits,
        protocol: protocol(entry)?,
        compress: flag(entry, "compress", "INVALID-DATA-CHANNEL-COMPRESS")?.unwrap_or(false),
        header: header(entry)?,
    })
}

fn label(entry: &Field<'_>) -> Result<String, BadMessage> {
    const INVALID: BadMessage = BadMessage("INVALID-DATA-CHANNEL-LABEL");
    let field = entry.required("label").map_err(|_| INVALID)?;
    let text = field.text().map_err(|_| INVALID)?;
    // The labels without a # are the server's own.
    if !(2..=LABEL_CHARS_MAX).contains(&text.chars().count()) || !text.starts_with('#') || text.chars().any(char::is_control) {
        return Err(INVALID);
    }
    Ok(text.to_owned())
}

fn direction(entry: &Field<'_>) -> Result<DataDirection, BadMessage> {
    use DataDirection::{RecvOnly, SendOnly, SendRecv};
    let choices = [("sendrecv", SendRecv), ("sendonly", SendOnly), ("recvonly", RecvOnly)];
    let read = entry.required("direction").and_then(|field| field.one_of(&choices));
    read.map_err(|_| BadMessage("INVALID-DATA-CHANNEL-DIRECTION"))
}

fn flag(entry: &Field<'_>, name: &str, invalid: &'static str) -> Result<Option<bool>, BadMessage> {
    entry.member(name).map(|field| field.flag().map_err(|_| BadMessage(invalid))).transpose()
}

fn number(entry: &Field<'_>, name: &str, invalid: &'static str) -> Result<Option<u16>, BadMessage> {
    let Some(field) = entry.member(name) else { return Ok(None) };
    let number = field.integer(0..=u32::from(u16::MAX)).ok().and_then(|number| u16::try_from(number).ok());
    number.map(Some).ok_or(BadMessage(invalid))
}

fn protocol(entry: &Field<'_>) -> Result<String, BadMessage> {
    let Some(field) = entry.member("protocol") else { return Ok(String::new()) };
    match field.text() {
        Ok(text) if text.len() <= PROTOCOL_BYTES_MAX => Ok(text.to_owned()),
        _ => Err(BadMessage("INVALID-DATA-CHANNEL-PROTOCOL")),
    }
}

fn header(entry: &Field<'_>) -> Result<Vec<HeaderField>, BadMessage> {
    let Some(field) = entry.member("header") else { return Ok(Vec::new()) };
    let known = [("sender_connection_id", HeaderField::SenderConnectionId)];
    let read = |field: &Field<'_>| field.required("type")?.one_of(&known);
    let fields = field.items(0..=HEADER_FIELDS_MAX).and_then(|items| items.iter().map(read).collect::<Result<_, InvalidField>>());
    fields.map_err(|_| BadMessage("INVALID-DATA-CHANNEL-HEADER"))
}

/// One entry of `offer.data_channels`. The first three members are mandatory for some client each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfferedChannel {
    /// The server's own (`signaling`, `notify`, `push`, `stats`, `rpc`) or the client's.
    pub label: String,
    /// Who sends, seen from the client.
    pub direction: DataDirection,
    /// Payloads are zlib (RFC 1950).
    pub compress: bool,
    /// Absent where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub header: Vec<OfferedHeader>,
}

/// One entry of `offer.data_channels[].header`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OfferedHeader {
    /// What it is.
    #[serde(rename = "type")]
    pub field: HeaderField,
    /// Its bytes.
    pub length: u32,
}

impl OfferedChannel {
    /// A channel of the server's own.
    #[must_use]
    pub fn own(label: &str, direction: DataDirection, compress: bool) -> Self {
        Self { label: label.into(), direction, compress, header: Vec::new() }
    }
}

impl From<&DataChannel> for OfferedChannel {
    fn from(channel: &DataChannel) -> Self {
        let header = |field: &HeaderField| OfferedHeader { field: *field, length: SENDER_CONNECTION_ID_BYTES };
        Self {
            label: channel.label.clone(),
            direction: channel.direction,
            compress: channel.compress,
            header: channel.header.iter().map(header).collect(),
        }
    }
}
