//! JSON-RPC over the data channel `rpc`: what a connection may ask for itself.

use minamo_signaling_proto::sora::{RpcCall, RpcError};

use crate::place::Place;
use crate::signaling::Shared;

/// The response to one message; `None` for a notification.
pub(crate) fn answer(_shared: &Shared, _place: &Place, granted: &[String], request: &str) -> Option<String> {
    let call = match RpcCall::parse(request) {
        Ok(call) => call,
        Err(response) => return Some(response),
    };
    if !granted.contains(&call.method) {
        return call.response(Err(RpcError::method_not_found()));
    }
    call.response(Err(RpcError::method_not_found()))
}
