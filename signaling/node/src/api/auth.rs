//! `Authorization: Bearer <token>`.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use axum::extract::{FromRef, FromRequestParts};
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::error::ApiError;

/// The token that callers must present. Only its digest is kept, so that comparing takes the same time whatever was
/// sent, and nothing can print it.
#[derive(Clone, Debug)]
pub struct ApiToken(Digest);

impl ApiToken {
    /// The token as it is configured.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(digest(&SHA256, token.as_bytes()))
    }

    pub(crate) fn matches(&self, candidate: &str) -> bool {
        let candidate = digest(&SHA256, candidate.as_bytes());
        verify_slices_are_equal(self.0.as_ref(), candidate.as_ref()).is_ok()
    }
}

/// A bearer string as it was sent, which nobody has judged yet. [`crate::whip`] asks the channel's auth webhook about it.
pub(crate) struct Bearer(pub String);

impl<S: Sync> FromRequestParts<S> for Bearer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        presented(parts).map(|token| Self(token.to_owned()))
    }
}

fn presented(parts: &Parts) -> Result<&str, ApiError> {
    let Some(value) = parts.headers.get(AUTHORIZATION) else {
        return Err(ApiError::unauthorized("the Authorization header is missing: send Authorization: Bearer <token>"));
    };
    let not_bearer = || ApiError::unauthorized("the Authorization header is not of the form Bearer <token>");
    value.to_str().ok().and_then(bearer).ok_or_else(not_bearer)
}

/// Proof that the request carried the token. Comes before the body among a handler's arguments, so that nobody without
/// a token makes us read one.
pub(crate) struct Authorized;

impl<S: Sync> FromRequestParts<S> for Authorized
where
    ApiToken: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let token = presented(parts)?;
        if ApiToken::from_ref(state).matches(token) { Ok(Self) } else { Err(ApiError::wrong_token()) }
    }
}

/// The token out of a header value; the scheme counts in any case (RFC 9110 §11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::{ApiToken, bearer};

    #[test]
    fn the_scheme_counts_in_any_case_and_must_be_bearer() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bEARER  abc "), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("Bearer"), None);
    }

    #[test]
    fn only_the_whole_token_matches() {
        let token = ApiToken::new("correct");
        assert!(token.matches("correct"));
        for wrong in ["", "correc", "correct ", "Correct", "correctt"] {
            assert!(!token.matches(wrong), "{wrong:?}");
        }
        assert!(!format!("{token:?}").contains("correct"));
    }
}
