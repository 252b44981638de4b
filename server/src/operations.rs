//! What operators ask: `/healthz`, `/readyz`, `/metrics`.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use metrics_exporter_prometheus::PrometheusHandle;
use minamo_catalog::Catalog;
use minamo_sfu::Sfu;
use minamo_signaling_proto::api::ErrorBody;
use tokio_util::sync::CancellationToken;

/// What readiness depends on.
#[derive(Clone)]
pub(crate) struct Operations {
    pub(crate) catalog: Catalog,
    pub(crate) sfu: Sfu,
    pub(crate) metrics: PrometheusHandle,
    /// Cancelled as soon as the server begins to stop, so that a load balancer looks elsewhere.
    pub(crate) stopping: CancellationToken,
}

/// How long a part may take to say that it works.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

pub(crate) fn router(operations: Operations) -> Router {
    Router::new()
        .route("/healthz", get(async || ([(CACHE_CONTROL, "no-store")], "ok\n")))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(operations)
}

async fn ready(State(operations): State<Operations>) -> Response {
    let trouble = trouble(&operations).await;
    let status = if trouble.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let words = if trouble.is_empty() { "ready\n".to_owned() } else { format!("{}\n", trouble.join("\n")) };
    (status, [(CACHE_CONTROL, "no-store")], words).into_response()
}

async fn trouble(operations: &Operations) -> Vec<&'static str> {
    let mut trouble = Vec::new();
    if operations.stopping.is_cancelled() {
        trouble.push("the server is stopping");
    }
    match tokio::time::timeout(ANSWER_WITHIN, operations.catalog.check()).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => trouble.push("the catalog fails"),
        Err(_) => trouble.push("the catalog does not answer"),
    }
    if !operations.sfu.is_alive() {
        trouble.push("the media thread does not move");
    }
    trouble
}

async fn metrics(State(operations): State<Operations>) -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (headers, operations.metrics.render()).into_response()
}

/// The answer for a path that nobody serves.
pub(crate) fn not_found() -> Response {
    let body = ErrorBody { error: "there is nothing here".to_owned(), error_type: "NOT_FOUND".to_owned() };
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}
