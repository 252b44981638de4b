//! Init sections, parts and segments: immutable files, and the one part that is promised but not yet there.

use axum::body::Body as HttpBody;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use minamo_packager::{Media, Rendition};

use super::Shared;
use super::answer::{CACHE_IMMUTABLE, Problem};
use super::growing::growing;
use super::playlist::Wait;
use super::range::{self, Wanted};
use crate::origin::{Shelf, Showing};

/// A file by its name. A hinted part is waited for; no byte of it is sent before it is complete (rule 22).
pub(super) async fn media(
    shared: &Shared,
    shelf: &Shelf,
    rendition: Rendition,
    name: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    if let Some(showing) = &shelf.current {
        match find(shared, showing, rendition, name).await {
            Err(Problem::NotFound) => {
                if let Some(response) = growing(shared, showing, rendition, name).await? {
                    return Ok(response);
                }
            }
            Ok((bytes, content_type)) => return respond(bytes, content_type, headers),
            Err(problem) => return Err(problem),
        }
    }
    let before = shelf.before.as_ref().ok_or(Problem::NotFound)?;
    let snapshot = before.rendition(rendition).ok_or(Problem::NotFound)?.borrow().clone().ok_or(Problem::NotFound)?;
    match snapshot.media(name) {
        Media::Ready(bytes, content_type) => respond(bytes, content_type, headers),
        _ => Err(Problem::NotFound),
    }
}

async fn find(shared: &Shared, showing: &Showing, rendition: Rendition, name: &str) -> Result<(Bytes, &'static str), Problem> {
    let mut snapshots = showing.rendition(rendition).ok_or(Problem::NotFound)?.clone();
    let mut waiting = None;
    loop {
        let snapshot = snapshots.borrow_and_update().clone().ok_or(Problem::NotFound)?;
        match snapshot.media(name) {
            Media::Ready(bytes, content_type) => return Ok((bytes, content_type)),
            Media::Hinted => {}
            Media::Missing => return Err(Problem::NotFound),
        }
        if waiting.is_none() {
            waiting = Some(Wait::begin(shared, snapshot.wait_limit())?);
        }
        if let Some(wait) = &waiting {
            wait.until(snapshots.changed()).await?;
        }
    }
}

pub(super) fn respond(bytes: Bytes, content_type: &'static str, headers: &HeaderMap) -> Result<Response, Problem> {
    let length = bytes.len();
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let (status, bytes, content_range) = match range::wanted(asked, length) {
        Wanted::Whole => (StatusCode::OK, bytes, None),
        Wanted::OutOfReach => return Err(Problem::Range(length as u64)),
        Wanted::Part(range) => {
            let stated = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            (StatusCode::PARTIAL_CONTENT, bytes.slice(range), HeaderValue::try_from(stated).ok())
        }
    };
    let mut response = Response::new(HttpBody::from(bytes));
    *response.status_mut() = status;
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.insert(header::CACHE_CONTROL, CACHE_IMMUTABLE);
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(value) = content_range {
        answer.insert(header::CONTENT_RANGE, value);
    }
    Ok(response)
}
