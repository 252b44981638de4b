//! Threads for what is dear, with a stated limit: a job is admitted while its pixels per second fit, or refused at once.

mod capacity;
mod job;
mod queue;
mod worker;

use std::sync::Arc;

use crossbeam_channel::{Sender, TrySendError, bounded, unbounded};
use minamo_media::{Codec, PictureSize};

use crate::ladder::{KeyFrames, Ladder, RungSettings, decoder_of};
use crate::video::{PIXELS_MAX, VideoError};
use capacity::Capacity;
pub use capacity::Load;
use job::Shared;
pub use job::{Job, JobCounts, JobEvent, JobSink};

/// One-off tasks that may wait; one more is refused.
const TASKS_MAX: usize = 64;

/// Bounds of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Worker threads. 0: everything is refused.
    pub threads: usize,
    /// Pixels per second that one thread is trusted with, encoding counted whole. `None`: measured at the start.
    pub pixels_per_second: Option<u64>,
}

/// What a job is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSpec {
    /// Of the source.
    pub codec: Codec,
    /// Of the source's pictures, as far as known; a job whose source grows asks for more room by itself.
    pub source: PictureSize,
    /// Pictures per second of the source, as far as known.
    pub fps: f32,
    /// At least one.
    pub rungs: Vec<RungSettings>,
    /// Where the rungs have their key frames.
    pub keys: KeyFrames,
}

impl JobSpec {
    /// Pixels per second: each rung's whole, and a third of the source's, which decoding costs beside encoding.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.cost_of(self.source)
    }

    fn cost_of(&self, source: PictureSize) -> u64 {
        let fps = f64::from(self.fps.clamp(1.0, 120.0));
        let decoded = source.pixels() as f64 / 3.0 * fps;
        let encoded = self.rungs.iter().map(|rung| {
            let fps = rung.fps.map_or(fps, |cap| fps.min(f64::from(cap)));
            rung.output(source).pixels() as f64 * fps
        });
        (decoded + encoded.sum::<f64>()) as u64
    }
}

/// A job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Transcoding is off in this process.
    #[error("transcoding is off")]
    Off,
    /// No room.
    #[error("{needed} pixels per second are needed, {free} are free")]
    Full {
        /// The job's cost.
        needed: u64,
        /// What no other job uses.
        free: u64,
    },
    /// Nothing here decodes it.
    #[error("{0:?} is not transcoded")]
    Codec(Codec),
    /// Too large, or no rung was asked for.
    #[error("the job's sizes are impossible")]
    Size,
    /// A codec could not be made, or the pool has ended.
    #[error("no codec could be made")]
    Broken,
}

impl Refused {
    /// A word for metrics and events.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Full { .. } => "full",
            Self::Codec(_) => "codec",
            Self::Size => "size",
            Self::Broken => "broken",
        }
    }
}

/// The threads, and who may use them. Cheap to clone; the threads end when the last clone and the last job are gone.
#[derive(Clone)]
pub struct Pool {
    capacity: Arc<Capacity>,
    jobs: Sender<Arc<Shared>>,
    tasks: Sender<worker::Task>,
}

impl Pool {
    /// Starts the threads, at a lower priority than all others of this process.
    #[must_use]
    pub fn start(config: &PoolConfig) -> Self {
        let capacity = Arc::new(Capacity::new(config));
        // A job is in this queue at most once, so admission bounds it.
        let (jobs, ready) = unbounded();
        let (tasks, waiting) = bounded(TASKS_MAX);
        for index in 0..config.threads {
            worker::spawn(index, &capacity, &ready, &waiting);
        }
        Self { capacity, jobs, tasks }
    }

    /// Takes a job, or says why not. Its events come on a thread of the pool, in order.
    ///
    /// # Errors
    /// See [`Refused`]; nothing is kept then.
    pub fn admit(&self, spec: JobSpec, sink: JobSink) -> Result<Job, Refused> {
        if self.capacity.threads() == 0 {
            return Err(Refused::Off);
        }
        if spec.rungs.is_empty() || spec.source.pixels() > PIXELS_MAX {
            return Err(Refused::Size);
        }
        // First, because codecs cost time to make and a refusal shall not.
        let room = self.capacity.reserve(spec.cost())?;
        let decoder = decoder_of(spec.codec).ok_or(Refused::Codec(spec.codec))?.map_err(|_| Refused::Broken)?;
        let ladder = Ladder::new(decoder, &spec.rungs, spec.keys).map_err(|_: VideoError| Refused::Broken)?;
        Ok(Job::new(spec, ladder, sink, room, self.jobs.clone()))
    }

    /// One short piece of work (a thumbnail, a slate) between the jobs' pictures.
    ///
    /// # Errors
    /// [`Refused::Off`], or [`Refused::Full`] when too many wait.
    pub fn run(&self, task: impl FnOnce() + Send + 'static) -> Result<(), Refused> {
        if self.capacity.threads() == 0 {
            return Err(Refused::Off);
        }
        self.tasks.try_send(Box::new(task)).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Full { needed: 1, free: 0 },
            TrySendError::Disconnected(_) => Refused::Broken,
        })
    }

    /// What is used of what there is.
    #[must_use]
    pub fn load(&self) -> Load {
        self.capacity.load()
    }
}
