//! What signaling needs of the SFU, as a trait so that tests can stand in for it.

use std::net::SocketAddr;

use minamo_sfu::Relay;
use minamo_sfu_core::model::{Command, Fingerprint, IceCredentials, PeerEvent, PeerId};

/// The SFU's command queue is full. Whoever asked is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the media plane is overloaded")]
pub struct Busy;

/// Called from a media thread: must not block.
pub type OnPeerEvent = Box<dyn Fn(PeerEvent) + Send + Sync>;

/// An SFU as signaling sees it.
pub trait MediaPlane: Send + Sync {
    /// Addresses that go into offers, best first, never empty.
    fn candidates(&self) -> Vec<SocketAddr>;
    /// Whether media is taken over TCP, too, at the same addresses.
    fn takes_tcp(&self) -> bool {
        false
    }
    /// The TURN server with a login for the connection of that name. `None` where none runs.
    fn relay(&self, _name: &str) -> Option<Relay> {
        None
    }
    /// Our certificate, the same for all peers.
    fn fingerprint(&self) -> Fingerprint;
    /// A peer will come with these credentials of ours.
    ///
    /// # Errors
    /// [`Busy`]; the peer is then unknown.
    fn add_peer(&self, peer: PeerId, ice: IceCredentials, on_event: OnPeerEvent) -> Result<(), Busy>;
    /// Everything else.
    ///
    /// # Errors
    /// [`Busy`]; nothing has happened then.
    fn command(&self, command: Command) -> Result<(), Busy>;
}

impl MediaPlane for minamo_sfu::Sfu {
    fn candidates(&self) -> Vec<SocketAddr> {
        self.candidates().to_vec()
    }

    fn takes_tcp(&self) -> bool {
        self.takes_tcp()
    }

    fn relay(&self, name: &str) -> Option<Relay> {
        self.relay(name)
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint()
    }

    fn add_peer(&self, peer: PeerId, ice: IceCredentials, on_event: OnPeerEvent) -> Result<(), Busy> {
        self.add_peer(peer, ice, on_event).map_err(|_| Busy)
    }

    fn command(&self, command: Command) -> Result<(), Busy> {
        self.command(command).map_err(|_| Busy)
    }
}
