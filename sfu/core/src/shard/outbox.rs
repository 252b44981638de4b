//! What waits to leave a shard.

use std::collections::VecDeque;
use std::time::Instant;

use minamo_media::TrackId;

use crate::downlink::Downlink;
use crate::model::PeerId;
use crate::peer::Peer;
use crate::shard::{PeerTransport, ShardEvent, TapInput};
use crate::table::Table;
use crate::track::Track;
use crate::transport::Transmit;

/// Goodbyes of removed peers; more are dropped: their peers find out by the consent that ends.
const FAREWELLS_MAX: usize = 4096;

/// Events, and which peers have datagrams. The datagrams themselves wait, bounded, in the peers' transports.
///
/// Events other than tap packets are bounded by what causes them: a command, a report, or a peer's life.
pub(super) struct Outbox {
    events: VecDeque<ShardEvent>,
    tap_packets: usize,
    tap_packets_max: usize,
    senders: VecDeque<PeerId>,
    farewells: VecDeque<Transmit>,
}

impl Outbox {
    pub(super) fn new(tap_packets_max: usize) -> Self {
        Self { events: VecDeque::new(), tap_packets: 0, tap_packets_max, senders: VecDeque::new(), farewells: VecDeque::new() }
    }

    pub(super) fn push(&mut self, event: ShardEvent) {
        self.events.push_back(event);
    }

    /// False if the packet was dropped.
    pub(super) fn push_tap_packet(&mut self, packet: TapInput) -> bool {
        let fits = self.tap_packets < self.tap_packets_max;
        if fits {
            self.tap_packets += 1;
            self.events.push_back(ShardEvent::Tap(packet));
        }
        fits
    }

    /// The clock of the layer that the tap is given, on the timestamps of what it is given.
    pub(super) fn push_tap_report(&mut self, now: Instant, track: TrackId, feed: &Downlink, entry: &Track) {
        if let Some((clock, rtp32)) = feed.clock(entry).and_then(|clock| Some((clock, feed.timestamp_of(clock)?))) {
            // What was heard a moment ago is worth as much: a report at a switch repeats the layer's last one.
            let arrival = clock.arrival.min(now);
            self.push(ShardEvent::Tap(TapInput::Report { track, layer: 0, rtp32, ntp: clock.ntp, arrival }));
        }
    }

    pub(super) fn event(&mut self) -> Option<ShardEvent> {
        let event = self.events.pop_front()?;
        if matches!(event, ShardEvent::Tap(TapInput::Packet { .. })) {
            self.tap_packets -= 1;
        }
        Some(event)
    }

    /// The peer may have something to send.
    pub(super) fn list<T>(&mut self, peer: &mut Peer<T>) {
        if !std::mem::replace(&mut peer.queued, true) {
            self.senders.push_back(peer.id);
        }
    }

    /// The last datagrams of a peer that is removed.
    pub(super) fn bid_farewell<T: PeerTransport>(&mut self, mut peer: Peer<T>) {
        while let Some(transmit) = peer.transport.poll_transmit() {
            if self.farewells.len() < FAREWELLS_MAX {
                self.farewells.push_back(transmit);
            }
        }
    }

    /// Who is next to send something.
    pub(super) fn sender(&self) -> Option<PeerId> {
        self.senders.front().copied()
    }

    pub(super) fn transmit<T: PeerTransport>(&mut self, peers: &mut Table<PeerId, Box<Peer<T>>>) -> Option<Transmit> {
        while let Some(id) = self.senders.front() {
            let Some(peer) = peers.get_mut(id) else {
                self.senders.pop_front();
                continue;
            };
            let transmit = peer.transport.poll_transmit();
            peer.traffic.bytes_out += transmit.as_ref().map_or(0, |transmit| transmit.payload.len() as u64);
            // Most have one only, and need not be looked at again.
            peer.queued = transmit.is_some() && peer.transport.may_transmit();
            if !peer.queued {
                self.senders.pop_front();
            }
            if transmit.is_some() {
                return transmit;
            }
        }
        self.farewells.pop_front()
    }
}
