//! `POST /`: the operation is named by the header `X-Sora-Target`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use minamo_catalog::{Channel, ChannelKind};
use minamo_media::ChannelId;
use minamo_signaling_proto::api::{
    ChannelCreated, ChannelIds, ChannelSettings, Deleted, Operation, PlaylistUrl, PlaylistUrls, SessionOperation,
    parse_channel_id,
};
use serde_json::Value;

use super::auth::Authorized;
use super::error::{ApiError, excerpt};
use super::links::{Links, PublicUrl};
use super::sora::{connections, not_available, server, sessions, stats};
use super::{SharedState, forwarding, keys};

/// The operation that a request names.
pub(super) struct Target(Operation);

impl FromRequestParts<SharedState> for Target {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &SharedState) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get("x-sora-target") else {
            return Err(ApiError::unknown_target("the X-Sora-Target header is missing"));
        };
        let name = String::from_utf8_lossy(value.as_bytes());
        let operation = Operation::from_target(&name);
        operation.map(Self).ok_or_else(|| ApiError::unknown_target(format!("unknown X-Sora-Target: {}", excerpt(&name))))
    }
}

/// The order of the arguments is the order of the checks: the body is read last.
pub(super) async fn dispatch(
    State(state): State<SharedState>,
    _: Authorized,
    Target(operation): Target,
    Links(links): Links,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let body = parse(&body?)?;
    match operation {
        Operation::CreateChannel => create_with_hls(state, links, ChannelKind::Single, &body).await,
        Operation::CreateMultistreamChannelWithHls => create_with_hls(state, links, ChannelKind::MultistreamWithHls, &body).await,
        Operation::CreateMultistreamChannel => {
            let settings = ChannelSettings::without_hls(&body)?;
            create(state, links, ChannelKind::Multistream, settings).await
        }
        Operation::DeleteChannel => delete(state, parse_channel_id(&body)?).await,
        Operation::ListChannelIds => list_ids(state).await,
        Operation::Forwarding(operation) => forwarding::dispatch(state, operation, &body).await,
        Operation::ListPlaylistUrls => list_playlists(state, links, parse_channel_id(&body)?).await,
        Operation::GetEncryptKey => keys::media_key(state, &body).await,
        Operation::Disconnect(whom) => connections::disconnect(state, whom, &body).await,
        Operation::Push(whom) => connections::push(state, whom, &body).await,
        Operation::ListConnections => Ok(connections::list(&state)),
        Operation::ListChannelConnections => connections::list_of_channel(state, &body).await,
        Operation::ListChannels => Ok(connections::list_channels(&state)),
        Operation::Stats(whom) => stats::of(state, whom, &body).await,
        Operation::StatsOfAll => stats::of_all(state).await,
        Operation::RtcStats(whom) => stats::rtc_of(state, whom, &body).await,
        Operation::RtcStatsOfAll => stats::rtc_of_all(state).await,
        Operation::Session(SessionOperation::List) => Ok(sessions::list(&state)),
        Operation::Session(SessionOperation::Get) => sessions::one(state, &body).await,
        Operation::Session(SessionOperation::Terminate) => sessions::terminate(state, &body).await,
        Operation::StatsReport => Ok(server::report(&state)),
        Operation::License => Ok(server::license(&state)),
        Operation::ClusterNodes => Ok(server::cluster_nodes()),
        Operation::NotAvailable => Err(not_available()),
    }
}

/// An empty body counts as no parameters.
pub(super) fn parse(body: &[u8]) -> Result<Value, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|error| ApiError::invalid_json(&error))
}

async fn create_with_hls(state: SharedState, links: PublicUrl, kind: ChannelKind, body: &Value) -> Result<Response, ApiError> {
    create(state, links, kind, ChannelSettings::with_hls(body)?).await
}

async fn create(
    state: SharedState,
    links: PublicUrl,
    kind: ChannelKind,
    settings: ChannelSettings,
) -> Result<Response, ApiError> {
    let settings = serde_json::to_value(settings).map_err(|_| ApiError::internal("the settings cannot be stored"))?;
    let channel = to_the_end(async move {
        let channel = state.catalog.create_channel(kind, settings).await?;
        state.programmes.open(&channel);
        Ok(channel)
    })
    .await?;
    tracing::info!(channel = %channel.id, kind = kind.as_str(), "channel created");
    Ok(Json(created(&links, &channel)).into_response())
}

fn created(links: &PublicUrl, channel: &Channel) -> ChannelCreated {
    ChannelCreated { channel_id: channel.id.to_string(), sora_url: links.sora_url(), playlist_url: links.playlist_url(channel) }
}

async fn delete(state: SharedState, id: ChannelId) -> Result<Response, ApiError> {
    to_the_end(async move {
        // The catalog first: from then on nobody can join, so nobody slips in behind the closing.
        if !state.catalog.delete_channel(&id).await? {
            return Err(ApiError::unknown_channel(&id));
        }
        state.signaling.close_channel(&id).await;
        state.programmes.delete(&id);
        tracing::info!(channel = %id, "channel deleted");
        Ok(())
    })
    .await?;
    Ok(Json(Deleted {}).into_response())
}

async fn list_ids(state: SharedState) -> Result<Response, ApiError> {
    let ids = state.catalog.channel_ids().await?;
    Ok(Json(ChannelIds { channel_ids: ids.iter().map(ToString::to_string).collect() }).into_response())
}

async fn list_playlists(state: SharedState, links: PublicUrl, id: ChannelId) -> Result<Response, ApiError> {
    if state.catalog.channel(&id).await?.is_none() {
        return Err(ApiError::unknown_channel(&id));
    }
    let hls = playlists(&state, &links, &id);
    Ok(Json(PlaylistUrls { channel_id: id.to_string(), hls }).into_response())
}

/// The playlists of a channel that can be fetched now.
pub(super) fn playlists(state: &SharedState, links: &PublicUrl, id: &ChannelId) -> Vec<PlaylistUrl> {
    let entries = state.programmes.playlists(id).into_iter();
    entries
        .map(|entry| PlaylistUrl { connection_id: entry.publisher.to_string(), playlist_url: links.absolute(&entry.path) })
        .collect()
}

/// Runs work of several steps to its end even when the caller hangs up in the middle, which drops a handler's future.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = Result<T, ApiError>> + Send + 'static) -> Result<T, ApiError> {
    tokio::spawn(work).await.unwrap_or_else(|_| Err(ApiError::internal("the operation failed")))
}
