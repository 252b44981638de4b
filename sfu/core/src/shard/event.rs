//! What leaves a shard besides datagrams.

use std::time::Instant;

use bytes::Bytes;
use minamo_media::{ChannelId, ConnectionId, NtpTime, TrackId, TrackInfo};

use super::relay::{RelayMessage, ShardIndex};
use crate::model::{PeerEvent, PeerId};

/// What a shard tells its shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardEvent {
    /// Of one peer, for signaling.
    Peer(PeerId, PeerEvent),
    /// For the tap. Goes over a lossy queue: packets may be lost on the way, the rest should not.
    Tap(TapInput),
    /// For [`Shard::handle_relay`](super::Shard::handle_relay) of another shard, or of all others where it names none.
    Relay(Option<ShardIndex>, RelayMessage),
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
        /// Which of its layers, where all of them go to the tap; else 0.
        layer: u8,
        /// When its datagram arrived.
        arrival: Instant,
        /// The whole packet.
        packet: Bytes,
    },
    /// What was given of a picture before this packet ends without its last packets: another layer begins with this one. Comes before it.
    Cut {
        /// The track.
        track: TrackId,
        /// Of the first packet behind the cut.
        sequence: u16,
    },
    /// A sender report of the track's media SSRC.
    Report {
        /// The track.
        track: TrackId,
        /// As with packets.
        layer: u8,
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
