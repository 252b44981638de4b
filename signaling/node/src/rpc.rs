//! JSON-RPC over the data channel `rpc`: what a connection may ask for itself.
//!
//! The auth webhook grants methods by name (`rpc_methods`); without a grant none can be called. Channel and connection are the
//! caller's own. A result echoes what is now in force, which upstream leaves open.

use minamo_media::ConnectionId;
use minamo_signaling_proto::sora::{RequestRid, RpcCall, RpcError};
use serde_json::{Map, Value, json};

use crate::place::Place;
use crate::rooms::{RequestError, Rooms, SpotlightRequest};
use crate::signaling::Shared;

/// Whose track is meant; without it, everybody's.
const SENDER: &str = "sender_connection_id";
/// The same as older HTTP operations call it.
const SENDER_OLDER: &str = "send_connection_id";

type Method = fn(&Rooms, &Place, &Params<'_>) -> Result<Value, RpcError>;

/// Every method, and the parameters that it knows: another one is an error.
const METHODS: [(&str, &[&str], Method); 5] = [
    ("2025.2.0/RequestSimulcastRid", &["rid", SENDER, SENDER_OLDER], request_simulcast_rid),
    (
        "2025.2.0/RequestSpotlightRid",
        &["spotlight_focus_rid", "spotlight_unfocus_rid", SENDER, SENDER_OLDER],
        request_spotlight_rid,
    ),
    ("2025.2.0/ResetSpotlightRid", &[SENDER, SENDER_OLDER], reset_spotlight_rid),
    ("2025.2.0/PutSignalingNotifyMetadata", &["metadata", "push"], put_metadata),
    ("2025.2.0/PutSignalingNotifyMetadataItem", &["key", "value", "push"], put_metadata_item),
];

/// The response to one message; `None` for a notification.
pub(crate) fn answer(shared: &Shared, place: &Place, granted: &[String], request: &str) -> Option<String> {
    let call = match RpcCall::parse(request) {
        Ok(call) => call,
        Err(response) => return Some(response),
    };
    call.response(execute(&shared.rooms, place, granted, &call))
}

fn execute(rooms: &Rooms, place: &Place, granted: &[String], call: &RpcCall) -> Result<Value, RpcError> {
    let known = METHODS.iter().find(|(name, ..)| *name == call.method && granted.contains(&call.method));
    let (_, names, method) = known.ok_or_else(RpcError::method_not_found)?;
    if let Some(name) = call.params.keys().find(|name| !names.contains(&name.as_str())) {
        return Err(RpcError::invalid_params(format!("{name} is not known")));
    }
    method(rooms, place, &Params(&call.params))
}

impl From<RequestError> for RpcError {
    fn from(error: RequestError) -> Self {
        Self::invalid_params(error)
    }
}

struct Params<'a>(&'a Map<String, Value>);

impl Params<'_> {
    fn rid(&self, name: &'static str) -> Result<Option<RequestRid>, RpcError> {
        let wrong = |_| RpcError::invalid_params(format!("{name} must be none, r0, r1 or r2"));
        RequestRid::parse(self.0.get(name).filter(|value| !value.is_null()), name).map_err(wrong)
    }

    fn text(&self, name: &str) -> Result<Option<&str>, RpcError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(RpcError::invalid_params(format!("{name} must be a string"))),
        }
    }

    fn sender(&self) -> Result<Option<ConnectionId>, RpcError> {
        let named = self.text(SENDER)?.or(self.text(SENDER_OLDER)?);
        Ok(named.map(ConnectionId::from))
    }

    fn value(&self, name: &str) -> Result<Value, RpcError> {
        self.0.get(name).cloned().ok_or_else(|| RpcError::invalid_params(format!("{name} is missing")))
    }

    fn push(&self) -> Result<bool, RpcError> {
        match self.0.get("push") {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(push)) => Ok(*push),
            Some(_) => Err(RpcError::invalid_params("push must be true or false")),
        }
    }

    fn echo(&self, place: &Place) -> Value {
        let mut echo = self.0.clone();
        echo.insert("channel_id".into(), place.channel.as_str().into());
        echo.insert("recv_connection_id".into(), place.connection.as_str().into());
        Value::Object(echo)
    }
}

fn request_simulcast_rid(rooms: &Rooms, place: &Place, params: &Params<'_>) -> Result<Value, RpcError> {
    let rid = params.rid("rid")?.ok_or_else(|| RpcError::invalid_params("rid is missing"))?;
    let sender = params.sender()?;
    rooms.request_simulcast_rid(&place.channel, &place.connection, sender.as_ref(), rid)?;
    Ok(params.echo(place))
}

fn request_spotlight_rid(rooms: &Rooms, place: &Place, params: &Params<'_>) -> Result<Value, RpcError> {
    let request = SpotlightRequest {
        receiver: place.connection.clone(),
        sender: params.sender()?,
        focus_rid: params.rid("spotlight_focus_rid")?,
        unfocus_rid: params.rid("spotlight_unfocus_rid")?,
    };
    if request.focus_rid.is_none() && request.unfocus_rid.is_none() {
        return Err(RpcError::invalid_params("spotlight_focus_rid and spotlight_unfocus_rid are both missing"));
    }
    rooms.request_spotlight_rid(&place.channel, &[request])?;
    Ok(params.echo(place))
}

fn reset_spotlight_rid(rooms: &Rooms, place: &Place, params: &Params<'_>) -> Result<Value, RpcError> {
    let sender = params.sender()?;
    rooms.reset_spotlight_rid(&place.channel, &place.connection, sender.as_ref())?;
    Ok(params.echo(place))
}

fn put_metadata(rooms: &Rooms, place: &Place, params: &Params<'_>) -> Result<Value, RpcError> {
    let metadata = rooms.put_notify_metadata(&place.channel, &place.connection, params.value("metadata")?, params.push()?)?;
    Ok(json!({"metadata": metadata}))
}

fn put_metadata_item(rooms: &Rooms, place: &Place, params: &Params<'_>) -> Result<Value, RpcError> {
    let key = params.text("key")?.filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| RpcError::invalid_params("key is missing"))?;
    let value = params.value("value")?;
    let metadata = rooms.put_notify_metadata_item(&place.channel, &place.connection, key, value, params.push()?)?;
    Ok(json!({"metadata": metadata}))
}
