//! `POST /v1/channels/{channel_id}/playlist-url`: a playlist URL for one viewer, signed where the channel's URLs are.

use std::time::SystemTime;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use minamo_media::ChannelId;
use minamo_signaling_proto::api::PlaylistUrlWish;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::SharedState;
use super::auth::Authorized;
use super::error::ApiError;
use super::links::Links;
use super::operations::parse;

#[derive(Debug, Serialize)]
pub(super) struct Signed {
    playlist_url: String,
    watch_url: String,
    /// Left out where nothing expires: the channel's URLs are not signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

pub(super) async fn post(
    State(state): State<SharedState>,
    _: Authorized,
    Links(links): Links,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Signed>, ApiError> {
    let wish = PlaylistUrlWish::parse(&parse(&body?)?)?;
    let id = ChannelId::from(id);
    let channel = state.catalog.channel(&id).await?.ok_or_else(|| ApiError::unknown_channel(&id))?;
    if !channel.kind.has_hls() {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "NO_HLS", "the channel has no HLS"));
    }
    let place = match (channel.kind.has_playlist_per_publisher(), wish.publisher) {
        (true, Some(publisher)) => format!("{id}/{publisher}"),
        (true, None) => return Err(ApiError::invalid_parameter("connection_id: is missing: each publisher has a playlist")),
        (false, _) => id.to_string(),
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let expires = now + u64::from(wish.expires_in_s);
    let path = format!("/hls/{place}/playlist.m3u8");
    let query = state.programmes.sign(&channel, &path, expires);
    let behind = query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let expires_at = i64::try_from(expires).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    Ok(Json(Signed {
        playlist_url: links.absolute(&format!("{path}{behind}")),
        watch_url: links.absolute(&format!("/watch/{place}{behind}")),
        expires_at: query.and_then(|_| expires_at?.format(&Rfc3339).ok()),
    }))
}
