//! `POST`: a client joins.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use http::{HeaderMap, StatusCode, header};
use minamo_media::ChannelId;
use minamo_signaling_proto::api::ChannelSettings;
use minamo_signaling_proto::sdp::{ClientOffer, SDP_BYTES_MAX};

use super::candidate::{Candidate, Created};
use super::{Endpoints, SDP, Way};
use crate::api::{ApiError, Bearer};
use crate::signaling::Open;

/// Whether the request's body is of that type, whatever its parameters.
pub(super) fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}

/// A body of at most so many bytes, which the router has checked.
pub(super) fn text_of(body: Result<Bytes, BytesRejection>, bytes_max: usize) -> Result<String, ApiError> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let why = format!("the body is longer than {bytes_max} bytes");
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", why)
        }
        status => ApiError::new(status, "INVALID_BODY", rejection.body_text()),
    })?;
    String::from_utf8(body.into()).map_err(|_| invalid_sdp("the body is not UTF-8"))
}

fn invalid_sdp(why: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "INVALID_SDP", why)
}

pub(super) fn overloaded() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", "the server is full: try again later").retry_after_s(5)
}

/// Longest string that an auth webhook is asked about.
const BEARER_BYTES_MAX: usize = 8192;

/// What the query says; other members are ignored.
#[derive(Default, serde::Deserialize)]
pub(super) struct Wish {
    /// A viewer's: the connection id or client id of the only publisher to be seen.
    publisher: Option<String>,
}

pub(super) async fn create(
    way: Way,
    State(endpoints): State<Arc<Endpoints>>,
    Bearer(token): Bearer,
    Path(channel): Path<String>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Created, ApiError> {
    let id = ChannelId::from(channel);
    let bearer = judge(&endpoints, &id, token).await?;
    if !has_type(&headers, SDP) {
        let why = format!("send the offer with Content-Type: {SDP}");
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", why));
    }
    let offer = ClientOffer::parse(&text_of(body, SDP_BYTES_MAX)?).map_err(|bad| invalid_sdp(bad.to_string()))?;
    let shared = endpoints.signaling.shared();
    let open = Open::one_more(shared).ok_or_else(overloaded)?;
    let publisher = wish.publisher.filter(|_| way == Way::Out);
    let member = Candidate {
        shared: shared.clone(),
        way,
        offer,
        bearer,
        publisher,
        mailbox: Arc::default(),
        figures: Arc::default(),
        open,
    };
    member.join(&endpoints, id).await
}

/// Who has the API token may do everything. Any other string is for the channel's auth webhook to judge, where it has one.
async fn judge(endpoints: &Endpoints, id: &ChannelId, token: String) -> Result<Option<String>, ApiError> {
    if endpoints.token.matches(&token) {
        return Ok(None);
    }
    let channel = endpoints.signaling.shared().catalog.channel(id).await?;
    let settings = channel.and_then(|channel| ChannelSettings::stored(&channel.settings).ok());
    if settings.is_none_or(|settings| settings.auth_webhook_url.is_none()) || token.len() > BEARER_BYTES_MAX {
        return Err(ApiError::wrong_token());
    }
    Ok(Some(token))
}
