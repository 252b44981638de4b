//! The Sora operations: each family has its own file. All of them speak of channels of this server only.

pub(super) mod connections;
pub(super) mod server;
pub(super) mod sessions;
pub(super) mod stats;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use minamo_media::ChannelId;
use minamo_signaling_proto::api::{Selected, Selection};

use super::SharedState;
use super::error::{ApiError, excerpt};
use crate::rooms::Reached;

/// 404 for a channel that does not exist. One that exists may be empty.
async fn known(state: &SharedState, id: &ChannelId) -> Result<(), ApiError> {
    let found = state.catalog.channel(id).await?;
    found.map(drop).ok_or_else(|| ApiError::unknown_channel(id))
}

/// The connections meant. 404 for an unknown channel, a connection that is not in it, and a client that has none there.
async fn selected(state: &SharedState, selection: &Selection) -> Result<Vec<Reached>, ApiError> {
    known(state, &selection.channel).await?;
    let reached = state.signaling.shared().rooms.select(selection);
    let (name, id) = match &selection.who {
        Selected::Connection(id) => ("connection", id.as_str()),
        Selected::Client(id) => ("client", id.as_str()),
        Selected::All | Selected::Role(_) => return Ok(reached),
    };
    if reached.is_empty() {
        let error_type = if name == "client" { "UNKNOWN_CLIENT" } else { "UNKNOWN_CONNECTION" };
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            error_type,
            format!("there is no {name} {} in the channel", excerpt(id)),
        ));
    }
    Ok(reached)
}

fn echo(selection: &Selection) -> Response {
    Json(selection.echo()).into_response()
}

/// What is known by name but cannot be done here.
pub(super) fn not_available() -> ApiError {
    let why = "this operation is not available: recordings, archives and audio streaming are not part of this server yet";
    ApiError::new(StatusCode::NOT_IMPLEMENTED, "NOT_AVAILABLE", why)
}
