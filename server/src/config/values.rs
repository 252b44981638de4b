//! Values as they may be written: TOML's own types in the file, text in variables and flags.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use tracing_subscriber::filter::{LevelFilter, Targets};

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Whether there is a TURN server, and which clients are told of it in offers. WHIP and WHEP clients always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Turn {
    /// None runs.
    Off,
    /// Those that connect through nothing else.
    Auto,
    /// All.
    Always,
}

/// `true` or `false`, also as text: variables have no other.
pub(super) fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected true or false")]
    enum Written {
        Bool(bool),
        Text(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Bool(value) => Ok(value),
        Written::Text(text) => text.trim().parse().map_err(|_| D::Error::custom("must be true or false")),
    }
}

/// A text that is never shown: visible ASCII, not empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("must be visible ASCII characters without spaces");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

pub(super) fn from_text_or_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

/// The most addresses that clients are told: each costs every client a check.
const ADDRESSES_MAX: usize = 16;

/// A list, or one text with commas.
pub(super) fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list of IP addresses")]
    enum Written {
        Text(String),
        List(Vec<String>),
    }
    let texts = match Written::deserialize(deserializer)? {
        Written::Text(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
        Written::List(list) => list,
    };
    if texts.len() > ADDRESSES_MAX {
        return Err(D::Error::custom(format!("at most {ADDRESSES_MAX} addresses, got {}", texts.len())));
    }
    let parse = |text: &String| text.parse().map_err(|_| D::Error::custom(format!("{text:?} is no IP address")));
    texts.iter().map(parse).collect()
}

/// A day: whoever wants a programme to wait longer for its publisher has mistaken the unit.
const SECONDS_MAX: u64 = 86_400;

/// A whole number of seconds, as a number or as text.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a whole number of seconds")]
    enum Written {
        Number(u64),
        Text(String),
    }
    let number = match Written::deserialize(deserializer)? {
        Written::Number(number) => Some(number),
        Written::Text(text) => text.trim().parse().ok(),
    };
    let wrong = || D::Error::custom(format!("must be 0 to {SECONDS_MAX} seconds"));
    number.filter(|number| *number <= SECONDS_MAX).map(Duration::from_secs).ok_or_else(wrong)
}

/// Shorter parts are hardly more than a picture, longer ones are segments.
const PART_TARGET_MS: std::ops::RangeInclusive<u64> = 100..=2000;

/// A whole number of milliseconds, as a number or as text. 333 stands for a third of a second: ten pictures of thirty a second.
pub(super) fn part_target<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a whole number of milliseconds")]
    enum Written {
        Number(u64),
        Text(String),
    }
    let number = match Written::deserialize(deserializer)? {
        Written::Number(number) => Some(number),
        Written::Text(text) => text.trim().parse().ok(),
    };
    match number.filter(|number| PART_TARGET_MS.contains(number)) {
        Some(333) => Ok(Duration::from_nanos(333_333_333)),
        Some(number) => Ok(Duration::from_millis(number)),
        None => Err(D::Error::custom("must be 100 to 2000 milliseconds")),
    }
}

/// `true` or `false`, as itself or as text.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected true or false")]
    enum Written {
        Flag(bool),
        Text(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Flag(flag) => Ok(flag),
        Written::Text(text) => text.trim().parse().map_err(|_| D::Error::custom("must be true or false")),
    }
}

/// A whole number, as itself or as text.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a whole number")]
    enum Written {
        Number(u32),
        Text(String),
    }
    let number = match Written::deserialize(deserializer)? {
        Written::Number(number) => Some(number),
        Written::Text(text) => text.trim().parse().ok(),
    };
    number.ok_or_else(|| D::Error::custom("must be a whole number, 0 or more"))
}

/// A number of media threads.
pub(super) fn threads<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a whole number")]
    enum Written {
        Number(usize),
        Text(String),
    }
    let number = match Written::deserialize(deserializer)? {
        Written::Number(number) => Some(number),
        Written::Text(text) => text.trim().parse().ok(),
    };
    let fits = number.filter(|number| (1..=minamo_sfu::THREADS_MAX).contains(number));
    fits.ok_or_else(|| D::Error::custom(format!("must be a whole number from 1 to {}", minamo_sfu::THREADS_MAX)))
}

/// A whole number within bounds, as a number or as text.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D, within: RangeInclusive<u64>) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a whole number")]
    enum Written {
        Number(u64),
        Text(String),
    }
    let number = match Written::deserialize(deserializer)? {
        Written::Number(number) => Some(number),
        Written::Text(text) => text.trim().parse().ok(),
    };
    let fits = number.filter(|number| within.contains(number));
    fits.ok_or_else(|| D::Error::custom(format!("must be a whole number from {} to {}", within.start(), within.end())))
}

/// Where clients of signaling go.
pub(super) fn websocket_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let url = Option::<String>::deserialize(deserializer)?;
    let host =
        |url: &String| url.strip_prefix("wss://").or_else(|| url.strip_prefix("ws://")).is_some_and(|rest| !rest.is_empty());
    if url.as_ref().is_some_and(|url| !host(url) || url.chars().any(|c| c.is_control() || c.is_whitespace())) {
        return Err(D::Error::custom("must be a URL that starts with wss:// or ws://"));
    }
    Ok(url)
}

/// Checked when it is read, so that a typing error does not silence the log.
pub(super) fn log_filter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    // The filter itself would take a bare word that is no level for the name of a module.
    let bare = text.split(',').map(str::trim).find(|part| !part.contains('=') && part.parse::<LevelFilter>().is_err());
    if let Some(word) = bare {
        return Err(D::Error::custom(format!("{word:?} is no log level: error, warn, info, debug or trace")));
    }
    match text.parse::<Targets>() {
        Ok(_) => Ok(text),
        Err(error) => Err(D::Error::custom(format!("{text:?} is no log filter: {error}"))),
    }
}
