//! A shard: the peers of one media thread, the tracks between them, and the tables that find a datagram's peer.
//!
//! The five verbs: [`Shard::handle_command`] and [`Shard::handle_datagram`] put things in, [`Shard::handle_timeout`] moves the time,
//! [`Shard::poll_timeout`] says when, [`Shard::poll_transmit`] and [`Shard::poll_event`] take things out. Drain both after each input.

mod stats;
mod transport;

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use minamo_media::{ChannelId, ConnectionId, NtpTime, TrackId, TrackInfo};

pub use self::stats::Stats;
pub use self::transport::PeerTransport;
use crate::model::{Command, IceCredentials, PeerEvent, PeerId};
use crate::transport::{Route, Transmit};

/// Bounds of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardConfig {
    /// Peers at once. A peer beyond is answered with `Closed(Refused)`.
    pub peers_max: usize,
    /// Packets waiting for the tap in [`Shard::poll_event`]; more are dropped and counted.
    pub tap_packets_max: usize,
}

impl Default for ShardConfig {
    fn default() -> Self {
        Self { peers_max: 10_000, tap_packets_max: 4096 }
    }
}

/// What a shard tells its shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardEvent {
    /// Of one peer, for signaling.
    Peer(PeerId, PeerEvent),
    /// For the tap. Goes over a lossy queue: packets may be lost on the way, the rest should not.
    Tap(TapInput),
}

/// A tapped track's life and packets, as they go from the media thread to the tap's thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TapInput {
    /// A tapped track was negotiated.
    TrackAdded {
        /// Where it is heard.
        channel: ChannelId,
        /// Who sends it.
        publisher: ConnectionId,
        /// What it is. Its `publisher` is the same.
        info: TrackInfo,
    },
    /// One plain RTP packet of the track's media SSRC, retransmissions already unwrapped, in order of arrival, padding-only ones included.
    Packet {
        /// The track.
        track: TrackId,
        /// When its datagram arrived.
        arrival: Instant,
        /// The whole packet.
        packet: Bytes,
    },
    /// A sender report of the track's media SSRC.
    Report {
        /// The track.
        track: TrackId,
        /// Its RTP timestamp as on the wire.
        rtp32: u32,
        /// The publisher's clock at that timestamp.
        ntp: NtpTime,
        /// When it arrived.
        arrival: Instant,
    },
    /// Nothing more will come of this track.
    TrackRemoved {
        /// The track.
        track: TrackId,
    },
    /// The publisher has left; all its tracks were removed before.
    PublisherGone {
        /// Where it was heard.
        channel: ChannelId,
        /// Who.
        publisher: ConnectionId,
        /// Whether it left on purpose.
        clean: bool,
    },
}

/// Makes a peer's transport.
pub type MakeTransport<T> = Box<dyn FnMut(Instant, IceCredentials) -> T + Send>;

/// The peers of one media thread.
pub struct Shard<T: PeerTransport> {
    stats: Stats,
    _make_transport: MakeTransport<T>,
}

impl<T: PeerTransport> Shard<T> {
    /// An empty shard. `make_transport` is called once for each peer.
    #[must_use]
    pub fn new(_config: ShardConfig, make_transport: impl FnMut(Instant, IceCredentials) -> T + Send + 'static) -> Self {
        Self { stats: Stats::default(), _make_transport: Box::new(make_transport) }
    }

    /// Signaling's word. Unknown peers and tracks are ignored.
    pub fn handle_command(&mut self, _now: Instant, _command: Command) {}

    /// One datagram from the socket.
    pub fn handle_datagram(&mut self, _now: Instant, _route: Route, _data: BytesMut) {}

    /// Time has come: feedback, reports, retries.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next datagram to send; those of one peer come one after another, so that a shell can batch them.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ShardEvent> {
        None
    }

    /// Counts so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}
