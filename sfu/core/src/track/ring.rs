//! A track's last packets, plain: what is forwarded now and what is sent again on request.

use bytes::Bytes;

/// One packet with its place on the track's line.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Place: dense, rising, 64 bits.
    pub seq: u64,
    /// RTP timestamp on the track's line.
    pub timestamp: u32,
    /// Begins a key frame, or any audio.
    pub key: bool,
    /// The packet as the publisher sent it, retransmission unwrapped.
    pub packet: Bytes,
}

/// A bounded store by place. A new packet takes the slot of the one that is `capacity` older.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    slots: Vec<Option<Stored>>,
    highest: Option<u64>,
}

impl Ring {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { slots: vec![None; capacity.max(1)], highest: None }
    }

    /// Keeps a packet. False if it is older than the ring reaches.
    pub(crate) fn insert(&mut self, stored: Stored) -> bool {
        let capacity = self.slots.len() as u64;
        if self.highest.is_some_and(|highest| stored.seq + capacity <= highest) {
            return false;
        }
        self.highest = Some(self.highest.map_or(stored.seq, |highest| highest.max(stored.seq)));
        let slot = (stored.seq % capacity) as usize;
        self.slots[slot] = Some(stored);
        true
    }

    /// The packet at a place, if it came and is still here.
    pub(crate) fn at(&self, seq: u64) -> Option<&Stored> {
        let slot = (seq % self.slots.len() as u64) as usize;
        self.slots[slot].as_ref().filter(|stored| stored.seq == seq)
    }

    /// The highest place so far.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(seq: u64) -> Stored {
        Stored { seq, timestamp: 0, key: false, packet: Bytes::new() }
    }

    #[test]
    fn the_newest_stay() {
        let mut ring = Ring::new(4);
        for seq in [10, 11, 13, 14] {
            assert!(ring.insert(stored(seq)));
        }
        assert!(ring.at(10).is_none());
        assert!(ring.at(12).is_none());
        assert!(ring.insert(stored(12)));
        assert!(ring.at(12).is_some());
        assert!(!ring.insert(stored(10)));
        assert_eq!(ring.highest(), Some(14));
    }
}
