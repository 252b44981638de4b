//! Operations on how tracks are forwarded: simulcast layers, key frames, spotlight, filters, and what connections show of themselves.
//!
//! Receivers and senders are read under both spellings that there are, `receiver_connection_id` and `recv_connection_id`. Where the
//! vendor's form of a request is not known, what is documented at it is ours.

use minamo_media::{ChannelId, ConnectionId};
use serde_json::{Map, Value};

use super::field::Field;
use super::{InvalidField, parse_channel_id};
use crate::sora::{ForwardingFilter, RequestRid, SPOTLIGHT_NUMBER_MAX};

/// Longest ids and names that are looked up, in bytes.
const ID_BYTES_MAX: usize = 255;
/// Requests of one BatchRequestSpotlightRid.
const BATCH_MAX: usize = 256;

/// What is asked of the forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardingOperation {
    /// A receiver shall be sent another layer: [`LayerRequest`].
    RequestSimulcastRid,
    /// A sender shall send a key frame: [`Member`].
    RequestKeyFrame,
    /// Into focus, as if it had just spoken: [`Member`].
    FocusSpotlight,
    /// Into focus until further order: [`Member`].
    FocusSpotlightFixed,
    /// Out of focus: [`Member`].
    UnfocusSpotlight,
    /// How many are in focus: [`spotlight_number`].
    ChangeSpotlightNumber,
    /// Other layers in the spotlight: [`SpotlightRid`].
    RequestSpotlightRid,
    /// Back to those that the receiver joined with: [`SpotlightRid`] without rids.
    ResetSpotlightRid,
    /// Many at once: [`SpotlightRid::parse_batch`].
    BatchRequestSpotlightRid,
    /// Filters, of the channel or of one connection: [`FilterTarget`].
    Filter(FilterOwner, FilterVerb),
    /// [`Metadata`]
    PutSignalingNotifyMetadata,
    /// [`MetadataItem`]
    PutSignalingNotifyMetadataItem,
    /// [`Member`]
    GetSignalingNotifyMetadata,
    /// Of everybody in a channel.
    ListSignalingNotifyMetadata,
}

/// Whose filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum FilterOwner {
    Channel,
    Connection,
}

/// What happens to a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum FilterVerb {
    List,
    Create,
    Update,
    Delete,
}

use ForwardingOperation as Op;

/// Of operations with two names, the first is the newer.
const TARGETS: [(&str, Op); 23] = [
    ("Sora_20251217.RequestSimulcastRid", Op::RequestSimulcastRid),
    ("Sora_20201005.RequestRtpStream", Op::RequestSimulcastRid),
    ("Sora_20241218.RequestKeyFrame", Op::RequestKeyFrame),
    ("Sora_20200807.FocusSpotlight", Op::FocusSpotlight),
    ("Sora_20200807.FocusSpotlightFixed", Op::FocusSpotlightFixed),
    ("Sora_20200807.UnfocusSpotlight", Op::UnfocusSpotlight),
    ("Sora_20200807.ChangeSpotlightNumber", Op::ChangeSpotlightNumber),
    ("Sora_20211215.RequestSpotlightRid", Op::RequestSpotlightRid),
    ("Sora_20211215.ResetSpotlightRid", Op::ResetSpotlightRid),
    ("Sora_20211215.BatchRequestSpotlightRid", Op::BatchRequestSpotlightRid),
    ("Sora_20230628.ListChannelForwardingFilters", Op::Filter(FilterOwner::Channel, FilterVerb::List)),
    ("Sora_20230628.CreateChannelForwardingFilter", Op::Filter(FilterOwner::Channel, FilterVerb::Create)),
    ("Sora_20230628.UpdateChannelForwardingFilter", Op::Filter(FilterOwner::Channel, FilterVerb::Update)),
    ("Sora_20230628.DeleteChannelForwardingFilter", Op::Filter(FilterOwner::Channel, FilterVerb::Delete)),
    ("Sora_20230628.ListConnectionForwardingFilters", Op::Filter(FilterOwner::Connection, FilterVerb::List)),
    ("Sora_20230628.CreateConnectionForwardingFilter", Op::Filter(FilterOwner::Connection, FilterVerb::Create)),
    ("Sora_20230628.UpdateConnectionForwardingFilter", Op::Filter(FilterOwner::Connection, FilterVerb::Update)),
    ("Sora_20230628.DeleteConnectionForwardingFilter", Op::Filter(FilterOwner::Connection, FilterVerb::Delete)),
    ("Sora_20201124.PutSignalingNotifyMetadata", Op::PutSignalingNotifyMetadata),
    ("Sora_20201124.PutSignalingNotifyMetadataItem", Op::PutSignalingNotifyMetadataItem),
    ("Sora_20201124.GetSignalingNotifyMetadata", Op::GetSignalingNotifyMetadata),
    ("Sora_20201124.ListSignalingNotifyMetadata", Op::ListSignalingNotifyMetadata),
    ("Sora_20230628.ListChannelForwardingFilter", Op::Filter(FilterOwner::Channel, FilterVerb::List)),
];

impl ForwardingOperation {
    /// Reads the header's value; `None` for a target of another kind.
    #[must_use]
    pub fn from_target(target: &str) -> Option<Self> {
        TARGETS.iter().find(|(name, _)| *name == target.trim()).map(|(_, operation)| *operation)
    }

    /// The header's value for this operation.
    #[must_use]
    pub fn target(self) -> &'static str {
        TARGETS.iter().find(|(_, operation)| *operation == self).map_or("", |(name, _)| name)
    }
}

fn id<'a>(body: &Field<'a>, names: &[&str]) -> Result<Option<Field<'a>>, InvalidField> {
    let field = names.iter().find_map(|name| body.member(name));
    if let Some(field) = &field {
        field.bounded_text(ID_BYTES_MAX)?;
    }
    Ok(field)
}

fn connection(body: &Field<'_>, names: &[&str]) -> Result<Option<ConnectionId>, InvalidField> {
    id(body, names)?.map(|field| field.text().map(ConnectionId::from)).transpose()
}

/// Errors name the newer spelling.
fn needed(body: &Field<'_>, names: &[&str]) -> Result<ConnectionId, InvalidField> {
    match connection(body, names)? {
        Some(id) => Ok(id),
        None => body.required(names.first().copied().unwrap_or_default()).map(|_| ConnectionId::from("")),
    }
}

const RECEIVER: [&str; 2] = ["receiver_connection_id", "recv_connection_id"];
const SENDER: [&str; 2] = ["sender_connection_id", "send_connection_id"];

fn rid(field: &Field<'_>) -> Result<RequestRid, InvalidField> {
    let choices = ["none", "r0", "r1", "r2"].map(|name| (name, RequestRid::from_name(name)));
    Ok(field.one_of(&choices)?.unwrap_or(RequestRid::None))
}

/// `channel_id, connection_id`
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Member {
    pub channel: ChannelId,
    pub connection: ConnectionId,
}

impl Member {
    /// Reads the body.
    ///
    /// # Errors
    /// The first member that is missing or of the wrong type.
    pub fn parse(body: &Value) -> Result<Self, InvalidField> {
        let channel = parse_channel_id(body)?;
        Ok(Self { channel, connection: needed(&Field::body(body)?, &["connection_id"])? })
    }
}

/// `channel_id, receiver_connection_id, rid, sender_connection_id?`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerRequest {
    /// The channel.
    pub channel: ChannelId,
    /// Who shall be sent another layer.
    pub receiver: ConnectionId,
    /// Of whom; of everybody where it is absent.
    pub sender: Option<ConnectionId>,
    /// Which.
    pub rid: RequestRid,
}

impl LayerRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// The first member that is missing or wrong.
    pub fn parse(body: &Value) -> Result<Self, InvalidField> {
        let channel = parse_channel_id(body)?;
        let body = Field::body(body)?;
        Ok(Self {
            channel,
            receiver: needed(&body, &RECEIVER)?,
            sender: connection(&body, &SENDER)?,
            rid: rid(&body.required("rid")?)?,
        })
    }
}

/// `channel_id, spotlight_number`
///
/// # Errors
/// A member is missing, or the number is not 1 to [`SPOTLIGHT_NUMBER_MAX`].
pub fn spotlight_number(body: &Value) -> Result<(ChannelId, u8), InvalidField> {
    let channel = parse_channel_id(body)?;
    let number = Field::body(body)?.required("spotlight_number")?.integer(1..=u32::from(SPOTLIGHT_NUMBER_MAX))?;
    Ok((channel, u8::try_from(number).unwrap_or(SPOTLIGHT_NUMBER_MAX)))
}

/// `receiver_connection_id, sender_connection_id?, spotlight_focus_rid?, spotlight_unfocus_rid?`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpotlightRid {
    /// Who shall be sent other layers.
    pub receiver: ConnectionId,
    /// Of whom; of everybody where it is absent.
    pub sender: Option<ConnectionId>,
    /// Of those in focus; as usual where it is absent.
    pub focus_rid: Option<RequestRid>,
    /// Of the others; as usual where it is absent.
    pub unfocus_rid: Option<RequestRid>,
}

impl SpotlightRid {
    /// Reads the body of RequestSpotlightRid and ResetSpotlightRid.
    ///
    /// # Errors
    /// The first member that is missing or wrong.
    pub fn parse(body: &Value) -> Result<(ChannelId, Self), InvalidField> {
        let channel = parse_channel_id(body)?;
        Ok((channel, Self::read(&Field::body(body)?, None)?))
    }

    /// Reads the body of BatchRequestSpotlightRid: `requests` has entries like [`SpotlightRid`]; the receiver stands beside it, in
    /// the entries, or both, and then the entry's counts.
    ///
    /// # Errors
    /// The first member that is missing or wrong.
    pub fn parse_batch(body: &Value) -> Result<(ChannelId, Vec<Self>), InvalidField> {
        let channel = parse_channel_id(body)?;
        let body = Field::body(body)?;
        let receiver = connection(&body, &RECEIVER)?;
        let items = body.required("requests")?.items(1..=BATCH_MAX)?;
        let requests = items.iter().map(|entry| Self::read(entry, receiver.as_ref())).collect::<Result<_, _>>()?;
        Ok((channel, requests))
    }

    fn read(body: &Field<'_>, receiver: Option<&ConnectionId>) -> Result<Self, InvalidField> {
        let own = connection(body, &RECEIVER)?.or_else(|| receiver.cloned());
        Ok(Self {
            receiver: own.map_or_else(|| needed(body, &RECEIVER), Ok)?,
            sender: connection(body, &SENDER)?,
            focus_rid: body.member("spotlight_focus_rid").map(|field| rid(&field)).transpose()?,
            unfocus_rid: body.member("spotlight_unfocus_rid").map(|field| rid(&field)).transpose()?,
        })
    }
}

/// Whose filters, and which. A filter's members stand in `forwarding_filter`, or directly in the body.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterTarget {
    /// The channel.
    pub channel: ChannelId,
    /// `None` for the channel's own.
    pub connection: Option<ConnectionId>,
}

impl FilterTarget {
    /// Reads whose it is.
    ///
    /// # Errors
    /// The first member that is missing or wrong.
    pub fn parse(owner: FilterOwner, body: &Value) -> Result<Self, InvalidField> {
        let channel = parse_channel_id(body)?;
        let connection = match owner {
            FilterOwner::Channel => None,
            FilterOwner::Connection => Some(needed(&Field::body(body)?, &["connection_id"])?),
        };
        Ok(Self { channel, connection })
    }

    /// Reads the filter of Create and Update.
    ///
    /// # Errors
    /// The first member that is missing or wrong.
    pub fn filter(body: &Value) -> Result<ForwardingFilter, InvalidField> {
        let body = Field::body(body)?;
        match body.member("forwarding_filter") {
            Some(filter) => ForwardingFilter::read(&filter),
            None => ForwardingFilter::read(&body),
        }
    }

    /// Reads the name that Delete has.
    ///
    /// # Errors
    /// It is not a string of 1 to 255 bytes.
    pub fn name(body: &Value) -> Result<String, InvalidField> {
        let name = Field::body(body)?.member("name");
        name.map_or(Ok(crate::sora::FILTER_NAME_DEFAULT), |name| name.bounded_text(ID_BYTES_MAX)).map(str::to_owned)
    }
}

/// `metadata, push?` of PutSignalingNotifyMetadata, beside a [`Member`].
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// Any JSON.
    pub metadata: Value,
    /// Tell those who are here.
    pub push: bool,
}

impl Metadata {
    /// Reads the two.
    ///
    /// # Errors
    /// The first that is missing or wrong.
    pub fn parse(body: &Value) -> Result<Self, InvalidField> {
        let body = Field::body(body)?;
        Ok(Self { metadata: body.required("metadata")?.value().clone(), push: push(&body)? })
    }
}

/// `key, value, push?` of PutSignalingNotifyMetadataItem, beside a [`Member`].
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataItem {
    /// 1 to 255 bytes.
    pub key: String,
    /// Any JSON.
    pub value: Value,
    /// Tell those who are here.
    pub push: bool,
}

impl MetadataItem {
    /// Reads the three.
    ///
    /// # Errors
    /// The first that is missing or wrong.
    pub fn parse(body: &Value) -> Result<Self, InvalidField> {
        let body = Field::body(body)?;
        Ok(Self {
            key: body.required("key")?.bounded_text(ID_BYTES_MAX)?.to_owned(),
            value: body.required("value")?.value().clone(),
            push: push(&body)?,
        })
    }
}

fn push(body: &Field<'_>) -> Result<bool, InvalidField> {
    body.member("push").map_or(Ok(false), |field| field.flag())
}

/// The request's members that mean something: what these operations answer.
#[must_use]
pub fn echo(body: &Value) -> Value {
    const KNOWN: [&str; 17] = [
        "channel_id",
        "connection_id",
        "receiver_connection_id",
        "recv_connection_id",
        "sender_connection_id",
        "send_connection_id",
        "rid",
        "spotlight_number",
        "spotlight_focus_rid",
        "spotlight_unfocus_rid",
        "requests",
        "forwarding_filter",
        "name",
        "metadata",
        "key",
        "value",
        "push",
    ];
    let member = |name: &str| body.get(name).map(|value| (name.to_owned(), value.clone()));
    Value::Object(KNOWN.into_iter().filter_map(member).collect::<Map<_, _>>())
}
