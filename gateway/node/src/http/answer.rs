//! Answers that are not media: problems with their JSON bodies, and how long what may be cached.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::signed::Refusal;

/// Parts, segments and init sections never change (rule 25).
pub(super) const CACHE_IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// A multivariant playlist changes when the pictures do.
pub(super) const CACHE_MULTIVARIANT: HeaderValue = HeaderValue::from_static("public, max-age=1");
/// An error (rule 25).
const CACHE_ERROR: HeaderValue = HeaderValue::from_static("max-age=1");
/// Being busy is nobody else's answer.
pub(super) const CACHE_NEVER: HeaderValue = HeaderValue::from_static("no-store");

/// How long a media playlist may be kept (rule 25). One that is `bound` to the part or segment that its full URL names stays right
/// (rfc8216bis §6.2.5.2 and appendix B.1: six targets). Anything else less than half a target: the plain live playlist, and the
/// answer to a directive that was long fulfilled, which is the same.
pub(super) fn cache_playlist(target: Duration, bound: bool) -> HeaderValue {
    let target = target.as_secs();
    let seconds = if bound { 6 * target } else { target.saturating_sub(1) / 2 };
    HeaderValue::try_from(format!("public, max-age={seconds}")).unwrap_or(CACHE_NEVER)
}

/// Everything that is answered without media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// The channel was never opened, or deleted.
    UnknownChannel,
    /// The channel is there, the programme is not.
    NotLive,
    /// The programme is there, the file is not.
    NotFound,
    /// The programme is there, but not in this form: its codec has no place there, or its protection.
    OtherForm,
    /// The channel's URLs are signed, and this one is not as it must be.
    Unsigned(Refusal),
    /// A directive that cannot be obeyed.
    BadRequest(String),
    /// What was waited for did not come.
    TooLong,
    /// Too many wait already.
    TooMany,
    /// A range outside of the file of this many bytes.
    Range(u64),
    /// Neither GET nor HEAD nor OPTIONS.
    Method,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    error_type: &'a str,
}

impl Problem {
    fn describe(&self) -> (StatusCode, &str, &'static str) {
        match self {
            Self::UnknownChannel => (StatusCode::NOT_FOUND, "there is no such channel", "UNKNOWN_CHANNEL"),
            Self::NotLive => (StatusCode::NOT_FOUND, "nothing is being published here", "NOT_LIVE"),
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no such file, or no longer", "NOT_FOUND"),
            Self::OtherForm => (StatusCode::CONFLICT, "the programme cannot be had in this form", "FORM_UNAVAILABLE"),
            Self::Unsigned(Refusal::Unsigned) => (StatusCode::FORBIDDEN, "this URL needs a signature", "SIGNATURE_MISSING"),
            Self::Unsigned(Refusal::Wrong) => (StatusCode::FORBIDDEN, "the signature does not fit this URL", "SIGNATURE_WRONG"),
            Self::Unsigned(Refusal::Expired) => (StatusCode::FORBIDDEN, "this URL has expired", "URL_EXPIRED"),
            Self::BadRequest(why) => (StatusCode::BAD_REQUEST, why, "BAD_REQUEST"),
            Self::TooLong => (StatusCode::SERVICE_UNAVAILABLE, "it did not come within three target durations", "TIMEOUT"),
            Self::TooMany => (StatusCode::SERVICE_UNAVAILABLE, "too many requests are waiting", "OVERLOADED"),
            Self::Range(_) => (StatusCode::RANGE_NOT_SATISFIABLE, "the range is outside of the file", "RANGE"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and OPTIONS", "METHOD_NOT_ALLOWED"),
        }
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        let (status, error, error_type) = problem.describe();
        let mut response = (status, axum::Json(Body { error, error_type })).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, CACHE_ERROR);
        match problem {
            Problem::TooMany | Problem::TooLong => {
                headers.insert(header::CACHE_CONTROL, CACHE_NEVER);
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Problem::Range(length) => {
                if let Ok(value) = HeaderValue::try_from(format!("bytes */{length}")) {
                    headers.insert(header::CONTENT_RANGE, value);
                }
            }
            Problem::Method => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
            }
            _ => {}
        }
        response
    }
}

pub(super) async fn method_not_allowed() -> Response {
    Problem::Method.into()
}
