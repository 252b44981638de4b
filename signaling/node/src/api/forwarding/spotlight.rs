//! The spotlight family.

use minamo_signaling_proto::api::{Member, SpotlightRid, spotlight_number};
use serde_json::Value;

use super::rooms;
use crate::api::SharedState;
use crate::api::error::ApiError;
use crate::rooms::{FocusOrder, SpotlightRequest};

pub(super) async fn order(state: &SharedState, order: FocusOrder, body: &Value) -> Result<(), ApiError> {
    let Member { channel, connection } = Member::parse(body)?;
    Ok(rooms(state, &channel).await?.order_focus(&channel, &connection, order)?)
}

pub(super) async fn change_number(state: &SharedState, body: &Value) -> Result<(), ApiError> {
    let (channel, number) = spotlight_number(body)?;
    rooms(state, &channel).await?.change_spotlight_number(&channel, number);
    Ok(())
}

pub(super) async fn request(state: &SharedState, body: &Value) -> Result<(), ApiError> {
    let (channel, request) = SpotlightRid::parse(body)?;
    Ok(rooms(state, &channel).await?.request_spotlight_rid(&channel, &[request.into()])?)
}

/// All or none.
pub(super) async fn request_batch(state: &SharedState, body: &Value) -> Result<(), ApiError> {
    let (channel, requests) = SpotlightRid::parse_batch(body)?;
    let requests: Vec<SpotlightRequest> = requests.into_iter().map(Into::into).collect();
    Ok(rooms(state, &channel).await?.request_spotlight_rid(&channel, &requests)?)
}

pub(super) async fn reset(state: &SharedState, body: &Value) -> Result<(), ApiError> {
    let (channel, SpotlightRid { receiver, sender, .. }) = SpotlightRid::parse(body)?;
    Ok(rooms(state, &channel).await?.reset_spotlight_rid(&channel, &receiver, sender.as_ref())?)
}

impl From<SpotlightRid> for SpotlightRequest {
    fn from(request: SpotlightRid) -> Self {
        let SpotlightRid { receiver, sender, focus_rid, unfocus_rid } = request;
        Self { receiver, sender, focus_rid, unfocus_rid }
    }
}
