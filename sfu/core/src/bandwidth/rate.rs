//! The delay-based rate: up while nothing queues, down to what gets through when something does (AIMD, draft-ietf-rmcat-gcc-02 §5.5).

use std::time::{Duration, Instant};

use super::trend::Usage;

/// Down to this share of what got through.
const DECREASE: f64 = 0.85;
/// At most down to this share in one step while much less is sent than the rate allows: then what gets through says little about the way.
const DECREASE_IDLE: f64 = 0.7;
/// Less than this share of the rate is "much less".
const IDLE: f64 = 0.5;
/// At least this share of what gets through while nothing queues.
const PROVEN: f64 = 0.9;
/// Up by this factor a second while the way's capacity is unknown.
const INCREASE: f64 = 1.08;
/// Not above what got through by more than this: nothing is known about it.
const BEYOND: f64 = 1.5;
const BEYOND_BPS: f64 = 10_000.0;
/// Where the rate stays within.
pub(super) const BPS: (f64, f64) = (60_000.0, 100_000_000.0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Hold,
    Increase,
}

/// Where overuse set in lately: a mean with its spread, both in kbit/s.
#[derive(Clone, Copy, Debug)]
struct Capacity {
    kbps: f64,
    /// Of the spread, relative to the mean.
    variance: f64,
}

impl Capacity {
    fn note(before: Option<Self>, bps: f64) -> Self {
        let kbps = bps / 1000.0;
        let Some(Self { kbps: mean, variance }) = before else { return Self { kbps, variance: 0.4 } };
        let mean = 0.95 * mean + 0.05 * kbps;
        let error = mean - kbps;
        let variance = (0.95 * variance + 0.05 * error * error / mean.max(1.0)).clamp(0.4, 2.5);
        Self { kbps: mean, variance }
    }

    fn spread(&self) -> f64 {
        3.0 * (self.variance * self.kbps).sqrt()
    }
}

/// The controller.
#[derive(Debug)]
pub(super) struct Rate {
    bps: f64,
    state: State,
    capacity: Option<Capacity>,
    changed: Option<Instant>,
    decreased: Option<Instant>,
}

impl Rate {
    pub(super) fn new(bps: f64) -> Self {
        Self { bps, state: State::Hold, capacity: None, changed: None, decreased: None }
    }

    pub(super) fn bps(&self) -> f64 {
        self.bps
    }

    /// The last time it went down.
    pub(super) fn decreased(&self) -> Option<Instant> {
        self.decreased
    }

    /// Something was measured: this much goes through.
    pub(super) fn set(&mut self, now: Instant, bps: f64) {
        self.bps = bps.clamp(BPS.0, BPS.1);
        self.changed = Some(now);
        self.capacity = self.capacity.filter(|capacity| bps / 1000.0 < capacity.kbps + capacity.spread());
    }

    /// Feedback came. `goodput` is what got through lately, in bits per second.
    pub(super) fn update(&mut self, now: Instant, usage: Usage, goodput: Option<f64>, rtt: Duration) {
        match (usage, self.state) {
            (Usage::Over, _) => self.decrease(now, goodput, rtt),
            (Usage::Under, _) => self.state = State::Hold,
            (Usage::Normal, State::Hold) => {
                self.state = State::Increase;
                self.changed = Some(now);
            }
            (Usage::Normal, State::Increase) => self.increase(now, goodput, rtt),
        }
    }

    fn decrease(&mut self, now: Instant, goodput: Option<f64>, rtt: Duration) {
        self.state = State::Hold;
        // What a step does is seen a round trip later.
        let wait = rtt.clamp(Duration::from_millis(10), Duration::from_millis(200)) + Duration::from_millis(50);
        if self.decreased.is_some_and(|at| now.saturating_duration_since(at) < wait) {
            return;
        }
        let through = goodput.unwrap_or(self.bps);
        let idle = through < IDLE * self.bps;
        if !idle {
            self.capacity =
                Some(Capacity::note(self.capacity.filter(|known| through / 1000.0 > known.kbps - known.spread()), through));
        }
        let floor = if idle { DECREASE_IDLE * self.bps } else { 0.0 };
        self.bps = (DECREASE * through).max(floor).min(self.bps).max(BPS.0);
        (self.changed, self.decreased) = (Some(now), Some(now));
    }

    fn increase(&mut self, now: Instant, goodput: Option<f64>, rtt: Duration) {
        let elapsed = self.changed.replace(now).map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64().min(1.0));
        let Some(through) = goodput else { return };
        // It goes through and nothing queues: that much there is.
        self.bps = self.bps.max(PROVEN * through);
        if self.capacity.is_some_and(|capacity| through / 1000.0 > capacity.kbps + capacity.spread()) {
            self.capacity = None;
        }
        let step = if self.capacity.is_some() {
            // About one packet in a response time.
            let response = 2.0 * (rtt.as_secs_f64() + 0.1);
            (9_600.0 / response).max(4_000.0) * elapsed
        } else {
            (self.bps * (INCREASE.powf(elapsed) - 1.0)).max(1_000.0 * elapsed)
        };
        let limit = BEYOND * through + BEYOND_BPS;
        if self.bps < limit {
            self.bps = (self.bps + step).min(limit).min(BPS.1);
        }
    }
}
