//! Our DTLS certificate and the two configurations made with it.

use std::sync::Arc;
use std::time::Duration;

use rtc_crypto::providers::AwsLcRsProvider;
use rtc_crypto::{HashAlgorithm, RTCCrypto, RTCCryptoProvider};
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;

use super::TransportError;
use crate::model::Fingerprint;

/// When an unanswered flight of ours is sent again. Longer than the second of RFC 6347 §4.2.4.1, so that the client, which begins the
/// handshake, also begins its repair: an `rtc` client that gets our flight again stops its own timer.
const FLIGHT_INTERVAL: Duration = Duration::from_millis(1500);

/// The DTLS certificate and configuration that all peers share. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    provider: Arc<dyn RTCCryptoProvider>,
    fingerprint: Fingerprint,
    gcm: Arc<HandshakeConfig>,
    cm80: Arc<HandshakeConfig>,
}

impl Identity {
    /// A new self-signed P-256 certificate.
    ///
    /// # Errors
    /// When the crypto provider fails.
    pub fn generate() -> Result<Self, TransportError> {
        let provider: Arc<dyn RTCCryptoProvider> = Arc::new(AwsLcRsProvider::new());
        let failed = |error: rtc_shared::error::Error| TransportError::Identity(error.to_string());
        let certificate = Certificate::generate_self_signed(vec!["minamo".to_owned()], provider.crypto()).map_err(failed)?;
        let der =
            certificate.certificate.first().ok_or_else(|| TransportError::Identity("no certificate was made".to_owned()))?;
        let fingerprint = fingerprint_of(der.as_ref(), provider.crypto())
            .ok_or_else(|| TransportError::Identity("the crypto provider has no SHA-256".to_owned()))?;
        let config = |profile| configure(&provider, &certificate, profile).map(Arc::new).map_err(failed);
        let gcm = config(SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm)?;
        let cm80 = config(SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80)?;
        Ok(Self { provider, fingerprint, gcm, cm80 })
    }

    /// SHA-256 of the certificate, for `a=fingerprint` of our offers.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn crypto(&self) -> &dyn RTCCrypto {
        self.provider.crypto()
    }

    /// The configuration that offers the best SRTP profile that the client has.
    pub(super) fn config(&self, gcm: bool) -> Arc<HandshakeConfig> {
        if gcm { self.gcm.clone() } else { self.cm80.clone() }
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({:?})", self.fingerprint)
    }
}

/// SHA-256 of a DER certificate (RFC 8122 §5).
pub(super) fn fingerprint_of(der: &[u8], crypto: &dyn RTCCrypto) -> Option<Fingerprint> {
    let digest = crypto.hash(HashAlgorithm::Sha256, der).ok()?;
    digest.try_into().ok().map(Fingerprint)
}

fn configure(
    provider: &Arc<dyn RTCCryptoProvider>,
    certificate: &Certificate,
    profile: SrtpProtectionProfile,
) -> Result<HandshakeConfig, rtc_shared::error::Error> {
    ConfigBuilder::default()
        .with_crypto_provider(provider.clone())
        .with_certificates(vec![certificate.clone()])
        .with_srtp_protection_profiles(vec![profile])
        // Every certificate is taken here; the transport compares its fingerprint with the answer's (RFC 8827 §6.5).
        .with_client_auth(ClientAuthType::RequireAnyClientCert)
        .with_insecure_skip_verify(true)
        .with_flight_interval(FLIGHT_INTERVAL)
        .with_extended_master_secret(ExtendedMasterSecretType::Require)
        .build(false, None)
}
