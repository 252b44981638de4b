//! A session's own URL: its end, candidates, ICE restarts.

use std::sync::PoisonError;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use minamo_sfu_core::model::Command;
use minamo_signaling_proto::sdp::{ClientFragment, FRAGMENT_BYTES_MAX, ServerFragment};

use super::endpoint::{has_type, overloaded, text_of};
use super::sessions::{IceSession, Session, fresh_etag};
use super::{SDP_FRAGMENT, Shared, Way};
use crate::Busy;
use crate::api::{ApiError, Bearer};
use crate::session::{Closing, Names};

/// How long a `DELETE` waits until the member has left.
const LEAVE_WAIT: Duration = Duration::from_secs(5);

/// Whoever shows neither the API token nor what the session began with learns nothing, not even whether it is there.
fn find(way: Way, endpoints: &Shared, token: &str, channel: &str, id: &str) -> Result<Session, ApiError> {
    let is_master = endpoints.token.matches(token);
    let unknown = || ApiError::new(StatusCode::NOT_FOUND, "UNKNOWN_SESSION", "there is no such session: it may have ended");
    match endpoints.sessions.find(way, channel, id) {
        Some(session) if is_master || session.bearer.as_ref().is_some_and(|bearer| bearer.matches(token)) => Ok(session),
        None if is_master => Err(unknown()),
        _ => Err(ApiError::wrong_token()),
    }
}

/// `DELETE`: when it is answered the place in the room is free. A second one finds nothing: 404. `If-Match` is ignored (RFC 9725
/// §4.3.1).
pub(super) async fn end(
    way: Way,
    State(endpoints): State<Shared>,
    Bearer(token): Bearer,
    Path((channel, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let session = find(way, &endpoints, &token, &channel, &id)?;
    endpoints.sessions.remove(&id);
    session.mailbox.close(Closing::DISCONNECT);
    if tokio::time::timeout(LEAVE_WAIT, session.ended.cancelled()).await.is_err() {
        tracing::warn!(%channel, "a session has not left in time");
    }
    Ok(StatusCode::OK)
}

/// `PATCH`: candidates are taken and ignored; credentials that are not those of now restart ICE. Whoever lost count of the ICE
/// sessions is told so, by 428 and 412.
pub(super) async fn patch(
    way: Way,
    State(endpoints): State<Shared>,
    Bearer(token): Bearer,
    Path((channel, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let session = find(way, &endpoints, &token, &channel, &id)?;
    if !has_type(&headers, SDP_FRAGMENT) {
        let why = format!("send Content-Type: {SDP_FRAGMENT}");
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", why));
    }
    let fragment = ClientFragment::parse(&text_of(body, FRAGMENT_BYTES_MAX)?);
    let fragment = fragment.map_err(|bad| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "INVALID_SDP_FRAGMENT",
            format!("the body is not a fragment of a description: {bad}"),
        )
    })?;
    let mut ice = session.ice.lock().unwrap_or_else(PoisonError::into_inner);
    check_precondition(headers.get(header::IF_MATCH), &ice.etag)?;
    match fragment.ice_ufrag {
        Some(ufrag) if ufrag != ice.remote_ufrag => restart(&endpoints, &session, &mut ice, ufrag),
        _ => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// RFC 9110 §13.1.1, with the strong comparison: weak tags never match.
fn check_precondition(if_match: Option<&HeaderValue>, etag: &str) -> Result<(), ApiError> {
    let Some(value) = if_match else {
        let why = "send If-Match: with the ETag of this session, or with * to restart ICE";
        return Err(ApiError::new(StatusCode::PRECONDITION_REQUIRED, "PRECONDITION_REQUIRED", why));
    };
    let mut tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
    if tags.any(|tag| tag == "*" || tag == etag) {
        return Ok(());
    }
    let why = "If-Match is not the ETag of this session: ICE was restarted since";
    Err(ApiError::new(StatusCode::PRECONDITION_FAILED, "PRECONDITION_FAILED", why))
}

/// The transport goes on as it is until the client checks with the new credentials (RFC 8445 §2.4).
fn restart(endpoints: &Shared, session: &Session, ice: &mut IceSession, remote_ufrag: String) -> Result<Response, ApiError> {
    let shared = endpoints.signaling.shared();
    let fresh = Names::new(rand::random()).ice_credentials();
    let command = Command::RestartIce { peer: session.peer, ice: fresh.clone() };
    shared.media.command(command).map_err(|Busy| overloaded())?;
    ice.remote_ufrag = remote_ufrag;
    ice.etag = fresh_etag();
    tracing::info!(channel = %session.channel, "restarts ICE");
    let (words, mid) = &ice.tagged;
    let candidates = &shared.endpoint.candidates;
    let answer = ServerFragment { words, mid, ice_ufrag: &fresh.ufrag, ice_pwd: &fresh.pwd, candidates };
    let headers = [(header::CONTENT_TYPE, SDP_FRAGMENT.to_owned()), (header::ETAG, ice.etag.clone())];
    Ok((headers, answer.to_string()).into_response())
}
