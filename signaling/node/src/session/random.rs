//! Random names of one peer. Seeded by the shell from the system; the same seed gives the same names in tests.

use minamo_sfu_core::model::IceCredentials;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

pub(crate) struct Names {
    rng: StdRng,
}

/// Allowed in ICE credentials, mids and msids alike.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

impl Names {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { rng: StdRng::from_seed(seed) }
    }

    /// Five bits of randomness per letter.
    pub(crate) fn letters(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(LETTERS[self.rng.next_u32() as usize & 31])).collect()
    }

    /// 80 bits of name, so that it is unique in the process, and 160 of password (RFC 8445 §5.3 wants 24 and 128).
    pub(crate) fn ice_credentials(&mut self) -> IceCredentials {
        IceCredentials { ufrag: self.letters(16), pwd: self.letters(32) }
    }

    /// Not zero: some stacks take that for "none".
    pub(crate) fn ssrc(&mut self) -> u32 {
        self.rng.next_u32().max(1)
    }

    /// For `o=`: positive as a 64-bit signed number.
    pub(crate) fn origin(&mut self) -> u64 {
        self.rng.next_u64() >> 2
    }

    pub(crate) fn track_id(&mut self) -> String {
        crate::ids::base32(u128::from(self.rng.next_u64()) << 64 | u128::from(self.rng.next_u64()))
    }
}
