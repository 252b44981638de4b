//! RequestKeyFrame.

use std::sync::Arc;
use std::time::Duration;

use minamo_media::TrackId;
use minamo_sfu_core::model::{Command, PeerReport};
use minamo_signaling_proto::api::Member;
use serde_json::Value;

use super::rooms;
use crate::api::SharedState;
use crate::api::error::ApiError;
use crate::rooms::KeyFrameSource;
use crate::signaling::Shared;

const ATTEMPTS: u32 = 5;
const EVERY: Duration = Duration::from_secs(1);
/// The SFU answers within one turn; this is for a busy machine.
const REPORT_WAIT: Duration = Duration::from_millis(500);

/// Asks the sender's video for a key frame, and again each second until one came, five times at most. The answer does not wait.
/// The SFU merges it with what others ask for, and spaces it from the one before.
pub(super) async fn request(state: &SharedState, body: &Value) -> Result<(), ApiError> {
    let Member { channel, connection } = Member::parse(body)?;
    let source = rooms(state, &channel).await?.key_frame_source(&channel, &connection)?;
    let shared = state.signaling.shared().clone();
    tokio::spawn(async move { until_it_came(&shared, &source).await });
    Ok(())
}

async fn until_it_came(shared: &Arc<Shared>, source: &KeyFrameSource) {
    let before = key_frames(source).await;
    for _ in 0..ATTEMPTS {
        for track in &source.tracks {
            // Too busy: the next attempt may have more luck.
            let _ = shared.media.command(Command::RequestKeyFrame(*track));
        }
        tokio::time::sleep(EVERY).await;
        if key_frames(source).await > before {
            return;
        }
    }
}

async fn key_frames(source: &KeyFrameSource) -> u64 {
    let since = source.figures.counts();
    source.mailbox.want_stats(false);
    let report = source.figures.fresh(since, false, REPORT_WAIT).await.report;
    report.map_or(0, |report| counted(&report, &source.tracks))
}

/// Of all layers: a key frame in any of them is one.
fn counted(report: &PeerReport, tracks: &[TrackId]) -> u64 {
    report.uplinks.iter().filter(|uplink| tracks.contains(&uplink.track)).map(|uplink| uplink.key_frames).sum()
}
