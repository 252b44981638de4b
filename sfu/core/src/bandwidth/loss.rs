//! The loss-based limit: for ways that drop instead of queueing. Loss that does not go away when less is sent is the way's own, as on
//! a bad Wi-Fi, and is no reason to send less: there is only a limit while sending less helps.

use std::time::{Duration, Instant};

use super::ledger::Judged;
use super::rate::BPS;

/// Loss is judged over so long and so many packets.
const WINDOW: Duration = Duration::from_millis(1000);
const PACKETS_MIN: u32 = 40;
/// Loss above the way's own, certain within the noise of so few packets, from which on less is sent; and below which more is.
const HIGH: f64 = 0.10;
const LOW: f64 = 0.03;
/// Less was sent, and this share of the loss that should have gone is still there: it is the way's own.
const STUBBORN: f64 = 0.7;
/// So much more loss than before means that the way itself has changed.
const WORSE: f64 = 1.5;
/// Loss above this is nobody's own.
const OWN_MAX: f64 = 0.3;
/// Not below this share in one step: in an outage nothing gets through, but it says nothing of the way after it.
const STEP: f64 = 0.2;
/// Up by this factor a window.
const INCREASE: f64 = 1.15;

/// The limit.
#[derive(Debug, Default)]
pub(super) struct Loss {
    began: Option<Instant>,
    judged: Judged,
    /// The way's own share.
    own: f64,
    limit: Option<f64>,
    /// The loss above which the last reduction has not helped, and the loss before it, until the next window tells.
    doubt: Option<(f64, f64)>,
    /// The share of the last window, for reports.
    share: f64,
}

impl Loss {
    /// The highest rate, in bits per second, while there is a limit.
    pub(super) fn limit(&self) -> Option<f64> {
        self.limit
    }

    /// The share of packets that got lost lately.
    pub(super) fn share(&self) -> f64 {
        self.share
    }

    /// A probe got through at this rate.
    pub(super) fn lift(&mut self, bps: f64) {
        self.limit = self.limit.filter(|limit| *limit > bps);
        self.doubt = None;
    }

    /// The fate of packets is known. `bps` is the rate by delay, `goodput` what got through lately.
    pub(super) fn update(&mut self, now: Instant, judged: Judged, bps: f64, goodput: Option<f64>) {
        self.judged.arrived += judged.arrived;
        self.judged.lost += judged.lost;
        let packets = self.judged.arrived + self.judged.lost;
        let began = *self.began.get_or_insert(now);
        if packets < PACKETS_MIN || now.saturating_duration_since(began) < WINDOW {
            return;
        }
        let share = f64::from(self.judged.lost) / f64::from(packets);
        (self.began, self.judged, self.share) = (Some(now), Judged::default(), share);
        self.window(share, f64::from(packets), bps, goodput.unwrap_or(bps));
    }

    fn window(&mut self, share: f64, packets: f64, bps: f64, goodput: f64) {
        if self.doubt.take().is_some_and(|(doubt, before)| share > doubt && share < WORSE * before) {
            // Sending less has not helped, nor has the way become worse meanwhile.
            self.own = share.min(OWN_MAX);
            self.limit = None;
        } else if share < self.own {
            self.own += 0.5 * (share - self.own);
        }
        let excess = (share - self.own) / (1.0 - self.own);
        let noise = 1.5 * (HIGH * (1.0 - HIGH) / packets).sqrt();
        let current = self.limit.map_or(bps, |limit| limit.min(bps));
        if excess > HIGH + noise {
            let limit = (0.95 * goodput).clamp(STEP * current, current).max(BPS.0);
            // What is still too much for a way that lets no more through than now gets lost there anyway.
            let expected = (1.0 - goodput / limit).max(0.0);
            self.limit = Some(limit);
            self.doubt = Some(((expected + STUBBORN * (share - expected)).max(expected + HIGH), share));
        } else if excess < LOW {
            self.limit = self.limit.map(|limit| limit * INCREASE).filter(|limit| *limit < bps);
        }
    }
}
