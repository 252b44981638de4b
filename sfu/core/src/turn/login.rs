//! Who may allocate: credentials and nonces that are computed, not stored.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc_crypto::providers::AwsLcRsProvider;
use rtc_crypto::{HashAlgorithm, HmacAlgorithm, RTCCrypto, RTCCryptoProvider};

use crate::transport::TransportError;

/// The realm of the long-term credentials. Short, since it goes out to strangers.
pub(super) const REALM: &str = "minamo";

/// An allocation may be made with a username for so long; what was allocated can be refreshed after that.
const USERNAME_LIFE: Duration = Duration::from_secs(24 * 3600);
/// RFC 8656 §5 suggests at most an hour.
const NONCE_LIFE: Duration = Duration::from_secs(600);

/// What a client logs in with.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayLogin {
    /// Says until when it is good.
    pub username: String,
    /// The long-term password.
    pub credential: String,
}

impl std::fmt::Debug for RelayLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RelayLogin({}, …)", self.username)
    }
}

/// Makes and checks logins and nonces. Clones agree with each other.
#[derive(Clone)]
pub struct RelayLogins {
    provider: Arc<dyn RTCCryptoProvider>,
    secret: [u8; 32],
    /// Times in usernames and nonces are seconds since then.
    epoch: Instant,
}

impl RelayLogins {
    /// With a secret of its own: logins of another process are no good here.
    ///
    /// # Errors
    /// When the crypto provider fails.
    pub fn generate(now: Instant) -> Result<Self, TransportError> {
        let provider: Arc<dyn RTCCryptoProvider> = Arc::new(AwsLcRsProvider::new());
        let mut secret = [0; 32];
        provider.random().fill(&mut secret).map_err(|error| TransportError::Identity(error.to_string()))?;
        Ok(Self { provider, secret, epoch: now })
    }

    /// A login for a day. `name` tells connections apart; no colon in it.
    #[must_use]
    pub fn issue(&self, now: Instant, name: &str) -> RelayLogin {
        let username = format!("{}:{name}", self.seconds(now + USERNAME_LIFE));
        let credential = self.credential(&username);
        RelayLogin { username, credential }
    }

    pub(super) fn crypto(&self) -> &dyn RTCCrypto {
        self.provider.crypto()
    }

    pub(super) fn has_expired(&self, now: Instant, username: &str) -> bool {
        let until = username.split(':').next().and_then(|text| text.parse::<u64>().ok());
        until.is_none_or(|until| until < self.seconds(now))
    }

    /// RFC 8489 §9.2.2. `None` should the provider have no MD5.
    pub(super) fn key(&self, username: &str) -> Option<Vec<u8>> {
        let text = format!("{username}:{REALM}:{}", self.credential(username));
        self.crypto().hash(HashAlgorithm::Md5, text.as_bytes()).ok()
    }

    /// Good for this address only: a forged source never gets far enough to cost anything.
    pub(super) fn nonce(&self, now: Instant, remote: SocketAddr) -> String {
        let until = self.seconds(now + NONCE_LIFE) as u32;
        self.nonce_until(until, remote)
    }

    pub(super) fn is_good_nonce(&self, now: Instant, remote: SocketAddr, nonce: &str) -> bool {
        let until = nonce.get(..8).and_then(|text| u32::from_str_radix(text, 16).ok());
        until.is_some_and(|until| {
            u64::from(until) >= self.seconds(now)
                && rtc_crypto::constant_time_eq(self.nonce_until(until, remote).as_bytes(), nonce.as_bytes())
        })
    }

    fn nonce_until(&self, until: u32, remote: SocketAddr) -> String {
        let mut nonce = format!("{until:08x}");
        let tag = self.mac(&["nonce", &nonce, &remote.to_string()]);
        push_hex(&mut nonce, &tag[..6]);
        nonce
    }

    fn credential(&self, username: &str) -> String {
        let mut credential = String::with_capacity(40);
        push_hex(&mut credential, &self.mac(&["login", username]));
        credential
    }

    /// HMAC-SHA256.
    fn mac(&self, parts: &[&str]) -> [u8; 32] {
        let mut tag = [0; 32];
        if let Ok(mut mac) = self.crypto().new_hmac(HmacAlgorithm::Sha256, &self.secret) {
            let parts: Vec<&[u8]> = parts.iter().flat_map(|part| [part.as_bytes(), &b"\n"[..]]).collect();
            let _ = mac.sign(&parts, &mut tag);
        }
        tag
    }

    fn seconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_secs()
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

/// Wrong passwords of one address within [`FAILURES_WINDOW`]; then it is not listened to until the window is over.
const FAILURES_MAX: u32 = 20;
const FAILURES_WINDOW: Duration = Duration::from_secs(10);
/// Addresses remembered. At the bound all are forgotten: guessing a password of 256 bits is hopeless anyway, this only saves work.
const ADDRESSES_MAX: usize = 1024;

/// Who guesses passwords. Sources cannot be forged here, since the nonce was right.
#[derive(Debug, Default)]
pub(super) struct Failures(HashMap<IpAddr, (Instant, u32)>);

impl Failures {
    pub(super) fn count(&mut self, now: Instant, ip: IpAddr) {
        if self.0.len() >= ADDRESSES_MAX && !self.0.contains_key(&ip) {
            self.0.clear();
        }
        let (since, count) = self.0.entry(ip).or_insert((now, 0));
        if now.saturating_duration_since(*since) > FAILURES_WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
    }

    pub(super) fn is_blocked(&self, now: Instant, ip: IpAddr) -> bool {
        let within = |since: &Instant| now.saturating_duration_since(*since) <= FAILURES_WINDOW;
        self.0.get(&ip).is_some_and(|(since, count)| *count >= FAILURES_MAX && within(since))
    }
}
