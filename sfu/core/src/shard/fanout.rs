//! From a track to its subscribers. Packets that come one right after another go out subscriber by subscriber, not packet by packet:
//! then a subscriber's state is fetched once for all of them, and they leave by one segmented send.
//!
//! A picture's packets are gathered for this until its last one has come, but not longer than [`GATHER`]. That delays no picture:
//! nobody can show one before its last packet.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use minamo_media::TrackId;

use super::{PeerTransport, Shard};
use crate::bandwidth::Way;
use crate::downlink::Downlink;
use crate::model::PeerId;
use crate::peer::Peer;
use crate::track::{Stored, Track};

/// Packets that wait for [`Shard::poll_transmit`]. At the bound all of them go into the subscribers' queues at once.
const WAITING_MAX: usize = 1024;

/// Longest wait for the rest of a picture. Browsers pace their packets in bursts of a fraction of this, some milliseconds apart.
const GATHER: Duration = Duration::from_millis(1);
/// So many packets are worth a send by themselves.
const GATHER_MAX: usize = 32;

/// New packets of one track.
#[derive(Debug)]
struct Burst {
    track: TrackId,
    /// When each arrived, and its place.
    packets: Vec<(Instant, u64)>,
    /// Subscribers that were served.
    served: usize,
    someone_waits: bool,
    /// Subscribers that were given up over it.
    panics: usize,
}

/// The bursts whose fan-out is not complete.
#[derive(Debug, Default)]
pub(super) struct Fanout {
    bursts: VecDeque<Burst>,
    /// Of bursts, empty: their allocations are used again.
    spare: Vec<Vec<(Instant, u64)>>,
    waiting: usize,
    /// When what waits goes out, although more is to come.
    due: Option<Instant>,
    /// What waits goes out now.
    ready: bool,
}

impl Fanout {
    /// When to call [`Self::handle_timeout`].
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.filter(|_| !self.ready)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.ready |= self.due.is_some_and(|due| due <= now);
    }

    fn add(&mut self, now: Instant, track: TrackId, place: u64, more: bool) {
        self.waiting += 1;
        self.due.get_or_insert(now + GATHER);
        self.ready |= !more || self.waiting >= GATHER_MAX;
        // One that is on its way out already is full.
        if let Some(burst) = self.bursts.iter_mut().rfind(|burst| burst.track == track && burst.served == 0) {
            return burst.packets.push((now, place));
        }
        let mut packets = self.spare.pop().unwrap_or_default();
        packets.push((now, place));
        self.bursts.push_back(Burst { track, packets, served: 0, someone_waits: false, panics: 0 });
    }

    fn finish(&mut self) -> Option<Burst> {
        let burst = self.bursts.pop_front()?;
        self.waiting -= burst.packets.len();
        if self.bursts.is_empty() {
            (self.due, self.ready) = (None, false);
        }
        Some(burst)
    }

    fn recycle(&mut self, burst: Burst) {
        let mut packets = burst.packets;
        packets.clear();
        if self.spare.len() < 64 {
            self.spare.push(packets);
        }
    }
}

impl<T: PeerTransport> Shard<T> {
    /// Sends the packet at a place to everybody who is sent the track: now, or when the `more` that will come right behind it is
    /// there.
    pub(super) fn forward(&mut self, now: Instant, track: TrackId, place: u64, more: bool) {
        if !self.subscribers.contains_key(&track) {
            return;
        }
        self.fanout.add(now, track, place, more);
        if self.fanout.waiting >= WAITING_MAX {
            while self.fan_out() {}
        }
    }

    /// Gives one more subscriber what waits for it. False if nothing is to go out now.
    pub(super) fn fan_out(&mut self) -> bool {
        let Some(burst) = self.fanout.bursts.front_mut().filter(|_| self.fanout.ready) else { return false };
        let subscriber = self.subscribers.get(&burst.track).and_then(|subscribers| subscribers.get(burst.served)).copied();
        let (Some(id), Some(track)) = (subscriber, self.tracks.get(&burst.track)) else {
            self.end_burst();
            return true;
        };
        burst.served += 1;
        let (owner, now) = (track.owner, burst.packets.first().map(|(now, _)| *now));
        if let Some(now) = now
            && self.contained(now, id, |shard| shard.serve_front(id)).is_none()
        {
            self.blame(now, owner);
        }
        true
    }

    /// Sends the first burst's packets to this subscriber.
    fn serve_front(&mut self, id: PeerId) {
        let Some(burst) = self.fanout.bursts.front_mut() else { return };
        let Some(track) = self.tracks.get(&burst.track) else { return };
        if let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.connected) {
            #[cfg(feature = "faults")]
            peer.faults.trip(crate::model::Fault::Downlink);
            self.stats.rtp_out += serve(peer, track, &burst.packets, &mut self.scratch);
            burst.someone_waits |= peer.downlink(burst.track).is_some_and(|downlink| !downlink.is_started());
            self.outbox.list(peer);
        }
    }

    /// A subscriber was given up over a burst. One alone had something wrong with it; with the second it is the packets, and their
    /// publisher goes instead of everybody who hears it.
    fn blame(&mut self, now: Instant, owner: PeerId) {
        let Some(burst) = self.fanout.bursts.front_mut() else { return };
        burst.panics += 1;
        // The one who is gone has made room in the list.
        burst.served -= 1;
        if burst.panics > 1 {
            self.give_up(now, owner);
        }
    }

    fn end_burst(&mut self) {
        let Some(burst) = self.fanout.finish() else { return };
        if let (true, Some(track), Some((now, _))) =
            (burst.someone_waits, self.tracks.get_mut(&burst.track), burst.packets.last())
        {
            // Also after a wish was given up.
            track.wish_key_frame();
            let owner = track.owner;
            self.rearm(*now, owner);
        }
        self.fanout.recycle(burst);
    }

    /// A packet of the ring once more, for a NACK.
    pub(super) fn send_again(&mut self, now: Instant, id: PeerId, track: TrackId, place: u64) -> bool {
        let Some(entry) = self.tracks.get(&track) else { return false };
        let (Some(stored), Some(peer)) = (entry.at(place), self.peers.get_mut(&id)) else { return false };
        let Peer { downlinks, way, transport, .. } = peer;
        let Some(downlink) = downlinks.iter_mut().find(|downlink| downlink.spec.track == track) else { return false };
        if !downlink.write_again(stored, &entry.spec.extensions, &mut self.scratch) {
            return false;
        }
        let repeats = downlink.repeats();
        if let Some(way) = way {
            // The same bytes again are the same number again.
            if repeats && !way.stamp_again(&mut self.scratch) {
                return false;
            }
            if !repeats {
                way.stamp(now, &mut self.scratch, false);
            }
        }
        transport.send_rtp(&self.scratch);
        true
    }
}

/// Sends the packets to one subscriber. Returns how many went out: none before a key frame, and more where the subscriber begins.
fn serve<T: PeerTransport>(peer: &mut Peer<T>, track: &Track, packets: &[(Instant, u64)], scratch: &mut Vec<u8>) -> u64 {
    let Peer { downlinks, transport, way, .. } = peer;
    let way = &mut way.as_deref_mut();
    let Some(downlink) = downlinks.iter_mut().find(|downlink| downlink.spec.track == track.spec.track) else { return 0 };
    let mut sent = 0;
    for (index, (now, place)) in packets.iter().enumerate() {
        let Some(stored) = track.at(*place) else { continue };
        let begins = downlink.start_at(stored);
        sent += u64::from(send(*now, (transport, way), downlink, track, stored, scratch));
        if begins {
            // Packets that overtook the beginning of the key frame went by before this subscriber was let in.
            let rest = stored.seq + 1..=track.highest().unwrap_or(stored.seq);
            for overtaking in rest.filter(|place| !packets[index..].iter().any(|(_, later)| later == place)) {
                let Some(overtaking) = track.at(overtaking) else { continue };
                sent += u64::from(send(*now, (transport, way), downlink, track, overtaking, scratch));
            }
            super::reports::send_sender_report(*now, transport, downlink, track, scratch);
        }
    }
    sent
}

fn send<T: PeerTransport>(
    now: Instant,
    (transport, way): (&mut T, &mut Option<&mut Way>),
    downlink: &mut Downlink,
    track: &Track,
    stored: &Stored,
    scratch: &mut Vec<u8>,
) -> bool {
    let written = downlink.write(stored, &track.spec.extensions, scratch);
    if written {
        if let Some(way) = way {
            way.stamp(now, scratch, downlink.repeats());
        }
        transport.send_rtp(scratch);
    }
    written
}
