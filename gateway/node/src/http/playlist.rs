//! Playlists: bytes that exist, or a wait for them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use minamo_packager::{Body, Directives, Rendition, Response as Answer};

use super::Shared;
use super::answer::{CACHE_MULTIVARIANT, Problem, cache_playlist};
use crate::origin::Shelf;
use crate::signed::with_query;
use crate::telemetry::{self, Blocked};

pub(super) const PLAYLIST_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");

/// The multivariant playlist; there from the first complete part on.
///
/// `session`: what its URIs carry for this viewer, where URLs are signed.
pub(super) fn multivariant(shelf: &Shelf, session: Option<&str>, headers: &HeaderMap) -> Result<Response, Problem> {
    let showing = shelf.current.as_ref().ok_or(Problem::NotLive)?;
    let body = showing.multivariant.borrow().clone().ok_or(Problem::NotLive)?;
    let Some(session) = session else { return Ok(respond(&body, headers, CACHE_MULTIVARIANT)) };
    // A few hundred bytes, once for each viewer; all that is asked for again and again is the same for all.
    let text = with_query(&String::from_utf8_lossy(body.plain()), session);
    Ok(respond(&Arc::new(Body::new(text.into())), headers, CACHE_MULTIVARIANT))
}

/// A media playlist, at once or when what `query` waits for is there.
pub(super) async fn media(
    shared: &Shared,
    shelf: &Shelf,
    rendition: Rendition,
    query: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let showing = shelf.current.as_ref().ok_or(Problem::NotLive)?;
    let directives = Directives::parse(query).map_err(|bad| Problem::BadRequest(bad.to_string()))?;
    let mut snapshots = showing.rendition(rendition).ok_or(Problem::NotFound)?.clone();
    let mut waiting = None;
    loop {
        let snapshot = snapshots.borrow_and_update().clone().ok_or(Problem::NotFound)?;
        match snapshot.respond(&directives) {
            Answer::Ready(body) => {
                let cache = cache_playlist(snapshot.target_duration(), snapshot.is_bound_to(&directives));
                return Ok(respond(&body, headers, cache));
            }
            Answer::Reject(reject) => return Err(refused(reject.status, reject.why)),
            Answer::Wait => {}
        }
        if waiting.is_none() {
            waiting = Some(Wait::begin(shared, snapshot.wait_limit())?);
        }
        if let Some(wait) = &waiting {
            wait.until(snapshots.changed()).await?;
        }
    }
}

fn refused(status: u16, why: &str) -> Problem {
    match status {
        404 => Problem::NotFound,
        503 => Problem::TooLong,
        _ => Problem::BadRequest(why.to_owned()),
    }
}

pub(super) fn respond(body: &Arc<Body>, headers: &HeaderMap, cache: HeaderValue) -> Response {
    let gzip = accepts_gzip(headers);
    let bytes = if gzip { body.gzip().clone() } else { body.plain().clone() };
    let mut response = Response::new(HttpBody::from(bytes));
    *response.status_mut() = StatusCode::OK;
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, PLAYLIST_TYPE);
    answer.insert(header::CACHE_CONTROL, cache);
    answer.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if gzip {
        answer.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// RFC 9110 §12.5.3: named, or by `*`, and not with a weight of 0.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    for coding in values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0));
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => return weight > 0.0,
            "*" => any = weight > 0.0,
            _ => {}
        }
    }
    any
}

/// One request's place among those that may wait, and the end of its patience.
pub(super) struct Wait {
    deadline: tokio::time::Instant,
    _place: tokio::sync::OwnedSemaphorePermit,
    _counted: Blocked,
}

impl Wait {
    /// Takes a place for at most `limit` (3 × TARGETDURATION, rule 18); with none left the request is refused at once instead of queueing for one.
    pub(super) fn begin(shared: &Shared, limit: Duration) -> Result<Self, Problem> {
        let place = shared.origin.waiters.clone().try_acquire_owned().map_err(|_| {
            telemetry::refused_wait();
            Problem::TooMany
        })?;
        let deadline = tokio::time::Instant::now() + limit;
        Ok(Self { deadline, _place: place, _counted: Blocked::new() })
    }

    /// Waits for a new snapshot. A programme that left memory meanwhile is gone.
    pub(super) async fn until<E>(&self, changed: impl Future<Output = Result<(), E>>) -> Result<(), Problem> {
        match tokio::time::timeout_at(self.deadline, changed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Problem::NotFound),
            Err(_) => Err(Problem::TooLong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_only_for_those_who_take_it() {
        for (value, expected) in [
            ("gzip", true),
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("*", true),
            ("", false),
            ("identity", false),
            ("gzip;q=0", false),
            ("*, gzip;q=0", false),
            ("br", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(accepts_gzip(&headers), expected, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
