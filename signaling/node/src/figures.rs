//! The numbers of one connection, for whoever asks over the API: the SFU's and the client's own, the latest of each.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use minamo_sfu_core::model::PeerReport;
use serde_json::Value;
use tokio::sync::watch;

/// The longest statistics of a client that are kept, as JSON text: browsers send 20 to 60 kB. Longer ones are dropped and counted.
const CLIENT_STATS_BYTES_MAX: usize = 256 * 1024;

/// Bounded: one report, and one text of [`CLIENT_STATS_BYTES_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Figures {
    kept: Mutex<Kept>,
    /// How many reports of the SFU and of the client there were.
    counts: watch::Sender<(u64, u64)>,
}

/// What is known of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// The SFU's.
    pub report: Option<PeerReport>,
    /// The client's `RTCStats` dictionaries, and when they came.
    pub client: Option<(String, Value)>,
}

impl Figures {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put_report(&self, report: PeerReport) {
        self.kept().report = Some(report);
        self.counts.send_modify(|(reports, _)| *reports += 1);
    }

    pub(crate) fn put_client_stats(&self, stats: Value) {
        if stats.to_string().len() > CLIENT_STATS_BYTES_MAX {
            metrics::counter!("minamo_signaling_client_stats_dropped_total").increment(1);
            return;
        }
        self.kept().client = Some((crate::clock::now(), stats));
        self.counts.send_modify(|(_, clients)| *clients += 1);
    }

    /// What is known now.
    pub(crate) fn latest(&self) -> Kept {
        self.kept().clone()
    }

    /// To be taken before the numbers are asked for, and handed to [`Figures::fresh`].
    pub(crate) fn counts(&self) -> (u64, u64) {
        *self.counts.borrow()
    }

    /// What is known once it is newer than at `since`, or after `wait` at the latest. `client`: the client's too.
    pub(crate) async fn fresh(&self, since: (u64, u64), client: bool, wait: Duration) -> Kept {
        let mut counts = self.counts.subscribe();
        let newer = counts.wait_for(|now| now.0 > since.0 && (!client || now.1 > since.1));
        let _ = tokio::time::timeout(wait, newer).await;
        self.latest()
    }
}
