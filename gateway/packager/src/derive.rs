//! What a channel's secret gives: media keys, IVs, tokens of media names.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Block};

/// What is derived: the first byte of the block that is encrypted for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Key = 1,
    Iv = 2,
    Token = 3,
}

/// The secret's block cipher as a pseudo-random function of (what, programme, number).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Derivation {
    secret: [u8; 16],
    /// Tells programmes of one channel apart whose numbers may meet; 0 for the channel's only one.
    pub programme: u32,
}

impl Derivation {
    /// Of the first half of the secret; the other half is for signatures.
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        let mut first = [0; 16];
        first.copy_from_slice(&secret[..16]);
        Self { secret: first, programme: 0 }
    }

    /// For the programme of one publisher among several of the channel.
    pub(crate) fn of_publisher(self, publisher: &str) -> Self {
        let programme = publisher.bytes().fold(0x811C_9DC5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        self.of_programme(programme)
    }

    pub(crate) fn of_programme(self, programme: u32) -> Self {
        Self { programme, ..self }
    }

    pub(crate) fn block(&self, what: What, number: u64) -> [u8; 16] {
        let mut block = [0; 16];
        block[0] = what as u8;
        block[4..8].copy_from_slice(&self.programme.to_be_bytes());
        block[8..].copy_from_slice(&number.to_be_bytes());
        let mut block = Block::from(block);
        Aes128::new(&self.secret.into()).encrypt_block(&mut block);
        block.into()
    }
}
