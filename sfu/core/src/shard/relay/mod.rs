//! Tracks across shards. A publisher's packets are decrypted and accounted for on its home shard; a shard that has subscribers of the
//! track mirrors it: the packets come over plain, in one message per burst, and are kept and forwarded there as if they had come in.
//!
//! The home tells all others which tracks it has. A shard that needs one says so to the home once a second, with the layers that are
//! watched; that subscribes it. Key-frame wishes and places that did not come over go back. Words may be lost on the way: packets are asked for
//! again, and what is said once a second heals the rest.

mod home;
mod mirror;

use std::sync::Arc;
use std::time::{Duration, Instant};

use minamo_media::TrackId;

use super::{PeerTransport, Shard, ShardEvent};
use crate::model::{Layer, PeerId, Uplink};
use crate::table::Table;
use crate::track::{SenderClock, Stored, Urgency};

/// Between two times that a mirror says what it wants.
const RENEW: Duration = Duration::from_secs(1);

/// Which of several shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardIndex(pub u16);

/// What one shard tells another. Clones share the packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayMessage(Word);

impl RelayMessage {
    /// Whether it may be lost where a queue is full. The rest is rare, and should not.
    #[must_use]
    pub fn is_media(&self) -> bool {
        matches!(self.0, Word::Packets(_) | Word::Clock(..))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// The home has this track, of this peer.
    Offered(PeerId, Arc<Uplink>),
    /// The home has it no longer.
    Withdrawn(TrackId),
    /// A mirror is there, and these layers of it are watched (one bit each).
    Watched(TrackId, u8),
    /// The mirror is not there any more.
    Left(TrackId),
    Packets(Arc<Packets>),
    Clock(TrackId, Layer, SenderClock),
    /// To the home: send these places again.
    Missing(TrackId, Layer, Vec<u64>),
    /// To the home: a key frame is needed.
    KeyFrame(TrackId, Layer, Urgency),
    /// To the home: a bitrate wish.
    Bitrate(TrackId, u64),
    /// To the home: these packets make subscribers panic.
    Blame(TrackId),
}

/// New packets of one layer.
#[derive(Debug, PartialEq, Eq)]
struct Packets {
    track: TrackId,
    layer: Layer,
    /// Which layers of the track flow.
    flowing: u8,
    /// They went out at home before the mirror was there: the current group of pictures.
    old: bool,
    /// When each arrived, and what it is.
    packets: Vec<(Instant, Stored)>,
}

/// A track of another shard.
#[derive(Debug)]
struct Remote {
    home: ShardIndex,
    owner: PeerId,
    spec: Arc<Uplink>,
}

/// What is known of other shards. `remote` is bounded by what peers may publish there, `watchers` by our tracks and the number of shards,
/// `mirrors` by our subscribers.
#[derive(Debug, Default)]
pub(super) struct Relay {
    remote: Table<TrackId, Remote>,
    /// Who mirrors our tracks, and the layers that are watched there.
    watchers: Table<TrackId, Vec<(ShardIndex, u8)>>,
    mirrors: Vec<TrackId>,
    due: Option<Instant>,
    renew_at: Option<Instant>,
}

impl Relay {
    fn wake(&mut self, at: Option<Instant>) {
        self.due = self.due.into_iter().chain(at).min();
    }
}

impl<T: PeerTransport> Shard<T> {
    /// One of several: it tells of its tracks by [`ShardEvent::Relay`], and mirrors those of others.
    #[must_use]
    pub fn relaying(mut self) -> Self {
        self.relay = Some(Box::default());
        self
    }

    /// The word of another shard.
    pub fn handle_relay(&mut self, now: Instant, from: ShardIndex, message: RelayMessage) {
        self.clock = Some(now);
        if self.relay.is_none() {
            return;
        }
        match message.0 {
            Word::Offered(owner, spec) => self.remote_offered(now, from, owner, spec),
            Word::Withdrawn(track) => self.remote_withdrawn(track),
            Word::Watched(track, layers) => self.watched_there(now, from, track, layers),
            Word::Left(track) => self.left_there(from, track),
            Word::Packets(packets) => self.mirrored(now, &packets),
            Word::Clock(track, layer, clock) => self.mirrored_clock(now, track, layer, clock),
            Word::Missing(track, layer, places) => self.relay_again(now, from, track, layer, &places),
            Word::KeyFrame(track, layer, urgency) if self.is_home_of(track) => self.wish_key_frame(now, track, layer, urgency),
            Word::Bitrate(track, bits_per_second) if self.is_home_of(track) => self.wish_bitrate(now, track, bits_per_second),
            Word::Blame(track) => {
                if let Some(owner) = self.home_of(track) {
                    self.give_up(now, owner);
                }
            }
            Word::KeyFrame(..) | Word::Bitrate(..) => {}
        }
    }

    pub(super) fn relay_due(&self) -> Option<Instant> {
        self.relay.as_ref()?.due
    }

    fn is_home_of(&self, track: TrackId) -> bool {
        self.home_of(track).is_some()
    }

    /// Its publisher, if that is a peer of ours.
    fn home_of(&self, track: TrackId) -> Option<PeerId> {
        self.tracks.get(&track).filter(|entry| !entry.mirror).map(|entry| entry.owner)
    }

    fn relay(&mut self, to: Option<ShardIndex>, word: Word) {
        self.outbox.push(ShardEvent::Relay(to, RelayMessage(word)));
    }
}
