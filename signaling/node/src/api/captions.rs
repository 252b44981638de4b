//! `POST /v1/channels/{channel_id}/captions`: cues for a caption track of a live programme.

use std::time::{Duration, SystemTime};

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use minamo_media::ChannelId;
use minamo_signaling_proto::api::{CaptionsWish, CueMoment};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::SharedState;
use super::auth::Authorized;
use super::error::{ApiError, excerpt};
use super::operations::parse;
use crate::{Caption, CaptionTime, Captions};

#[derive(Debug, Serialize)]
pub(super) struct Taken {
    cues: usize,
}

pub(super) async fn post(
    State(state): State<SharedState>,
    _: Authorized,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Taken>, ApiError> {
    let wish = CaptionsWish::parse(&parse(&body?)?)?;
    let channel = ChannelId::from(id);
    if state.catalog.channel(&channel).await?.is_none() {
        return Err(ApiError::unknown_channel(&channel));
    }
    let mut cues = Vec::with_capacity(wish.cues.len());
    for cue in wish.cues {
        cues.push(Caption { start: time_of(&cue.start)?, end: time_of(&cue.end)?, text: cue.text });
    }
    let taken = Taken { cues: cues.len() };
    let captions = Captions { language: wish.language, publisher: wish.publisher, cues };
    state.programmes.add_captions(&channel, captions).await?;
    Ok(Json(taken))
}

fn time_of(moment: &CueMoment) -> Result<CaptionTime, ApiError> {
    match moment {
        CueMoment::Seconds(seconds) => Ok(CaptionTime::Programme(Duration::from_secs_f64(*seconds))),
        CueMoment::Date(text) => {
            let wrong = || ApiError::invalid_parameter(format!("cues: {} is no date as RFC 3339 writes it", excerpt(text)));
            let date = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong())?;
            let since = SystemTime::from(date).duration_since(SystemTime::UNIX_EPOCH).map_err(|_| wrong())?;
            Ok(CaptionTime::Wall(since))
        }
    }
}
