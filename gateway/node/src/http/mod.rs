//! The HLS origin over HTTP: playlists with blocking reload, parts and segments with byte ranges.
//!
//! `Date` is written by the HTTP server below, when the answer leaves (rule 26).

mod answer;
mod cors;
mod forms;
mod growing;
mod media;
mod playlist;
mod range;

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use minamo_media::ConnectionId;
use minamo_packager::{FormName, Rendition};

use crate::origin::{Absent, Origin, ProgrammeKey};
use crate::signed::{Refusal, Scope};
use answer::Problem;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) origin: Arc<Origin>,
}

/// GET, HEAD and OPTIONS of `/hls/{channel}/{file}` and `/hls/{channel}/{publisher}/{file}`.
pub(crate) fn router(origin: Arc<Origin>) -> Router {
    Router::new()
        .route("/hls/{channel}/{file}", get(of_channel).options(cors::preflight))
        .route("/hls/{channel}/{publisher}/{file}", get(of_publisher).options(cors::preflight))
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(axum::middleware::map_response(cors::allow))
        .with_state(Shared { origin })
}

async fn of_channel(
    State(shared): State<Shared>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: RawQuery,
    request: Request,
) -> Response {
    match path {
        Ok(Path((channel, file))) => {
            let key = ProgrammeKey { channel: channel.into(), publisher: None };
            answer(&shared, &key, &file, query, request.headers()).await
        }
        Err(_) => Problem::NotFound.into(),
    }
}

async fn of_publisher(
    State(shared): State<Shared>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    query: RawQuery,
    request: Request,
) -> Response {
    match path {
        Ok(Path((channel, publisher, file))) => {
            let key = ProgrammeKey { channel: channel.into(), publisher: Some(publisher.into()) };
            answer(&shared, &key, &file, query, request.headers()).await
        }
        Err(_) => Problem::NotFound.into(),
    }
}

/// What a file name asks for. Names that no playlist can carry are nothing.
enum File {
    Multivariant,
    Playlist(Rendition),
    Media(Rendition),
    /// DASH, and HLS with MPEG-TS.
    Form(FormName),
    /// The time of day for DASH players.
    Time,
}

fn file_of(name: &str) -> Option<File> {
    match name {
        "playlist.m3u8" => Some(File::Multivariant),
        "time" => Some(File::Time),
        _ => Rendition::of_playlist(name)
            .map(File::Playlist)
            .or_else(|| Rendition::of_media(name).map(File::Media))
            .or_else(|| FormName::parse(name).map(File::Form)),
    }
}

/// Lets a request pass, where the channel's URLs are signed. Gives what the URIs of a multivariant playlist must carry.
fn admit(shared: &Shared, key: &ProgrammeKey, file: Option<&File>, name: &str, query: &str) -> Result<Option<String>, Problem> {
    let Some(access) = shared.origin.access(key) else { return Ok(None) };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let path = key.playlist_path();
    let check = |scope| access.check(scope, &path, query, now).map_err(Problem::Unsigned);
    match file {
        Some(File::Multivariant) => check(Scope::Start).map(|()| Some(access.session(&path, now))),
        Some(File::Media(_)) => {
            let publisher = key.publisher.as_ref().map(ConnectionId::as_str);
            // Where one template names all media (DASH), a viewer's own signature stands in it.
            let opens = access.tokens(publisher).opens(name, query) || check(Scope::Session).is_ok();
            if opens { Ok(None) } else { Err(Problem::Unsigned(Refusal::Wrong)) }
        }
        Some(File::Playlist(_) | File::Form(_)) => check(Scope::Session).map(|()| None),
        // No secret, or no such file, whoever asks.
        Some(File::Time) | None => Ok(None),
    }
}

async fn answer(shared: &Shared, key: &ProgrammeKey, name: &str, RawQuery(query): RawQuery, headers: &HeaderMap) -> Response {
    let shelf = match shared.origin.shelf(key) {
        Ok(shelf) => shelf,
        Err(Absent::UnknownChannel) => return Problem::UnknownChannel.into(),
        Err(Absent::NotLive) => return Problem::NotLive.into(),
    };
    let query = query.unwrap_or_default();
    let file = file_of(name);
    let session = match admit(shared, key, file.as_ref(), name, &query) {
        Ok(session) => session,
        Err(problem) => return problem.into(),
    };
    let answered = match file {
        Some(File::Multivariant) => playlist::multivariant(&shelf, session.as_deref(), headers),
        Some(File::Playlist(rendition)) => playlist::media(shared, &shelf, rendition, &query, headers).await,
        Some(File::Media(rendition)) => media::media(shared, &shelf, rendition, name, headers).await,
        Some(File::Form(name)) => forms::form(&shelf, name, headers),
        Some(File::Time) => Ok(forms::time()),
        None => Err(Problem::NotFound),
    };
    answered.unwrap_or_else(Response::from)
}
