//! A channel with one publisher: when a newcomer takes the place of one that is only half there.

use std::time::Duration;

use minamo_catalog::Channel;
use minamo_signaling_proto::api::{Selected, Selection};

use super::{Reached, Rooms};
use crate::session::Closing;

/// A publisher of which nothing came for so long is gone: media, RTCP and ICE checks come far more often, muted or not. The SFU
/// itself waits ten times as long, since whoever is not replaced may come back.
const SILENCE: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the replaced one may take to leave.
const LEAVE_WAIT: Duration = Duration::from_secs(2);

impl Rooms {
    /// Ends the channel's publisher if nothing comes from it any more. Whether its place is free now. Takes as long as it takes to
    /// see a sign of life, [`SILENCE`] at most.
    pub(crate) async fn take_over(&self, channel: &Channel) -> bool {
        let selection = Selection { channel: channel.id.clone(), who: Selected::All };
        let mut publishers = self.select(&selection);
        publishers.retain(|one| one.summary.role.sends());
        let Some(publisher) = publishers.pop() else { return true };
        if !is_silent(&publisher).await {
            return false;
        }
        tracing::info!(channel = %channel.id, replaced = %publisher.summary.connection_id, "a silent publisher is replaced");
        publisher.mailbox.close(Closing::REPLACED);
        self.has_left(&publisher, &selection).await
    }

    async fn has_left(&self, publisher: &Reached, selection: &Selection) -> bool {
        let left = async {
            loop {
                let left = self.left.notified();
                let here = |one: &Reached| one.summary.connection_id == publisher.summary.connection_id;
                if !self.select(selection).iter().any(here) {
                    return;
                }
                left.await;
            }
        };
        tokio::time::timeout(LEAVE_WAIT, left).await.is_ok()
    }
}

/// No byte came for [`SILENCE`]. A peer of which nothing is known counts as alive.
async fn is_silent(publisher: &Reached) -> bool {
    let bytes = async || {
        let since = publisher.figures.counts();
        publisher.mailbox.want_stats(false);
        let kept = publisher.figures.fresh(since, false, LOOK_EVERY).await;
        if publisher.figures.counts() == since { None } else { kept.report.map(|report| report.bytes_in) }
    };
    let Some(first) = bytes().await else { return false };
    for _ in 0..SILENCE.as_millis() / LOOK_EVERY.as_millis() {
        tokio::time::sleep(LOOK_EVERY).await;
        if bytes().await != Some(first) {
            return false;
        }
    }
    true
}
