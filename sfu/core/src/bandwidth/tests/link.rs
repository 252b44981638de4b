//! A link in virtual time: a bottleneck with a queue, a delay each way, random loss; and a receiver that writes feedback.

use std::collections::VecDeque;

use crate::rtcp::Feedback;

/// A small generator with a seed: the same run every time.
pub(super) struct Dice(pub u64);

impl Dice {
    pub(super) fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1u32 << 31)
    }
}

/// What the link does now.
#[derive(Clone, Copy)]
pub(super) struct Conditions {
    pub bps: f64,
    pub delay_us: i64,
    pub jitter_us: i64,
    pub loss: f64,
    /// The bottleneck's queue; what comes beyond is dropped.
    pub queue_us: i64,
    /// The receiver looks for packets this often and takes all of them to have come then.
    pub batch_us: i64,
}

impl Conditions {
    pub(super) const fn rate(bps: f64) -> Self {
        Self { bps, delay_us: 25_000, jitter_us: 0, loss: 0.0, queue_us: 500_000, batch_us: 1 }
    }
}

struct Travelling {
    at_us: i64,
    sequence: u16,
}

/// The link and the receiver at its end. All times in microseconds since the start.
pub(super) struct Link {
    pub conditions: Conditions,
    pub dice: Dice,
    free_at_us: i64,
    travelling: VecDeque<Travelling>,
    arrived: Vec<(u16, i64)>,
    next_report: Option<u16>,
    count: u8,
    /// The longest that a packet waited in the queue since this was last reset.
    pub queued_us: i64,
    pub dropped: u64,
}

impl Link {
    pub(super) fn new(conditions: Conditions, seed: u64) -> Self {
        Self {
            conditions,
            dice: Dice(seed),
            free_at_us: 0,
            travelling: VecDeque::new(),
            arrived: Vec::new(),
            next_report: None,
            count: 0,
            queued_us: 0,
            dropped: 0,
        }
    }

    /// When it arrives; `None` if it is lost.
    pub(super) fn send(&mut self, now_us: i64, sequence: u16, size: usize) -> Option<i64> {
        let Conditions { bps, delay_us, jitter_us, loss, queue_us, batch_us } = self.conditions;
        let begin = self.free_at_us.max(now_us);
        let lost = self.dice.roll() < loss;
        let jitter = (self.dice.roll() * jitter_us as f64) as i64;
        if begin - now_us > queue_us || lost {
            self.dropped += u64::from(!lost);
            return None;
        }
        self.queued_us = self.queued_us.max(begin - now_us);
        self.free_at_us = begin + (((size + 44) * 8) as f64 * 1e6 / bps) as i64;
        let at_us = (self.free_at_us + delay_us + jitter + batch_us - 1) / batch_us * batch_us;
        self.travelling.push_back(Travelling { at_us, sequence });
        Some(at_us)
    }

    /// What the receiver says now. It reaches the sender a delay later, unless it is lost.
    pub(super) fn report(&mut self, now_us: i64) -> Option<Vec<u8>> {
        self.travelling.retain(|packet| {
            let there = packet.at_us <= now_us;
            if there {
                self.arrived.push((packet.sequence, packet.at_us));
            }
            !there
        });
        let newest = self
            .arrived
            .iter()
            .map(|(sequence, _)| *sequence)
            .max_by_key(|sequence| sequence.wrapping_sub(self.arrived[0].0) as i16)?;
        let oldest = self
            .arrived
            .iter()
            .map(|(sequence, _)| *sequence)
            .min_by_key(|sequence| sequence.wrapping_sub(self.arrived[0].0) as i16)?;
        let expected = self.next_report.unwrap_or(oldest);
        let base = if (oldest.wrapping_sub(expected) as i16) < 0 { oldest } else { expected };
        let mut arrivals = vec![None; usize::from(newest.wrapping_sub(base)) + 1];
        for (sequence, at) in self.arrived.drain(..) {
            // The receiver's clock began long ago.
            arrivals[usize::from(sequence.wrapping_sub(base))] = Some(at + 77_000_000_000);
        }
        self.next_report = Some(newest.wrapping_add(1));
        let mut message = Vec::new();
        self.count = self.count.wrapping_add(1);
        Feedback { sender: 1, media: 2, count: self.count, base, arrivals: &arrivals }.write(&mut message);
        (self.dice.roll() >= self.conditions.loss).then_some(message)
    }
}
