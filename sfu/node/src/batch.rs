//! Consecutive datagrams of one route and one size as one segmented send (UDP GSO): the kernel's path is what a packet costs most.

use minamo_sfu_core::transport::{Route, Transmit};

/// What fits into one UDP send: 65507 bytes over IPv4, a little less over IPv6 with options.
const MAX_BYTES: usize = 65_000;

/// Datagrams gathered for one send.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    route: Option<Route>,
    /// Size of all but the last, which may be smaller.
    segment: usize,
    count: usize,
    buffer: Vec<u8>,
    /// A smaller one was added: nothing may follow.
    sealed: bool,
}

impl Batch {
    /// Takes the datagram if it fits in. An empty batch takes every one.
    pub(crate) fn push(&mut self, transmit: &Transmit, max_segments: usize) -> bool {
        let length = transmit.payload.len();
        if self.count == 0 {
            (self.route, self.segment, self.sealed) = (Some(transmit.route), length, false);
        } else if self.sealed
            || self.route != Some(transmit.route)
            || length > self.segment
            || self.count >= max_segments
            || self.buffer.len() + length > MAX_BYTES
        {
            return false;
        }
        self.sealed = length < self.segment;
        self.buffer.extend_from_slice(&transmit.payload);
        self.count += 1;
        true
    }

    /// The route, the bytes, the size of a segment, and how many there are. `None` when empty.
    pub(crate) fn contents(&self) -> Option<(Route, &[u8], usize, usize)> {
        let route = self.route.filter(|_| self.count > 0)?;
        Some((route, &self.buffer, self.segment.max(1), self.count))
    }

    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn transmit(port: u16, length: usize) -> Transmit {
        let route = Route { remote: ([10, 0, 0, 1], port).into(), local: None };
        Transmit { route, payload: BytesMut::zeroed(length) }
    }

    /// Sizes of the sends that come of these datagrams.
    fn sends(datagrams: &[(u16, usize)], max_segments: usize) -> Vec<(u16, usize, usize, usize)> {
        let mut batch = Batch::default();
        let mut sends = Vec::new();
        let mut flush = |batch: &mut Batch| {
            if let Some((route, bytes, segment, count)) = batch.contents() {
                sends.push((route.remote.port(), bytes.len(), segment, count));
            }
            batch.clear();
        };
        for &(port, length) in datagrams {
            if !batch.push(&transmit(port, length), max_segments) {
                flush(&mut batch);
                assert!(batch.push(&transmit(port, length), max_segments));
            }
        }
        flush(&mut batch);
        sends
    }

    #[test]
    fn equal_sizes_to_one_peer_go_together_and_a_smaller_one_ends_it() {
        assert_eq!(sends(&[(1, 1200), (1, 1200), (1, 300), (1, 300)], 64), [(1, 2700, 1200, 3), (1, 300, 300, 1)]);
        assert_eq!(sends(&[(1, 300), (1, 1200)], 64), [(1, 300, 300, 1), (1, 1200, 1200, 1)], "a larger one begins anew");
    }

    #[test]
    fn another_peer_begins_anew() {
        assert_eq!(sends(&[(1, 9), (2, 9), (1, 9)], 64), [(1, 9, 9, 1), (2, 9, 9, 1), (1, 9, 9, 1)]);
    }

    #[test]
    fn the_kernel_bounds_are_kept() {
        assert_eq!(sends(&[(1, 10); 5], 2), [(1, 20, 10, 2), (1, 20, 10, 2), (1, 10, 10, 1)]);
        assert_eq!(sends(&[(1, 10); 3], 1), [(1, 10, 10, 1); 3], "no GSO");
        assert!(sends(&[(1, 1400); 200], 1000).iter().all(|&(_, bytes, ..)| bytes <= MAX_BYTES));
    }
}
