//! Whether a peer's media is up, and since when. The same for every way in.

use std::time::Instant;

use minamo_sfu_core::model::{CloseReason, PeerEvent};

use super::{Reason, Timing};

#[derive(Clone, Copy, Debug)]
enum State {
    /// ICE and DTLS are not up.
    Waiting {
        deadline: Instant,
    },
    Up {
        minutes: u64,
        next_minute: Instant,
    },
    /// The SFU has forgotten the peer.
    Gone,
}

/// A peer's media over time.
#[derive(Clone, Debug)]
pub(crate) struct Media {
    timing: Timing,
    state: State,
}

impl Media {
    /// The SFU was told of the peer.
    pub(crate) fn new(now: Instant, timing: Timing) -> Self {
        Self { timing, state: State::Waiting { deadline: now + timing.media } }
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// The SFU has forgotten the peer: it need not be removed there.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    /// True when media has come up just now.
    ///
    /// # Errors
    /// The peer is gone, for that reason.
    pub(crate) fn handle_event(&mut self, now: Instant, event: PeerEvent) -> Result<bool, Reason> {
        match (event, self.state) {
            (PeerEvent::Connected, State::Waiting { .. }) => {
                self.state = State::Up { minutes: 0, next_minute: now + self.timing.updated_every };
                Ok(true)
            }
            (PeerEvent::Connected, _) => Ok(false),
            (PeerEvent::Closed(why), _) => {
                self.state = State::Gone;
                Err(Reason(match why {
                    CloseReason::IceTimeout => "ICE-TIMEOUT",
                    CloseReason::DtlsFailed => "DTLS-FAILED",
                    CloseReason::DtlsClosed => "DTLS-CLOSED",
                    CloseReason::Refused => "SERVER-OVERLOADED",
                    CloseReason::DataOverflow => "TOO-SLOW",
                    CloseReason::Internal => "INTERNAL-ERROR",
                }))
            }
            // Not about the transport.
            _ => Ok(false),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { deadline } => Some(deadline),
            State::Up { next_minute, .. } => Some(next_minute),
            State::Gone => None,
        }
    }

    /// The minutes that media is up, when another one is full.
    ///
    /// # Errors
    /// Media did not come up in time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<Option<u64>, Reason> {
        match &mut self.state {
            State::Waiting { deadline } if *deadline <= now => Err(Reason("MEDIA-TIMEOUT")),
            State::Up { minutes, next_minute } if *next_minute <= now => {
                *minutes += 1;
                *next_minute += self.timing.updated_every;
                Ok(Some(*minutes))
            }
            _ => Ok(None),
        }
    }
}
