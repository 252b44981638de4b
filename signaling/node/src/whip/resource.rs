//! A session's own URL: its end, and candidates.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode, header};

use super::endpoint::{has_type, text_of};
use super::sessions::Session;
use super::{SDP_FRAGMENT, Shared, Way};
use crate::api::{ApiError, Authorized};
use crate::session::Closing;

/// How long a `DELETE` waits until the member has left.
const LEAVE_WAIT: Duration = Duration::from_secs(5);

fn find(way: Way, endpoints: &Shared, channel: &str, id: &str) -> Result<Session, ApiError> {
    let unknown = || ApiError::new(StatusCode::NOT_FOUND, "UNKNOWN_SESSION", "there is no such session: it may have ended");
    endpoints.sessions.find(way, channel, id).ok_or_else(unknown)
}

/// `DELETE`: when it is answered the place in the room is free.
pub(super) async fn end(
    way: Way,
    State(endpoints): State<Shared>,
    _: Authorized,
    Path((channel, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let session = find(way, &endpoints, &channel, &id)?;
    endpoints.sessions.remove(&id);
    session.mailbox.close(Closing::DISCONNECT);
    if tokio::time::timeout(LEAVE_WAIT, session.ended.cancelled()).await.is_err() {
        tracing::warn!(%channel, "a session has not left in time");
    }
    Ok(StatusCode::OK)
}

/// `PATCH`: candidates are taken and ignored, an ICE restart is refused. `If-Match` is checked where it is there; clients that
/// leave it out are served too, since candidates change nothing.
pub(super) async fn patch(
    way: Way,
    State(endpoints): State<Shared>,
    _: Authorized,
    Path((channel, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let session = find(way, &endpoints, &channel, &id)?;
    if !has_type(&headers, SDP_FRAGMENT) {
        let why = format!("send Content-Type: {SDP_FRAGMENT}");
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", why));
    }
    let body = text_of(body)?;
    let if_match = headers.get(header::IF_MATCH).map(http::HeaderValue::as_bytes);
    let another = |line: &str| line.trim_end().strip_prefix("a=ice-ufrag:").is_some_and(|ufrag| ufrag != session.ice_ufrag);
    if if_match == Some(b"*") || body.lines().any(another) {
        let why = "ICE restarts are not supported: end the session and begin another";
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "ICE_RESTART_UNSUPPORTED", why));
    }
    if if_match.is_some_and(|tag| tag != etag(&id).as_bytes()) {
        let why = "If-Match is not the ETag of this session";
        return Err(ApiError::new(StatusCode::PRECONDITION_FAILED, "PRECONDITION_FAILED", why));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Names the ICE session, which lives as long as the whole session.
pub(super) fn etag(id: &str) -> String {
    format!("\"{id}\"")
}
