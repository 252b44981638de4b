//! One allocation: a relayed address that exists by name only.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// RFC 8656 §3.2: what a client gets that asks for nothing or less, and the most.
pub(super) const LIFETIME: Duration = Duration::from_secs(600);
const LIFETIME_MAX: Duration = Duration::from_secs(3600);
/// RFC 8656 §9, §12.
const PERMISSION_LIFE: Duration = Duration::from_secs(300);
const CHANNEL_LIFE: Duration = Duration::from_secs(600);

/// Permissions and channels are bounded by the number of our own candidates: there is nobody else to permit.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) number: u32,
    pub(super) username: String,
    pub(super) key: Vec<u8>,
    pub(super) relayed: SocketAddr,
    /// Of the request that made it, to answer it again.
    pub(super) transaction: [u8; 12],
    pub(super) expires: Instant,
    permissions: Vec<(IpAddr, Instant)>,
    channels: Vec<Channel>,
}

#[derive(Debug)]
struct Channel {
    number: u16,
    peer: SocketAddr,
    expires: Instant,
}

impl Allocation {
    pub(super) fn new(
        number: u32,
        relayed: SocketAddr,
        username: &str,
        key: Vec<u8>,
        transaction: [u8; 12],
        expires: Instant,
    ) -> Self {
        let (permissions, channels) = (Vec::new(), Vec::new());
        Self { number, username: username.to_owned(), key, relayed, transaction, expires, permissions, channels }
    }

    pub(super) fn permit(&mut self, now: Instant, ip: IpAddr) {
        self.permissions.retain(|(known, expires)| *known != ip && *expires > now);
        self.permissions.push((ip, now + PERMISSION_LIFE));
    }

    pub(super) fn permits(&self, now: Instant, ip: IpAddr) -> bool {
        self.permissions.iter().any(|(known, expires)| *known == ip && *expires > now)
    }

    /// False if the number or the peer is bound otherwise (RFC 8656 §12.2).
    pub(super) fn bind(&mut self, now: Instant, number: u16, peer: SocketAddr) -> bool {
        self.channels.retain(|channel| channel.expires > now);
        if self.channels.iter().any(|channel| (channel.number == number) != (channel.peer == peer)) {
            return false;
        }
        self.channels.retain(|channel| channel.number != number);
        self.channels.push(Channel { number, peer, expires: now + CHANNEL_LIFE });
        self.permit(now, peer.ip());
        true
    }

    pub(super) fn peer_of(&self, now: Instant, number: u16) -> Option<SocketAddr> {
        let bound = self.channels.iter().find(|channel| channel.number == number && channel.expires > now);
        bound.map(|channel| channel.peer)
    }

    pub(super) fn channel_of(&self, now: Instant, peer: SocketAddr) -> Option<u16> {
        let bound = self.channels.iter().find(|channel| channel.peer == peer && channel.expires > now);
        bound.map(|channel| channel.number)
    }
}

/// What is granted of the seconds asked for.
pub(super) fn lifetime(asked: Option<u32>) -> Duration {
    asked.map_or(LIFETIME, |seconds| Duration::from_secs(seconds.into()).clamp(LIFETIME, LIFETIME_MAX))
}
