//! One connection's protocol as a value.

use std::time::Duration;

/// Times of one session.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From the socket's opening to `connect`.
    pub connect: Duration,
    /// From an offer or re-offer to its answer.
    pub answer: Duration,
    /// From the offer until media is up.
    pub media: Duration,
    /// Between pings.
    pub ping_every: Duration,
    /// From the last message of the client until it counts as gone.
    pub pong: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            media: Duration::from_secs(60),
            ping_every: Duration::from_secs(5),
            pong: Duration::from_secs(60),
        }
    }
}
