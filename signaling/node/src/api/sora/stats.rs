//! GetStats…: the SFU's numbers. …RtcStats: what the clients say themselves.
//!
//! Both are asked for when somebody wants them, and the answer waits a moment for what is fresh. The vendor's form of a connection's
//! numbers is not public: theirs here are those of [`minamo_sfu_core::model::PeerReport`], plainly.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use http::StatusCode;
use minamo_sfu_core::model::{DownlinkReport, PathKind, PeerReport, UplinkReport};
use minamo_signaling_proto::api::{Selection, Whom};
use serde_json::{Value, json};

use super::selected;
use crate::api::SharedState;
use crate::api::error::ApiError;
use crate::figures::Kept;
use crate::rooms::Reached;

/// The SFU answers within milliseconds.
const SFU_WAIT: Duration = Duration::from_millis(500);
/// A client has to make its statistics and send them.
const CLIENT_WAIT: Duration = Duration::from_millis(1500);
/// Connections asked at once.
const BATCH: usize = 256;
/// Connections whose own statistics one answer may carry: each has up to 256 kB.
const RTC_STATS_MAX: usize = 200;

pub(in crate::api) async fn of(state: SharedState, whom: Whom, body: &Value) -> Result<Response, ApiError> {
    let reached = selected(&state, &Selection::parse(whom, body)?).await?;
    let mut stats = ask(reached, false).await.into_iter().map(|(one, kept)| numbers(&one, kept));
    Ok(match whom {
        Whom::Connection => Json(stats.next().unwrap_or_default()).into_response(),
        _ => Json(stats.collect::<Vec<_>>()).into_response(),
    })
}

pub(in crate::api) async fn of_all(state: SharedState) -> Result<Response, ApiError> {
    let answers = ask(state.signaling.shared().rooms.everybody(), false).await;
    Ok(Json(answers.into_iter().map(|(one, kept)| numbers(&one, kept)).collect::<Vec<_>>()).into_response())
}

pub(in crate::api) async fn rtc_of(state: SharedState, whom: Whom, body: &Value) -> Result<Response, ApiError> {
    let reached = selected(&state, &Selection::parse(whom, body)?).await?;
    let mut stats = rtc_stats(reached).await?.into_iter();
    Ok(match whom {
        Whom::Connection => Json(stats.next().unwrap_or_default()).into_response(),
        _ => Json(stats.collect::<Vec<_>>()).into_response(),
    })
}

pub(in crate::api) async fn rtc_of_all(state: SharedState) -> Result<Response, ApiError> {
    Ok(Json(rtc_stats(state.signaling.shared().rooms.everybody()).await?).into_response())
}

async fn rtc_stats(reached: Vec<Reached>) -> Result<Vec<Value>, ApiError> {
    if reached.len() > RTC_STATS_MAX {
        let why = format!("{} connections are more than the {RTC_STATS_MAX} of one answer: ask for fewer", reached.len());
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "TOO_MANY_CONNECTIONS", why));
    }
    let entry = |(one, kept): (Reached, Kept)| {
        let (timestamp, stats) = kept.client.map_or((Value::Null, Value::Null), |(at, stats)| (at.into(), stats));
        let mut entry = ids(&one);
        (entry["timestamp"], entry["rtc_stats"]) = (timestamp, stats);
        entry
    };
    Ok(ask(reached, true).await.into_iter().map(entry).collect())
}

async fn ask(reached: Vec<Reached>, client: bool) -> Vec<(Reached, Kept)> {
    let mut answers = Vec::with_capacity(reached.len());
    let mut reached = reached.into_iter();
    loop {
        let batch: Vec<Reached> = reached.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return answers;
        }
        answers.extend(join_all(batch.into_iter().map(|one| ask_one(one, client))).await);
    }
}

/// Whoever comes by HTTP has no statistics to give.
async fn ask_one(one: Reached, client: bool) -> (Reached, Kept) {
    let wait = if client { CLIENT_WAIT } else { SFU_WAIT };
    let since = one.figures.counts();
    one.mailbox.want_stats(client);
    let kept = one.figures.fresh(since, client, wait).await;
    (one, kept)
}

fn ids(one: &Reached) -> Value {
    json!({
        "channel_id": one.summary.channel_id.as_str(),
        "session_id": one.summary.session_id,
        "client_id": one.summary.client_id,
        "bundle_id": one.summary.bundle_id,
        "connection_id": one.summary.connection_id.as_str(),
        "role": one.summary.role,
    })
}

fn numbers(one: &Reached, kept: Kept) -> Value {
    let mut entry = ids(one);
    entry["created_timestamp"] = one.summary.created_timestamp.as_str().into();
    entry["timestamp"] = crate::clock::now().into();
    // Nothing has come: the SFU does not know the peer yet, or not any more.
    let Some(report) = kept.report else { return entry };
    let PeerReport { bytes_in, bytes_out, rtt, bandwidth, path, uplinks, downlinks } = report;
    entry["total_received_bytes"] = bytes_in.into();
    entry["total_sent_bytes"] = bytes_out.into();
    entry["rtt_ms"] = rtt.map(|rtt| rtt.as_secs_f64() * 1000.0).into();
    entry["bandwidth_bps"] = bandwidth.into();
    entry["turn_transport_type"] = transport(path).into();
    entry["uplinks"] = uplinks.iter().map(uplink).collect();
    entry["downlinks"] = downlinks.iter().map(downlink).collect();
    entry
}

/// Sora's word for how packets travel, which exists for its own TURN server.
fn transport(path: PathKind) -> &'static str {
    match path {
        PathKind::Udp | PathKind::TurnUdp => "udp",
        PathKind::Tcp | PathKind::TurnTcp => "tcp",
    }
}

fn uplink(uplink: &UplinkReport) -> Value {
    json!({
        "track": uplink.track.0,
        "layer": uplink.layer.0,
        "packets": uplink.packets,
        "bytes": uplink.bytes,
        "lost": uplink.lost,
        "nacked": uplink.nacked,
        "key_frames_asked": uplink.key_frames_asked,
        "key_frames": uplink.key_frames,
        "bitrate_bps": uplink.bitrate,
    })
}

fn downlink(downlink: &DownlinkReport) -> Value {
    json!({
        "track": downlink.track.0,
        "layer": downlink.layer.map(|layer| layer.0),
        "packets": downlink.packets,
        "bytes": downlink.bytes,
        "resent": downlink.resent,
        "key_frames_asked": downlink.key_frames_asked,
        "lost": downlink.lost,
    })
}
