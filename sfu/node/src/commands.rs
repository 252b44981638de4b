//! The reliable queue into the media thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use minamo_sfu_core::model::{Command, IceCredentials, PeerEvent, PeerId};
use mio::Waker;

use crate::claims::Claims;

/// Commands that wait for the media thread. It takes them within milliseconds; if so many wait it is overloaded, and more are refused.
const CAPACITY: usize = 8192;

/// The media thread does not keep up: the command was not taken. Try later, or turn the peer away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the media thread is overloaded")]
pub struct Overloaded;

/// Called on the media thread with each event of one peer: must not block.
pub(crate) type OnEvent = Box<dyn Fn(PeerEvent) + Send + Sync>;

/// What goes into the media thread.
pub(crate) enum Order {
    AddPeer(PeerId, IceCredentials, OnEvent),
    Command(Command),
}

/// The sending end; cheap to clone.
#[derive(Clone)]
pub(crate) struct Commands {
    orders: Sender<Order>,
    waker: Arc<Waker>,
    stop: Arc<AtomicBool>,
}

/// The media thread's end.
pub(crate) struct Orders {
    orders: Receiver<Order>,
    stop: Arc<AtomicBool>,
}

pub(crate) fn queue(waker: Arc<Waker>) -> (Commands, Orders) {
    let (sender, receiver) = bounded(CAPACITY);
    let stop = Arc::new(AtomicBool::new(false));
    (Commands { orders: sender, waker, stop: stop.clone() }, Orders { orders: receiver, stop })
}

impl Commands {
    pub(crate) fn send(&self, order: Order) -> Result<(), Overloaded> {
        match self.orders.try_send(order) {
            Ok(()) => {
                self.wake();
                Ok(())
            }
            // The thread is gone after shutdown: then there is nothing left to command.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Overloaded),
        }
    }

    /// Does not go through the queue, so that it cannot be refused.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake the media thread");
        }
    }
}

/// Finds the thread of whom an order is about; cheap to clone.
#[derive(Clone)]
pub(crate) struct Router {
    threads: Arc<[Commands]>,
    /// Where peers live. `None` with one thread: there.
    claims: Option<Arc<Claims>>,
}

impl Router {
    pub(crate) fn new(threads: Vec<Commands>, claims: Option<Arc<Claims>>) -> Self {
        Self { threads: threads.into(), claims }
    }

    pub(crate) fn send(&self, order: Order) -> Result<(), Overloaded> {
        match &self.claims {
            None => self.threads.first().ok_or(Overloaded)?.send(order),
            // Only peers that are not claimed wait where nobody would see the end.
            Some(_) if self.threads.iter().any(Commands::stopped) => Err(Overloaded),
            Some(claims) => claims.send(Instant::now(), order, &self.threads),
        }
    }

    pub(crate) fn stop(&self) {
        self.threads.iter().for_each(Commands::stop);
    }
}

impl Orders {
    pub(crate) fn next(&self) -> Option<Order> {
        self.orders.try_recv().ok()
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}
