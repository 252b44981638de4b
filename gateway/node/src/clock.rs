//! The machine's clock as workers read it; tests put their own in its place.

use std::time::{Duration, Instant, SystemTime};

/// Reads the monotonic and the wall clock.
pub(crate) trait Clock: Send + Sync + 'static {
    /// Now, monotonic.
    fn now(&self) -> Instant;
    /// Now, since the Unix epoch.
    fn unix(&self) -> Duration;
}

/// The machine's own.
pub(crate) struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn unix(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}
