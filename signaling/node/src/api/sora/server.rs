//! What the server says of itself.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::api::SharedState;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Counts since the process began, under the vendor's names; those that nothing here counts are left out.
pub(in crate::api) fn report(state: &SharedState) -> Response {
    let rooms = &state.signaling.shared().rooms;
    let tally = rooms.tally();
    let average = |sum: u64, count: u64| sum.checked_div(count).unwrap_or(0);
    let answer = json!({
        "version": VERSION,
        "total_connection_created": tally.created,
        "total_connection_updated": tally.updated,
        "total_connection_destroyed": tally.destroyed,
        "total_successful_connections": tally.created,
        "total_failed_connections": tally.failed,
        "total_ongoing_connections": tally.created.saturating_sub(tally.destroyed),
        "total_duration_sec": tally.seconds,
        "average_duration_sec": average(tally.seconds, tally.destroyed),
        "total_session_created": tally.sessions_created,
        "total_session_destroyed": tally.sessions_destroyed,
    });
    Json(answer).into_response()
}

/// There is no licence to buy: what is told is the configured limit.
pub(in crate::api) fn license(state: &SharedState) -> Response {
    let config = &state.signaling.shared().config;
    let answer = json!({
        "product_name": "Minamo",
        "license": "Apache-2.0 OR MIT",
        "max_connections": config.connections_max,
        "expired_at": null,
    });
    Json(answer).into_response()
}

/// This node is all there is.
pub(in crate::api) fn cluster_nodes() -> Response {
    Json(json!([{"node_name": "minamo", "version": VERSION, "connected": true}])).into_response()
}
