//! One peer in a shard: its transport, what it sends and what it is sent.

mod fault;
mod feedback;
mod latch;
mod loudness;
mod rtx;

use std::time::{Duration, Instant};

use minamo_media::TrackId;

pub(crate) use self::fault::Faults;
pub(crate) use self::feedback::Arrivals;
pub(crate) use self::latch::{Flow, Latch, Owner, Stranger};
pub(crate) use self::loudness::Loudness;
pub(crate) use self::rtx::unwrap as unwrap_rtx;
use crate::bandwidth::Way;
use crate::downlink::Downlink;
use crate::model::{PathKind, PeerId, Tap};
use crate::shard::PeerTransport;
use crate::transport::Origin;

/// Tracks that one peer may send; more are refused and counted.
pub(crate) const UPLINKS_MAX: usize = 16;
/// Tracks that one peer may be sent; more are refused and counted.
pub(crate) const DOWNLINKS_MAX: usize = 512;
/// Addresses that lead to one peer; at the bound the oldest is forgotten. A browser checks from a few interfaces, twice in a restart.
pub(crate) const ADDRESSES_MAX: usize = 8;
/// Between two compounds of sender and receiver reports.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes of a peer's datagrams so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// The peer.
pub(crate) struct Peer<T> {
    pub id: PeerId,
    pub transport: T,
    pub ufrag: String,
    /// Of an ICE restart that the peer has not followed yet.
    pub next_ufrag: Option<String>,
    pub addresses: Vec<Origin>,
    pub connected: bool,
    pub uplinks: Vec<TrackId>,
    pub latch: Latch,
    /// The id of the transport-cc extension on everything it sends: bundled sections share their ids (RFC 8843 §15.2).
    pub transport_cc: Option<u8>,
    pub arrivals: Arrivals,
    /// Under which names its tracks go to the tap, once one did.
    pub tap: Option<Tap>,
    pub downlinks: Vec<Downlink>,
    /// Congestion control toward it, where it takes part in that.
    pub way: Option<Box<Way>>,
    /// How unstable the way to it is, as last said.
    pub network: u8,
    pub reports_due: Option<Instant>,
    /// When the next packets of a cached group of pictures go out.
    pub catch_up_due: Option<Instant>,
    /// Under which deadline the shard knows it.
    pub armed: Option<Instant>,
    /// What signaling was told of how its datagrams travel.
    pub path: PathKind,
    pub traffic: Traffic,
    /// Whether it waits in the shard's list of those with something to send.
    pub queued: bool,
    /// Only with the feature `faults` more than nothing.
    #[cfg_attr(not(feature = "faults"), allow(dead_code))]
    pub faults: Faults,
}

impl<T: PeerTransport> Peer<T> {
    pub(crate) fn new(now: Instant, id: PeerId, ufrag: String, transport: T) -> Self {
        Self {
            id,
            transport,
            ufrag,
            next_ufrag: None,
            addresses: Vec::new(),
            connected: false,
            uplinks: Vec::new(),
            latch: Latch::default(),
            transport_cc: None,
            arrivals: Arrivals::new(now),
            tap: None,
            downlinks: Vec::new(),
            way: None,
            network: 0,
            reports_due: None,
            catch_up_due: None,
            armed: None,
            path: PathKind::default(),
            traffic: Traffic::default(),
            queued: false,
            faults: Faults::default(),
        }
    }

    pub(crate) fn downlink(&mut self, track: TrackId) -> Option<&mut Downlink> {
        self.downlinks.iter_mut().find(|downlink| downlink.spec.track == track)
    }

    /// The round-trip time, once a receiver report has told.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.downlinks.iter().filter_map(Downlink::rtt).min()
    }

    pub(crate) fn downlink_of(&mut self, ssrc: u32) -> Option<&mut Downlink> {
        self.downlinks.iter_mut().find(|downlink| downlink.spec.ssrc == ssrc)
    }
}
