//! One session's keys and packets, for the tests of both directions.

use rtc_crypto::RTCCryptoProvider;
use rtc_crypto::providers::AwsLcRsProvider;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;

pub(super) const KEY: [u8; 16] = [7; 16];
pub(super) const SALT: [u8; 12] = [9; 12];

/// The other end, of `rtc-srtp`.
pub(super) fn context() -> Context {
    let provider = AwsLcRsProvider::new();
    Context::new(&KEY, &SALT, ProtectionProfile::AeadAes128Gcm, None, None, provider.crypto()).unwrap()
}

/// A packet with an extension and 100 bytes of payload.
pub(super) fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x90, 96];
    packet.extend(sequence.to_be_bytes());
    packet.extend(77u32.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0xBE, 0xDE, 0, 1, 0x40, b'v', 0, 0]);
    packet.extend([5; 100]);
    packet
}
