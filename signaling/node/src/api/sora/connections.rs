//! Disconnect…, Push…, List…

use std::collections::BTreeMap;

use axum::Json;
use axum::response::{IntoResponse, Response};
use minamo_signaling_proto::api::{Selection, Whom, disconnect_reason, parse_channel_id, push_data};
use minamo_signaling_proto::sora::Control;
use serde_json::{Value, json};

use super::{echo, known, selected};
use crate::api::SharedState;
use crate::api::error::ApiError;
use crate::mailbox::Letter;
use crate::rooms::Reached;
use crate::session::{Closing, Line, Notice};

/// 1000 `DISCONNECTED-API` for all of them. The answer does not wait until they are gone. `reason` is for the event webhook; until
/// there is one it goes into the log.
pub(in crate::api) async fn disconnect(state: SharedState, whom: Whom, body: &Value) -> Result<Response, ApiError> {
    let selection = Selection::parse(whom, body)?;
    let reason = disconnect_reason(body)?;
    let reached = selected(&state, &selection).await?;
    tracing::info!(channel = %selection.channel, connections = reached.len(), ?reason, "disconnected by the API");
    for one in reached {
        one.mailbox.close(Closing::API);
    }
    Ok(echo(&selection))
}

/// A `push` to all of them whose media is up: before the offer no client listens.
pub(in crate::api) async fn push(state: SharedState, whom: Whom, body: &Value) -> Result<Response, ApiError> {
    let selection = Selection::parse(whom, body)?;
    let notice = Notice::from(Control::Push { data: push_data(body)? }.to_text());
    for one in selected(&state, &selection).await? {
        if one.summary.connected {
            one.mailbox.letter(Letter::Notice(Line::Push, notice.clone()));
        }
    }
    Ok(echo(&selection))
}

pub(in crate::api) fn list(state: &SharedState) -> Response {
    summaries(state.signaling.shared().rooms.everybody())
}

pub(in crate::api) async fn list_of_channel(state: SharedState, body: &Value) -> Result<Response, ApiError> {
    let channel = parse_channel_id(body)?;
    known(&state, &channel).await?;
    let selection = Selection { channel, who: minamo_signaling_proto::api::Selected::All };
    Ok(summaries(state.signaling.shared().rooms.select(&selection)))
}

fn summaries(reached: Vec<Reached>) -> Response {
    let summaries: Vec<_> = reached.into_iter().map(|one| one.summary).collect();
    Json(summaries).into_response()
}

/// Channels in which somebody is.
pub(in crate::api) fn list_channels(state: &SharedState) -> Response {
    let mut channels: BTreeMap<String, bool> = BTreeMap::new();
    for one in state.signaling.shared().rooms.everybody() {
        *channels.entry(one.summary.channel_id.to_string()).or_default() |= one.summary.spotlight;
    }
    let entry = |(channel, spotlight)| json!({"channel_id": channel, "multistream": true, "spotlight": spotlight});
    Json(channels.into_iter().map(entry).collect::<Vec<_>>()).into_response()
}
