//! WHIP (RFC 9725) at `/whip/{channel_id}` and WHEP at `/whep/{channel_id}`: media over WebRTC with plain HTTP for signaling.
//!
//! A client offers in a `POST`, we answer, and that is all the negotiation there is: whoever came this way is an ordinary member
//! of the room from then on. The session's URL is in `Location`; `DELETE` ends it. `PATCH` takes candidates and ignores them, as an
//! ICE-lite agent learns a client's addresses from its checks; an ICE restart is refused with 422 (RFC 9725 §4.3.1).
//!
//! Errors are those of the JSON API. Every request but `OPTIONS` needs the API token.

mod endpoint;
mod member;
mod negotiation;
mod resource;
mod sessions;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{delete, post};
use http::{HeaderName, HeaderValue, Method, header};
use minamo_signaling_proto::sdp::SDP_BYTES_MAX;
use tower_http::cors::{Any, CorsLayer};

use crate::Signaling;
use crate::api::ApiToken;
use sessions::Sessions;

const SDP: &str = "application/sdp";
const SDP_FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// Which way the media goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// WHIP: the client sends.
    In,
    /// WHEP: the client receives.
    Out,
}

impl Way {
    fn folder(self) -> &'static str {
        match self {
            Self::In => "whip",
            Self::Out => "whep",
        }
    }
}

struct Endpoints {
    signaling: Signaling,
    token: ApiToken,
    sessions: Arc<Sessions>,
}

type Shared = Arc<Endpoints>;

impl FromRef<Shared> for ApiToken {
    fn from_ref(endpoints: &Shared) -> Self {
        endpoints.token.clone()
    }
}

/// `/whip/{channel_id}`, `/whep/{channel_id}`, and their sessions below them.
pub fn router(signaling: Signaling, token: ApiToken) -> Router {
    let endpoints = Arc::new(Endpoints { signaling, token, sessions: Arc::default() });
    [Way::In, Way::Out].into_iter().fold(Router::new(), |router, way| router.merge(routes(way))).with_state(endpoints)
}

fn routes(way: Way) -> Router<Shared> {
    let folder = way.folder();
    let create =
        post(move |state, authorized, channel, headers, body| endpoint::create(way, state, authorized, channel, headers, body));
    let end = delete(move |state, authorized, place| resource::end(way, state, authorized, place))
        .patch(move |state, authorized, place, headers, body| resource::patch(way, state, authorized, place, headers, body));
    let endpoint = Router::new().route(&format!("/{folder}/{{channel_id}}"), create);
    let sessions = Router::new().route(&format!("/{folder}/{{channel_id}}/{{session}}"), end);
    let endpoint = endpoint.layer(cors()).layer(map_response(accept_post));
    endpoint.merge(sessions.layer(cors())).layer(DefaultBodyLimit::max(SDP_BYTES_MAX))
}

/// Says what the endpoint takes (RFC 9725 §4.2).
async fn accept_post(mut response: Response) -> Response {
    response.headers_mut().insert(HeaderName::from_static("accept-post"), HeaderValue::from_static(SDP));
    response
}

/// Pages of any web origin may call: what protects the endpoints is the token, which no browser sends by itself.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH])
        .expose_headers([header::LOCATION, header::ETAG, header::LINK, header::RETRY_AFTER])
        .max_age(Duration::from_secs(24 * 3600))
}
