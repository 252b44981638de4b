//! The current group of pictures: where the last key frame begins, and whether all that came since is in the ring.

use std::time::{Duration, Instant};

use super::ring::Ring;

/// More packets than this take a subscriber's link longer than a new key frame takes to come.
const PACKETS_MAX: u64 = 300;
/// And more bytes than this, to a subscriber of whose link nothing is known. Where its rate is, what it carries in a second.
const BYTES_MAX: u64 = 200_000;
/// An older group may have so many pictures that decoding them takes longer.
const AGE_MAX: Duration = Duration::from_millis(2500);

/// The packets since the last key frame's first one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    first: u64,
    timestamp: u32,
    began: Instant,
    packets: u64,
    bytes: u64,
    key_frame_bytes: u64,
}

impl Group {
    /// The packet at this place, which is in the ring already, begins a key frame. Packets that overtook it belong to it.
    pub(super) fn begin(now: Instant, ring: &Ring, first: u64, timestamp: u32) -> Self {
        let mut group = Self { first, timestamp, began: now, packets: 0, bytes: 0, key_frame_bytes: 0 };
        for place in first..=ring.highest().unwrap_or(first) {
            if let Some(stored) = ring.at(place) {
                group.add(place, stored.timestamp, stored.packet.len());
            }
        }
        group
    }

    /// One more packet came.
    pub(super) fn add(&mut self, place: u64, timestamp: u32, bytes: usize) {
        if place >= self.first {
            self.packets += 1;
            self.bytes += bytes as u64;
            self.key_frame_bytes += if timestamp == self.timestamp { bytes as u64 } else { 0 };
        }
    }

    /// When its first packet came.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Its first place.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Bytes of the key frame so far.
    pub(super) fn key_frame_bytes(&self) -> u64 {
        self.key_frame_bytes
    }

    /// Whether a subscriber sees a picture sooner by it than by a new key frame: it is whole, short and recent, and the link, as far as
    /// its rate is known, carries it soon.
    pub(super) fn serves(&self, now: Instant, highest: u64, bits_per_second: Option<u64>) -> bool {
        let span = (highest + 1).saturating_sub(self.first);
        let short = span <= PACKETS_MAX && self.bytes <= bits_per_second.map_or(BYTES_MAX, |rate| rate / 8);
        self.packets == span && short && now.saturating_duration_since(self.began) <= AGE_MAX
    }
}
