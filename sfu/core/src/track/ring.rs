//! A layer's last packets, plain: what is forwarded now and what is sent again on request.

use std::ops::Range;

use bytes::Bytes;

use super::pictures::Marks;

/// One packet with its place on the layer's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Place on the layer's line: dense, rising, 64 bits.
    pub seq: u64,
    /// RTP timestamp on the layer's line.
    pub timestamp: u32,
    /// Begins a key frame, or any audio.
    pub key: bool,
    /// What it says of its picture.
    pub marks: Marks,
    /// The packet as the publisher sent it, retransmission unwrapped.
    pub packet: Bytes,
    /// Where in it the payload lies, padding left out.
    pub payload: Range<usize>,
}

/// A bounded store by place. A new packet takes the slot of the one that is `capacity` older.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    /// Empty until the first packet comes: a layer may never be sent.
    slots: Vec<Option<Stored>>,
    capacity: usize,
    highest: Option<u64>,
}

impl Ring {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { slots: Vec::new(), capacity: capacity.max(1), highest: None }
    }

    /// Keeps a packet. False if it is older than the ring reaches.
    pub(crate) fn insert(&mut self, stored: Stored) -> bool {
        let capacity = self.capacity as u64;
        if self.highest.is_some_and(|highest| stored.seq + capacity <= highest) {
            return false;
        }
        if self.slots.is_empty() {
            self.slots = vec![None; self.capacity];
        }
        self.highest = Some(self.highest.map_or(stored.seq, |highest| highest.max(stored.seq)));
        let slot = (stored.seq % capacity) as usize;
        self.slots[slot] = Some(stored);
        true
    }

    /// The packet at a place, if it came and is still here.
    pub(crate) fn at(&self, seq: u64) -> Option<&Stored> {
        let slot = (seq % self.capacity as u64) as usize;
        self.slots.get(slot)?.as_ref().filter(|stored| stored.seq == seq)
    }

    /// Says more of a packet that is here.
    pub(super) fn mark(&mut self, seq: u64, marks: Marks) {
        let slot = (seq % self.capacity as u64) as usize;
        if let Some(stored) = self.slots.get_mut(slot).and_then(Option::as_mut).filter(|stored| stored.seq == seq) {
            stored.marks = marks;
        }
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
        Stored { seq, timestamp: 0, key: false, marks: Marks::default(), packet: Bytes::new(), payload: 0..0 }
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
