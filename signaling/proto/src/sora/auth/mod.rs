//! The auth webhook: what the application's server is asked about a connection, and what it answers.

mod overrule;
mod request;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use request::AuthRequest;

use super::connect::notify_metadata;
use super::{BadMessage, ID_BYTES_MAX, truncate};
use crate::api::InvalidField;
use crate::api::field::Field;

/// Longest `connection_lifetime`, in seconds: a year.
const LIFETIME_SECONDS_MAX: u32 = 366 * 86_400;
/// Longest `metadata` and `event_metadata`, as JSON text.
const METADATA_BYTES_MAX: usize = 8 * 1024;
const RPC_METHODS_MAX: usize = 32;
const REASON_BYTES_MAX: usize = 1024;

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthAnswer {
    /// In, with what it changes.
    Allowed(Box<Allowed>),
    /// Out, for this reason.
    Refused(String),
}

/// What an answer changes and grants. Unknown members are ignored.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowed {
    /// The whole answer: an object.
    answer: Value,
    /// `metadata`, for the client's offer.
    pub metadata: Option<Value>,
    /// `event_metadata`, for event webhooks.
    pub event_metadata: Option<Value>,
    /// `signaling_notify_metadata`, in notifications as `authz_metadata`.
    pub authz_metadata: Option<Value>,
    /// `signaling_notify`: whether the connection is told what happens in the room.
    pub notify: bool,
    /// `rpc_methods`
    pub rpc_methods: Vec<String>,
    /// `connection_lifetime`
    pub lifetime_seconds: Option<u32>,
}

/// An answer that cannot be taken: the connection is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// Not JSON, or no object.
    #[error("it is no JSON object")]
    Json,
    /// A member of the webhook's own.
    #[error(transparent)]
    Field(#[from] InvalidField),
    /// A member that stands for one of `connect`.
    #[error("{0}")]
    Connect(#[from] BadMessage),
}

impl AuthAnswer {
    /// Reads the body of an answer.
    ///
    /// # Errors
    /// It is no JSON object, `allowed` is missing, or a member is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, BadAnswer> {
        let answer: Value = serde_json::from_slice(body).map_err(|_| BadAnswer::Json)?;
        let body = Field::body(&answer).map_err(|_| BadAnswer::Json)?;
        if !body.required("allowed")?.flag()? {
            let reason = body.member("reason").and_then(|reason| reason.text().ok()).unwrap_or("AUTH-REFUSED");
            return Ok(Self::Refused(truncate(reason, REASON_BYTES_MAX).to_owned()));
        }
        let method = |field: &Field<'_>| field.bounded_text(ID_BYTES_MAX).map(str::to_owned);
        let rpc_methods = match body.member("rpc_methods") {
            Some(list) => list.items(0..=RPC_METHODS_MAX)?.iter().map(method).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let lifetime = body.member("connection_lifetime");
        let lifetime_seconds = lifetime.map(|field| field.integer(1..=LIFETIME_SECONDS_MAX)).transpose()?;
        let (metadata, event_metadata) = (bounded(&body, "metadata")?, bounded(&body, "event_metadata")?);
        let authz_metadata = notify_metadata(answer.get("signaling_notify_metadata").filter(|value| !value.is_null()))?;
        let notify = body.member("signaling_notify").map(|field| field.flag()).transpose()?.unwrap_or(true);
        Ok(Self::Allowed(Box::new(Allowed {
            metadata,
            event_metadata,
            authz_metadata,
            notify,
            rpc_methods,
            lifetime_seconds,
            answer,
        })))
    }
}

fn bounded(body: &Field<'_>, name: &str) -> Result<Option<Value>, InvalidField> {
    let Some(field) = body.member(name) else { return Ok(None) };
    if field.value().to_string().len() > METADATA_BYTES_MAX {
        return Err(field.wrong(format!("must have at most {METADATA_BYTES_MAX} bytes as JSON")));
    }
    Ok(Some(field.value().clone()))
}
