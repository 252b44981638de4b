//! Which addresses have shown that they know our password, and which one the peer wants to be reached at.

use std::time::{Duration, Instant};

use super::Route;

/// Consent (RFC 7675): without an authenticated check for so long the peer is gone.
pub(super) const CONSENT: Duration = Duration::from_secs(30);

/// Authenticated routes remembered per peer. At the bound the one that was silent longest is forgotten, never the current one.
const MAX_ROUTES: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Routes {
    known: Vec<(Route, Instant)>,
    current: Option<Route>,
    nominated: bool,
    /// The next check decides anew: the way before may be one that is gone.
    restarted: bool,
    last_check: Option<Instant>,
}

impl Routes {
    /// An authenticated check came over `route`. The latest nomination wins: so a peer moves.
    pub(super) fn checked(&mut self, now: Instant, route: Route, use_candidate: bool) {
        self.last_check = Some(now);
        self.remember(now, route);
        let restarted = std::mem::take(&mut self.restarted);
        if use_candidate {
            self.nominated = true;
            self.current = Some(route);
        } else if self.current.is_none() || restarted {
            self.nominated = false;
            self.current = Some(route);
        }
    }

    /// ICE begins again. Routes known so far stay good for what is still under way.
    pub(super) fn restarted(&mut self) {
        self.restarted = true;
    }

    /// DTLS comes before nomination (some 50 ms in Chromium): until then answers go where it came from.
    pub(super) fn dtls_from(&mut self, route: Route) {
        if !self.nominated {
            self.current = Some(route);
        }
    }

    pub(super) fn knows(&self, route: &Route) -> bool {
        // The usual one first: it lies where the peer is.
        self.current.as_ref() == Some(route) || self.known.iter().any(|(known, _)| known == route)
    }

    /// Where to send to.
    pub(super) fn current(&self) -> Option<Route> {
        self.current
    }

    /// When consent ends; `None` before the first check.
    pub(super) fn expires(&self) -> Option<Instant> {
        self.last_check.map(|at| at + CONSENT)
    }

    fn remember(&mut self, now: Instant, route: Route) {
        if let Some(known) = self.known.iter_mut().find(|(known, _)| *known == route) {
            known.1 = now;
            return;
        }
        if self.known.len() >= MAX_ROUTES {
            let current = self.current;
            let stale = self
                .known
                .iter()
                .enumerate()
                .filter(|(_, (known, _))| Some(*known) != current)
                .min_by_key(|(_, (_, seen))| *seen);
            if let Some((index, _)) = stale {
                self.known.swap_remove(index);
            }
        }
        self.known.push((route, now));
    }
}
