//! What waits to be sent: datagrams in groups that the kernel can send in one call.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;

use crate::model::PathKind;

/// Datagrams that wait to be polled. Beyond that new ones are dropped and counted.
const DATAGRAMS_MAX: usize = 1024;
/// What the kernel takes as one segmented send: so many segments, and the bytes of one UDP datagram.
const SEGMENTS_MAX: usize = 64;
const BYTES_MAX: usize = 65_000;
/// Datagrams for which a group makes room at once. A picture at 2.5 Mbit/s is nine.
const ROOM: usize = 10;

/// The way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The peer's address; the relayed one for [`Via::Turn`].
    pub remote: SocketAddr,
    /// The address of ours that the peer sent to, where the socket knows it: a socket bound to a wildcard must answer from there.
    pub local: Option<IpAddr>,
    /// What carries the datagrams.
    pub via: Via,
}

impl Route {
    /// Over the UDP socket.
    #[must_use]
    pub fn udp(remote: SocketAddr, local: Option<IpAddr>) -> Self {
        Self { remote, local, via: Via::Udp }
    }

    /// What tells peers apart.
    #[must_use]
    pub fn origin(&self) -> Origin {
        (self.remote, self.via)
    }
}

/// Where datagrams come from, whichever of our addresses they came to.
pub type Origin = (SocketAddr, Via);

/// What carries a peer's datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// The UDP socket.
    Udp,
    /// The TCP connection of that number, in frames of RFC 4571.
    Tcp(u32),
    /// An allocation of our TURN server.
    Turn {
        /// Its number.
        allocation: u32,
        /// The client came to the TURN server over TCP or TLS.
        tcp: bool,
    },
}

impl From<Via> for PathKind {
    fn from(via: Via) -> Self {
        match via {
            Via::Udp => Self::Udp,
            Via::Tcp(_) => Self::Tcp,
            Via::Turn { tcp: false, .. } => Self::TurnUdp,
            Via::Turn { tcp: true, .. } => Self::TurnTcp,
        }
    }
}

/// Datagrams to send, one or many, at most 64 and 65 000 bytes: what UDP GSO takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub route: Route,
    /// The datagrams, one behind the other.
    pub payload: BytesMut,
    /// The size of each but the last, which may be smaller. Not 0.
    pub segment: usize,
}

impl Transmit {
    /// A single datagram.
    #[must_use]
    pub fn single(route: Route, payload: BytesMut) -> Self {
        let segment = payload.len().max(1);
        Self { route, payload, segment }
    }

    /// One by one.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.payload.chunks(self.segment.max(1))
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.payload.len().div_ceil(self.segment.max(1))
    }

    /// Whether one more goes behind the `count` that it has.
    fn takes(&self, count: usize, route: Route, length: usize) -> bool {
        let whole = self.payload.len() == count * self.segment;
        let fits = count < SEGMENTS_MAX && self.payload.len() + length <= BYTES_MAX;
        whole && fits && length <= self.segment && self.route == route
    }
}

/// The queue, bounded.
#[derive(Debug, Default)]
pub(super) struct Transmits {
    queue: VecDeque<Transmit>,
    datagrams: usize,
    /// Datagrams in the last of the queue: counted, because dividing for each of them takes longer.
    last: usize,
    /// For the next group, if there is one: empty, with room.
    pub(super) spare: BytesMut,
}

impl Transmits {
    /// False if there is no room.
    pub(super) fn push(&mut self, route: Route, payload: BytesMut) -> bool {
        if self.datagrams >= DATAGRAMS_MAX {
            return false;
        }
        self.datagrams += 1;
        self.last = 1;
        self.queue.push_back(Transmit::single(route, payload));
        true
    }

    /// Lets `write` append a datagram of `length` bytes where it goes together with the ones before, if it can. `write` says whether
    /// it has. `None` if there is no room.
    pub(super) fn append(&mut self, route: Route, length: usize, write: impl FnOnce(&mut BytesMut) -> bool) -> Option<bool> {
        if self.datagrams >= DATAGRAMS_MAX {
            return None;
        }
        if self.queue.back().is_none_or(|last| !last.takes(self.last, route, length)) {
            let mut payload = std::mem::take(&mut self.spare);
            payload.reserve(length * ROOM);
            self.queue.push_back(Transmit { route, payload, segment: length.max(1) });
            self.last = 0;
        }
        let last = self.queue.back_mut()?;
        let before = last.payload.len();
        let written = write(&mut last.payload);
        debug_assert!(!written || last.payload.len() == before + length, "datagrams of a group must be as long as was said");
        if last.payload.is_empty() {
            self.queue.pop_back();
        }
        self.datagrams += usize::from(written);
        self.last += usize::from(written);
        Some(written)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn pop(&mut self) -> Option<Transmit> {
        let transmit = self.queue.pop_front()?;
        self.datagrams -= transmit.count();
        Some(transmit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(port: u16) -> Route {
        Route::udp(([10, 0, 0, 1], port).into(), None)
    }

    /// Ports, sizes of segments and numbers of datagrams of what is sent for datagrams to these ports of these sizes.
    fn groups(datagrams: &[(u16, usize)]) -> Vec<(u16, usize, usize)> {
        let mut transmits = Transmits::default();
        for (number, &(port, length)) in datagrams.iter().enumerate() {
            let write = |payload: &mut BytesMut| {
                payload.resize(payload.len() + length, number as u8);
                true
            };
            assert_eq!(transmits.append(route(port), length, write), Some(true));
        }
        let mut sent = Vec::new();
        let mut groups = Vec::new();
        while let Some(transmit) = transmits.pop() {
            sent.extend(transmit.datagrams().map(|datagram| (transmit.route.remote.port(), datagram.len(), datagram[0])));
            groups.push((transmit.route.remote.port(), transmit.segment, transmit.count()));
        }
        let expected: Vec<_> =
            datagrams.iter().zip(0..).map(|(&(port, length), number): (_, u8)| (port, length, number)).collect();
        assert_eq!(sent, expected, "the same datagrams in the same order");
        assert_eq!(transmits.datagrams, 0);
        groups
    }

    #[test]
    fn equal_sizes_on_one_route_go_together_and_a_smaller_one_ends_it() {
        assert_eq!(groups(&[(1, 1200), (1, 1200), (1, 300), (1, 300)]), [(1, 1200, 3), (1, 300, 1)]);
        assert_eq!(groups(&[(1, 300), (1, 1200)]), [(1, 300, 1), (1, 1200, 1)], "a larger one begins anew");
        assert_eq!(groups(&[(1, 9), (2, 9), (1, 9)]), [(1, 9, 1), (2, 9, 1), (1, 9, 1)], "another route, too");
    }

    #[test]
    fn the_kernels_bounds_are_kept() {
        assert_eq!(groups(&[(1, 10); 70]), [(1, 10, 64), (1, 10, 6)]);
        assert!(groups(&[(1, 1400); 200]).iter().all(|(_, size, count)| size * count <= BYTES_MAX));
    }

    #[test]
    fn a_datagram_that_is_not_written_leaves_nothing() {
        let mut transmits = Transmits::default();
        assert_eq!(transmits.append(route(1), 10, |_| false), Some(false));
        assert_eq!(transmits.pop(), None);
    }

    #[test]
    fn the_queue_is_bounded_in_datagrams() {
        let mut transmits = Transmits::default();
        let append = |transmits: &mut Transmits| {
            transmits.append(route(1), 1, |payload| {
                payload.extend_from_slice(&[1]);
                true
            })
        };
        for _ in 0..DATAGRAMS_MAX {
            assert_eq!(append(&mut transmits), Some(true));
        }
        assert_eq!(append(&mut transmits), None);
        assert!(!transmits.push(route(1), BytesMut::zeroed(1)));
        assert!(transmits.pop().is_some());
        assert!(transmits.push(route(1), BytesMut::zeroed(1)));
    }
}
