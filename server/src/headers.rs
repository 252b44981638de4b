//! Headers that every answer carries, and those of pages.

use axum::Router;
use http::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use tower_http::set_header::SetResponseHeaderLayer;

/// What pages may load: themselves, playlists and signaling of any host (a CDN may be in front of either), and the
/// blobs that media players make. No inline script.
const PAGE_POLICY: &str = "default-src 'self'; script-src 'self'; worker-src 'self' blob:; media-src 'self' blob: http: https:; \
connect-src 'self' ws: wss: http: https:; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; \
object-src 'none'; base-uri 'none'; form-action 'self'";

/// The watch page may stand in a frame of any site; the others, which hold a token or a camera, only in our own.
const FRAME_ANCESTORS_SELF: &str = "; frame-ancestors 'self'";

pub(crate) fn on_everything(router: Router) -> Router {
    let set =
        |name: HeaderName, value: &'static str| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    router.layer(set(X_CONTENT_TYPE_OPTIONS, "nosniff")).layer(set(REFERRER_POLICY, "no-referrer"))
}

/// The headers of one HTML page.
pub(crate) fn of_page(may_be_framed: bool) -> [(HeaderName, HeaderValue); 2] {
    let policy = if may_be_framed { PAGE_POLICY.to_owned() } else { format!("{PAGE_POLICY}{FRAME_ANCESTORS_SELF}") };
    // Both are ASCII that we wrote above.
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'self'"));
    [
        (CONTENT_SECURITY_POLICY, policy),
        (
            HeaderName::from_static("permissions-policy"),
            HeaderValue::from_static("camera=(self), microphone=(self), display-capture=(self)"),
        ),
    ]
}
