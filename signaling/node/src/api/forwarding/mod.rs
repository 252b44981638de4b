//! Operations on how tracks are forwarded. Each family has its own file. All of them speak of channels of this server only, and of
//! connections that are in them now.

mod filters;
mod key_frame;
mod metadata;
mod spotlight;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use minamo_media::ChannelId;
use minamo_signaling_proto::api::{ForwardingOperation, LayerRequest, echo_of};
use serde_json::Value;

use super::SharedState;
use super::error::ApiError;
use crate::rooms::{FocusOrder, RequestError, Rooms};

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        let (status, error_type) = match error {
            RequestError::NoConnection => (StatusCode::NOT_FOUND, "UNKNOWN_CONNECTION"),
            RequestError::NoFilter => (StatusCode::NOT_FOUND, "UNKNOWN_FORWARDING_FILTER"),
            RequestError::NoSpotlight => (StatusCode::CONFLICT, "NO_SPOTLIGHT"),
            RequestError::DuplicateFilter => (StatusCode::CONFLICT, "DUPLICATE_FORWARDING_FILTER"),
            RequestError::TooManyFilters => (StatusCode::CONFLICT, "TOO_MANY_FORWARDING_FILTERS"),
            RequestError::MetadataTooLarge | RequestError::MetadataNotAnObject => (StatusCode::BAD_REQUEST, "INVALID_PARAMETER"),
        };
        Self::new(status, error_type, error.to_string())
    }
}

/// Everything answers with what was asked, unless it lists something.
pub(super) async fn dispatch(state: SharedState, operation: ForwardingOperation, body: &Value) -> Result<Response, ApiError> {
    use ForwardingOperation as Op;
    match operation {
        Op::RequestSimulcastRid => request_layer(&state, body).await?,
        Op::RequestKeyFrame => key_frame::request(&state, body).await?,
        Op::FocusSpotlight => spotlight::order(&state, FocusOrder::Focus, body).await?,
        Op::FocusSpotlightFixed => spotlight::order(&state, FocusOrder::Fix, body).await?,
        Op::UnfocusSpotlight => spotlight::order(&state, FocusOrder::Unfocus, body).await?,
        Op::ChangeSpotlightNumber => spotlight::change_number(&state, body).await?,
        Op::RequestSpotlightRid => spotlight::request(&state, body).await?,
        Op::ResetSpotlightRid => spotlight::reset(&state, body).await?,
        Op::BatchRequestSpotlightRid => spotlight::request_batch(&state, body).await?,
        Op::Filter(owner, verb) => return filters::dispatch(&state, owner, verb, body).await,
        Op::PutSignalingNotifyMetadata => return metadata::put(&state, body).await,
        Op::PutSignalingNotifyMetadataItem => return metadata::put_item(&state, body).await,
        Op::GetSignalingNotifyMetadata => return metadata::one(&state, body).await,
        Op::ListSignalingNotifyMetadata => return metadata::list(&state, body).await,
    }
    Ok(Json(echo_of(body)).into_response())
}

/// 404 for a channel that does not exist. One that exists may be empty.
async fn rooms<'a>(state: &'a SharedState, channel: &ChannelId) -> Result<&'a Rooms, ApiError> {
    let found = state.catalog.channel(channel).await?;
    found.map(drop).ok_or_else(|| ApiError::unknown_channel(channel))?;
    Ok(&state.signaling.shared().rooms)
}

async fn request_layer(state: &SharedState, body: &Value) -> Result<(), ApiError> {
    let LayerRequest { channel, receiver, sender, rid } = LayerRequest::parse(body)?;
    Ok(rooms(state, &channel).await?.request_simulcast_rid(&channel, &receiver, sender.as_ref(), rid)?)
}
