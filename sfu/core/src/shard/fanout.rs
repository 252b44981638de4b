//! From a track to its subscribers. Packets that come one right after another go out subscriber by subscriber, not packet by packet:
//! then a subscriber's state is fetched once for all of them, and they leave by one segmented send.
//!
//! A picture's packets are gathered for this until its last one has come, but not longer than [`GATHER`]. That delays no picture:
//! nobody can show one before its last packet.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use minamo_media::TrackId;

use super::{PeerTransport, Shard, layers};
use crate::bandwidth::Way;
use crate::downlink::{Downlink, Switch};
use crate::model::{Layer, PeerId};
use crate::peer::Peer;
use crate::track::{Track, Urgency};

/// Packets that wait for [`Shard::poll_transmit`]. At the bound all of them go into the subscribers' queues at once.
const WAITING_MAX: usize = 1024;

/// Longest wait for the rest of a picture. Browsers pace their packets in bursts of a fraction of this, some milliseconds apart.
const GATHER: Duration = Duration::from_millis(1);
/// So many packets are worth a send by themselves.
const GATHER_MAX: usize = 32;

/// Between two handfuls of a cached group of pictures, and what each holds: about 8 Mbit/s, beside the layer's own rate twice over.
const CATCH_UP_EVERY: Duration = Duration::from_millis(5);
const CATCH_UP_BYTES: u64 = 5000;

/// New packets of one layer of a track.
#[derive(Debug)]
struct Burst {
    track: TrackId,
    layer: Layer,
    /// When each arrived, and its place.
    packets: Vec<(Instant, u64)>,
    /// Subscribers that were served.
    served: usize,
    /// Somebody waits for a key frame of this layer.
    waits: Option<Urgency>,
    /// Subscribers that were given up over it.
    panics: usize,
}

/// A burst of which nobody has anything yet: when its packets arrived, and their places.
type Fresh<'a> = (TrackId, Layer, &'a [(Instant, u64)]);

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

    fn add(&mut self, now: Instant, track: TrackId, layer: Layer, place: u64, more: bool) {
        self.waiting += 1;
        self.due.get_or_insert(now + GATHER);
        self.ready |= !more || self.waiting >= GATHER_MAX;
        // One that is on its way out already is full.
        if let Some(burst) =
            self.bursts.iter_mut().rfind(|burst| (burst.track, burst.layer) == (track, layer) && burst.served == 0)
        {
            return burst.packets.push((now, place));
        }
        let mut packets = self.spare.pop().unwrap_or_default();
        packets.push((now, place));
        self.bursts.push_back(Burst { track, layer, packets, served: 0, waits: None, panics: 0 });
    }

    /// The lowest place of a layer, from a certain one on, that has not gone to everybody: in the bursts behind the first `skip`.
    fn lowest(&self, track: TrackId, (layer, from): (Layer, u64), skip: usize) -> u64 {
        let bursts = self.bursts.iter().skip(skip).filter(|burst| (burst.track, burst.layer) == (track, layer));
        let places = bursts.flat_map(|burst| burst.packets.iter().map(|(_, place)| *place));
        places.filter(|place| *place >= from).min().unwrap_or(u64::MAX)
    }

    /// The first burst, if nobody was served yet.
    pub(super) fn fresh(&self) -> Option<Fresh<'_>> {
        let burst = self.bursts.front().filter(|burst| burst.served == 0)?;
        Some((burst.track, burst.layer, &burst.packets))
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
    /// Sends the packet at a place of a layer to everybody who is sent it: now, or when the `more` that will come right behind it is
    /// there.
    pub(super) fn forward(&mut self, now: Instant, track: TrackId, layer: Layer, place: u64, more: bool) {
        if !self.subscribers.contains_key(&track) && !self.is_relayed(track) {
            return;
        }
        self.fanout.add(now, track, layer, place, more);
        if self.fanout.waiting >= WAITING_MAX {
            while self.fan_out() {}
        }
    }

    /// Gives one more subscriber what waits for it. False if nothing is to go out now.
    pub(super) fn fan_out(&mut self) -> bool {
        if self.relay.is_some() && self.fanout.ready {
            self.relay_burst();
        }
        let Some(burst) = self.fanout.bursts.front_mut().filter(|_| self.fanout.ready) else { return false };
        let subscriber = self.subscribers.get(&burst.track).and_then(|subscribers| subscribers.get(burst.served)).copied();
        let (Some(id), Some(track)) = (subscriber, self.tracks.get(&burst.track)) else {
            self.end_burst();
            return true;
        };
        let (going, served) = (burst.track, burst.served);
        burst.served += 1;
        let (owner, now) = (track.owner, burst.packets.first().map(|(now, _)| *now));
        self.warm(going, served);
        if let Some(now) = now
            && self.contained(now, id, |shard| shard.serve_front(id)).is_none()
        {
            self.blame(now, owner);
        }
        true
    }

    /// Sends the first burst's packets to this subscriber.
    fn serve_front(&mut self, id: PeerId) {
        let Some(Burst { track, layer, .. }) = self.fanout.bursts.front() else { return };
        let (track, layer) = (*track, *layer);
        let Some(entry) = self.tracks.get(&track) else { return };
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.connected) else { return };
        #[cfg(feature = "faults")]
        peer.faults.trip(crate::model::Fault::Downlink);
        let Some(downlink) = peer.downlinks.iter_mut().find(|downlink| downlink.spec.track == track) else { return };
        if !downlink.concerns(layer) {
            return;
        }
        let waits = downlink.waits_for().is_some();
        let later = if waits { self.fanout.lowest(track, (layer, 0), 1) } else { u64::MAX };
        let (video, repeats) = (entry.is_video(), downlink.repeats());
        let (transport, way, scratch) = (&mut peer.transport, &mut peer.way, &mut self.scratch);
        let Some(burst) = self.fanout.bursts.front_mut() else { return };
        let Some((now, _)) = burst.packets.last().copied() else { return };
        transport.swap_spare(&mut self.spare);
        let mut send = |head: &mut Vec<u8>, rest: &[u8]| submit(now, video, repeats, way.as_deref_mut(), transport, head, rest);
        let passed = pass(downlink, entry, layer, &burst.packets, later, scratch, &mut send);
        transport.swap_spare(&mut self.spare);
        self.stats.rtp_out += passed.sent;
        if waits {
            let still = downlink.waits_for().filter(|(target, _)| *target == layer).map(|(_, urgency)| urgency);
            burst.waits = burst.waits.max(still);
        }
        if let Some((now, switch)) = passed.switch {
            super::reports::send_sender_report(now, transport, downlink, entry, scratch);
            layers::report(&mut self.outbox, &mut self.stats, id, entry, Some(switch));
        }
        self.outbox.list(peer);
        if peer.way.as_ref().is_some_and(|way| way.holds()) {
            self.rearm(now, id);
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
            let track = burst.track;
            self.blame_home(track);
            self.give_up(now, owner);
        }
    }

    fn end_burst(&mut self) {
        let Some(burst) = self.fanout.finish() else { return };
        if let (Some(urgency), Some(track), Some((now, _))) =
            (burst.waits, self.tracks.get_mut(&burst.track), burst.packets.last())
        {
            // Also after a wish was given up.
            track.wish_key_frame(burst.layer, urgency);
            self.rearm_source(*now, burst.track);
        }
        self.fanout.recycle(burst);
    }

    /// The next handful of a cached group of pictures, if it is due.
    pub(super) fn serve_catch_up(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.catch_up_due.is_some_and(|due| due <= now)) else { return };
        peer.catch_up_due = None;
        let Peer { downlinks, way, transport, catch_up_due, .. } = &mut **peer;
        let link = way.as_ref().and_then(|way| way.estimate(now));
        for downlink in downlinks {
            let Some(next) = downlink.catching_up() else { continue };
            let Some(track) = self.tracks.get(&downlink.spec.track) else { continue };
            // What is on its way to everybody will come here too.
            let until = self.fanout.lowest(downlink.spec.track, next, 0);
            let repeats = downlink.repeats();
            let mut send =
                |head: &mut Vec<u8>, rest: &[u8]| submit(now, true, repeats, way.as_deref_mut(), transport, head, rest);
            self.stats.rtp_out += catch_up(now, downlink, track, until, link, &mut self.scratch, &mut send);
            if downlink.catching_up().is_some() {
                *catch_up_due = Some(now + CATCH_UP_EVERY);
            }
        }
    }

    /// A packet of the ring once more, for a NACK.
    pub(super) fn send_again(&mut self, now: Instant, id: PeerId, track: TrackId, (layer, place): (Layer, u64)) -> bool {
        let Some(entry) = self.tracks.get(&track) else { return false };
        let stored = entry.encoding(layer).and_then(|encoding| encoding.at(place));
        let (Some(stored), Some(peer)) = (stored, self.peers.get_mut(&id)) else { return false };
        let Peer { downlinks, way, transport, .. } = &mut **peer;
        let Some(downlink) = downlinks.iter_mut().find(|downlink| downlink.spec.track == track) else { return false };
        // A track that is not sent now goes on with a key frame: what is missing before it only takes room from others.
        if downlink.layer().is_none() || !downlink.write_again(layer, stored, &entry.spec.extensions, &mut self.scratch) {
            return false;
        }
        let repeats = downlink.repeats();
        if let Some(way) = way {
            // The same bytes again are the same number again.
            if repeats && !way.stamp_again(&mut self.scratch) {
                return false;
            }
            if !repeats {
                if !way.has_room(now) {
                    return false;
                }
                way.stamp(now, &mut self.scratch, &[], false);
            }
        }
        transport.send_rtp(&self.scratch, &[]);
        true
    }
}

/// Sends a packet to a subscriber. What does not leave now waits for its turn, or is more than the way carries.
fn submit<T: PeerTransport>(
    now: Instant,
    video: bool,
    repeats: bool,
    way: Option<&mut Way>,
    transport: &mut T,
    head: &mut [u8],
    rest: &[u8],
) {
    if way.is_none_or(|way| way.submit(now, video, head, rest, repeats)) {
        transport.send_rtp(head, rest);
    }
}

/// What became of packets for one subscriber.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub sent: u64,
    /// It went over to this layer, and when.
    pub switch: Option<(Instant, Switch)>,
}

/// Gives one subscriber packets of a layer, each with its time of arrival: none before a key frame, and more where it begins.
/// `later` is the lowest place that will be given to it after these.
pub(super) fn pass(
    downlink: &mut Downlink,
    track: &Track,
    layer: Layer,
    packets: &[(Instant, u64)],
    later: u64,
    scratch: &mut Vec<u8>,
    send: &mut impl FnMut(&mut Vec<u8>, &[u8]),
) -> Passed {
    let mut passed = Passed::default();
    let Some(encoding) = track.encoding(layer) else { return passed };
    for (index, (now, place)) in packets.iter().enumerate() {
        let Some(stored) = encoding.at(*place) else { continue };
        let begins = downlink.switches_at(layer, stored);
        if begins {
            passed.switch = downlink.enter(*now, track, stored, false).map(|switch| (*now, switch));
        }
        let mut write = |stored| {
            let Some(rest) = downlink.write(layer, stored, &track.spec.extensions, scratch) else { return };
            send(scratch, rest);
            passed.sent += 1;
        };
        write(stored);
        if begins {
            // Packets that overtook the beginning of the key frame went by before this subscriber was let in.
            let rest = (stored.seq + 1..=encoding.highest().unwrap_or(stored.seq)).take_while(|place| *place < later);
            let overtook = rest.filter(|place| !packets[index..].iter().any(|(_, later)| later == place));
            overtook.filter_map(|place| encoding.at(place)).for_each(&mut write);
        }
    }
    passed
}

/// Sends the next packets of the group that the subscriber begins with, up to a handful, less over a `link` of few bits per second, and
/// before the place `until`. Returns how many.
fn catch_up(
    now: Instant,
    downlink: &mut Downlink,
    track: &Track,
    until: u64,
    link: Option<u64>,
    scratch: &mut Vec<u8>,
    send: &mut impl FnMut(&mut Vec<u8>, &[u8]),
) -> u64 {
    let Some((encoding, layer)) = downlink.catching_up().and_then(|(layer, _)| Some((track.encoding(layer)?, layer))) else {
        return 0;
    };
    let rate = encoding.rates(now).last().copied().unwrap_or(0);
    let per_turn = |bits_per_second: u64| bits_per_second * CATCH_UP_EVERY.as_millis() as u64 / 8000;
    // Never so little that what is new would run away from it.
    let (least, usual) = (per_turn(2 * rate), CATCH_UP_BYTES + per_turn(2 * rate));
    let mut bytes = link.map_or(usual, |link| per_turn(link + link / 2).clamp(least, usual));
    let highest = encoding.highest().unwrap_or(0);
    let mut sent = 0;
    while let Some((_, mut place)) = downlink.catching_up() {
        // One that is missing keeps its number.
        while place <= highest && encoding.at(place).is_none() {
            place += 1;
        }
        if place > highest {
            downlink.caught_up();
            break;
        }
        let Some(stored) = encoding.at(place).filter(|_| place < until) else { break };
        // One in any case.
        if sent > 0 && bytes == 0 {
            break;
        }
        bytes = bytes.saturating_sub(stored.packet.len() as u64);
        if let Some(rest) = downlink.write_cached(layer, stored, &track.spec.extensions, scratch) {
            send(scratch, rest);
            sent += 1;
        }
    }
    sent
}
