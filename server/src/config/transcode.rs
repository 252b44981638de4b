//! `[transcode]`

use minamo_transcode::PoolConfig;
use serde::{Deserialize, Deserializer};

use super::values;

/// Threads above this are a mistake.
const THREADS_MAX: u64 = 256;

/// Pictures that cannot be shown as they come.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct TranscodeConfig {
    /// Threads of its own, at a lower priority; 0 turns it off.
    #[serde(deserialize_with = "threads")]
    pub threads: usize,
    /// Millions of pixels per second that one thread is trusted with; without it, measured at the start.
    #[serde(deserialize_with = "megapixels")]
    pub megapixels_per_second: Option<u64>,
}

impl Default for TranscodeConfig {
    fn default() -> Self {
        Self { threads: 1, megapixels_per_second: None }
    }
}

impl TranscodeConfig {
    /// As the gateway takes it.
    pub(crate) fn pool(&self) -> PoolConfig {
        let pixels_per_second = self.megapixels_per_second.map(|millions| millions.saturating_mul(1_000_000));
        PoolConfig { threads: self.threads, pixels_per_second }
    }
}

fn threads<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    values::number(deserializer, 0..=THREADS_MAX).map(|count| count as usize)
}

fn megapixels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    values::number(deserializer, 1..=1_000_000).map(Some)
}
