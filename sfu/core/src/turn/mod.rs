//! A TURN server (RFC 8656) that relays to ourselves only, as a value.
//!
//! A client that may not or cannot send us UDP allocates a relayed address here and names one of our own media candidates as its peer.
//! No relay socket is opened: what it sends goes straight to its peer in the shard, under a [`Route`] that names the allocation, and what
//! the shard answers on that route is wrapped for the client. Every other peer address is refused with 403, so this is no open relay,
//! whoever holds a credential.
//!
//! What answers strangers is never much longer than what they sent, and keeps no state.

mod allocation;
mod login;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};

use self::allocation::{Allocation, lifetime};
use self::login::Failures;
pub use self::login::{RelayLogin, RelayLogins};
use self::wire::{HEADER, Message, Writer};
use crate::transport::{Route, Transmit, Via};

/// Allocations at once; the next is refused with 508.
const ALLOCATIONS_MAX: usize = 10_000;
/// Of one login: its interfaces times transports, and again after an ICE restart. The next is refused with 486.
const ALLOCATIONS_PER_LOGIN: usize = 16;
/// Relayed addresses have ports from here on (RFC 8656 §7.2).
const PORT_FIRST: u16 = 49_152;
const PORTS: u32 = 65_536 - PORT_FIRST as u32;
/// Expired allocations are looked for this often.
const SWEEP: Duration = Duration::from_secs(10);
const UDP: u32 = 17;

/// Several servers of one process share out numbers and ports, so that no two relayed addresses are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which one, below `of`.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

/// What a datagram of a client amounts to.
#[derive(Debug, PartialEq, Eq)]
pub enum Turned {
    /// It is not TURN: here it is again.
    Other(BytesMut),
    /// Send this back.
    Answer(BytesMut),
    /// It carried this, for the shard.
    Inner(Route, BytesMut),
    /// Nothing to do.
    Dropped,
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnCounters {
    /// Allocations made.
    pub allocations: u64,
    /// Challenges to strangers.
    pub challenged: u64,
    /// Wrong passwords, and requests not listened to after many of them.
    pub unauthorized: u64,
    /// Peers that are none of ours.
    pub forbidden: u64,
    /// Datagrams relayed from clients.
    pub relayed_in: u64,
    /// Datagrams relayed to clients.
    pub relayed_out: u64,
    /// Malformed, unbound, not permitted, expired.
    pub dropped: u64,
}

/// The server.
pub struct TurnServer {
    logins: RelayLogins,
    candidates: Vec<SocketAddr>,
    share: Share,
    allocations: HashMap<Route, Allocation>,
    clients: HashMap<u32, Route>,
    ports: HashSet<u16>,
    next: u32,
    sweep_at: Option<Instant>,
    failures: Failures,
    counters: TurnCounters,
}

impl TurnServer {
    /// `candidates`: the only peers there are. Allocations look as if they were at the first address of each family.
    #[must_use]
    pub fn new(logins: RelayLogins, candidates: Vec<SocketAddr>, share: Share) -> Self {
        Self {
            logins,
            candidates,
            share,
            allocations: HashMap::new(),
            clients: HashMap::new(),
            ports: HashSet::new(),
            next: 0,
            sweep_at: None,
            failures: Failures::default(),
            counters: TurnCounters::default(),
        }
    }

    /// One datagram, or one message off a TCP connection. `client` is the way to the client itself.
    pub fn handle(&mut self, now: Instant, client: Route, data: BytesMut) -> Turned {
        match data.first() {
            Some(0x40..=0x4f) => self.on_channel_data(now, &client, data),
            Some(0..=3) => self.on_message(now, client, data),
            _ => Turned::Other(data),
        }
    }

    /// Wraps what the shard sends on a route of [`Via::Turn`]. `None` if the allocation is gone or may not hear that peer.
    pub fn wrap(&mut self, now: Instant, transmit: &Transmit) -> Option<Transmit> {
        let wrapped = self.wrapped(now, transmit);
        match &wrapped {
            Some(wrapped) => self.counters.relayed_out += wrapped.count() as u64,
            None => self.counters.dropped += transmit.count() as u64,
        }
        wrapped
    }

    /// The connection to the client is closed: so are its allocations.
    pub fn forget(&mut self, client: &Route) {
        if let Some(allocation) = self.allocations.remove(client) {
            self.clients.remove(&allocation.number);
            self.ports.remove(&allocation.relayed.port());
        }
    }

    /// Whether that client has an allocation.
    #[must_use]
    pub fn knows(&self, client: &Route) -> bool {
        self.allocations.contains_key(client)
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.sweep_at
    }

    /// Forgets what has expired.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.sweep_at.is_some_and(|at| at <= now) {
            let expired = self.allocations.iter().filter(|(_, allocation)| allocation.expires <= now);
            let expired: Vec<Route> = expired.map(|(client, _)| *client).collect();
            expired.iter().for_each(|client| self.forget(client));
            self.sweep_at = (!self.allocations.is_empty()).then(|| now + SWEEP);
        }
    }

    /// Allocations now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.allocations.len()
    }

    /// No allocation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allocations.is_empty()
    }

    /// Counts so far.
    #[must_use]
    pub fn counters(&self) -> &TurnCounters {
        &self.counters
    }

    fn allocation(&mut self, now: Instant, client: &Route) -> Option<&mut Allocation> {
        self.allocations.get_mut(client).filter(|allocation| allocation.expires > now)
    }

    fn drop(&mut self) -> Turned {
        self.counters.dropped += 1;
        Turned::Dropped
    }

    fn on_channel_data(&mut self, now: Instant, client: &Route, mut data: BytesMut) -> Turned {
        if data.len() < 4 {
            return self.drop();
        }
        let (number, length) = (wire::be16(&data), usize::from(wire::be16(&data[2..])));
        let Some(peer) = self.allocation(now, client).and_then(|allocation| allocation.peer_of(now, number)) else {
            return self.drop();
        };
        if data.len() < 4 + length {
            return self.drop();
        }
        data.truncate(4 + length);
        self.inner(client, peer, data.split_off(4))
    }

    fn on_message(&mut self, now: Instant, client: Route, data: BytesMut) -> Turned {
        let Some(message) = Message::parse(&data) else { return Turned::Other(data) };
        match message.kind {
            wire::BINDING if message.has_integrity() || message.attribute(wire::USERNAME).is_some() => Turned::Other(data),
            // Of STUN clients that look for their own address; those of ICE carry a username.
            wire::BINDING => Turned::Answer(message.success().with_address(wire::XOR_MAPPED_ADDRESS, client.remote).plain()),
            wire::SEND => self.on_send(now, &client, &message),
            wire::ALLOCATE | wire::REFRESH | wire::CREATE_PERMISSION | wire::CHANNEL_BIND => {
                self.on_request(now, client, &message)
            }
            _ => self.drop(),
        }
    }

    fn on_send(&mut self, now: Instant, client: &Route, message: &Message<'_>) -> Turned {
        let peer = message.attribute(wire::XOR_PEER_ADDRESS).and_then(|value| wire::address(value, &message.transaction));
        let (Some(peer), Some(payload)) = (peer, message.attribute(wire::DATA)) else { return self.drop() };
        let permitted = self.allocation(now, client).is_some_and(|allocation| allocation.permits(now, peer.ip()));
        if !permitted || !self.candidates.contains(&peer) {
            return self.drop();
        }
        self.inner(client, peer, BytesMut::from(payload))
    }

    fn inner(&mut self, client: &Route, peer: SocketAddr, payload: BytesMut) -> Turned {
        let Some(allocation) = self.allocations.get(client) else { return Turned::Dropped };
        self.counters.relayed_in += 1;
        let via = Via::Turn { allocation: allocation.number, tcp: client.via != Via::Udp };
        Turned::Inner(Route { remote: allocation.relayed, local: Some(peer.ip()), via }, payload)
    }

    /// RFC 8489 §9.2.4, the nonce before the password: computing keys is only done for addresses that are real.
    fn on_request(&mut self, now: Instant, client: Route, message: &Message<'_>) -> Turned {
        if !message.has_integrity() {
            self.counters.challenged += 1;
            return self.challenge(now, &client, message, 401);
        }
        let (Some(username), Some(nonce)) = (message.text(wire::USERNAME), message.text(wire::NONCE)) else {
            return Turned::Answer(message.error(400).plain());
        };
        if !self.logins.is_good_nonce(now, client.remote, nonce) {
            return self.challenge(now, &client, message, 438);
        }
        if self.failures.is_blocked(now, client.remote.ip()) {
            self.counters.unauthorized += 1;
            return Turned::Dropped;
        }
        let known = self.allocations.get(&client).filter(|allocation| allocation.username == username);
        let key = known.map(|allocation| allocation.key.clone()).or_else(|| self.logins.key(username));
        let Some(key) = key.filter(|key| message.is_signed_with(key, self.logins.crypto())) else {
            self.counters.unauthorized += 1;
            self.failures.count(now, client.remote.ip());
            return self.challenge(now, &client, message, 401);
        };
        let answer = self.on_authentic(now, client, message, username, &key).unwrap_or_else(|code| {
            self.counters.forbidden += u64::from(code == 403);
            message.error(code)
        });
        Turned::Answer(answer.signed(&key, self.logins.crypto()))
    }

    fn challenge(&self, now: Instant, client: &Route, message: &Message<'_>, code: u16) -> Turned {
        let nonce = self.logins.nonce(now, client.remote);
        Turned::Answer(message.error(code).with(wire::REALM, login::REALM.as_bytes()).with(wire::NONCE, nonce.as_bytes()).plain())
    }

    fn on_authentic(
        &mut self,
        now: Instant,
        client: Route,
        message: &Message<'_>,
        username: &str,
        key: &[u8],
    ) -> Result<Writer, u16> {
        let unknown = message.not_understood();
        if !unknown.is_empty() {
            let list: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
            return Ok(message.error(420).with(wire::UNKNOWN_ATTRIBUTES, &list));
        }
        if self.allocation(now, &client).is_some_and(|allocation| allocation.username != username) {
            return Err(441);
        }
        match message.kind {
            wire::ALLOCATE => self.allocate(now, client, message, username, key),
            wire::REFRESH => self.refresh(now, &client, message),
            wire::CREATE_PERMISSION => self.create_permission(now, &client, message),
            _ => self.bind_channel(now, &client, message),
        }
    }

    fn allocate(
        &mut self,
        now: Instant,
        client: Route,
        message: &Message<'_>,
        username: &str,
        key: &[u8],
    ) -> Result<Writer, u16> {
        if let Some(allocation) = self.allocation(now, &client) {
            // The answer was lost, or it is another request on the same 5-tuple.
            return if allocation.transaction == message.transaction {
                Ok(allocated(message, allocation, &client, allocation.expires.saturating_duration_since(now)))
            } else {
                Err(437)
            };
        }
        if self.logins.has_expired(now, username) {
            return Err(401);
        }
        match message.number(wire::REQUESTED_TRANSPORT) {
            Some(word) if word >> 24 == UDP => {}
            Some(_) => return Err(442),
            None => return Err(400),
        }
        self.forget(&client);
        let ours = self.allocations.values().filter(|allocation| allocation.username == username).count();
        if ours >= ALLOCATIONS_PER_LOGIN {
            return Err(486);
        }
        let ip = self.relay_ip(message)?;
        let (number, port) = self.number().ok_or(508_u16)?;
        let life = lifetime(message.number(wire::LIFETIME));
        let relayed = SocketAddr::new(ip, port);
        let allocation = Allocation::new(number, relayed, username, key.to_vec(), message.transaction, now + life);
        let answer = allocated(message, &allocation, &client, life);
        self.allocations.insert(client, allocation);
        self.clients.insert(number, client);
        self.ports.insert(port);
        self.sweep_at.get_or_insert(now + SWEEP);
        self.counters.allocations += 1;
        Ok(answer)
    }

    /// Of the family asked for; without a wish, IPv4 where we have it.
    fn relay_ip(&self, message: &Message<'_>) -> Result<IpAddr, u16> {
        let of = |v6: bool| self.candidates.iter().map(SocketAddr::ip).find(|ip| ip.is_ipv6() == v6);
        match message.attribute(wire::REQUESTED_ADDRESS_FAMILY).map(|value| value.first().copied()) {
            None => of(false).or_else(|| of(true)).ok_or(508),
            Some(Some(1)) => of(false).ok_or(440),
            Some(Some(2)) => of(true).ok_or(440),
            Some(_) => Err(440),
        }
    }

    /// The next free number of our share, and its port.
    fn number(&mut self) -> Option<(u32, u16)> {
        if self.allocations.len() >= ALLOCATIONS_MAX {
            return None;
        }
        for _ in 0..PORTS {
            let number = self.next.wrapping_mul(self.share.of).wrapping_add(self.share.index);
            self.next = self.next.wrapping_add(1);
            let port = PORT_FIRST + (number % PORTS) as u16;
            let is_media = self.candidates.iter().any(|candidate| candidate.port() == port);
            if !is_media && !self.ports.contains(&port) && !self.clients.contains_key(&number) {
                return Some((number, port));
            }
        }
        None
    }

    fn refresh(&mut self, now: Instant, client: &Route, message: &Message<'_>) -> Result<Writer, u16> {
        let asked = message.number(wire::LIFETIME);
        let allocation = self.allocation(now, client).ok_or(437_u16)?;
        let life = if asked == Some(0) { Duration::ZERO } else { lifetime(asked) };
        allocation.expires = now + life;
        if life.is_zero() {
            self.forget(client);
        }
        Ok(message.success().with(wire::LIFETIME, &(life.as_secs() as u32).to_be_bytes()))
    }

    fn create_permission(&mut self, now: Instant, client: &Route, message: &Message<'_>) -> Result<Writer, u16> {
        let peers: Option<Vec<SocketAddr>> =
            message.attributes(wire::XOR_PEER_ADDRESS).map(|value| wire::address(value, &message.transaction)).collect();
        let peers = peers.filter(|peers| !peers.is_empty()).ok_or(400_u16)?;
        let ours = |ip: IpAddr| self.candidates.iter().any(|candidate| candidate.ip() == ip);
        if !peers.iter().all(|peer| ours(peer.ip())) {
            return Err(403);
        }
        let allocation = self.allocation(now, client).ok_or(437_u16)?;
        for peer in peers {
            allocation.permit(now, peer.ip());
        }
        Ok(message.success())
    }

    fn bind_channel(&mut self, now: Instant, client: &Route, message: &Message<'_>) -> Result<Writer, u16> {
        let number = message.number(wire::CHANNEL_NUMBER).map(|word| (word >> 16) as u16);
        let peer = message.attribute(wire::XOR_PEER_ADDRESS).and_then(|value| wire::address(value, &message.transaction));
        let number = number.filter(|number| (0x4000..=0x4fff).contains(number)).ok_or(400_u16)?;
        let peer = peer.ok_or(400_u16)?;
        if !self.candidates.contains(&peer) {
            return Err(403);
        }
        let allocation = self.allocation(now, client).ok_or(437_u16)?;
        if allocation.bind(now, number, peer) { Ok(message.success()) } else { Err(400) }
    }

    fn wrapped(&self, now: Instant, transmit: &Transmit) -> Option<Transmit> {
        let Via::Turn { allocation: number, .. } = transmit.route.via else { return None };
        let client = self.clients.get(&number)?;
        let allocation = self.allocations.get(client).filter(|allocation| allocation.expires > now)?;
        let ip = transmit.route.local?;
        let peer = *self.candidates.iter().find(|candidate| candidate.ip() == ip)?;
        if !allocation.permits(now, ip) {
            return None;
        }
        let channel = allocation.channel_of(now, peer);
        // On a stream ChannelData is padded (RFC 8656 §12.5).
        let padded = client.via != Via::Udp;
        let mut payload = BytesMut::with_capacity(transmit.payload.len() + transmit.count() * (HEADER + 32));
        let mut segment = 0;
        for datagram in transmit.datagrams() {
            match channel {
                Some(channel) => put_channel_data(&mut payload, channel, datagram, padded),
                None => wire::put_data_indication(&mut payload, peer, datagram),
            }
            if segment == 0 {
                segment = payload.len();
            }
        }
        Some(Transmit { route: *client, payload, segment })
    }
}

fn allocated(message: &Message<'_>, allocation: &Allocation, client: &Route, life: Duration) -> Writer {
    message
        .success()
        .with_address(wire::XOR_RELAYED_ADDRESS, allocation.relayed)
        .with(wire::LIFETIME, &(life.as_secs() as u32).to_be_bytes())
        .with_address(wire::XOR_MAPPED_ADDRESS, client.remote)
}

fn put_channel_data(out: &mut BytesMut, channel: u16, payload: &[u8], padded: bool) {
    out.put_u16(channel);
    out.put_u16(payload.len() as u16);
    out.put_slice(payload);
    if padded {
        out.put_bytes(0, payload.len().next_multiple_of(4) - payload.len());
    }
}
