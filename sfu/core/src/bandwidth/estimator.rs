//! What the way to one subscriber carries, from what it says about the packets that it was sent.

use std::time::{Duration, Instant};

use super::goodput::Goodput;
use super::groups::Groups;
use super::ledger::Ledger;
use super::loss::Loss;
use super::probe::Probes;
use super::rate::Rate;
use super::standing::Standing;
use super::trend::{Trend, Usage};
use crate::rtcp::Arrivals;

/// Before anything is known, in bits per second.
pub(crate) const FIRST_BPS: u64 = 600_000;
/// Without a probe's result so much feedback makes the estimate good for something.
const CONFIRMED_AFTER: Duration = Duration::from_secs(2);
/// After the last sign of congestion the way counts as full for so long.
const STRAINED: Duration = Duration::from_secs(10);
/// What a packet costs on the wire besides itself: UDP, IPv4, the SRTP tag.
const OVERHEAD: usize = 28 + 16;

/// The estimator of one peer, a value: the time is told.
#[derive(Debug)]
pub(crate) struct Estimator {
    start: Instant,
    /// When a packet left last, and that in microseconds since the start: those of a burst leave together.
    sent_at: (Instant, u32),
    ledger: Ledger,
    groups: Groups,
    trend: Trend,
    goodput: Goodput,
    rate: Rate,
    loss: Loss,
    probes: Probes,
    standing: Standing,
    /// Until when video is held, because a queue stands on the way.
    hold: Option<Instant>,
    rtt: Duration,
    reference_us: Option<i64>,
    confirmed: bool,
    first_feedback: Option<Instant>,
}

impl Estimator {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            sent_at: (start, 0),
            ledger: Ledger::new(),
            groups: Groups::default(),
            trend: Trend::new(),
            goodput: Goodput::default(),
            rate: Rate::new(FIRST_BPS as f64),
            loss: Loss::default(),
            probes: Probes::new(),
            standing: Standing::default(),
            hold: None,
            rtt: Duration::from_millis(100),
            reference_us: None,
            confirmed: false,
            first_feedback: None,
        }
    }

    /// The transport-wide sequence number of the next packet.
    pub(crate) fn upcoming(&self) -> u16 {
        self.ledger.upcoming()
    }

    /// The packet with the number of [`Self::upcoming`] leaves now; `size` is that of the plain RTP packet.
    pub(crate) fn sent(&mut self, now: Instant, size: usize) {
        let size = u16::try_from(size + OVERHEAD).unwrap_or(u16::MAX);
        let end = self.ledger.end() + 1;
        let probe = self.probes.sent(now, size, end);
        if self.sent_at.0 != now {
            self.sent_at = (now, self.us(now));
        }
        self.ledger.push(self.sent_at.1, size, probe);
    }

    /// See [`super::Way::warm`].
    pub(super) fn warm(&self) -> u64 {
        self.ledger.warm() ^ u64::from(self.probes.are_running()) ^ u64::from(self.sent_at.1)
    }

    /// The round-trip time, from receiver reports.
    pub(crate) fn rtt(&mut self, rtt: Duration) {
        self.rtt = rtt;
    }

    /// What the way carries, in bits per second on the wire; `None` until that is known.
    pub(crate) fn estimate(&self) -> Option<u64> {
        self.confirmed.then(|| self.bps() as u64)
    }

    /// The share of packets that got lost in the last second or so.
    pub(crate) fn loss(&self) -> f64 {
        self.loss.share()
    }

    /// Whether a queue grows on the way.
    pub(crate) fn congested(&self) -> bool {
        self.usage() == Usage::Over
    }

    fn usage(&self) -> Usage {
        match self.trend.usage() {
            // A slope of jitter alone.
            Usage::Over if !self.standing.is_queue() => Usage::Normal,
            usage => usage,
        }
    }

    /// Whether it was too much lately, by delay or by loss.
    pub(crate) fn strained(&self, now: Instant) -> bool {
        let decreased = self.rate.decreased().is_some_and(|at| now.saturating_duration_since(at) < STRAINED);
        decreased || self.congested() || self.loss.limit().is_some()
    }

    /// Until when video is held back, so that a queue on the way drains; `None` where none stands.
    pub(crate) fn hold(&self) -> Option<Instant> {
        self.hold
    }

    /// When [`Self::poll_probe`] may have something to say.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.probes.due()
    }

    /// Bytes of padding to send now, to find out whether the way carries more. `wanted` is what would be sent if it did, in bits per second.
    pub(crate) fn poll_probe(&mut self, now: Instant, wanted: u64) -> usize {
        let bps = self.bps();
        self.probes.padding(now, bps, wanted as f64, self.rate.decreased())
    }

    /// A feedback message: the whole RTCP packet. False if it is malformed.
    pub(crate) fn feedback(&mut self, now: Instant, message: &[u8]) -> bool {
        let Some(arrivals) = Arrivals::read(message) else { return false };
        let Some(base) = self.ledger.extend(arrivals.base) else { return true };
        let reference_us = self.reference(arrivals.reference_us);
        let end = base + u64::from(arrivals.statuses);
        for (seq, arrival) in (base..).zip(arrivals) {
            match arrival {
                Some(at) => self.arrived(seq, reference_us + at),
                None => self.ledger.missing(seq),
            }
        }
        self.conclude(now, end);
        true
    }

    fn arrived(&mut self, seq: u64, arrived_us: i64) {
        let Some(arrival) = self.ledger.arrived(seq, arrived_us) else { return };
        self.goodput.arrived(arrival.arrived_us, arrival.size);
        self.standing.arrived(&arrival);
        self.probes.arrived(&arrival);
        if let Some(variation) = self.groups.push(&arrival) {
            self.trend.push(variation);
        }
    }

    fn conclude(&mut self, now: Instant, end: u64) {
        self.hold = self.standing.conclude(now);
        let goodput = self.goodput.bps();
        // The queue that a probe makes is its own doing.
        if !(self.probes.are_running() && self.congested()) {
            self.rate.update(now, self.usage(), goodput, self.rtt);
        }
        let judged = self.ledger.judge(end);
        self.loss.update(now, judged, self.rate.bps(), goodput);
        if let Some(found) = self.probes.result(now, end, self.bps()) {
            if found > self.bps() || !self.confirmed {
                self.rate.set(now, found);
                self.loss.lift(found);
            }
            self.confirmed = true;
        }
        let first = *self.first_feedback.get_or_insert(now);
        self.confirmed |= self.congested() || now.saturating_duration_since(first) > CONFIRMED_AFTER;
    }

    fn bps(&self) -> f64 {
        self.loss.limit().map_or(self.rate.bps(), |limit| limit.min(self.rate.bps()))
    }

    /// The message's reference time, unwrapped.
    fn reference(&mut self, reference_us: i64) -> i64 {
        const PERIOD: i64 = Arrivals::REFERENCE_PERIOD_US;
        let before = self.reference_us.unwrap_or(reference_us);
        let step = (reference_us - before).rem_euclid(PERIOD);
        let step = if step > PERIOD / 2 { step - PERIOD } else { step };
        *self.reference_us.insert(before + step)
    }

    fn us(&self, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(self.start);
        (elapsed.as_secs() as u32).wrapping_mul(1_000_000).wrapping_add(elapsed.subsec_micros())
    }
}
