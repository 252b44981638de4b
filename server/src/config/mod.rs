//! What can be set: a TOML file, `MINAMO_…` variables over it, flags over both.
//!
//! Unknown keys are errors that name the key and where it stands. Every source is also read by itself first, so that an
//! error names the file or the very variable that is wrong.

mod transcode;
mod values;
mod variables;

pub use transcode::TranscodeConfig;
pub use values::{LogFormat, Secret, Turn};

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Format, Toml};
use minamo_packager::Rotation;
use minamo_sfu::{SfuConfig, Tcp};
use minamo_signaling::api::PublicUrl;
use minamo_signaling::{DataDefaults, SignalingConfig};
use serde::Deserialize;

/// Everything that can be set, with its defaults.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// API, signaling, HLS, pages, metrics.
    pub http: HttpConfig,
    /// HTTPS.
    pub tls: TlsConfig,
    /// Media.
    pub rtc: RtcConfig,
    /// The management API.
    pub api: ApiConfig,
    /// The catalog.
    pub catalog: CatalogConfig,
    /// Signaling.
    pub signaling: SignalingSection,
    /// Requests to applications' servers.
    pub webhook: WebhookConfig,
    /// HLS programmes.
    pub hls: HlsConfig,
    /// Pictures that cannot be shown as they come.
    pub transcode: TranscodeConfig,
    /// Logs.
    pub log: LogConfig,
    /// Where the catalog and the made API token are kept.
    pub data_dir: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: HttpConfig::default(),
            tls: TlsConfig::default(),
            rtc: RtcConfig::default(),
            api: ApiConfig::default(),
            catalog: CatalogConfig::default(),
            signaling: SignalingSection::default(),
            webhook: WebhookConfig::default(),
            hls: HlsConfig::default(),
            transcode: TranscodeConfig::default(),
            log: LogConfig::default(),
            data_dir: PathBuf::from("./data"),
        }
    }
}

/// `[http]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// The TCP address; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The base of every URL in answers; without it, the host by which the caller came.
    #[serde(deserialize_with = "values::from_text_or_none")]
    pub public_url: Option<PublicUrl>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([0, 0, 0, 0], 8080)), public_url: None }
    }
}

/// `[tls]`: HTTPS on the port of HTTP.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file of the certificate and those between it and its root.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// A certificate of our own instead, made once and kept in the data folder.
    #[serde(deserialize_with = "values::flag")]
    pub self_signed: bool,
}

/// `[rtc]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct RtcConfig {
    /// The UDP address; without it, the address and port number of `http.listen`.
    pub listen: Option<SocketAddr>,
    /// Addresses that clients are told; without them, those of this machine's interfaces.
    #[serde(deserialize_with = "values::addresses")]
    pub public_ips: Vec<IpAddr>,
    /// Whether media is taken over TCP, too, for clients that cannot send UDP.
    #[serde(deserialize_with = "values::switch")]
    pub tcp: bool,
    /// Whether there is a TURN server, and who is told of it.
    pub turn: Turn,
    /// Media threads.
    #[serde(deserialize_with = "values::threads")]
    pub threads: usize,
}

impl Default for RtcConfig {
    fn default() -> Self {
        Self { listen: None, public_ips: Vec::new(), tcp: true, turn: Turn::Auto, threads: 1 }
    }
}

/// `[api]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// What callers present; without it, one is made and kept in the data folder.
    pub token: Option<Secret>,
}

/// `[catalog]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogConfig {
    /// `sqlite:<path>`; without it, `catalog.db` in the data folder.
    pub url: Option<String>,
}

/// `[signaling]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct SignalingSection {
    /// `ws(s)://…` to which every new client is sent instead; without it, none is.
    #[serde(deserialize_with = "values::websocket_url")]
    pub redirect_url: Option<String>,
    /// Whether clients signal over data channels when they do not say.
    #[serde(deserialize_with = "values::flag")]
    pub data_channel_signaling: bool,
    /// Whether they then do without their WebSocket, when they do not say.
    #[serde(deserialize_with = "values::flag")]
    pub ignore_disconnect_websocket: bool,
    /// Whether the server's own data channels are compressed.
    #[serde(deserialize_with = "values::flag")]
    pub data_channel_compress: bool,
}

impl Default for SignalingSection {
    fn default() -> Self {
        Self {
            redirect_url: None,
            data_channel_signaling: false,
            ignore_disconnect_websocket: false,
            data_channel_compress: true,
        }
    }
}

impl SignalingSection {
    /// As signaling takes it.
    pub(crate) fn config(&self, webhook: &WebhookConfig) -> SignalingConfig {
        SignalingConfig {
            redirect_url: self.redirect_url.clone(),
            webhooks_to_private_addresses: webhook.allow_private_addresses,
            data: DataDefaults {
                signaling: self.data_channel_signaling,
                ignore_disconnect_websocket: self.ignore_disconnect_websocket,
                compress: self.data_channel_compress,
            },
            ..SignalingConfig::default()
        }
    }
}

/// `[webhook]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookConfig {
    /// Whether webhooks may have addresses of this machine and of private networks.
    #[serde(deserialize_with = "values::flag")]
    pub allow_private_addresses: bool,
}

/// `[hls]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct HlsConfig {
    /// How long a programme waits for a publisher that vanished before its playlist ends.
    #[serde(rename = "reconnect_window_secs", deserialize_with = "values::seconds")]
    pub reconnect_window: Duration,
    /// PART-TARGET of channels that do not say. Viewers are three parts behind.
    #[serde(rename = "part_target_ms", deserialize_with = "values::part_target")]
    pub part_target: Duration,
    /// How long a key of an encrypted channel holds; 0: as long as the programme.
    #[serde(rename = "key_rotation_secs", deserialize_with = "values::seconds")]
    pub key_rotation: Duration,
    /// How many segments a key holds, in place of `key_rotation`; 0: that one counts.
    #[serde(deserialize_with = "values::count")]
    pub key_rotation_segments: u32,
    /// How long somebody who opened a signed URL in time may go on watching.
    #[serde(rename = "signed_session_secs", deserialize_with = "values::seconds")]
    pub signed_session: Duration,
}

impl Default for HlsConfig {
    fn default() -> Self {
        Self {
            reconnect_window: Duration::from_secs(60),
            part_target: Duration::from_nanos(333_333_333),
            key_rotation: Duration::from_secs(3600),
            key_rotation_segments: 0,
            signed_session: Duration::from_secs(24 * 3600),
        }
    }
}

impl HlsConfig {
    /// When keys of encrypted channels change.
    pub(crate) fn rotation(&self) -> Rotation {
        match (self.key_rotation_segments, self.key_rotation) {
            (0, Duration::ZERO) => Rotation::Never,
            (0, age) => Rotation::Age(age),
            (segments, _) => Rotation::Segments(segments.into()),
        }
    }
}

/// `[log]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: LogFormat,
    /// A level, or a filter such as `info,minamo_sfu=debug`.
    #[serde(deserialize_with = "values::log_filter")]
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// A configuration that cannot be used. Displays in one line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key or its value is wrong.
    #[error("configuration: {why} ({place})")]
    Wrong {
        /// The file, variable or flag.
        place: String,
        /// The key, and what is wrong with it.
        why: String,
    },
}

/// A flag of the command line: a dotted key and its value. Only flags that were given are here, so that no default of a
/// flag ever overwrites the file.
pub type Override = (&'static str, String);

impl Config {
    /// Reads all sources: `file` (must exist when it is named), then variables, then flags.
    ///
    /// # Errors
    /// The first key that is unknown or whose value is wrong.
    pub fn load(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
        flags: &[Override],
    ) -> Result<Self, ConfigError> {
        let mut all = Figment::new();
        if let Some(path) = file {
            let text =
                std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
            all = add(all, Toml::string(&text), &path.display().to_string())?;
        }
        for (name, key, value) in variables::keys(variables)? {
            all = add(all, (key.as_str(), value), &name)?;
        }
        for (key, value) in flags {
            all = add(all, (*key, value), "command line")?;
        }
        extract(&all, "all sources together")
    }

    /// How media is taken when HTTP is bound to this address. Where both have the same port, HTTP accepts and gives away what is media.
    #[must_use]
    pub fn sfu(&self, http: SocketAddr) -> SfuConfig {
        let listen = self.rtc_listen();
        let tcp = match self.rtc.tcp {
            false => Tcp::Off,
            true if listen == http => Tcp::Shared,
            true => Tcp::Listen,
        };
        let (public_ips, turn) = (self.rtc.public_ips.clone(), self.rtc.turn != Turn::Off);
        SfuConfig { listen, public_ips, tcp, turn, threads: self.rtc.threads }
    }

    /// The UDP address of media.
    #[must_use]
    pub fn rtc_listen(&self) -> SocketAddr {
        self.rtc.listen.unwrap_or(self.http.listen)
    }
}

/// Lays one source over the others, after it has been found good by itself.
fn add(all: Figment, source: impl figment::Provider, place: &str) -> Result<Figment, ConfigError> {
    let alone = Figment::from(source);
    extract(&alone, place)?;
    Ok(all.merge(alone))
}

fn extract(figment: &Figment, place: &str) -> Result<Config, ConfigError> {
    figment.extract().map_err(|error| ConfigError::Wrong { place: place.to_owned(), why: words_of(error) })
}

/// figment's own words, with the key in front and in one line.
fn words_of(error: figment::Error) -> String {
    let Some(error) = error.into_iter().next() else { return "unreadable".to_owned() };
    let key = error.path.join(".");
    let why = match &error.kind {
        figment::error::Kind::UnknownField(field, expected) => {
            let parent = error.path.iter().filter(|part| *part != field).cloned().collect::<Vec<_>>();
            let key = parent.iter().chain([field]).map(String::as_str).collect::<Vec<_>>().join(".");
            return format!("unknown key {key}, expected one of {}", expected.join(", "));
        }
        kind => kind.to_string(),
    };
    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
    if key.is_empty() { why } else { format!("{key}: {why}") }
}

#[cfg(test)]
mod tests;
