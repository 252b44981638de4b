//! The same programme for other players: DASH, and HLS with MPEG-TS.

use axum::body::Body as HttpBody;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use minamo_packager::FormName;

use super::answer::{CACHE_MULTIVARIANT, CACHE_NEVER, Problem};
use super::media;
use super::playlist::{self, PLAYLIST_TYPE};
use crate::clock::{Clock, MachineClock};
use crate::origin::{Shelf, Showing};

const MPD_TYPE: HeaderValue = HeaderValue::from_static("application/dash+xml");
const TS_TYPE: &str = "video/mp2t";

/// A file of one of the forms.
pub(super) fn form(shelf: &Shelf, name: FormName, headers: &HeaderMap) -> Result<Response, Problem> {
    let showing = shelf.current.as_ref().ok_or(Problem::NotLive)?;
    // What is shown has forms from its first moment on, or none at all.
    let forms = showing.forms.borrow().clone().ok_or(Problem::OtherForm)?;
    if name != FormName::Mpd && forms.ts_multivariant().is_none() {
        return Err(Problem::OtherForm);
    }
    if let FormName::TsSegment(rung, msn) = name {
        return segment(shelf, showing, rung, msn, headers);
    }
    let (body, kind) = match name {
        FormName::Mpd => (Some(forms.mpd()), MPD_TYPE),
        FormName::TsMultivariant => (forms.ts_multivariant(), PLAYLIST_TYPE),
        FormName::TsPlaylist(rung) => (forms.ts_playlist(rung), PLAYLIST_TYPE),
        FormName::TsSegment(..) => (None, PLAYLIST_TYPE),
    };
    let mut response = playlist::respond(&body.ok_or(Problem::NotFound)?, headers, CACHE_MULTIVARIANT);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

fn segment(shelf: &Shelf, showing: &Showing, rung: u8, msn: u64, headers: &HeaderMap) -> Result<Response, Problem> {
    let of = |showing: &Showing| {
        let forms = showing.forms.borrow().clone()?;
        showing.ts.get(&forms, rung, msn)
    };
    let found = of(showing).or_else(|| shelf.before.as_ref().and_then(|before| of(before)));
    media::respond(found.ok_or(Problem::NotFound)?, TS_TYPE, headers)
}

/// The time of day for DASH players (`urn:mpeg:dash:utc:http-iso:2014`), under the same path as the MPD, so that it comes through
/// whatever stands before us.
pub(super) fn time() -> Response {
    let mut response = Response::new(HttpBody::from(minamo_packager::iso_date(MachineClock.unix())));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(header::CACHE_CONTROL, CACHE_NEVER);
    response
}
