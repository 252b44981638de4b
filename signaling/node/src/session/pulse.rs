//! Whether the client is still there at the other end of its WebSocket.

use std::time::Instant;

use super::{Reason, Timing};

/// Pings and the silence after them. Without effect once the WebSocket is gone: ICE then tells who lives.
pub(super) struct Pulse {
    timing: Timing,
    next_ping: Instant,
    heard: Instant,
}

impl Pulse {
    pub(super) fn new(now: Instant, timing: Timing) -> Self {
        Self { timing, next_ping: now + timing.ping_every, heard: now }
    }

    /// The client said something.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.next_ping.min(self.heard + self.timing.pong)
    }

    /// Whether a ping is due.
    ///
    /// # Errors
    /// Nothing was heard for too long.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<bool, Reason> {
        if self.heard + self.timing.pong <= now {
            return Err(Reason("PONG-TIMEOUT"));
        }
        let due = self.next_ping <= now;
        if due {
            self.next_ping = now + self.timing.ping_every;
        }
        Ok(due)
    }
}
