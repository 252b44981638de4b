//! The gateway's face: what the server opens and asks, what the tap pours into.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use minamo_media::{ChannelId, ConnectionId, TapEvent, TapSink, Upstream};
use minamo_packager::{Cue, DateRange, DateRangeRefused};
use minamo_transcode::Pool;
use tokio::sync::oneshot;

use crate::clock::{Clock, MachineClock};
use crate::config::{GatewayConfig, PlaylistEntry, ProgrammeSettings, ProgrammeState, TranscodeState};
use crate::http;
use crate::origin::{Origin, ProgrammeKey};
use crate::telemetry;
use crate::worker::{self, Job, Worker};

/// How often a full queue is tried again for a job that must not be lost.
const RETRY: Duration = Duration::from_millis(5);

/// All programmes of this process. Cheap to clone; its threads end when the last clone is dropped.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    origin: Arc<Origin>,
    workers: Vec<worker::Queue>,
    upstream: Arc<OnceLock<Arc<dyn Upstream>>>,
    #[cfg(test)]
    pool: Pool,
}

/// Why timed metadata or captions were not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTold {
    /// Nothing is live that it could stand in.
    #[error("nothing is being published here")]
    NotLive,
    /// The channel has no captions in this language.
    #[error("the channel has no captions in this language")]
    NoTrack,
    /// The worker has no room for jobs.
    #[error("the gateway is busy")]
    Busy,
    /// Rule 28, or the playlist is full.
    #[error(transparent)]
    Refused(#[from] DateRangeRefused),
}

impl Gateway {
    /// Starts the worker threads.
    ///
    /// # Panics
    /// When the machine refuses threads.
    #[must_use]
    pub fn start(config: GatewayConfig) -> Self {
        Self::start_with(config, Arc::new(MachineClock))
    }

    #[allow(clippy::needless_pass_by_value)] // the caller is done with it, and the contract says so
    pub(crate) fn start_with(config: GatewayConfig, clock: Arc<dyn Clock>) -> Self {
        telemetry::describe();
        let origin = Arc::new(Origin::new(config.waiters_max));
        let upstream = Arc::new(OnceLock::new());
        let pool = Pool::start(&config.transcode);
        let workers = (0..config.workers.max(1))
            .map(|index| Worker::spawn(index, &config, clock.clone(), origin.clone(), upstream.clone(), pool.clone()))
            .collect();
        let inner = Inner {
            origin,
            workers,
            upstream,
            #[cfg(test)]
            pool,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Where key frames are asked for. Once, when the SFU exists; a second call changes nothing.
    pub fn set_upstream(&self, upstream: Arc<dyn Upstream>) {
        let _ = self.inner.upstream.set(upstream);
    }

    /// The channel has HLS: what the tap says of it is taken from now on. Idempotent; new settings count for
    /// programmes that begin later.
    pub fn open(&self, channel: ChannelId, settings: ProgrammeSettings) {
        self.inner.origin.open(channel, settings);
    }

    /// The channel is no more: its playlists are 404 from now on, and its media leaves memory.
    pub fn delete(&self, channel: &ChannelId) {
        self.inner.origin.delete(channel);
        for worker in &self.inner.workers {
            // Only hurries: a worker notices by itself when it next looks after the programme.
            worker.offer(Job::Deleted(channel.clone()));
        }
    }

    /// Puts timed metadata into the playlists of one publisher's programme, or of all of the channel's (rule 28 holds for each).
    ///
    /// # Errors
    /// When nothing is live, or a programme does not take it.
    pub async fn add_date_range(
        &self,
        channel: &ChannelId,
        publisher: Option<&ConnectionId>,
        range: &DateRange,
    ) -> Result<(), NotTold> {
        let mut told = Err(NotTold::NotLive);
        for key in self.inner.origin.live(channel, publisher) {
            let (done, answer) = oneshot::channel();
            if self.worker_of(&key).offer(Job::Metadata(key, Box::new(range.clone()), done)).is_some() {
                return Err(NotTold::Busy);
            }
            if let Ok(Some(taken)) = answer.await {
                taken?;
                told = Ok(());
            }
        }
        told
    }

    /// Adds captions of a language to one publisher's programme, or to all of the channel's.
    ///
    /// # Errors
    /// When nothing is live, or the channel has no captions in this language. Without a language, its first track is meant.
    pub async fn add_captions(
        &self,
        channel: &ChannelId,
        publisher: Option<&ConnectionId>,
        language: Option<&str>,
        cues: Vec<Cue>,
    ) -> Result<(), NotTold> {
        let tracks = self.inner.origin.settings(channel).map(|settings| settings.captions).unwrap_or_default();
        let track = match language {
            Some(language) => tracks.iter().position(|track| track.language.eq_ignore_ascii_case(language)),
            None => (!tracks.is_empty()).then_some(0),
        };
        let (track, cues) = (track.ok_or(NotTold::NoTrack)?, Arc::<[Cue]>::from(cues));
        let mut told = Err(NotTold::NotLive);
        for key in self.inner.origin.live(channel, publisher) {
            let (done, answer) = oneshot::channel();
            if self.worker_of(&key).offer(Job::Captions(key, track, cues.clone(), done)).is_some() {
                return Err(NotTold::Busy);
            }
            if let Ok(Some(taken)) = answer.await {
                // The programme may have begun before the channel had this track.
                told = if taken { Ok(()) } else { Err(NotTold::NoTrack) };
            }
        }
        told
    }

    /// The channel's programmes that are live now and have something to show.
    #[must_use]
    pub fn playlists(&self, channel: &ChannelId) -> Vec<PlaylistEntry> {
        self.inner.origin.playlists(channel)
    }

    /// Where the channel's programmes are.
    #[must_use]
    pub fn state(&self, channel: &ChannelId) -> ProgrammeState {
        self.inner.origin.state(channel)
    }

    /// How transcoding goes in those of the channel's programmes that need it.
    #[must_use]
    pub fn transcoding(&self, channel: &ChannelId) -> Vec<TranscodeState> {
        self.inner.origin.transcoding(channel)
    }

    /// GET, HEAD and OPTIONS of `/hls/{channel}/{file}` and `/hls/{channel}/{publisher}/{file}`.
    pub fn router(&self) -> Router {
        http::router(self.inner.origin.clone())
    }

    /// Ends every programme with ENDLIST and takes no media any more. What was made is served until the gateway is dropped.
    pub async fn shutdown(&self) {
        let mut ended = Vec::new();
        for worker in &self.inner.workers {
            let (done, told) = oneshot::channel();
            let mut job = Job::Shutdown(done);
            // A full queue empties by itself: the worker only ever takes from it.
            while let Some(refused) = worker.offer(job) {
                job = refused;
                tokio::time::sleep(RETRY).await;
            }
            ended.push(told);
        }
        for told in ended {
            // An error: the worker is gone, and with it all that could be ended.
            let _ = told.await;
        }
    }

    fn worker_of(&self, key: &ProgrammeKey) -> &worker::Queue {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let index = hasher.finish() % self.inner.workers.len() as u64;
        &self.inner.workers[index as usize]
    }

    /// Waits until every worker has done what was in its queue, at the clock's present time.
    #[cfg(test)]
    pub(crate) async fn settle(&self) {
        self.settle_workers().await;
        if self.inner.pool.load().jobs > 0 {
            // With one thread: jobs that wait go first, so the second task comes behind all that the workers have given.
            for _ in 0..2 {
                let (done, told) = oneshot::channel();
                self.inner.pool.run(move || done.send(()).unwrap()).unwrap();
                told.await.unwrap();
            }
            self.settle_workers().await;
        }
    }

    #[cfg(test)]
    async fn settle_workers(&self) {
        for worker in &self.inner.workers {
            let (done, told) = oneshot::channel();
            assert!(worker.offer(Job::Settle(done)).is_none());
            told.await.unwrap();
        }
    }
}

impl TapSink for Gateway {
    fn push(&self, channel: &ChannelId, publisher: &ConnectionId, event: TapEvent) {
        let Some(key) = self.inner.origin.key(channel, publisher) else {
            return telemetry::tap_dropped("channel_not_open");
        };
        self.worker_of(&key).push(key, publisher.clone(), event);
    }
}
