//! Sessions: a channel's life from its first connection to its last.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use minamo_signaling_proto::api::{Selected, Selection, parse_channel_id, session_id};
use serde_json::{Value, json};

use super::known;
use crate::api::SharedState;
use crate::api::error::ApiError;
use crate::session::Closing;

pub(in crate::api) fn list(state: &SharedState) -> Response {
    Json(state.signaling.shared().rooms.sessions()).into_response()
}

fn unknown_session() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "UNKNOWN_SESSION", "the channel has no such session now")
}

pub(in crate::api) async fn one(state: SharedState, body: &Value) -> Result<Response, ApiError> {
    let channel = parse_channel_id(body)?;
    known(&state, &channel).await?;
    let session = state.signaling.shared().rooms.session(&channel);
    session.map(|session| Json(session).into_response()).ok_or_else(unknown_session)
}

/// Disconnects everybody, if it is still the session that is meant.
pub(in crate::api) async fn terminate(state: SharedState, body: &Value) -> Result<Response, ApiError> {
    let (channel, id) = (parse_channel_id(body)?, session_id(body)?);
    known(&state, &channel).await?;
    let rooms = &state.signaling.shared().rooms;
    if rooms.session(&channel).is_none_or(|session| session.session_id != id) {
        return Err(unknown_session());
    }
    let echo = json!({"channel_id": channel.as_str(), "session_id": id});
    for one in rooms.select(&Selection { channel, who: Selected::All }) {
        if one.summary.session_id == id {
            one.mailbox.close(Closing::API);
        }
    }
    Ok(Json(echo).into_response())
}
