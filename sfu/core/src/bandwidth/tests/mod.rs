//! The estimator on links in virtual time.
#![allow(clippy::disallowed_methods)] // a test needs some Instant to begin with

mod link;
mod recovery;
mod scenarios;
mod subscriber;

use std::time::{Duration, Instant};

use self::link::{Conditions, Link};
use super::estimator::Estimator;

const STEP_US: i64 = 1_000;

/// What a subscriber is sent.
#[derive(Clone, Copy)]
enum Video {
    /// As much as the estimate allows, up to this rate: many fine layers.
    Adaptive(f64),
    /// The best of these rates that the estimate allows, with some room; always the first.
    Layers([f64; 3]),
    /// This rate, whatever the estimate says: nobody allocates.
    Fixed(f64),
}

/// A sender of 30 pictures and 50 audio packets a second, its estimator and the link.
struct World {
    start: Instant,
    now_us: i64,
    estimator: Estimator,
    link: Link,
    video: Video,
    wire: Vec<(i64, Vec<u8>)>,
    picture_due: i64,
    audio_due: i64,
    report_due: i64,
    /// Estimates, one each 100 ms, since the last [`World::run`].
    estimates: Vec<f64>,
    audio_sent: u64,
    padding: u64,
    sent: u64,
}

impl World {
    fn new(conditions: Conditions, video: Video, seed: u64) -> Self {
        let start = Instant::now();
        Self {
            start,
            now_us: 0,
            estimator: Estimator::new(start),
            link: Link::new(conditions, seed),
            video,
            wire: Vec::new(),
            picture_due: 0,
            audio_due: 0,
            report_due: 50_000,
            estimates: Vec::new(),
            audio_sent: 0,
            padding: 0,
            sent: 0,
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_micros(self.now_us as u64)
    }

    fn bps(&self) -> f64 {
        self.estimator.estimate().map_or(super::estimator::FIRST_BPS as f64, |bps| bps as f64)
    }

    fn wanted(&self) -> f64 {
        match self.video {
            Video::Adaptive(most) | Video::Fixed(most) => most,
            Video::Layers(layers) => layers[2],
        }
    }

    fn video_bps(&self) -> f64 {
        let budget = self.bps() - 60_000.0;
        match self.video {
            Video::Adaptive(most) => (0.95 * budget).clamp(50_000.0, most),
            Video::Fixed(rate) => rate,
            Video::Layers(layers) => layers.into_iter().rev().find(|rate| 1.1 * rate < budget).unwrap_or(layers[0]),
        }
    }

    fn run(&mut self, seconds: f64) -> &[f64] {
        self.estimates.clear();
        self.link.queued_us = 0;
        let end = self.now_us + (seconds * 1e6) as i64;
        while self.now_us < end {
            self.now_us += STEP_US;
            self.step();
        }
        &self.estimates
    }

    fn step(&mut self) {
        let (now, now_us) = (self.now(), self.now_us);
        let due: Vec<_> = self.wire.extract_if(.., |(at, _)| *at <= now_us).collect();
        for (_, message) in due {
            self.estimator.rtt(Duration::from_micros(2 * self.link.conditions.delay_us as u64));
            assert!(self.estimator.feedback(now, &message));
        }
        if self.audio_due <= now_us {
            self.audio_due += 20_000;
            self.audio_sent += 1;
            self.send(120);
        }
        if self.picture_due <= now_us {
            self.picture_due += 33_333;
            let noise = 0.7 + 0.6 * self.link.dice.roll();
            let mut bytes = (self.video_bps() / 8.0 / 30.0 * noise) as usize;
            while bytes > 0 {
                let size = bytes.min(1150);
                self.send(size);
                bytes -= size;
            }
        }
        let mut padding = self.estimator.poll_probe(now, self.wanted() as u64);
        while padding > 0 {
            self.padding += 1;
            self.send(270);
            padding = padding.saturating_sub(270 + 44);
        }
        if self.report_due <= now_us {
            self.report_due += 50_000;
            self.wire.extend(self.link.report(now_us).map(|message| (now_us + self.link.conditions.delay_us, message)));
        }
        if now_us % 100_000 == 0 {
            self.estimates.push(self.bps());
        }
    }

    fn send(&mut self, size: usize) {
        let sequence = self.estimator.upcoming();
        self.estimator.sent(self.now(), size);
        self.link.send(self.now_us, sequence, size);
        self.sent += 1;
    }
}

fn mean(list: &[f64]) -> f64 {
    list.iter().sum::<f64>() / list.len() as f64
}

/// Seconds until the estimates are on that side of `bps`; `None` if they never are.
fn until(list: &[f64], test: impl Fn(f64) -> bool) -> Option<f64> {
    list.iter().position(|bps| test(*bps)).map(|at| at as f64 / 10.0)
}
