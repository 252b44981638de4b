//! The embedded pages: index, studio, watch, and their assets.

use std::collections::HashMap;
use std::io::Write;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use rust_embed::Embed;

use crate::headers;
use crate::operations::not_found;

#[derive(Embed)]
#[folder = "$OUT_DIR/pages"]
struct Embedded;

/// One embedded file, ready to be sent.
struct File {
    plain: Bytes,
    /// Only where it is smaller.
    gzip: Option<Bytes>,
    etag: HeaderValue,
    content_type: &'static str,
}

/// All files by their path, compressed once.
static FILES: LazyLock<HashMap<String, File>> = LazyLock::new(|| {
    let file = |path: std::borrow::Cow<'static, str>| Some((path.to_string(), File::of(&path, Embedded::get(&path)?)));
    Embedded::iter().filter_map(file).collect()
});

/// `GET /`, `/studio`, `/watch/{channel_id}`, `/watch/{channel_id}/{connection_id}`, `/assets/…`
pub(crate) fn router() -> Router {
    Router::new()
        .route("/", get(async |headers: HeaderMap| page("index.html", false, &headers)))
        .route("/studio", get(async |headers: HeaderMap| page("studio.html", false, &headers)))
        .route("/watch/{channel_id}", get(async |headers: HeaderMap| page("watch.html", true, &headers)))
        .route("/watch/{channel_id}/{connection_id}", get(async |headers: HeaderMap| page("watch.html", true, &headers)))
        .route("/assets/{*path}", get(async |uri: Uri, headers: HeaderMap| file(uri.path(), &headers)))
        .route("/favicon.ico", get(async |uri: Uri, headers: HeaderMap| file(uri.path(), &headers)))
        .route("/favicon.svg", get(async |uri: Uri, headers: HeaderMap| file(uri.path(), &headers)))
}

fn page(name: &str, may_be_framed: bool, request: &HeaderMap) -> Response {
    let mut response = file(name, request);
    if response.status() != StatusCode::NOT_FOUND {
        response.headers_mut().extend(headers::of_page(may_be_framed));
    }
    response
}

fn file(path: &str, request: &HeaderMap) -> Response {
    let path = path.trim_start_matches('/');
    let Some(file) = FILES.get(path) else { return not_found() };
    // The build puts a hash of the content into the names of assets; everything else is asked for again each time.
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = file.response(request);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

impl File {
    fn of(path: &str, embedded: rust_embed::EmbeddedFile) -> Self {
        let plain = Bytes::from(embedded.data.into_owned());
        let hash: String = embedded.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            gzip: gzip(&plain).filter(|gzip| gzip.len() < plain.len() / 10 * 9),
            plain,
            // Weak: the compressed and the plain form share it (RFC 9110 §8.8.1).
            etag: HeaderValue::from_str(&format!("W/\"{hash}\"")).unwrap_or(HeaderValue::from_static("W/\"\"")),
            content_type: content_type(path),
        }
    }

    fn response(&self, request: &HeaderMap) -> Response {
        let known = request.get(IF_NONE_MATCH).is_some_and(|value| names(value, &self.etag));
        let body = match &self.gzip {
            _ if known => return (StatusCode::NOT_MODIFIED, [(ETAG, self.etag.clone())]).into_response(),
            Some(gzip) if accepts_gzip(request) => gzip,
            _ => &self.plain,
        };
        let mut response = Response::new(Body::from(body.clone()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(ETAG, self.etag.clone());
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if body.len() != self.plain.len() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

fn names(if_none_match: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(list), Ok(etag)) = (if_none_match.to_str(), etag.to_str()) else { return false };
    let strip = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    list.split(',').any(|tag| strip(tag) == strip(etag))
}

fn accepts_gzip(request: &HeaderMap) -> bool {
    let Some(value) = request.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()) else { return false };
    value.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

fn gzip(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    Some(encoder.finish().ok()?.into())
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use http::{Request, StatusCode};
    use tower::ServiceExt;

    async fn get(path: &str, header: Option<(&str, &str)>) -> axum::response::Response {
        let mut request = Request::get(path);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        super::router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn pages_are_html_and_asked_for_again_each_time() {
        for path in ["/", "/studio", "/watch/any-channel", "/watch/any-channel/any-publisher"] {
            let response = get(path, None).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
            assert_eq!(response.headers()["cache-control"], "no-cache");
            let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
            assert_eq!(policy.contains("frame-ancestors"), !path.starts_with("/watch"), "{path}");
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            assert!(String::from_utf8_lossy(&body).to_lowercase().contains("<!doctype html>"), "{path}");
        }
    }

    #[tokio::test]
    async fn a_known_page_is_not_sent_again() {
        let etag = get("/", None).await.headers()["etag"].to_str().unwrap().to_owned();
        assert_eq!(get("/", Some(("if-none-match", &etag))).await.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(get("/", Some(("if-none-match", "\"other\""))).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn assets_are_kept_for_ever_and_unknown_ones_are_404() {
        let asset = super::FILES.keys().find(|path| path.starts_with("assets/"));
        if let Some(path) = asset {
            let response = get(&format!("/{path}"), Some(("accept-encoding", "br, gzip"))).await;
            assert!(response.headers()["cache-control"].to_str().unwrap().contains("immutable"));
        }
        for path in ["/assets/nothing.js", "/assets/../index.html", "/assets/%2e%2e/index.html"] {
            assert_eq!(get(path, None).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn gzip_only_for_who_takes_it() {
        let accepts = |value: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert("accept-encoding", value.parse().unwrap());
            super::accepts_gzip(&headers)
        };
        assert!(accepts("gzip") && accepts("br, gzip;q=0.5") && accepts("GZIP"));
        assert!(!accepts("br") && !accepts("gzip;q=0") && !accepts("identity"));
    }
}
