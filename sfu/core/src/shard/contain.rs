//! A panic in one peer's state ends that peer. Nothing here is meant to panic; should it, it is a bug of ours, and everybody else must
//! go on with tables that hold together.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use super::{PeerTransport, Shard, ShardEvent, TapInput};
use crate::model::{CloseReason, PeerEvent, PeerId, Tap};

impl<T: PeerTransport> Shard<T> {
    /// Does work of a peer's, or for it. Should it panic, the peer is removed and told of as `Closed(Internal)`. `None` then.
    ///
    /// Work for another peer inside goes into [`Self::on_behalf`], so that the right one is removed.
    pub(super) fn contained<R>(&mut self, now: Instant, id: PeerId, work: impl FnOnce(&mut Self) -> R) -> Option<R> {
        let outer = self.at_work.replace(id);
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        let culprit = std::mem::replace(&mut self.at_work, outer);
        match (done, culprit) {
            (Ok(done), _) => Some(done),
            (Err(_), Some(culprit)) => {
                self.give_up(now, culprit);
                // What it was doing for another peer may have left that one's deadline unset.
                self.rearm(now, id);
                None
            }
            (Err(panic), None) => resume_unwind(panic),
        }
    }

    /// Work on another peer's state than the one whose input it is.
    pub(super) fn on_behalf<R>(&mut self, id: PeerId, work: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.at_work.replace(id);
        let done = work(self);
        self.at_work = before;
        done
    }

    /// Removes a peer whose state may be anything.
    pub(super) fn give_up(&mut self, now: Instant, id: PeerId) {
        self.stats.panicked_peers += 1;
        // It may have failed while it was being made, too.
        let whole = self.peers.contains_key(&id);
        let gone = catch_unwind(AssertUnwindSafe(|| self.remove_peer(now, id, false))).is_ok();
        if !whole || !gone {
            self.sweep(id);
        }
        self.outbox.push(ShardEvent::Peer(id, PeerEvent::Closed(CloseReason::Internal)));
    }

    /// Removing the peer in order has failed as well: everything that names it goes, without a look at its own state.
    fn sweep(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.remove(&id) {
            let tap = peer.tap.clone();
            // Its destructor may panic, too.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(peer)));
            self.sweep_tracks(id);
            if let Some(Tap { channel, publisher, .. }) = tap {
                self.outbox.push(ShardEvent::Tap(TapInput::PublisherGone { channel, publisher, clean: false }));
            }
        } else {
            self.sweep_tracks(id);
        }
        for subscribers in self.subscribers.values_mut() {
            subscribers.retain(|subscriber| *subscriber != id);
        }
        self.subscribers.retain(|_, subscribers| !subscribers.is_empty());
        self.addresses.sweep(id);
        self.timers.retain(|(_, peer)| *peer != id);
        self.stats.peers = self.peers.len() as u64;
        self.stats.uplinks = self.tracks.values().filter(|track| !track.mirror).count() as u64;
        self.stats.downlinks = self.peers.values().map(|peer| peer.downlinks.len() as u64).sum();
    }

    fn sweep_tracks(&mut self, id: PeerId) {
        let tracks: Vec<_> = self.tracks.iter().filter(|(_, track)| track.owner == id).map(|(track, _)| *track).collect();
        tracks.into_iter().for_each(|track| self.forget_track(track));
    }
}
