//! One track's clock against the local one and against the publisher's wall clock.

use std::collections::VecDeque;

use minamo_media::SenderReport;

/// Reports in the regression.
const REPORTS_MAX: usize = 20;
/// A report this far off the line of those before it is a step of the publisher's wall clock, or nonsense.
const STEP_SECS: f64 = 0.05;
/// So many reports in a row must agree on a new line before it is believed.
const STEP_REPORTS: usize = 3;
/// Below this span a slope says more about jitter than about the clock.
const SLOPE_SPAN_SECS: f64 = 8.0;
/// No crystal is worse.
const SLOPE_MAX: f64 = 1e-3;
/// The RTP clock and the local clock disagree by so much between two units: the sender restarted its clock.
const RESTART_SECS: f64 = 3.0;
/// Arrival minima are kept for 8 × 2 s.
const BUCKETS: usize = 8;
const BUCKET_SECS: f64 = 2.0;

/// (media seconds, publisher's wall seconds), both relative to the first report.
type Point = (f64, f64);

#[derive(Debug)]
pub(super) struct TrackClock {
    rate: f64,
    /// Everything is counted from the first unit, so that floats stay small.
    base_rtp: Option<i64>,
    last: Option<(f64, f64)>,
    /// (bucket number, least local − media seconds in it).
    arrivals: VecDeque<(i64, f64)>,
    base_ntp: Option<minamo_media::NtpTime>,
    reports: VecDeque<Point>,
    /// Reports that agree with each other, but not with the line.
    candidates: Vec<Point>,
}

impl TrackClock {
    pub(super) fn new(clock_rate: u32) -> Self {
        Self {
            rate: f64::from(clock_rate),
            base_rtp: None,
            last: None,
            arrivals: VecDeque::with_capacity(BUCKETS + 1),
            base_ntp: None,
            reports: VecDeque::with_capacity(REPORTS_MAX + 1),
            candidates: Vec::new(),
        }
    }

    /// Media seconds of an RTP timestamp.
    pub(super) fn seconds(&self, rtp: i64) -> f64 {
        rtp.wrapping_sub(self.base_rtp.unwrap_or(rtp)) as f64 / self.rate
    }

    /// One unit arrived. True when the sender's clock restarted and everything known of it was dropped.
    pub(super) fn observe(&mut self, rtp: i64, local: f64) -> bool {
        let mut restarted = false;
        if let Some((seconds, at)) = self.last {
            let apart = (self.seconds(rtp) - seconds) - (local - at);
            if apart.abs() > RESTART_SECS {
                *self = Self::new(self.rate as u32);
                restarted = true;
            }
        }
        self.base_rtp.get_or_insert(rtp);
        let seconds = self.seconds(rtp);
        self.last = Some((seconds, local));
        self.note_arrival(seconds, local);
        restarted
    }

    fn note_arrival(&mut self, seconds: f64, local: f64) {
        let bucket = (local / BUCKET_SECS) as i64;
        let offset = local - seconds;
        match self.arrivals.back_mut() {
            Some((number, least)) if *number == bucket => *least = least.min(offset),
            _ => self.arrivals.push_back((bucket, offset)),
        }
        while self.arrivals.front().is_some_and(|(number, _)| *number + (BUCKETS as i64) <= bucket) {
            self.arrivals.pop_front();
        }
    }

    /// What arrived before this unit came another way, or by another clock.
    pub(super) fn forget_arrivals(&mut self, rtp: i64, local: f64) {
        self.arrivals.clear();
        self.note_arrival(self.seconds(rtp), local);
    }

    /// Local minus media seconds on the fastest way of the last 16 s.
    pub(super) fn arrival_offset(&self) -> f64 {
        let least = self.arrivals.iter().map(|(_, offset)| *offset).fold(f64::INFINITY, f64::min);
        if least.is_finite() { least } else { 0.0 }
    }

    /// Takes a report. True when it made a step of the publisher's wall clock certain.
    pub(super) fn report(&mut self, report: &SenderReport) -> bool {
        let whole = (report.ntp.0 >> 32) as u32;
        if whole == 0 || whole == u32::MAX {
            return false;
        }
        self.base_rtp.get_or_insert(report.rtp);
        let base = *self.base_ntp.get_or_insert(report.ntp);
        let point = (self.seconds(report.rtp), report.ntp.seconds_since(base));
        let Some(&(last_media, _)) = self.reports.back() else {
            self.reports.push_back(point);
            return false;
        };
        if point.0 <= last_media {
            return false;
        }
        let expected = self.wall_of(point.0).unwrap_or(point.1);
        if (point.1 - expected).abs() < STEP_SECS {
            self.candidates.clear();
            self.accept(point);
            return false;
        }
        self.suspect(point)
    }

    fn accept(&mut self, point: Point) {
        self.reports.push_back(point);
        if self.reports.len() > REPORTS_MAX {
            self.reports.pop_front();
        }
    }

    fn suspect(&mut self, point: Point) -> bool {
        let agrees = self
            .candidates
            .last()
            .is_none_or(|before| point.0 > before.0 && ((point.1 - before.1) - (point.0 - before.0)).abs() < STEP_SECS);
        if !agrees {
            self.candidates.clear();
        }
        self.candidates.push(point);
        if self.candidates.len() < STEP_REPORTS {
            return false;
        }
        self.reports = std::mem::take(&mut self.candidates).into();
        true
    }

    /// The publisher's wall clock stepped, as its other track showed: only what came after the step counts.
    pub(super) fn adopt_step(&mut self) {
        self.reports = std::mem::take(&mut self.candidates).into();
    }

    /// The publisher's wall seconds at these media seconds, relative to `base_ntp`.
    fn wall_of(&self, seconds: f64) -> Option<f64> {
        let fit = Fit::of(&self.reports)?;
        Some(fit.y + (seconds - fit.x) * fit.slope)
    }

    /// This track's media seconds at the moment that `other` counts as `seconds`, by the publisher's wall clock.
    pub(super) fn seconds_of(&self, other: &Self, seconds: f64) -> Option<f64> {
        let apart = other.base_ntp?.seconds_since(self.base_ntp?);
        let wall = other.wall_of(seconds)? + apart;
        let fit = Fit::of(&self.reports)?;
        Some(fit.x + (wall - fit.y) / fit.slope)
    }
}

/// A line through the reports: least squares through their mean.
struct Fit {
    x: f64,
    y: f64,
    slope: f64,
}

impl Fit {
    fn of(points: &VecDeque<Point>) -> Option<Self> {
        let count = points.len() as f64;
        let (first, last) = (points.front()?, points.back()?);
        let x = points.iter().map(|p| p.0).sum::<f64>() / count;
        let y = points.iter().map(|p| p.1).sum::<f64>() / count;
        if last.0 - first.0 < SLOPE_SPAN_SECS {
            return Some(Self { x, y, slope: 1.0 });
        }
        let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
        let along: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
        let slope = (along / spread).clamp(1.0 - SLOPE_MAX, 1.0 + SLOPE_MAX);
        Some(Self { x, y, slope })
    }
}
