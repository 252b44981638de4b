//! `POST /v1/channels/{channel_id}/metadata`: timed metadata in every playlist of a live programme.

use std::time::{Duration, SystemTime};

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use minamo_media::ChannelId;
use minamo_signaling_proto::api::TimedMetadata;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::SharedState;
use super::auth::Authorized;
use super::error::{ApiError, excerpt};
use super::operations::parse;
use crate::{Metadata, MetadataRefused};

/// How far from now a start may lie: what is farther is a mistake.
const FAR: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Serialize)]
pub(super) struct Told {
    id: String,
    start_date: String,
}

pub(super) async fn post(
    State(state): State<SharedState>,
    _: Authorized,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Told>, ApiError> {
    let asked = TimedMetadata::parse(&parse(&body?)?)?;
    let channel = ChannelId::from(id);
    if state.catalog.channel(&channel).await?.is_none() {
        return Err(ApiError::unknown_channel(&channel));
    }
    let start = start_of(asked.start_date.as_deref())?;
    let id = asked.id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let told = Told { id: id.clone(), start_date: start.format(&Rfc3339).unwrap_or_default() };
    let seconds = |seconds: Option<f64>| seconds.map(Duration::from_secs_f64);
    let metadata = Metadata {
        id,
        start: SystemTime::from(start).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
        duration: seconds(asked.duration),
        planned_duration: seconds(asked.planned_duration),
        attributes: asked.attributes,
    };
    state.programmes.add_metadata(&channel, asked.publisher.as_ref(), metadata).await?;
    Ok(Json(told))
}

fn start_of(text: Option<&str>) -> Result<OffsetDateTime, ApiError> {
    let now = OffsetDateTime::now_utc();
    let Some(text) = text else { return Ok(now) };
    let wrong = |why: &str| ApiError::invalid_parameter(format!("start_date: {why}, got {}", excerpt(text)));
    let start = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong("must be a date as RFC 3339 writes it"))?;
    let start = start.to_offset(time::UtcOffset::UTC);
    if (start - now).unsigned_abs() > FAR { Err(wrong("must be within a day from now")) } else { Ok(start) }
}

impl From<MetadataRefused> for ApiError {
    fn from(refused: MetadataRefused) -> Self {
        let (status, error_type) = match &refused {
            MetadataRefused::NoTrack => (StatusCode::NOT_FOUND, "NO_CAPTIONS"),
            MetadataRefused::NotLive => (StatusCode::NOT_FOUND, "NOT_LIVE"),
            MetadataRefused::Conflict(_) => (StatusCode::CONFLICT, "ID_USED"),
            MetadataRefused::Full(_) => (StatusCode::TOO_MANY_REQUESTS, "TOO_MANY"),
        };
        Self::new(status, error_type, refused.to_string())
    }
}
