//! What connections show of themselves besides what they joined with: others see it as `metadata` when they come.

use axum::Json;
use axum::response::{IntoResponse, Response};
use minamo_signaling_proto::api::{Member, Metadata, MetadataItem, parse_channel_id};
use minamo_signaling_proto::sora::Present;
use serde_json::{Value, json};

use super::rooms;
use crate::api::SharedState;
use crate::api::error::ApiError;

/// Answers with all of it as it is now.
pub(super) async fn put(state: &SharedState, body: &Value) -> Result<Response, ApiError> {
    let (Member { channel, connection }, Metadata { metadata, push }) = (Member::parse(body)?, Metadata::parse(body)?);
    let metadata = rooms(state, &channel).await?.put_notify_metadata(&channel, &connection, metadata, push)?;
    Ok(Json(metadata).into_response())
}

pub(super) async fn put_item(state: &SharedState, body: &Value) -> Result<Response, ApiError> {
    let (Member { channel, connection }, item) = (Member::parse(body)?, MetadataItem::parse(body)?);
    let MetadataItem { key, value, push } = item;
    let metadata = rooms(state, &channel).await?.put_notify_metadata_item(&channel, &connection, &key, value, push)?;
    Ok(Json(metadata).into_response())
}

pub(super) async fn one(state: &SharedState, body: &Value) -> Result<Response, ApiError> {
    let Member { channel, connection } = Member::parse(body)?;
    let metadata = rooms(state, &channel).await?.notify_metadata(&channel, &connection)?;
    Ok(Json(metadata).into_response())
}

pub(super) async fn list(state: &SharedState, body: &Value) -> Result<Response, ApiError> {
    let channel = parse_channel_id(body)?;
    let entry = |Present { client_id, bundle_id, connection_id, metadata, .. }: Present| json!({"client_id": client_id, "bundle_id": bundle_id, "connection_id": connection_id, "metadata": metadata});
    let present = rooms(state, &channel).await?.present(&channel);
    Ok(Json(present.into_iter().map(entry).collect::<Vec<_>>()).into_response())
}
