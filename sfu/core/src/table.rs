//! Tables by our own ids. They are counted up by ourselves, so nobody can choose them to collide: a multiplication is hash enough, where
//! the standard one costs as much as rewriting a packet.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by [`PeerId`](crate::model::PeerId) or [`TrackId`](minamo_media::TrackId). Not for what a peer can choose.
pub(crate) type Table<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Multiplies, then brings the upper bits down: a table takes its place from the lower and its tag from the upper ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;
    use crate::model::PeerId;

    #[test]
    fn ids_in_a_row_go_to_places_of_their_own() {
        let build = BuildHasherDefault::<IdHasher>::default();
        let hashes: Vec<u64> = (0..10_000).map(|id| build.hash_one(PeerId(id))).collect();
        let places: HashSet<u64> = hashes.iter().map(|hash| hash & 0x3fff).collect();
        let tags: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert!(places.len() > 6000, "{} of 16384 places for 10000 ids", places.len());
        assert_eq!(tags.len(), 128);
    }
}
