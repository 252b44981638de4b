//! The JSON management API: `POST /` with `X-Sora-Target`, and `GET /v1/channels…`. Everything here needs the API token.
//!
//! Every error is `{"error": words for a person, "error_type": a token for a program}`.

mod auth;
mod captions;
mod channels;
mod error;
mod forwarding;
mod keys;
mod links;
mod metadata;
mod operations;
mod playlist_url;
mod sora;

pub use auth::ApiToken;
pub(crate) use auth::Bearer;
pub use error::ApiError;
pub use links::{InvalidPublicUrl, OverTls, PublicUrl};

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::routing::{get, post};
use http::{HeaderName, Method, StatusCode, header};
use minamo_catalog::Catalog;
use tower_http::cors::{Any, CorsLayer};

use crate::{Programmes, Signaling};

/// The longest request body, in bytes. A longer one is answered with 413 and never held.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What the API works on.
pub struct ApiState {
    /// Where channels are kept.
    pub catalog: Catalog,
    /// The HLS side of channels.
    pub programmes: Arc<dyn Programmes>,
    /// The peers of channels.
    pub signaling: Signaling,
    /// What callers must present.
    pub token: ApiToken,
    /// The base of every URL in an answer; without it, the host by which the caller came.
    pub public_url: Option<PublicUrl>,
}

type SharedState = Arc<ApiState>;

impl FromRef<SharedState> for ApiToken {
    fn from_ref(state: &SharedState) -> Self {
        state.token.clone()
    }
}

/// The routes `POST /`, and `/v1/channels…`. `GET /` is left free for a page.
pub fn router(state: ApiState) -> Router {
    // The preflight needs a route of its own: a layer only sees what is routed.
    let preflight = async || StatusCode::NO_CONTENT;
    Router::new()
        .route("/", post(operations::dispatch).options(preflight))
        .route("/v1/channels", get(channels::list).options(preflight))
        .route("/v1/channels/{channel_id}", get(channels::one).options(preflight))
        .route("/v1/channels/{channel_id}/captions", post(captions::post).options(preflight))
        .route("/v1/channels/{channel_id}/metadata", post(metadata::post).options(preflight))
        .route("/v1/channels/{channel_id}/playlist-url", post(playlist_url::post).options(preflight))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(cors())
        .with_state(Arc::new(state))
}

/// Pages of any web origin may call: what protects the API is the token, which no browser sends by itself.
fn cors() -> CorsLayer {
    let target = HeaderName::from_static("x-sora-target");
    let requested_with = HeaderName::from_static("x-requested-with");
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::OPTIONS])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT, target, requested_with])
        .max_age(Duration::from_secs(24 * 3600))
}

#[cfg(test)]
mod tests;
