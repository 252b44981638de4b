//! The numbers of one peer.

use std::time::Duration;

use minamo_media::TrackId;

use super::Layer;

/// The numbers of one peer at one moment. Counts are since the peer's or track's beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerReport {
    /// Bytes of datagrams from the peer.
    pub bytes_in: u64,
    /// Bytes of datagrams to the peer.
    pub bytes_out: u64,
    /// Round-trip time, once it is known.
    pub rtt: Option<Duration>,
    /// What the way to the peer carries, in bits per second, once that is estimated.
    pub bandwidth: Option<u64>,
    /// The way: `udp` or `tcp`, and whether over TURN.
    pub path: PathKind,
    /// What it sends, one for each layer that came.
    pub uplinks: Vec<UplinkReport>,
    /// What it is sent.
    pub downlinks: Vec<DownlinkReport>,
}

/// How a peer's datagrams travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PathKind {
    /// Plain UDP.
    #[default]
    Udp,
    /// ICE-TCP (RFC 6544).
    Tcp,
    /// Our TURN server, over UDP.
    TurnUdp,
    /// Our TURN server, over TCP or TLS.
    TurnTcp,
}

/// One layer of a track from a publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkReport {
    /// The track.
    pub track: TrackId,
    /// Which layer; 0 without simulcast.
    pub layer: Layer,
    /// Packets.
    pub packets: u64,
    /// Bytes of payload.
    pub bytes: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Retransmissions asked for.
    pub nacked: u64,
    /// Key frames asked for.
    pub key_frames_asked: u64,
    /// Key frames that came.
    pub key_frames: u64,
    /// Bits per second over the last second or so.
    pub bitrate: u64,
}

/// One track to a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownlinkReport {
    /// The track.
    pub track: TrackId,
    /// What it is sent now; `None` for nothing.
    pub layer: Option<Layer>,
    /// Packets, retransmissions not counted.
    pub packets: u64,
    /// Bytes of payload.
    pub bytes: u64,
    /// Retransmissions.
    pub resent: u64,
    /// Key frames that it asked for.
    pub key_frames_asked: u64,
    /// Packets that the subscriber says it lost.
    pub lost: u64,
}
