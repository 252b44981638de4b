//! WHIP (RFC 9725) at `/whip/{channel_id}` and WHEP at `/whep/{channel_id}`: media over WebRTC with plain HTTP for signaling.
//!
//! A client offers in a `POST`, we answer, and that is all the negotiation there is: whoever came this way is an ordinary member
//! of the room from then on. The session's URL is in `Location`; `DELETE` ends it. `PATCH` takes candidates and ignores them, as an
//! ICE-lite agent learns a client's addresses from its checks, and restarts ICE (RFC 9725 §4.3).
//!
//! A viewer who comes before a publisher gets 409 `NOT_LIVE` with `Retry-After`: players ask again, and need not guess why a
//! connection that came up shows nothing. Of several publishers it gets the fullest (sound and picture before one of both), of
//! these the one that was first; `?publisher=` names another by its connection id or client id. Each further section of a kind in its
//! offer gets the next publisher. WHEP has no second negotiation, so the answer lists every codec that the client offers and we
//! know, and when a publisher goes, the next one, or the same once it is back, is sent in the section and under the SSRC of the
//! one before; see `viewing`.
//!
//! Errors are those of the JSON API. Every request but `OPTIONS` needs a bearer string: the API token; or, where the channel has an
//! auth webhook, any that this lets in: it is asked with `metadata.access_token`, and the session's URL takes the same string.

mod candidate;
mod endpoint;
mod member;
mod negotiation;
mod resource;
mod sessions;
mod viewing;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{delete, post};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use minamo_signaling_proto::sdp::{FRAGMENT_BYTES_MAX, SDP_BYTES_MAX};
use tower_http::cors::{Any, CorsLayer};

use crate::Signaling;
use crate::api::{ApiError, ApiToken};
use sessions::Sessions;

const SDP: &str = "application/sdp";
const SDP_FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

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

/// `/whip/{channel_id}`, `/whep/{channel_id}`, and their sessions below them.
pub fn router(signaling: Signaling, token: ApiToken) -> Router {
    let endpoints = Arc::new(Endpoints { signaling, token, sessions: Arc::default() });
    [Way::In, Way::Out].into_iter().fold(Router::new(), |router, way| router.merge(routes(way))).with_state(endpoints)
}

fn routes(way: Way) -> Router<Shared> {
    let folder = way.folder();
    let create = post(move |state, authorized, channel, query, headers, body| {
        endpoint::create(way, state, authorized, channel, query, headers, body)
    });
    let session = delete(move |state, authorized, place| resource::end(way, state, authorized, place))
        .patch(move |state, authorized, place, headers, body| resource::patch(way, state, authorized, place, headers, body));
    let create = create.fallback(async || not_allowed("POST an offer here"));
    let session = session.fallback(async || not_allowed("PATCH this session with candidates, or DELETE it"));
    let endpoint = Router::new().route(&format!("/{folder}/{{channel_id}}"), create);
    let sessions = Router::new().route(&format!("/{folder}/{{channel_id}}/{{session}}"), session);
    let endpoint = endpoint.layer(DefaultBodyLimit::max(SDP_BYTES_MAX)).layer(cors()).layer(map_response(accept_post));
    let sessions = sessions.layer(DefaultBodyLimit::max(FRAGMENT_BYTES_MAX)).layer(cors()).layer(map_response(accept_patch));
    endpoint.merge(sessions)
}

/// RFC 9725 §4.2: other methods are kept for later versions of the protocol. The router adds `Allow`.
fn not_allowed(instead: &str) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", format!("this method means nothing here: {instead}"))
}

/// Says what the endpoint takes (RFC 9725 §4.2).
async fn accept_post(mut response: Response) -> Response {
    response.headers_mut().insert(HeaderName::from_static("accept-post"), HeaderValue::from_static(SDP));
    response
}

/// Says what a session takes (RFC 5789 §3.1).
async fn accept_patch(mut response: Response) -> Response {
    response.headers_mut().insert(ACCEPT_PATCH, HeaderValue::from_static(SDP_FRAGMENT));
    response
}

/// Pages of any web origin may call: what protects the endpoints is the token, which no browser sends by itself.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH])
        .expose_headers([header::LOCATION, header::ETAG, header::LINK, header::RETRY_AFTER, ACCEPT_PATCH])
        .max_age(Duration::from_secs(24 * 3600))
}
