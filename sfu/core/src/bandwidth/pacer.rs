//! Spreads bursts of video over time toward a subscriber whose way is nearly full, so that sound is not held up behind them.
//!
//! A peer with room to spare does not come here: its packets leave as they come. While a queue stands on the way, all video waits
//! here, and sound alone goes out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So much of the rate leaves at once: a group that goes by one segmented send.
const GROUP: Duration = Duration::from_millis(5);
/// What may wait, as time at the pacer's rate, and at least in bytes. What comes beyond is dropped: the way does not carry it, and
/// what waits any longer comes too late.
const WAIT_MAX: Duration = Duration::from_millis(400);
const BYTES_MIN: usize = 30_000;
/// Without a rate so much waits while video is held.
const HELD_BPS: u64 = 10_000_000;
/// Emptied buffers that are kept, 20 KB, as long as it paces.
const SPARE_MAX: usize = 16;

/// A packet that is ready but for its transport-wide number, which it gets when it leaves.
#[derive(Debug)]
pub(crate) struct Paced {
    pub packet: Vec<u8>,
    pub repeatable: bool,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is to be sent now.
    Now,
    /// It waits in the pacer.
    Later,
    /// It is dropped.
    Never,
}

/// The queue. Bounded by [`WAIT_MAX`] at its rate.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    /// Bits per second; `None` does not pace.
    rate: Option<u64>,
    queue: VecDeque<Paced>,
    bytes: usize,
    spare: Vec<Vec<u8>>,
    /// When what has left is through, at this rate.
    free_at: Option<Instant>,
    /// No video leaves before.
    held: Option<Instant>,
}

impl Pacer {
    pub(super) fn set_rate(&mut self, rate: Option<u64>) {
        self.rate = rate.map(|rate| rate.max(50_000));
        if rate.is_none() && self.queue.is_empty() {
            self.spare = Vec::new();
        }
    }

    /// No video leaves until then; `None` holds nothing.
    pub(super) fn hold(&mut self, until: Option<Instant>) {
        self.held = until;
    }

    fn holds_video(&self, now: Instant) -> bool {
        self.held.is_some_and(|until| until > now)
    }

    /// A new packet in two pieces, in order.
    pub(super) fn submit(&mut self, now: Instant, video: bool, (head, rest): (&[u8], &[u8]), repeatable: bool) -> Turn {
        let waits = !self.queue.is_empty() || self.holds_video(now);
        let Some(rate) = self.rate.or_else(|| waits.then_some(HELD_BPS)) else { return Turn::Now };
        if !video || (self.queue.is_empty() && self.is_free(now)) {
            return Turn::Now;
        }
        let most = (rate as f64 / 8.0 * WAIT_MAX.as_secs_f64()) as usize;
        if self.bytes + head.len() + rest.len() > most.max(BYTES_MIN) {
            return Turn::Never;
        }
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.extend_from_slice(head);
        copy.extend_from_slice(rest);
        self.bytes += copy.len();
        self.queue.push_back(Paced { packet: copy, repeatable });
        Turn::Later
    }

    /// Something was sent: the way is busy for that long.
    pub(super) fn spend(&mut self, now: Instant, bytes: usize) {
        let Some(rate) = self.rate else { return };
        let took = Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64);
        self.free_at = Some(self.free_at.map_or(now, |at| at.max(now)) + took);
    }

    pub(super) fn holds(&self) -> bool {
        !self.queue.is_empty()
    }

    /// How long until all that waits is through.
    pub(super) fn delay(&self, now: Instant) -> Duration {
        let held = self.held.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let Some(rate) = self.rate else { return held };
        let busy = self.free_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        held + busy + Duration::from_secs_f64(self.bytes as f64 * 8.0 / rate as f64)
    }

    /// When [`Self::next`] has something to give.
    pub(super) fn due(&self) -> Option<Instant> {
        self.queue.front()?;
        self.free_at.max(self.held)
    }

    /// The next packet that may leave now. To be handed back to [`Self::recycle`].
    pub(super) fn next(&mut self, now: Instant) -> Option<Paced> {
        if self.holds_video(now) || (self.rate.is_some() && !self.is_free(now)) {
            return None;
        }
        let paced = self.queue.pop_front()?;
        self.bytes -= paced.packet.len();
        Some(paced)
    }

    /// Drops what waits of this SSRC; answers how many packets.
    pub(super) fn forget(&mut self, ssrc: u32) -> u64 {
        let before = self.queue.len();
        self.queue.retain(|paced| paced.packet.get(8..12) != Some(ssrc.to_be_bytes().as_slice()));
        self.bytes = self.queue.iter().map(|paced| paced.packet.len()).sum();
        (before - self.queue.len()) as u64
    }

    pub(super) fn recycle(&mut self, paced: Paced) {
        let mut packet = paced.packet;
        packet.clear();
        if self.spare.len() < SPARE_MAX {
            self.spare.push(packet);
        }
    }

    /// Whether what was sent is through within a group's time.
    fn is_free(&self, now: Instant) -> bool {
        !self.holds_video(now) && self.free_at.is_none_or(|at| at <= now + GROUP)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn submit(pacer: &mut Pacer, now: Instant, video: bool, packet: &[u8]) -> Turn {
        let turn = pacer.submit(now, video, (packet, &[]), false);
        if turn == Turn::Now {
            pacer.spend(now, packet.len());
        }
        turn
    }

    fn next(pacer: &mut Pacer, now: Instant) -> Option<u8> {
        let paced = pacer.next(now)?;
        pacer.spend(now, paced.packet.len());
        let first = paced.packet[0];
        pacer.recycle(paced);
        Some(first)
    }

    /// At 1 Mbit/s 1000 bytes are 8 ms.
    fn pacer() -> (Pacer, Instant) {
        let mut pacer = Pacer::default();
        pacer.set_rate(Some(1_000_000));
        (pacer, Instant::now())
    }

    #[test]
    fn a_burst_is_spread() {
        let (mut pacer, start) = pacer();
        assert_eq!((0..5).filter(|_| submit(&mut pacer, start, true, &[0; 1000]) == Turn::Now).count(), 1);
        let mut times = Vec::new();
        while let Some(due) = pacer.due() {
            while next(&mut pacer, due).is_some() {
                times.push((due - start).as_millis());
            }
        }
        assert_eq!(times, [8, 16, 24, 32]);
    }

    #[test]
    fn sound_overtakes_and_order_is_kept() {
        let (mut pacer, start) = pacer();
        let turns: Vec<Turn> = (0..4u8).map(|n| submit(&mut pacer, start, true, &[n; 1000])).collect();
        assert_eq!(turns, [Turn::Now, Turn::Later, Turn::Later, Turn::Later]);
        assert_eq!(submit(&mut pacer, start + ms(1), false, &[9; 100]), Turn::Now);
        let order: Vec<u8> = (0..60).filter_map(|at| next(&mut pacer, start + ms(at))).collect();
        assert_eq!(order, [1, 2, 3]);
        assert_eq!(submit(&mut pacer, start + ms(90), true, &[4; 1000]), Turn::Now, "and the way is free again");
    }

    #[test]
    fn what_the_way_does_not_carry_is_dropped() {
        let (mut pacer, start) = pacer();
        let turns: Vec<Turn> = (0..100).map(|_| submit(&mut pacer, start, true, &[0; 1000])).collect();
        assert_eq!(turns.iter().filter(|turn| **turn == Turn::Later).count(), 50, "400 ms");
        assert_eq!(turns.last(), Some(&Turn::Never));
    }

    #[test]
    fn held_video_waits_and_sound_does_not() {
        for rate in [None, Some(1_000_000)] {
            let (mut pacer, start) = pacer();
            pacer.set_rate(rate);
            pacer.hold(Some(start + ms(100)));
            let turns: Vec<Turn> = (0..3).map(|_| submit(&mut pacer, start, true, &[0; 1000])).collect();
            assert_eq!(turns, [Turn::Later; 3]);
            assert_eq!(submit(&mut pacer, start, false, &[0; 100]), Turn::Now);
            assert_eq!(pacer.due(), Some(start + ms(100)));
            assert!(pacer.next(start + ms(99)).is_none() && pacer.delay(start) >= ms(100));
            assert!(pacer.next(start + ms(100)).is_some());
            pacer.hold(None);
            let most = (0..10_000).filter(|_| submit(&mut pacer, start, true, &[0; 1000]) != Turn::Never).count();
            assert!(rate.is_none() || most < 60, "and it is bounded: {most}");
        }
    }

    #[test]
    fn what_waits_of_a_paused_track_is_dropped() {
        let (mut pacer, start) = pacer();
        let packet = |ssrc: u8| [[0; 11].as_slice(), &[ssrc], &[0; 988]].concat();
        (0..6).for_each(|n| assert_ne!(submit(&mut pacer, start, true, &packet(1 + n % 2)), Turn::Never));
        assert_eq!(pacer.forget(2), 3);
        assert_eq!((pacer.queue.len(), pacer.bytes), (2, 2000));
        assert_eq!(pacer.forget(2), 0);
        assert_eq!(pacer.forget(1), 2);
        assert!(!pacer.holds() && pacer.due().is_none());
    }

    #[test]
    fn without_a_rate_everything_leaves_at_once_and_what_waits_goes_first() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        assert!((0..100).all(|_| submit(&mut pacer, start, true, &[0; 1000]) == Turn::Now));
        pacer.set_rate(Some(1_000_000));
        (0..3).for_each(|_| assert_ne!(submit(&mut pacer, start, true, &[1; 1000]), Turn::Never));
        pacer.set_rate(None);
        assert_eq!(submit(&mut pacer, start, true, &[2; 1000]), Turn::Later);
        let order: Vec<u8> = std::iter::from_fn(|| next(&mut pacer, start)).collect();
        assert_eq!(order, [1, 1, 2]);
    }
}
