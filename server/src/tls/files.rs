//! A certificate chain and its key as PEM files.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::TlsError;

const CERTIFICATE: &str = "tls.certificate";
const KEY: &str = "tls.key";

/// Two files that belong together.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Pair {
    pub(super) fn new(certificate: PathBuf, key: PathBuf) -> Self {
        Self { certificate, key }
    }

    /// Tells versions of the files apart. A file that is away for a moment is a version, too.
    pub(super) fn stamp(&self) -> [Option<(SystemTime, u64)>; 2] {
        [&self.certificate, &self.key].map(|path| {
            let about = std::fs::metadata(path).ok()?;
            Some((about.modified().ok()?, about.len()))
        })
    }

    /// Reads both and sees whether they fit each other.
    pub(super) fn load(&self) -> Result<CertifiedKey, TlsError> {
        let wrong = |key, path: &Path, why: String| TlsError::Wrong { key, path: path.to_owned(), why };
        let text = read(CERTIFICATE, &self.certificate)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let chain = chain.map_err(|error| wrong(CERTIFICATE, &self.certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(wrong(CERTIFICATE, &self.certificate, "there is no certificate in it (PEM)".into()));
        }
        let text = read(KEY, &self.key)?;
        let no_key = |_| wrong(KEY, &self.key, "there is no private key in it (PEM: PKCS#8, PKCS#1 or SEC1)".into());
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(no_key)?;
        let key = any_supported_type(&key).map_err(|error| wrong(KEY, &self.key, error.to_string()))?;
        let pair = CertifiedKey::new(chain, key);
        match pair.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(pair),
            Err(_) => Err(wrong(KEY, &self.key, format!("is not the key of {}", self.certificate.display()))),
        }
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { key, path: path.to_owned(), source })
}
