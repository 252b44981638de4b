//! The pool's threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvError, TryRecvError, select};

use super::capacity::Capacity;
use super::job::Shared;

/// Behind everything else of this process: the live path is never made to wait for pictures that are nice to have.
const NICE: i32 = 10;

pub(super) type Task = Box<dyn FnOnce() + Send>;

/// # Panics
/// When the machine refuses threads.
pub(super) fn spawn(index: usize, capacity: &Arc<Capacity>, ready: &Receiver<Arc<Shared>>, tasks: &Receiver<Task>) {
    let worker = Worker { capacity: capacity.clone(), ready: ready.clone(), tasks: tasks.clone() };
    let started = thread::Builder::new().name(format!("transcode-{index}")).spawn(move || worker.run(index == 0));
    #[allow(clippy::expect_used, reason = "as the standard library's spawn does; only at the start")]
    started.expect("a thread");
}

struct Worker {
    capacity: Arc<Capacity>,
    ready: Receiver<Arc<Shared>>,
    tasks: Receiver<Task>,
}

impl Worker {
    fn run(&self, measures: bool) {
        // In Linux a priority is a thread's. Where it is refused, work goes on as it would have.
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::debug!(%error, "a transcoding thread keeps its priority");
        }
        if measures {
            self.capacity.measure();
        }
        while let Ok(work) = self.next() {
            let start = Instant::now();
            match work {
                Work::Turn(job) => job.turn(),
                Work::Task(task) => {
                    if catch_unwind(AssertUnwindSafe(task)).is_err() {
                        tracing::error!("a task of the transcoding pool failed inside");
                    }
                }
            }
            self.capacity.worked(start.elapsed());
        }
    }

    /// Jobs have somebody waiting at the other end, tasks mostly not. An error: the pool and its jobs are gone.
    fn next(&self) -> Result<Work, RecvError> {
        match self.ready.try_recv() {
            Ok(job) => return Ok(Work::Turn(job)),
            Err(TryRecvError::Disconnected) => return Err(RecvError),
            Err(TryRecvError::Empty) => {}
        }
        select! {
            recv(self.ready) -> job => job.map(Work::Turn),
            recv(self.tasks) -> task => match task {
                Ok(task) => Ok(Work::Task(task)),
                // The last clone of the pool is gone; jobs may go on.
                Err(RecvError) => self.ready.recv().map(Work::Turn),
            },
        }
    }
}

enum Work {
    Turn(Arc<Shared>),
    Task(Task),
}
