//! One HTTP request to a webhook: no redirects, no proxies, a limit on time and size, public addresses only.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use serde_json::Value;

use super::addresses::is_public;

/// From the request's beginning to its answer's end.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Asks webhooks. Cheap to clone; connections are kept for the next one.
#[derive(Clone, Debug)]
pub(crate) struct WebhookClient {
    /// `None`: TLS could not be set up, which was logged.
    client: Option<reqwest::Client>,
    private_allowed: bool,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    #[error("TLS is not set up")]
    Tls,
    #[error("the URL is no http or https URL")]
    Url,
    #[error("the address is not public (webhook.allow_private_addresses)")]
    Private,
    #[error("status {0}")]
    Status(u16),
    #[error("the answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    #[error("{0}")]
    Http(#[from] reqwest::Error),
}

impl WebhookClient {
    /// Certificates are checked against the machine's own roots.
    pub(crate) fn new(private_allowed: bool) -> Self {
        let client = build(private_allowed);
        if let Err(error) = &client {
            tracing::error!(%error, "webhooks cannot be asked");
        }
        Self { client: client.ok(), private_allowed }
    }

    /// Posts JSON; the answer's body when its status is 2xx.
    pub(crate) async fn post(&self, url: &str, headers: &[(&'static str, &str)], body: &Value) -> Result<Vec<u8>, WebhookError> {
        let url = reqwest::Url::parse(url).map_err(|_| WebhookError::Url)?;
        // The resolver below sees names only.
        let literal = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        if !self.private_allowed && literal.is_some_and(|ip| !is_public(ip)) {
            return Err(WebhookError::Private);
        }
        let client = self.client.as_ref().ok_or(WebhookError::Tls)?;
        let mut request = client.post(url).header("content-type", "application/json").body(body.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.send().await?;
        if !response.status().is_success() {
            return Err(WebhookError::Status(response.status().as_u16()));
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(WebhookError::TooLong);
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

fn build(private_allowed: bool) -> Result<reqwest::Client, Box<dyn std::error::Error>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.with_root_certificates(roots).with_no_client_auth())
        .redirect(Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .user_agent(concat!("Minamo/", env!("CARGO_PKG_VERSION")));
    if !private_allowed {
        builder = builder.dns_resolver(Arc::new(PublicOnly));
    }
    Ok(builder.build()?)
}

/// The system's resolver without addresses that are not public: what was looked up is also what is connected to, so that a name
/// cannot be one thing when it is checked and another when it is used.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(WebhookError::Private.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}
