//! What can be set about signaling.

use std::time::Duration;

use crate::reach::RelayPolicy;
use crate::session::Timing;

/// Limits and times of signaling. The defaults are what Sora clients expect.
#[derive(Clone, Debug)]
pub struct SignalingConfig {
    /// Peers in one room; the next is refused with `TOO-MANY-CONNECTIONS`.
    pub connections_per_room_max: usize,
    /// WebSockets open in the whole process; the next is refused with 503 before it is upgraded.
    pub connections_max: usize,
    /// Tracks forwarded to one peer at once. Further ones wait until another ends: an SDP of thousands of sections helps nobody.
    pub downlinks_per_peer_max: usize,
    /// Where every new connection is sent instead, as `wss://…/signaling`: for emptying a node. Never one that was sent here.
    pub redirect_url: Option<String>,
    /// Webhooks may have addresses that are not of the public internet.
    pub webhooks_to_private_addresses: bool,
    /// Signaling over data channels.
    pub data: DataDefaults,
    /// How long a WHEP viewer whose publisher has gone waits for somebody to come back.
    pub viewer_patience: Duration,
    /// Who is told of the TURN server.
    pub relay: RelayPolicy,
    /// `host:port` of TURN over TLS, with a host that the certificate names; `None` without TLS.
    pub relay_over_tls: Option<String>,
    /// Times of one session.
    pub timing: Timing,
}

impl Default for SignalingConfig {
    fn default() -> Self {
        Self {
            connections_per_room_max: 1000,
            connections_max: 10_000,
            downlinks_per_peer_max: 100,
            redirect_url: None,
            webhooks_to_private_addresses: false,
            data: DataDefaults::default(),
            viewer_patience: Duration::from_secs(30),
            relay: RelayPolicy::default(),
            relay_over_tls: None,
            timing: Timing::default(),
        }
    }
}

/// Signaling over data channels, where `connect` leaves it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataDefaults {
    /// Whether it is used.
    pub signaling: bool,
    /// Whether connections then outlive their WebSockets.
    pub ignore_disconnect_websocket: bool,
    /// Whether the server's own channels are compressed (zlib).
    pub compress: bool,
}

impl Default for DataDefaults {
    fn default() -> Self {
        Self { signaling: false, ignore_disconnect_websocket: false, compress: true }
    }
}
