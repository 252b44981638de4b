//! `GET /v1/channels…`: channels with all their URLs.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use minamo_catalog::Channel;
use minamo_media::ChannelId;
use minamo_signaling_proto::api::PlaylistUrl;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::SharedState;
use super::auth::Authorized;
use super::error::ApiError;
use super::links::{Links, PublicUrl};
use super::operations::playlists;
use crate::programmes::Transcoding;

/// Channels in one answer of the list when the caller asks for no number.
const PAGE_DEFAULT: u32 = 100;

/// One channel. URLs that the channel does not have are left out.
#[derive(Debug, Serialize)]
pub(super) struct ChannelAnswer {
    channel_id: String,
    kind: &'static str,
    created_at: String,
    /// `live`: something can be watched now; `not_live`. Left out where the channel has no HLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    sora_url: String,
    whip_url: String,
    whep_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    playlist_url: Option<String>,
    #[serde(flatten)]
    forms: Option<FormUrls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    watch_url: Option<String>,
    /// What can be watched now, by publisher.
    hls: Vec<Watchable>,
    /// Left out where nothing needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    transcoding: Option<Transcoding>,
}

/// What lies beside a playlist: the same programme for other players.
#[derive(Debug, Serialize)]
struct FormUrls {
    /// DASH.
    dash_url: String,
    /// HLS with MPEG-TS.
    ts_url: String,
}

impl FormUrls {
    /// `None` where one player's key is not another's: encrypted channels are LL-HLS only.
    fn beside(playlist: &str, encrypted: bool) -> Option<Self> {
        let folder = playlist.strip_suffix("playlist.m3u8").filter(|_| !encrypted)?;
        Some(Self { dash_url: format!("{folder}manifest.mpd"), ts_url: format!("{folder}ts.m3u8") })
    }
}

#[derive(Debug, Serialize)]
struct Watchable {
    #[serde(flatten)]
    playlist: PlaylistUrl,
    #[serde(flatten)]
    forms: Option<FormUrls>,
    watch_url: String,
}

#[derive(Debug, Serialize)]
pub(super) struct ListAnswer {
    channels: Vec<ChannelAnswer>,
    /// `after` of the next page; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    after: Option<String>,
    limit: Option<u32>,
}

pub(super) async fn one(
    State(state): State<SharedState>,
    _: Authorized,
    Links(links): Links,
    Path(id): Path<String>,
) -> Result<Json<ChannelAnswer>, ApiError> {
    let id = ChannelId::from(id);
    let channel = state.catalog.channel(&id).await?.ok_or_else(|| ApiError::unknown_channel(&id))?;
    Ok(Json(answer(&state, &links, &channel)))
}

pub(super) async fn list(
    State(state): State<SharedState>,
    _: Authorized,
    Links(links): Links,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<ListAnswer>, ApiError> {
    let Query(page) = page.map_err(|error| ApiError::invalid_parameter(error.body_text()))?;
    let limit = page.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=minamo_catalog::PAGE_MAX).contains(&limit) {
        return Err(ApiError::invalid_parameter(format!("limit: must be 1 to {}, got {limit}", minamo_catalog::PAGE_MAX)));
    }
    let after = page.after.map(ChannelId::from);
    let channels = state.catalog.list_channels(after.as_ref(), limit).await?;
    let next = channels.last().filter(|_| channels.len() == limit as usize).map(|channel| channel.id.to_string());
    Ok(Json(ListAnswer { channels: channels.iter().map(|channel| answer(&state, &links, channel)).collect(), next }))
}

fn answer(state: &SharedState, links: &PublicUrl, channel: &Channel) -> ChannelAnswer {
    let encrypted = channel.settings.get("encrypt_key_uri").is_some_and(|uri| !uri.is_null());
    let watchable = |playlist: PlaylistUrl| {
        let watch_url = links.watch_url(channel).unwrap_or_else(|| links.watch_url_of(channel, &playlist.connection_id));
        Watchable { forms: FormUrls::beside(&playlist.playlist_url, encrypted), playlist, watch_url }
    };
    let hls: Vec<Watchable> = playlists(state, links, &channel.id).into_iter().map(watchable).collect();
    let playlist_url = links.playlist_url(channel);
    ChannelAnswer {
        channel_id: channel.id.to_string(),
        kind: channel.kind.as_str(),
        // Years beyond 9999 cannot be written; the catalog has none.
        created_at: OffsetDateTime::from(channel.created_at).format(&Rfc3339).unwrap_or_default(),
        state: channel.kind.has_hls().then_some(if hls.is_empty() { "not_live" } else { "live" }),
        sora_url: links.sora_url(),
        whip_url: links.absolute(&format!("/whip/{}", channel.id)),
        whep_url: links.absolute(&format!("/whep/{}", channel.id)),
        forms: playlist_url.as_ref().and_then(|url| FormUrls::beside(url, encrypted)),
        playlist_url,
        watch_url: links.watch_url(channel),
        hls,
        transcoding: state.programmes.transcoding(&channel.id),
    }
}
