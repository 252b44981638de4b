//! Ids that are issued here.

use std::sync::atomic::{AtomicU64, Ordering};

use minamo_media::TrackId;
use minamo_sfu_core::model::PeerId;

/// Crockford's base32: digits and upper-case letters without I, L, O, U.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// 128 bits as 26 characters, the way Sora writes `connection_id` and `session_id`. The length is load-bearing: messaging
/// headers rely on it.
pub(crate) fn base32(bits: u128) -> String {
    (0..26).rev().map(|position| char::from(CROCKFORD[(bits >> (5 * position)) as usize & 31])).collect()
}

/// A fresh random id.
pub(crate) fn fresh() -> String {
    base32(uuid::Uuid::new_v4().as_u128())
}

static NEXT_PEER: AtomicU64 = AtomicU64::new(1);
static NEXT_TRACK: AtomicU64 = AtomicU64::new(1);

/// Unique in the process.
pub(crate) fn next_peer() -> PeerId {
    PeerId(NEXT_PEER.fetch_add(1, Ordering::Relaxed))
}

/// Unique in the process.
pub(crate) fn next_track() -> TrackId {
    TrackId(NEXT_TRACK.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_26_characters_of_crockford_base32() {
        assert_eq!(base32(0), "00000000000000000000000000");
        assert_eq!(base32(u128::MAX), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        assert_eq!(base32(33), "00000000000000000000000011");
        let (one, other) = (fresh(), fresh());
        assert_ne!(one, other);
        assert!(one.len() == 26 && one.bytes().all(|byte| CROCKFORD.contains(&byte)), "{one}");
    }
}
