//! Probes: a short burst at a higher rate that shows whether the way carries it.

use std::time::{Duration, Instant};

use super::ledger::Arrival;

/// A probe lasts so long and has so many packets, at least.
const LENGTH: Duration = Duration::from_millis(25);
const PACKETS_MIN: u32 = 8;
/// Between two instalments of a probe's padding.
const INSTALMENT: Duration = Duration::from_millis(2);
/// A probe's end is waited for so long: its feedback may be lost.
const RESULT_WAIT: Duration = Duration::from_millis(1200);
/// Between probes that found nothing more, at first and at most.
const PAUSE: Duration = Duration::from_secs(3);
const PAUSE_MAX: Duration = Duration::from_secs(6);
/// After the rate went down there is no room for so long.
const REST: Duration = Duration::from_secs(2);
/// The rate of the first probe, and of later ones, relative to the estimate.
const FIRST: f64 = 4.0;
const NEXT: f64 = 2.0;
/// A probe that found this share of its target may be followed by a higher one at once.
const FURTHER: f64 = 0.7;
/// More than is wanted is asked for, so that the estimate has room above it.
const ROOM: f64 = 1.3;
/// Packets that must have arrived, as a share of those sent.
const ARRIVED: f64 = 0.75;
/// Below this share of the sending rate the way was full; then this share of what arrived is safe.
const FULL: f64 = 0.9;
const SAFE: f64 = 0.95;

/// One probe's packets.
#[derive(Clone, Copy, Debug)]
struct Cluster {
    id: u8,
    target_bps: f64,
    began: Instant,
    /// Bytes and packets sent as a part of it.
    bytes: u32,
    packets: u32,
    /// One past the transport-wide number of its last packet; known when it is complete.
    end: Option<u64>,
    measured: Measured,
}

/// Sums for two lines: when packets left and when they arrived, over the bytes so far. A line is not deceived by jitter as the
/// distance of the first and the last packet is.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    packets: u32,
    bytes: f64,
    bytes_square: f64,
    /// Sum of times and of times with bytes: sent, arrived.
    sent: (f64, f64),
    arrived: (f64, f64),
    /// The bytes so far, the first packet's times.
    so_far: f64,
    first: Option<(u32, i64)>,
}

/// Whether and how fast to probe.
#[derive(Debug)]
pub(super) struct Probes {
    running: Option<Cluster>,
    latest_id: u8,
    /// When the next may begin.
    next: Option<Instant>,
    pause: Duration,
    instalment: Option<Instant>,
    done: u32,
}

impl Probes {
    pub(super) fn new() -> Self {
        Self { running: None, latest_id: 0, next: None, pause: PAUSE, instalment: None, done: 0 }
    }

    /// The probe that a packet which is sent now is part of; 0 for none.
    pub(super) fn sent(&mut self, now: Instant, size: u16, end: u64) -> u8 {
        let Some(cluster) = self.running.as_mut().filter(|cluster| cluster.end.is_none()) else { return 0 };
        cluster.bytes += u32::from(size);
        cluster.packets += 1;
        let long = now.saturating_duration_since(cluster.began) >= LENGTH;
        if long && cluster.packets >= PACKETS_MIN && f64::from(cluster.bytes) >= cluster.target_bps * LENGTH.as_secs_f64() / 8.0 {
            cluster.end = Some(end);
            self.instalment = None;
        }
        cluster.id
    }

    /// Whether a probe is on its way.
    pub(super) fn are_running(&self) -> bool {
        self.running.is_some()
    }

    /// When [`Self::padding`] has something to say; `None` while nothing is wanted.
    pub(super) fn due(&self) -> Option<Instant> {
        self.instalment.or(self.next.filter(|_| self.running.is_none()))
    }

    /// Bytes of padding that are to be sent now. `wanted` is the rate that would be used if it were there; `bps` the estimate.
    pub(super) fn padding(&mut self, now: Instant, bps: f64, wanted: f64, decreased: Option<Instant>) -> usize {
        if self.running.as_ref().is_some_and(|cluster| now.saturating_duration_since(cluster.began) > RESULT_WAIT) {
            self.finish(now, false);
        }
        if self.running.is_none() {
            self.begin(now, bps, wanted, decreased);
        }
        let Some(cluster) = self.running.as_ref().filter(|cluster| cluster.end.is_none()) else { return 0 };
        if self.instalment.is_none_or(|at| at > now) {
            return 0;
        }
        self.instalment = Some(now + INSTALMENT);
        let elapsed = now.saturating_duration_since(cluster.began) + INSTALMENT;
        (cluster.target_bps * elapsed.as_secs_f64() / 8.0 - f64::from(cluster.bytes)).max(1.0) as usize
    }

    fn begin(&mut self, now: Instant, bps: f64, wanted: f64, decreased: Option<Instant>) {
        let target = (ROOM * wanted).min(bps * if self.done == 0 { FIRST } else { NEXT });
        if target <= bps * 1.05 {
            self.next = None;
            return;
        }
        let earliest = decreased.map_or(now, |at| at + REST);
        let next = self.next.map_or(earliest, |next| next.max(earliest));
        if next > now {
            self.next = Some(next);
            return;
        }
        // 0 is no probe's.
        self.latest_id = self.latest_id.checked_add(1).unwrap_or(1);
        let measured = Measured::default();
        self.running =
            Some(Cluster { id: self.latest_id, target_bps: target, began: now, bytes: 0, packets: 0, end: None, measured });
        self.instalment = Some(now);
    }

    /// A packet has arrived.
    pub(super) fn arrived(&mut self, arrival: &Arrival) {
        if let Some(cluster) = self.running.as_mut().filter(|cluster| arrival.probe != 0 && cluster.id == arrival.probe) {
            cluster.measured.push(arrival);
        }
    }

    /// Feedback reaches up to this number: what the probe has found, once it is complete. In bits per second.
    pub(super) fn result(&mut self, now: Instant, told: u64, bps: f64) -> Option<f64> {
        let cluster = self.running.as_ref().filter(|cluster| cluster.end.is_some_and(|end| told >= end))?;
        let found = cluster.measured.rate(cluster.packets);
        let target = cluster.target_bps;
        self.finish(now, found.is_some_and(|found| found > FURTHER * target && found > bps));
        found
    }

    fn finish(&mut self, now: Instant, further: bool) {
        self.running = None;
        self.instalment = None;
        self.done += 1;
        self.pause = if further { PAUSE } else { (self.pause * 5 / 4).min(PAUSE_MAX) };
        self.next = Some(if further { now } else { now + self.pause });
    }
}

/// Bits per second; infinite where everything is at one time, `None` where the times do not rise.
fn rate(us_per_byte: f64) -> Option<f64> {
    (us_per_byte >= 0.0).then(|| if us_per_byte > 0.01 { 8e6 / us_per_byte } else { f64::INFINITY })
}

impl Measured {
    fn push(&mut self, arrival: &Arrival) {
        let (first_sent, first_arrived) = *self.first.get_or_insert((arrival.sent_us, arrival.arrived_us));
        let sent = f64::from(arrival.sent_us.wrapping_sub(first_sent) as i32);
        let arrived = (arrival.arrived_us - first_arrived) as f64;
        let bytes = self.so_far;
        self.so_far += f64::from(arrival.size);
        self.packets += 1;
        self.bytes += bytes;
        self.bytes_square += bytes * bytes;
        self.sent = (self.sent.0 + sent, self.sent.1 + sent * bytes);
        self.arrived = (self.arrived.0 + arrived, self.arrived.1 + arrived * bytes);
    }

    /// What the way carries, by this probe of so many packets; `None` if too few came or they tell nothing.
    fn rate(&self, sent_packets: u32) -> Option<f64> {
        if f64::from(self.packets) < ARRIVED * f64::from(sent_packets) {
            return None;
        }
        let up = rate(self.us_per_byte(self.sent)).filter(|up| up.is_finite())?;
        // A receiver that takes packets from its system in batches says that all came at once: no slower than they were sent.
        let down = rate(self.us_per_byte(self.arrived))?;
        Some(if down < FULL * up { SAFE * down } else { up.min(down) })
    }

    /// The slope of the line of times over bytes.
    fn us_per_byte(&self, (times, products): (f64, f64)) -> f64 {
        let count = f64::from(self.packets);
        let spread = count * self.bytes_square - self.bytes * self.bytes;
        (count * products - self.bytes * times) / spread
    }
}
