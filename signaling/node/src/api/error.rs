//! What the API answers when it does not do what was asked.

use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use minamo_catalog::CatalogError;
use minamo_media::ChannelId;
use minamo_signaling_proto::api::{ErrorBody, InvalidField};

/// An answer that is not 2xx.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    error_type: &'static str,
    error: String,
    retry_after_s: Option<u32>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, error_type: &'static str, error: impl Into<String>) -> Self {
        Self { status, error_type, error: error.into(), retry_after_s: None }
    }

    /// When to ask again, in seconds.
    pub(crate) fn retry_after_s(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    pub(super) fn unauthorized(why: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", why)
    }

    pub(crate) fn wrong_token() -> Self {
        Self::unauthorized("the token is wrong")
    }

    pub(super) fn unknown_target(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "UNKNOWN_TARGET", why)
    }

    pub(crate) fn unknown_channel(id: &ChannelId) -> Self {
        Self::new(StatusCode::NOT_FOUND, "UNKNOWN_CHANNEL", format!("there is no channel {}", excerpt(id.as_str())))
    }

    pub(super) fn invalid_parameter(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_PARAMETER", why)
    }

    pub(super) fn invalid_json(error: &serde_json::Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_JSON", format!("the body is not JSON: {error}"))
    }

    pub(crate) fn internal(why: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", why)
    }
}

impl From<InvalidField> for ApiError {
    fn from(field: InvalidField) -> Self {
        Self::invalid_parameter(field.to_string())
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let why = format!("the body is longer than {} bytes", super::BODY_BYTES_MAX);
            return Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", why);
        }
        Self::new(StatusCode::BAD_REQUEST, "INVALID_BODY", rejection.body_text())
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        // The caller learns that it may try again; what broke is for the operator.
        tracing::error!(%error, "the catalog failed");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "the catalog does not answer: try again later")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { error: self.error, error_type: self.error_type.to_owned() };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// At most so much of what the caller sent is said back.
const EXCERPT_CHARS_MAX: usize = 100;

pub(super) fn excerpt(text: &str) -> String {
    let mut chars = text.chars();
    let mut short: String = chars.by_ref().take(EXCERPT_CHARS_MAX).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}
