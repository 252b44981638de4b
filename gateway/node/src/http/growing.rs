//! The segment that is being written, for DASH players, which know its name before it is complete: each part is sent as it is
//! completed, and the answer ends with the last one. What was sent is then byte for byte the segment.
//!
//! HLS players ask for parts and never for this. A reader who is slow is waited for, with one part in hand at most; one who is so
//! slow that the segment has left memory is cut off, as is everybody when pictures stop within it: an answer that does not end
//! well is not kept by a cache.

use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use minamo_packager::{Part, Rendition, Snapshot};
use tokio::sync::watch;

use super::Shared;
use super::answer::{CACHE_IMMUTABLE, Problem};
use super::playlist::Wait;
use crate::origin::Showing;

/// It will not be a whole segment.
#[derive(Debug, thiserror::Error)]
#[error("the segment broke off")]
struct Broken;

/// One reader's place in one segment.
struct Growing {
    snapshots: watch::Receiver<Option<std::sync::Arc<Snapshot>>>,
    msn: u64,
    /// Parts that were sent.
    sent: usize,
    /// How long a part may let itself be waited for.
    patience: Duration,
    _place: Wait,
}

/// `None`: there is no open segment of that name.
pub(super) async fn growing(
    shared: &Shared,
    showing: &Showing,
    rendition: Rendition,
    name: &str,
) -> Result<Option<Response>, Problem> {
    let Some(snapshots) = showing.rendition(rendition).cloned() else { return Ok(None) };
    let Some(snapshot) = snapshots.borrow().clone() else { return Ok(None) };
    let open = snapshot.open().map(|open| open.head().msn());
    let Some(msn) = open.filter(|msn| rendition.segment_name(*msn) == name) else { return Ok(None) };
    let patience = snapshot.wait_limit();
    let place = Wait::begin(shared, patience)?;
    let mut growing = Growing { snapshots, msn, sent: 0, patience, _place: place };
    // No answer before there is something to say: a gap is 404.
    let Some(Ok(first)) = growing.next().await else { return Err(Problem::NotFound) };
    let parts = stream::unfold((Some(growing), Some(first)), |(growing, first)| async move {
        let mut growing = growing?;
        let part = match first {
            Some(first) => Ok(first),
            None => growing.next().await?,
        };
        // Behind an error there is nothing.
        let rest = part.is_ok().then_some(growing);
        Some((part, (rest, None)))
    });
    let mut response = Response::new(HttpBody::from_stream(parts));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(rendition.content_type()));
    headers.insert(header::CACHE_CONTROL, CACHE_IMMUTABLE);
    Ok(Some(response))
}

impl Growing {
    /// The next part as soon as it is complete; `None` behind the last one.
    async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        loop {
            let Some(snapshot) = self.snapshots.borrow_and_update().clone() else { return Some(Err(Broken)) };
            let Some((parts, complete)) = parts(&snapshot, self.msn) else { return Some(Err(Broken)) };
            if let Some(part) = parts.get(self.sent) {
                self.sent += 1;
                return Some(part.bytes().cloned().ok_or(Broken));
            }
            if complete {
                return None;
            }
            let changed = tokio::time::timeout(self.patience, self.snapshots.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return Some(Err(Broken));
            }
        }
    }
}

/// The parts of a segment as far as they are there, and whether these are all.
fn parts(snapshot: &Snapshot, msn: u64) -> Option<(&[Part], bool)> {
    let complete = snapshot.segments_after(msn.checked_sub(1)?).first().filter(|segment| segment.head().msn() == msn);
    if let Some(segment) = complete {
        return Some((segment.parts(), true));
    }
    snapshot.open().filter(|open| open.head().msn() == msn).map(|open| (open.parts(), false))
}
