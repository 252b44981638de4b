//! HTTPS on the port of HTTP: whose certificate, and how it is read again when it was renewed.

mod files;
mod self_signed;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::TlsConfig;
use files::Pair;

/// How often the files are looked at. Renewals come weeks before the old certificate ends.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Why there is no certificate. Displays in one line that says what to change.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of the two keys is missing.
    #[error("tls.certificate and tls.key belong together: set both")]
    Half,
    /// Both kinds are asked for.
    #[error("tls.self_signed and tls.certificate exclude each other: set one of them")]
    Both,
    /// A file cannot be read.
    #[error("cannot read {}: {source} ({key})", path.display())]
    Unreadable {
        /// The configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("{}: {why} ({key})", path.display())]
    Wrong {
        /// The configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Our own certificate cannot be made or kept.
    #[error("cannot make a certificate: {0} (tls.self_signed)")]
    Own(String),
}

/// TLS for everything on the HTTP port.
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    pair: Pair,
    current: Arc<Current>,
}

impl Tls {
    /// `None` where it is off. `names` go into a certificate of our own.
    ///
    /// # Errors
    /// What is wrong with the configuration or its files.
    pub(crate) fn start(config: &TlsConfig, data_dir: &Path, names: &Names) -> Result<Option<Self>, TlsError> {
        let pair = match (&config.certificate, &config.key, config.self_signed) {
            (None, None, false) => return Ok(None),
            (Some(certificate), Some(key), false) => Pair::new(certificate.clone(), key.clone()),
            (Some(_), Some(_), true) => return Err(TlsError::Both),
            (None, None, true) => self_signed::pair(&data_dir.join("tls"), names)?,
            _ => return Err(TlsError::Half),
        };
        let current = Arc::new(Current(RwLock::new(Arc::new(pair.load()?))));
        let mut tls = ServerConfig::builder().with_no_client_auth().with_cert_resolver(current.clone());
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Some(Self { acceptor: TlsAcceptor::from(Arc::new(tls)), pair, current }))
    }

    /// Reads the files again whenever they have changed. New ones that cannot be used are said in the log, and the old certificate stays.
    pub(crate) fn spawn_renewal(&self, stopping: CancellationToken) {
        let (pair, current) = (self.pair.clone(), Arc::clone(&self.current));
        tokio::spawn(async move {
            let mut seen = pair.stamp();
            while stopping.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
                let stamp = pair.stamp();
                if stamp != seen {
                    seen = stamp;
                    renew(&pair, &current);
                }
            }
        });
    }
}

fn renew(pair: &Pair, current: &Current) {
    match pair.load() {
        Ok(key) => {
            current.set(key);
            tracing::info!("the TLS certificate was read again");
        }
        Err(error) => tracing::warn!(%error, "the new TLS certificate is not used, the old one stays"),
    }
}

/// What a certificate of our own is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    host: Option<String>,
    addresses: Vec<IpAddr>,
}

impl Names {
    /// In any order.
    pub(crate) fn new(host: Option<String>, mut addresses: Vec<IpAddr>) -> Self {
        addresses.sort_unstable();
        addresses.dedup();
        Self { host, addresses }
    }
}

/// The certificate that is presented now.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl Current {
    fn set(&self, key: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names { host: Some("live.example".into()), addresses: vec!["192.0.2.1".parse().unwrap()] }
    }

    fn start(config: &TlsConfig, folder: &Path) -> Result<Option<Tls>, TlsError> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Tls::start(config, folder, &names())
    }

    fn presented(tls: &Tls) -> Vec<u8> {
        tls.current.0.read().unwrap().cert[0].to_vec()
    }

    #[test]
    fn a_certificate_of_our_own_is_kept_until_its_names_change() {
        let folder = tempfile::tempdir().unwrap();
        let own = TlsConfig { self_signed: true, ..TlsConfig::default() };
        let first = presented(&start(&own, folder.path()).unwrap().unwrap());
        assert_eq!(first, presented(&start(&own, folder.path()).unwrap().unwrap()));
        let elsewhere = Names { host: None, ..names() };
        let other = Tls::start(&own, folder.path(), &elsewhere).unwrap().unwrap();
        assert_ne!(first, presented(&other));
    }

    #[test]
    fn a_renewed_certificate_is_presented_and_a_broken_one_is_not() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let own = TlsConfig { self_signed: true, ..TlsConfig::default() };
        let (tls, renewed) = (start(&own, old.path()).unwrap().unwrap(), start(&own, new.path()).unwrap().unwrap());
        for file in ["certificate.pem", "key.pem"] {
            std::fs::copy(new.path().join("tls").join(file), old.path().join("tls").join(file)).unwrap();
        }
        renew(&tls.pair, &tls.current);
        assert_eq!(presented(&tls), presented(&renewed));
        std::fs::write(old.path().join("tls/certificate.pem"), "half a fi").unwrap();
        renew(&tls.pair, &tls.current);
        assert_eq!(presented(&tls), presented(&renewed));
    }

    #[test]
    fn what_cannot_work_is_said_by_key_and_file() {
        let folder = tempfile::tempdir().unwrap();
        let written = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let own = TlsConfig { self_signed: true, ..TlsConfig::default() };
        assert!(start(&own, folder.path()).unwrap().is_some());
        let (certificate, key) = (folder.path().join("tls/certificate.pem"), folder.path().join("tls/key.pem"));
        let mut errors = Vec::new();
        let none = Some(folder.path().join("none.pem"));
        for (certificate, key, self_signed) in [
            (Some(certificate.clone()), None, false),
            (Some(certificate.clone()), Some(key.clone()), true),
            (none.clone(), Some(key.clone()), false),
            (Some(certificate.clone()), none, false),
            (written("text.pem", "hello"), Some(key.clone()), false),
            (Some(certificate.clone()), Some(certificate), false),
        ] {
            let config = TlsConfig { certificate, key, self_signed };
            errors.push(start(&config, folder.path()).err().unwrap().to_string());
        }
        let told = ["set both", "set one of them", "(tls.certificate)", "(tls.key)", "no certificate", "no private key"];
        for (error, words) in errors.iter().zip(told) {
            assert!(error.contains(words), "{error:?} does not say {words:?}");
        }
    }
}
