//! Whether a queue grows on the way: the slope of the one-way delay against an adaptive threshold (the trendline filter of
//! draft-ietf-rmcat-gcc-02 §5 as browsers have it).

use super::groups::Variation;

/// Groups over which the line is laid.
const WINDOW: usize = 20;
const SMOOTHING: f64 = 0.9;
/// The slope times so many groups, at most, times the gain is compared with the threshold, in milliseconds.
const GROUPS_MAX: u32 = 60;
const GAIN: f64 = 4.0;
const THRESHOLD_FIRST_MS: f64 = 12.5;
const THRESHOLD_MS: (f64, f64) = (6.0, 600.0);
/// Overuse must last.
const OVERUSE_MS: f64 = 10.0;
/// How fast the threshold follows, up and down; it does not follow a spike this far above it.
const FOLLOW_UP: f64 = 0.0087;
const FOLLOW_DOWN: f64 = 0.039;
const SPIKE_MS: f64 = 15.0;

/// What the way does with what is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Usage {
    #[default]
    Normal,
    /// A queue grows.
    Over,
    /// A queue drains.
    Under,
}

/// The filter and the detector.
#[derive(Debug)]
pub(super) struct Trend {
    points: Points,
    groups: u32,
    accumulated_ms: f64,
    smoothed_ms: f64,
    threshold_ms: f64,
    over_for_ms: Option<(f64, u32)>,
    slope: f64,
    followed_ms: Option<f64>,
    usage: Usage,
}

impl Trend {
    pub(super) fn new() -> Self {
        Self {
            points: Points::default(),
            groups: 0,
            accumulated_ms: 0.0,
            smoothed_ms: 0.0,
            threshold_ms: THRESHOLD_FIRST_MS,
            over_for_ms: None,
            slope: 0.0,
            followed_ms: None,
            usage: Usage::Normal,
        }
    }

    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    pub(super) fn push(&mut self, variation: Variation) {
        self.groups = (self.groups + 1).min(GROUPS_MAX);
        self.accumulated_ms += variation.arrived_ms - variation.sent_ms;
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * self.accumulated_ms;
        // The line needs rising times; one that was overtaken adds nothing.
        if self.points.latest > variation.at_ms {
            return;
        }
        self.points.push(variation.at_ms, self.smoothed_ms);
        if self.points.count == WINDOW {
            let slope = self.points.slope().unwrap_or(self.slope);
            self.detect(slope, variation);
        }
    }

    fn detect(&mut self, slope: f64, variation: Variation) {
        let weighed = f64::from(self.groups) * slope * GAIN;
        if weighed > self.threshold_ms {
            let (lasted, count) =
                self.over_for_ms.map_or((variation.sent_ms / 2.0, 1), |(ms, n)| (ms + variation.sent_ms, n + 1));
            self.over_for_ms = Some((lasted, count));
            if lasted > OVERUSE_MS && count > 1 && slope >= self.slope {
                self.over_for_ms = None;
                self.usage = Usage::Over;
            }
        } else {
            self.over_for_ms = None;
            self.usage = if weighed < -self.threshold_ms { Usage::Under } else { Usage::Normal };
        }
        self.slope = slope;
        self.follow(weighed.abs(), variation.at_ms);
    }

    fn follow(&mut self, weighed: f64, at_ms: f64) {
        let elapsed = self.followed_ms.replace(at_ms).map_or(0.0, |before| (at_ms - before).clamp(0.0, 100.0));
        if weighed > self.threshold_ms + SPIKE_MS {
            return;
        }
        let rate = if weighed < self.threshold_ms { FOLLOW_DOWN } else { FOLLOW_UP };
        self.threshold_ms += rate * (weighed - self.threshold_ms) * elapsed;
        self.threshold_ms = self.threshold_ms.clamp(THRESHOLD_MS.0, THRESHOLD_MS.1);
    }
}

/// The last points, in any order: a line does not ask for one.
#[derive(Debug)]
struct Points {
    x: [f64; WINDOW],
    y: [f64; WINDOW],
    /// How many there are, and where the next one goes.
    count: usize,
    next: usize,
    latest: f64,
}

impl Default for Points {
    fn default() -> Self {
        Self { x: [0.0; WINDOW], y: [0.0; WINDOW], count: 0, next: 0, latest: f64::NEG_INFINITY }
    }
}

impl Points {
    fn push(&mut self, x: f64, y: f64) {
        (self.x[self.next], self.y[self.next], self.latest) = (x, y, x);
        self.next = (self.next + 1) % WINDOW;
        self.count = (self.count + 1).min(WINDOW);
    }

    /// Least squares over a full window; `None` where all points share one time.
    fn slope(&self) -> Option<f64> {
        let mean = |values: &[f64; WINDOW]| sum(|at| values[at]) / WINDOW as f64;
        let (mean_x, mean_y) = (mean(&self.x), mean(&self.y));
        let numerator = sum(|at| (self.x[at] - mean_x) * (self.y[at] - mean_y));
        let denominator = sum(|at| (self.x[at] - mean_x) * (self.x[at] - mean_x));
        (denominator > 0.0).then(|| numerator / denominator)
    }
}

/// In four sums, none of which waits for the others.
fn sum(value: impl Fn(usize) -> f64) -> f64 {
    const { assert!(WINDOW.is_multiple_of(4)) };
    let mut sums = [0.0; 4];
    for at in (0..WINDOW).step_by(4) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += value(at + lane);
        }
    }
    sums[0] + sums[1] + (sums[2] + sums[3])
}
