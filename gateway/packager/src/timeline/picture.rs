//! Pictures on the programme's time: one offset, slewed while that is enough.

use minamo_media::Timestamp;

use super::{VIDEO_SCALE, VideoTiming};

/// In this time after a track's start its place is only a guess by arrival, and is corrected without a discontinuity.
const SETTLING_SECS: f64 = 10.0;
/// Corrections up to here are slewed while settling, and …
const SETTLING_MAX_SECS: f64 = 0.4;
/// … up to here (a frame at 24 Hz) for the rest of the track's life; larger ones are one discontinuity.
const SLEW_MAX_SECS: f64 = 0.042;
/// So many pictures in a row must ask for a discontinuity.
const STEP_PICTURES: u32 = 5;
/// The share of a correction that one picture takes, and its bound as a share of the time since the picture before.
const GAIN: f64 = 0.1;
const SLEW_RATE: f64 = 0.1;
/// In the first second everything is corrected as fast as pictures can be pushed together.
const FIRST_SECS: f64 = 1.0;
const FIRST_RATE: f64 = 0.5;
/// Least distance of two pictures: 1 ms.
const STEP_MIN: i64 = 90;

#[derive(Debug, Default)]
pub(super) struct Pictures {
    /// Programme minus media seconds.
    offset: Option<f64>,
    first_seconds: f64,
    last_seconds: f64,
    last_pts: Option<i64>,
    /// Pictures in a row that are too far off to be slewed.
    far: u32,
    discontinuity: bool,
}

impl Pictures {
    /// Another track's pictures follow, on another clock.
    pub(super) fn new_track(&mut self) {
        self.offset = None;
        self.far = 0;
        self.discontinuity = self.last_pts.is_some();
    }

    pub(super) fn by_arrival(&mut self, local: f64) -> VideoTiming {
        self.timing(local)
    }

    /// `seconds` is the picture's media time; the targets are programme seconds.
    pub(super) fn place(&mut self, seconds: f64, by_reports: Option<f64>, by_arrival: f64) -> VideoTiming {
        let target = by_reports.unwrap_or(by_arrival) - seconds;
        let offset = match self.offset {
            None => {
                self.first_seconds = seconds;
                target
            }
            Some(offset) => self.corrected(offset, target, seconds, by_reports.is_some()),
        };
        self.offset = Some(offset);
        self.last_seconds = seconds;
        self.timing(seconds + offset)
    }

    fn corrected(&mut self, offset: f64, target: f64, seconds: f64, sure: bool) -> f64 {
        let error = target - offset;
        let age = seconds - self.first_seconds;
        let since = (seconds - self.last_seconds).clamp(0.0, 1.0);
        let limit = if age < SETTLING_SECS { SETTLING_MAX_SECS } else { SLEW_MAX_SECS };
        if sure && error.abs() > limit {
            self.far += 1;
            if self.far >= STEP_PICTURES {
                self.far = 0;
                self.discontinuity = true;
                return target;
            }
            return offset;
        }
        self.far = 0;
        let (gain, rate) = if age < FIRST_SECS { (1.0, FIRST_RATE) } else { (GAIN, SLEW_RATE) };
        let bound = since * rate;
        offset + (error * gain).clamp(-bound, bound)
    }

    fn timing(&mut self, programme_secs: f64) -> VideoTiming {
        let natural = (programme_secs * f64::from(VIDEO_SCALE)).round() as i64;
        let pts = self.last_pts.map_or(natural.max(0), |last| natural.max(last + STEP_MIN));
        self.last_pts = Some(pts);
        let discontinuity = std::mem::take(&mut self.discontinuity);
        VideoTiming { pts: Timestamp::new(pts, VIDEO_SCALE), discontinuity }
    }
}
