//! One source's ladder inside the pool.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Sender;
use minamo_media::picture_size;

use super::capacity::Room;
use super::queue::{Next, Queue};
use super::{JobSpec, Refused};
use crate::ladder::{Ladder, LadderError, RungPicture, SourceUnit};

/// Units that one job may have at a time, before the next one has its turn.
const TURN: usize = 4;

/// What a job tells.
#[derive(Debug)]
pub enum JobEvent {
    /// Pictures of one source unit, the rungs in order.
    Pictures(Vec<RungPicture>),
    /// Nothing goes on without a key frame of the source.
    KeyFrameWanted,
    /// The source has grown, and there is no room for it. Its pictures are left out until it shrinks or room comes.
    NoRoom(Refused),
    /// The job has ended by a failure inside.
    Failed(String),
}

/// Takes a job's events, on a thread of the pool; must not block.
pub type JobSink = Box<dyn FnMut(JobEvent) + Send>;

/// What a job has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Source units that were decoded.
    pub decoded: u64,
    /// Pictures that were encoded, all rungs.
    pub encoded: u64,
    /// Source units that were dropped because the job was behind.
    pub dropped: u64,
    /// Pictures that were decoded but left out of every rung because the job was behind.
    pub thinned: u64,
    /// Source units that could not be decoded.
    pub damaged: u64,
}

/// A running job. Dropping it ends the job: what it has not worked off is lost, except for the unit that a thread is at.
pub struct Job {
    shared: Arc<Shared>,
}

impl Job {
    pub(super) fn new(spec: JobSpec, ladder: Ladder, sink: JobSink, room: Room, ready: Sender<Arc<Shared>>) -> Self {
        let work = Work { spec, ladder, room, sink, refused: false };
        let shared = Shared {
            queue: Mutex::default(),
            scheduled: AtomicBool::new(false),
            force_key: AtomicBool::new(false),
            counts: Counts::default(),
            work: Mutex::new(Some(work)),
            ended: AtomicBool::new(false),
            ready,
        };
        Self { shared: Arc::new(shared) }
    }

    /// One unit of the source, in decoding order. Never waits for the work.
    pub fn push(&self, unit: SourceUnit) {
        let dropped = self.shared.queue().push(unit);
        self.shared.counts.dropped.fetch_add(dropped, Ordering::Relaxed);
        self.shared.clone().schedule();
    }

    /// The next picture becomes a key frame in every rung.
    pub fn force_key_frame(&self) {
        self.shared.force_key.store(true, Ordering::Relaxed);
    }

    /// Whether nothing goes on without a key frame of the source, because units were dropped.
    #[must_use]
    pub fn starved(&self) -> bool {
        self.shared.queue().starved()
    }

    /// What it has done so far.
    #[must_use]
    pub fn counts(&self) -> JobCounts {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        JobCounts {
            decoded: read(&counts.decoded),
            encoded: read(&counts.encoded),
            dropped: read(&counts.dropped),
            thinned: read(&counts.thinned),
            damaged: read(&counts.damaged),
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        *self.shared.queue() = Queue::default();
    }
}

#[derive(Default)]
struct Counts {
    decoded: AtomicU64,
    encoded: AtomicU64,
    dropped: AtomicU64,
    thinned: AtomicU64,
    damaged: AtomicU64,
}

pub(super) struct Shared {
    /// Held for a moment by both sides.
    queue: Mutex<Queue>,
    /// The job waits for a thread, or has one.
    scheduled: AtomicBool,
    force_key: AtomicBool,
    counts: Counts,
    /// Held by the thread that works; `None` when the job has ended.
    work: Mutex<Option<Work>>,
    ended: AtomicBool,
    /// Where the job stands in line for a thread. Threads end when no pool and no job is left to hold this.
    ready: Sender<Arc<Shared>>,
}

struct Work {
    spec: JobSpec,
    ladder: Ladder,
    /// Before the sink: who sees the sink go may count on the room.
    room: Room,
    sink: JobSink,
    refused: bool,
}

impl Shared {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn schedule(self: Arc<Self>) {
        if !self.queue().is_empty() && !self.scheduled.swap(true, Ordering::AcqRel) {
            // The channel is unbounded; it fails only when the pool has ended.
            let _ = self.ready.clone().send(self);
        }
    }

    /// Works off a few units; then whoever waits has a turn.
    pub(super) fn turn(self: Arc<Self>) {
        if self.takes_turn() {
            self.scheduled.store(false, Ordering::Release);
            self.schedule();
        } else {
            // Stays scheduled, so that it never comes here again.
            *self.queue() = Queue::default();
        }
    }

    /// False when the job is over.
    fn takes_turn(&self) -> bool {
        let mut guard = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(work) = guard.as_mut() else { return false };
        let goes_on = catch_unwind(AssertUnwindSafe(|| self.work_off(work))).unwrap_or_else(|_| {
            (work.sink)(JobEvent::Failed("a panic inside".into()));
            false
        });
        if !goes_on {
            guard.take();
        }
        goes_on
    }

    /// False when the job is over.
    fn work_off(&self, work: &mut Work) -> bool {
        for _ in 0..TURN {
            if self.ended.load(Ordering::Acquire) {
                return false;
            }
            if self.force_key.swap(false, Ordering::Relaxed) {
                work.ladder.force_key_frame();
            }
            let Some(next) = self.queue().pop() else { return true };
            if let Err(failure) = work.unit(&next, &self.counts) {
                (work.sink)(JobEvent::Failed(failure));
                return false;
            }
        }
        true
    }
}

impl Work {
    fn unit(&mut self, next: &Next, counts: &Counts) -> Result<(), String> {
        if next.after_loss {
            self.ladder.lose();
            if !next.unit.key {
                (self.sink)(JobEvent::KeyFrameWanted);
            }
        }
        if !self.fits(&next.unit) {
            return Ok(());
        }
        counts.decoded.fetch_add(1, Ordering::Relaxed);
        counts.thinned.fetch_add(u64::from(!next.encode), Ordering::Relaxed);
        let mut pictures = Vec::with_capacity(self.spec.rungs.len());
        let done = self.ladder.push(&next.unit, next.encode, &mut pictures);
        if !pictures.is_empty() {
            counts.encoded.fetch_add(pictures.len() as u64, Ordering::Relaxed);
            (self.sink)(JobEvent::Pictures(pictures));
        }
        match done {
            Ok(()) => Ok(()),
            Err(LadderError::Decode(_)) => {
                counts.damaged.fetch_add(1, Ordering::Relaxed);
                (self.sink)(JobEvent::KeyFrameWanted);
                Ok(())
            }
            Err(LadderError::Encode(failure)) => Err(failure.to_string()),
        }
    }

    /// The job has room for pictures of the unit's size. Asked anew at key frames.
    fn fits(&mut self, unit: &SourceUnit) -> bool {
        let Some(size) = picture_size(self.spec.codec, &unit.data).filter(|_| unit.key) else { return !self.refused };
        if size == self.spec.source && !self.refused {
            return true;
        }
        match self.room.resize(self.spec.cost_of(size)) {
            Ok(()) => {
                (self.spec.source, self.refused) = (size, false);
                true
            }
            Err(refused) => {
                if !std::mem::replace(&mut self.refused, true) {
                    (self.sink)(JobEvent::NoRoom(refused));
                }
                self.ladder.lose();
                false
            }
        }
    }
}
