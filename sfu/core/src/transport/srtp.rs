//! SRTP and SRTCP (RFC 3711) of one session, of the profile that DTLS has chosen.

use bytes::BytesMut;
use rtc_crypto::RTCCrypto;
use rtc_shared::error::Error;
use rtc_srtp::config::SessionKeys;
use rtc_srtp::protection_profile::ProtectionProfile;

use super::cm80::Cm80;
use super::open::{INDEX, Opener};
use super::seal::{Sealer, TAG};

/// SSRCs that one peer may use in each of RTP and RTCP. Packets of further ones are dropped and counted.
pub(super) const MAX_SOURCES: usize = 256;

/// The tag of the profile without GCM.
const CM80_TAG: usize = 10;

/// Why a packet did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    /// Not a packet of its kind.
    Malformed,
    /// The tag is wrong.
    NotAuthentic,
    /// It was here before, or is too late to tell.
    Replayed,
    /// One SSRC too many.
    TooManySources,
}

/// Both directions of a keyed session.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives in a box, and the large variant is the usual one: a second box would cost each packet"
)]
pub(super) enum Srtp {
    /// AES-128-GCM (RFC 7714), ours.
    Gcm(Sealer, Opener),
    /// AES-128-CM with HMAC-SHA1-80: for clients that have no GCM.
    Cm80(Box<Cm80>),
}

impl Srtp {
    pub(super) fn new(keys: SessionKeys, profile: ProtectionProfile, crypto: &dyn RTCCrypto) -> Result<Self, Error> {
        if !matches!(profile, ProtectionProfile::AeadAes128Gcm) {
            return Ok(Self::Cm80(Box::new(Cm80::new(keys, crypto)?)));
        }
        let (Some(key), Some(salt)) = (keys.local_master_key.first_chunk(), keys.local_master_salt.first_chunk()) else {
            return Err(Error::Crypto("short keys".to_owned()));
        };
        let (Some(remote_key), Some(remote_salt)) = (keys.remote_master_key.first_chunk(), keys.remote_master_salt.first_chunk())
        else {
            return Err(Error::Crypto("short keys".to_owned()));
        };
        let failed = |error: rtc_crypto::CryptoError| Error::Crypto(error.to_string());
        let sealer = Sealer::new(key, salt, crypto).map_err(failed)?;
        Ok(Self::Gcm(sealer, Opener::new(remote_key, remote_salt, crypto).map_err(failed)?))
    }

    /// Appends the sealed packet to `out`; it comes in two pieces, the header in the first. False, and nothing is appended, when it
    /// cannot be sealed.
    pub(super) fn seal_rtp(&mut self, head: &[u8], rest: &[u8], out: &mut BytesMut) -> bool {
        match self {
            Self::Gcm(sealer, _) => sealer.seal_rtp(head, rest, out),
            Self::Cm80(cm80) => cm80.seal_rtp(&[head, rest].concat(), out),
        }
    }

    /// See [`Transport::warm`](super::Transport::warm).
    pub(super) fn warm(&self) -> u64 {
        match self {
            Self::Gcm(sealer, _) => sealer.warm(),
            Self::Cm80(_) => 0,
        }
    }

    /// What a sealed RTP packet is longer.
    pub(super) fn rtp_overhead(&self) -> usize {
        match self {
            Self::Gcm(..) => TAG,
            Self::Cm80(_) => CM80_TAG,
        }
    }

    /// What a sealed RTCP packet is longer: tag and index.
    pub(super) fn rtcp_overhead(&self) -> usize {
        self.rtp_overhead() + INDEX
    }

    /// Like [`Self::seal_rtp`], for RTCP.
    pub(super) fn seal_rtcp(&mut self, packet: &[u8], out: &mut BytesMut) -> bool {
        match self {
            Self::Gcm(sealer, _) => sealer.seal_rtcp(packet, out),
            Self::Cm80(cm80) => cm80.seal_rtcp(packet, out),
        }
    }

    /// The plain packet out of a sealed one.
    pub(super) fn open_rtp(&mut self, packet: BytesMut, crypto: &dyn RTCCrypto) -> Result<BytesMut, OpenError> {
        match self {
            Self::Gcm(_, opener) => opener.open_rtp(packet),
            Self::Cm80(cm80) => cm80.open_rtp(&packet, crypto),
        }
    }

    /// Like [`Self::open_rtp`], for RTCP.
    pub(super) fn open_rtcp(&mut self, packet: BytesMut, crypto: &dyn RTCCrypto) -> Result<BytesMut, OpenError> {
        match self {
            Self::Gcm(_, opener) => opener.open_rtcp(packet),
            Self::Cm80(cm80) => cm80.open_rtcp(&packet, crypto),
        }
    }
}
