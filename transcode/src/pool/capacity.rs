//! How many pixels per second the pool's threads may be promised.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{PoolConfig, Refused};
use crate::picture::Picture;
use crate::{OpenH264Encoder, Profile, VideoEncoder, VideoSettings};

/// Trusted until the measurement is done: what a slow machine does.
const ASSUMED: u64 = 50_000_000;
/// Of what was measured: content differs, and the machine has other work.
const TRUSTED: f64 = 0.75;

/// What is used of what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Worker threads.
    pub threads: usize,
    /// Pixels per second that may be promised in all.
    pub capacity: u64,
    /// Pixels per second that are promised.
    pub used: u64,
    /// Jobs that run.
    pub jobs: usize,
    /// Time that threads have worked since the start, summed.
    pub busy: Duration,
}

pub(super) struct Capacity {
    threads: usize,
    measured: bool,
    per_thread: AtomicU64,
    used: AtomicU64,
    jobs: AtomicUsize,
    busy_nanos: AtomicU64,
}

impl Capacity {
    pub(super) fn new(config: &PoolConfig) -> Self {
        Self {
            threads: config.threads,
            measured: config.pixels_per_second.is_some(),
            per_thread: AtomicU64::new(config.pixels_per_second.unwrap_or(ASSUMED)),
            used: AtomicU64::new(0),
            jobs: AtomicUsize::new(0),
            busy_nanos: AtomicU64::new(0),
        }
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    fn total(&self) -> u64 {
        self.per_thread.load(Ordering::Relaxed).saturating_mul(self.threads as u64)
    }

    pub(super) fn load(&self) -> Load {
        Load {
            threads: self.threads,
            capacity: self.total(),
            used: self.used.load(Ordering::Relaxed),
            jobs: self.jobs.load(Ordering::Relaxed),
            busy: Duration::from_nanos(self.busy_nanos.load(Ordering::Relaxed)),
        }
    }

    pub(super) fn worked(&self, time: Duration) {
        self.busy_nanos.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(super) fn reserve(self: &Arc<Self>, cost: u64) -> Result<Room, Refused> {
        let mut room = Room { capacity: self.clone(), cost: 0 };
        self.jobs.fetch_add(1, Ordering::Relaxed);
        room.resize(cost)?;
        Ok(room)
    }

    /// Unless it was declared. Takes some tens of milliseconds of the calling thread.
    pub(super) fn measure(&self) {
        if !self.measured
            && let Some(speed) = encoding_speed()
        {
            self.per_thread.store((speed * TRUSTED) as u64, Ordering::Relaxed);
        }
    }
}

/// A job's part of the capacity; gives it back when dropped.
pub(super) struct Room {
    capacity: Arc<Capacity>,
    cost: u64,
}

impl Room {
    /// Less always succeeds; more only where it is free. On failure it stays as it was.
    pub(super) fn resize(&mut self, cost: u64) -> Result<(), Refused> {
        let total = self.capacity.total();
        let mine = self.cost;
        let fits = |used: u64| {
            let others = used - mine;
            (cost <= mine || others.saturating_add(cost) <= total).then(|| others.saturating_add(cost))
        };
        match self.capacity.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => {
                self.cost = cost;
                Ok(())
            }
            Err(used) => Err(Refused::Full { needed: cost, free: total.saturating_sub(used - mine) }),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.capacity.used.fetch_sub(self.cost, Ordering::Relaxed);
        self.capacity.jobs.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Pixels per second that this thread encodes of a picture that moves: the best of three, as others only ever take time away.
fn encoding_speed() -> Option<f64> {
    const SIZE: (usize, usize) = (640, 360);
    let settings = VideoSettings { bitrate: 800_000, fps: 30.0, profile: Profile::Baseline };
    let mut encoder = OpenH264Encoder::new(settings).ok()?;
    let mut picture = Picture::black(SIZE.0, SIZE.1);
    let mut best: f64 = 0.0;
    let mut time = 0;
    for _ in 0..3 {
        let mut spent = Duration::ZERO;
        for _ in 0..8 {
            time += 1;
            paint(&mut picture, time);
            let start = Instant::now();
            encoder.encode(picture.view()).ok()?;
            spent += start.elapsed();
        }
        best = best.max((SIZE.0 * SIZE.1 * 8) as f64 / spent.as_secs_f64().max(1e-6));
    }
    Some(best)
}

/// Waves that travel, and a little noise: not the easiest content, not the hardest.
fn paint(picture: &mut Picture, time: usize) {
    let width = picture.width();
    let mut noise = time as u32;
    for (n, pixel) in picture.planes_mut()[0].iter_mut().enumerate() {
        let (x, y) = (n % width + 3 * time, n / width + 2 * time);
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let wave = (x & 63).abs_diff(32) * 3 + (y & 31).abs_diff(16) * 4;
        *pixel = (40 + wave + (noise >> 29) as usize) as u8;
    }
}
