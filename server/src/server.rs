//! The whole product as a value.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use minamo_catalog::{Catalog, CatalogError, PAGE_MAX};
use minamo_gateway::{Gateway, GatewayConfig};
use minamo_sfu::Sfu;
use minamo_signaling::api::{self, ApiState, ApiToken, PublicUrl};
use minamo_signaling::{Programmes, RelayPolicy, Signaling, SignalingConfig, whip};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower_http::trace::{DefaultOnFailure, TraceLayer};

use crate::addresses::{Addresses, relay_over_tls};
use crate::arrival::Doors;
use crate::config::{Config, Turn};
use crate::http_server::HttpServer;
use crate::operations::{self, Operations};
use crate::programmes::HlsProgrammes;
use crate::tls::{Tls, TlsError};
use crate::token::{Token, TokenError};
use crate::{files, headers, pages, telemetry};

/// A running server. Dropped without [`Server::shutdown`] it stops without a goodbye to anyone.
pub struct Server {
    addresses: Addresses,
    token: Token,
    public_url: PublicUrl,
    secure: bool,
    parts: Parts,
    http: HttpServer,
    stopping: CancellationToken,
    _stops_when_dropped: DropGuard,
}

/// A server could not start. Displays in one line that says what to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The TCP address is not free, or not ours.
    #[error("{} (http.listen)", bind_words(*address, source))]
    Http {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Media cannot start: most often the UDP address is not free, or not ours.
    #[error("{0} (rtc.listen)")]
    Media(#[source] minamo_sfu::StartError),
    /// The catalog cannot be opened.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// There is no certificate, though there should be.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The API token cannot be kept.
    #[error(transparent)]
    Token(#[from] TokenError),
}

fn bind_words(address: SocketAddr, source: &std::io::Error) -> String {
    let (ip, port) = (address.ip(), address.port());
    match source.kind() {
        ErrorKind::AddrInUse => format!("TCP port {port} on {ip} is already in use"),
        ErrorKind::AddrNotAvailable => format!("this machine has no address {ip} to listen on (TCP port {port})"),
        ErrorKind::PermissionDenied => format!("no permission to listen on TCP port {port} of {ip}"),
        _ => format!("cannot listen on TCP port {port} of {ip}: {source}"),
    }
}

/// What is taken apart again at the end, in this order.
struct Parts {
    signaling: Signaling,
    gateway: Gateway,
    sfu: Sfu,
    catalog: Catalog,
}

/// After the playlists have ended they are served for a moment more: players that do not wait for a part ask once per
/// part or two, and only then see the end.
const LINGER: Duration = Duration::from_secs(1);
/// How long a goodbye to every peer may take.
const GOODBYE: Duration = Duration::from_secs(5);
/// Histograms are folded so often even when nobody asks for metrics.
const UPKEEP: Duration = Duration::from_secs(5);

impl Server {
    /// Binds the ports, opens the catalog and starts every part.
    ///
    /// # Errors
    /// The first thing that is not free, not writable or not there. Nothing is left running then.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        files::raise_limit();
        let (listener, http_address) = bind(config.http.listen).await?;
        let catalog = open_catalog(&config).await?;
        let token = Token::obtain(config.api.token.clone(), &config.data_dir)?;
        let metrics = telemetry::metrics();
        let (gateway, sfu) = start_media(&config, http_address).await?;
        let programmes: Arc<dyn Programmes> = Arc::new(HlsProgrammes { gateway: gateway.clone(), config: config.hls.clone() });
        reopen(&catalog, &*programmes).await?;
        let addresses = Addresses { http: http_address, rtc_port: sfu.local_port(), candidates: sfu.candidates().to_vec() };
        let tls = Tls::start(&config.tls, &config.data_dir, &addresses.names(config.http.public_url.as_ref()))?;
        let limits = SignalingConfig {
            relay: relay_policy(config.rtc.turn),
            relay_over_tls: tls.as_ref().and_then(|_| relay_over_tls(&config, &addresses)),
            ..config.signaling.config(&config.webhook)
        };
        let signaling = Signaling::new(sfu.clone(), catalog.clone(), Arc::clone(&programmes), limits);

        let stopping = CancellationToken::new();
        spawn_upkeep(metrics.clone(), stopping.clone());
        if let Some(tls) = &tls {
            tls.spawn_renewal(stopping.clone());
        }
        let operations = Operations { catalog: catalog.clone(), sfu: sfu.clone(), metrics, stopping: stopping.clone() };
        let api = ApiState {
            catalog: catalog.clone(),
            programmes,
            signaling: signaling.clone(),
            token: ApiToken::new(token.secret.expose()),
            public_url: config.http.public_url.clone(),
        };
        let router = router(api, &signaling, &gateway, operations);
        tracing::info!(http = %addresses.http, tls = tls.is_some(), udp = addresses.rtc_port, candidates = ?addresses.candidates, "listening");
        Ok(Self {
            public_url: config.http.public_url.unwrap_or_else(|| addresses.local_url(tls.is_some())),
            secure: tls.is_some(),
            addresses,
            token,
            parts: Parts { signaling, gateway, sfu: sfu.clone(), catalog },
            http: HttpServer::spawn(listener, router, Doors { sfu: Some(sfu), tls: tls.map(|tls| tls.acceptor) }),
            _stops_when_dropped: stopping.clone().drop_guard(),
            stopping,
        })
    }

    /// Where it can be reached.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The API token.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The base of its URLs: the configured one, or this machine's own.
    #[must_use]
    pub fn public_url(&self) -> &PublicUrl {
        &self.public_url
    }

    /// The URL of one of its addresses.
    pub(crate) fn url_at(&self, address: SocketAddr) -> PublicUrl {
        let url = PublicUrl::of_address(address);
        if self.secure { url.over_tls() } else { url }
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.parts.catalog
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.parts.gateway
    }

    /// Ends well: peers get a clean close, playlists end with ENDLIST and are served for a moment more, requests under
    /// way are answered. Takes at most about 20 seconds.
    pub async fn shutdown(self) {
        tracing::info!("stopping");
        self.stopping.cancel();
        let Parts { signaling, gateway, sfu, catalog } = self.parts;
        if tokio::time::timeout(GOODBYE, signaling.shutdown()).await.is_err() {
            tracing::warn!("not every peer could be told goodbye in time");
        }
        gateway.shutdown().await;
        tokio::time::sleep(LINGER).await;
        let media = tokio::task::spawn_blocking(move || sfu.shutdown());
        self.http.shutdown().await;
        if let Err(error) = media.await {
            tracing::error!(%error, "media ended badly");
        }
        catalog.close().await;
        tracing::info!("stopped");
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Http { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

pub(crate) async fn open_catalog(config: &Config) -> Result<Catalog, CatalogError> {
    match &config.catalog.url {
        Some(url) => Catalog::open(url).await,
        None => Catalog::open_in(&config.data_dir).await,
    }
}

/// The gateway first, since media is poured into it; each learns of the other.
async fn start_media(config: &Config, http: SocketAddr) -> Result<(Gateway, Sfu), StartError> {
    let (reconnect_window, transcode) = (config.hls.reconnect_window, config.transcode.pool());
    let gateway = Gateway::start(GatewayConfig { reconnect_window, transcode, ..GatewayConfig::default() });
    let sfu = config.sfu(http);
    match Sfu::start(sfu, Arc::new(gateway.clone())) {
        Ok(sfu) => {
            gateway.set_upstream(Arc::new(sfu.clone()));
            Ok((gateway, sfu))
        }
        Err(source) => {
            gateway.shutdown().await;
            Err(StartError::Media(source))
        }
    }
}

fn relay_policy(turn: Turn) -> RelayPolicy {
    match turn {
        Turn::Off | Turn::Auto => RelayPolicy::Auto,
        Turn::Always => RelayPolicy::Always,
    }
}

/// Channels of an earlier life are known again, before the first request: not live yet, rather than unknown.
async fn reopen(catalog: &Catalog, programmes: &dyn Programmes) -> Result<(), CatalogError> {
    let mut after = None;
    loop {
        let page = catalog.list_channels(after.as_ref(), PAGE_MAX).await?;
        for channel in &page {
            programmes.open(channel);
        }
        match page.last() {
            Some(last) if page.len() == PAGE_MAX as usize => after = Some(last.id.clone()),
            _ => return Ok(()),
        }
    }
}

fn spawn_upkeep(metrics: PrometheusHandle, stopping: CancellationToken) {
    tokio::spawn(async move {
        while stopping.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
            metrics.run_upkeep();
        }
    });
}

/// Every route of the product.
fn router(api: ApiState, signaling: &Signaling, gateway: &Gateway, operations: Operations) -> Router {
    let routes = pages::router()
        .merge(whip::router(signaling.clone(), api.token.clone()))
        .merge(api::router(api))
        .merge(signaling.router())
        .merge(operations::router(operations))
        .fallback(async || operations::not_found())
        // Refusals such as 503 are answers, counted where they are given: no line each in the log.
        .layer(TraceLayer::new_for_http().on_failure(DefaultOnFailure::new().level(tracing::Level::DEBUG)));
    // A crowd's playlists and parts come by the shortest way: they carry those headers by themselves.
    headers::on_everything(routes).merge(gateway.router())
}
