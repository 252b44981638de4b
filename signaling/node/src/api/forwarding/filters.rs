//! The forwarding filter family. A change acts at once: what a filter blocks is not sent any more when the answer comes.

use axum::Json;
use axum::response::{IntoResponse, Response};
use minamo_signaling_proto::api::{FilterOwner, FilterTarget, FilterVerb};
use serde_json::Value;

use super::rooms;
use crate::api::SharedState;
use crate::api::error::ApiError;
use crate::rooms::{FilterChange, FilterScope};

/// List answers with an array of filters, Create and Update with the filter as it is now, Delete with what was asked. (What the
/// vendor answers is not known.)
pub(super) async fn dispatch(
    state: &SharedState,
    owner: FilterOwner,
    verb: FilterVerb,
    body: &Value,
) -> Result<Response, ApiError> {
    let FilterTarget { channel, connection } = FilterTarget::parse(owner, body)?;
    let scope = connection.map_or(FilterScope::Channel, FilterScope::Connection);
    let change = match verb {
        FilterVerb::List => {
            let filters = rooms(state, &channel).await?.filters(&channel, &scope)?;
            return Ok(Json(filters).into_response());
        }
        FilterVerb::Create => FilterChange::Create(FilterTarget::filter(body)?),
        FilterVerb::Update => FilterChange::Update(FilterTarget::filter(body)?),
        FilterVerb::Delete => FilterChange::Delete(FilterTarget::name(body)?),
    };
    let answer = match &change {
        FilterChange::Create(filter) | FilterChange::Update(filter) => Json(filter.clone()).into_response(),
        FilterChange::Delete(_) => Json(super::echo_of(body)).into_response(),
    };
    rooms(state, &channel).await?.change_filter(&channel, &scope, change)?;
    Ok(answer)
}
