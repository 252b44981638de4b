//! The queues between media threads: bounded, never waiting. Media is dropped and counted where one is full; the rare words between
//! shards wait instead.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use crossbeam_channel::{Receiver, Sender, bounded};
use minamo_sfu_core::shard::{RelayMessage, ShardIndex};
use minamo_sfu_core::transport::{Route, Transmit};
use mio::Waker;

/// On their way to one thread: some hundred milliseconds of a hundred publishers.
const CAPACITY: usize = 8192;
/// Kept free of media, for the words between shards.
const RESERVE: usize = 1024;
/// Words that wait here when even the reserve is full. Beyond that they are lost, and said so loudly.
const MAX_BACKLOG: usize = 65_536;

/// What one media thread gives to another.
pub(crate) enum Crossing {
    /// A datagram of a peer that lives there.
    Datagram(Route, BytesMut),
    /// Datagrams for a TURN allocation or a connection that is held there.
    Transmit(Transmit),
    /// What one shard tells another.
    Relay(RelayMessage),
}

impl Crossing {
    fn is_media(&self) -> bool {
        match self {
            Self::Datagram(..) | Self::Transmit(_) => true,
            Self::Relay(message) => message.is_media(),
        }
    }
}

struct Lane {
    queue: Sender<(usize, Crossing)>,
    waker: Arc<Waker>,
    backlog: VecDeque<Crossing>,
    woken: bool,
    /// More came after it was woken.
    more: bool,
}

/// One thread's ends.
pub(crate) struct Lanes {
    index: usize,
    inbound: Receiver<(usize, Crossing)>,
    lanes: Vec<Lane>,
    pub(crate) dropped: u64,
}

/// The ends of each thread, which are woken by these.
pub(crate) fn lanes(wakers: &[Arc<Waker>]) -> Vec<Lanes> {
    let (senders, receivers): (Vec<_>, Vec<_>) = wakers.iter().map(|_| bounded(CAPACITY)).unzip();
    let ends = |(index, inbound)| {
        let lane = |(queue, waker): (&Sender<(usize, Crossing)>, &Arc<Waker>)| Lane {
            queue: queue.clone(),
            waker: waker.clone(),
            backlog: VecDeque::new(),
            woken: false,
            more: false,
        };
        Lanes { index, inbound, lanes: senders.iter().zip(wakers).map(lane).collect(), dropped: 0 }
    };
    receivers.into_iter().enumerate().map(ends).collect()
}

impl Lanes {
    /// Which thread this is.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The next thing that came, and from whom.
    pub(crate) fn receive(&self) -> Option<(usize, Crossing)> {
        self.inbound.try_recv().ok()
    }

    /// Never blocks. Call [`Self::wake`] after the last.
    pub(crate) fn hand(&mut self, to: usize, crossing: Crossing) {
        let Some(lane) = self.lanes.get_mut(to).filter(|_| to != self.index) else { return };
        self.dropped += u64::from(!lane.push(self.index, crossing));
    }

    /// To one, or to all others.
    pub(crate) fn relay(&mut self, to: Option<ShardIndex>, message: RelayMessage) {
        match to {
            Some(to) => self.hand(usize::from(to.0), Crossing::Relay(message)),
            None => (0..self.lanes.len()).for_each(|to| self.hand(to, Crossing::Relay(message.clone()))),
        }
    }

    /// Whoever was given more than it was woken for.
    pub(crate) fn wake(&mut self) {
        for lane in &mut self.lanes {
            if std::mem::take(&mut lane.more) {
                lane.wake();
            }
            lane.woken = false;
        }
    }

    /// Sends on what had to wait. True when nothing waits any more.
    pub(crate) fn catch_up(&mut self) -> bool {
        let index = self.index;
        self.lanes.iter_mut().all(|lane| lane.catch_up(index))
    }
}

impl Lane {
    /// False if it was dropped.
    fn push(&mut self, from: usize, crossing: Crossing) -> bool {
        self.catch_up(from);
        if crossing.is_media() {
            let room = self.backlog.is_empty() && self.queue.len() < CAPACITY - RESERVE;
            if !room || self.queue.try_send((from, crossing)).is_err() {
                return false;
            }
        } else if self.backlog.len() < MAX_BACKLOG {
            self.backlog.push_back(crossing);
            self.catch_up(from);
        } else {
            tracing::error!("a media thread hangs: a word between shards is lost");
            return false;
        }
        // At once for the first, so that the other thread works while this one does.
        if std::mem::replace(&mut self.woken, true) {
            self.more = true;
        } else {
            self.wake();
        }
        true
    }

    fn catch_up(&mut self, from: usize) -> bool {
        while let Some(crossing) = self.backlog.pop_front() {
            if let Err(error) = self.queue.try_send((from, crossing)) {
                // Nobody reads it any more after the end of that thread.
                if error.is_full() {
                    self.backlog.push_front(error.into_inner().1);
                    return false;
                }
                self.backlog.clear();
            }
        }
        true
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake a media thread");
        }
    }
}
