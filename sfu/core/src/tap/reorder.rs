//! Packets back into the order in which they were sent, waiting a bounded time for those that are missing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use minamo_media::Kind;
use minamo_media::rtp::SequenceExtender;

/// A packet behind a gap waits this long for a retransmission, on video: three round trips of 100 ms, with tolerance.
pub(super) const WAIT_MAX: Duration = Duration::from_millis(400);
/// On audio: one such round trip. What is still missing then is concealed, and hardly heard.
const WAIT_AUDIO: Duration = Duration::from_millis(200);
/// Packets that wait; at the bound the gap is given up at once.
const WAITING_MAX: usize = 1024;
/// A packet this far away from the expected one begins a new count, if the next one follows it.
const JUMP_MAX: i64 = 3000;

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next packet, and when it arrived.
    Packet(Instant, Bytes),
    /// The packets before the next one are lost for good.
    Gap,
}

/// The reorder buffer of one track.
#[derive(Debug)]
pub(super) struct Reorder {
    wait: Duration,
    extender: SequenceExtender,
    ssrc: Option<u32>,
    next: Option<u64>,
    waiting: BTreeMap<u64, (Instant, Bytes)>,
    gap: bool,
    stray: Option<u16>,
}

impl Reorder {
    pub(super) fn new(kind: Kind) -> Self {
        let wait = if kind == Kind::Video { WAIT_MAX } else { WAIT_AUDIO };
        Self {
            wait,
            extender: SequenceExtender::new(),
            ssrc: None,
            next: None,
            waiting: BTreeMap::new(),
            gap: false,
            stray: None,
        }
    }

    /// A packet in order of arrival. False if it is late, double or a stray.
    pub(super) fn push(&mut self, arrival: Instant, ssrc: u32, sequence: u16, packet: Bytes) -> bool {
        if self.ssrc.replace(ssrc).is_some_and(|before| before != ssrc) {
            self.restart();
        }
        let mut seq = self.extender.peek(sequence);
        let distance = self.next.map_or(0, |next| seq as i64 - next as i64);
        if distance.abs() > JUMP_MAX {
            if self.stray != Some(sequence) {
                self.stray = Some(sequence.wrapping_add(1));
                return false;
            }
            self.restart();
            seq = self.extender.peek(sequence);
        }
        self.stray = None;
        if self.next.is_some_and(|next| seq < next) || self.waiting.contains_key(&seq) {
            return false;
        }
        self.extender.extend(sequence);
        self.next.get_or_insert(seq);
        self.waiting.insert(seq, (arrival, packet));
        true
    }

    /// Another source: what waits is of the old one.
    fn restart(&mut self) {
        self.extender = SequenceExtender::new();
        self.waiting.clear();
        self.gap |= self.next.take().is_some();
        self.stray = None;
    }

    /// The next step, if it can be taken by now.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Step> {
        if self.due().is_some_and(|due| due <= now) || self.waiting.len() > WAITING_MAX {
            self.skip();
        }
        if std::mem::take(&mut self.gap) {
            return Some(Step::Gap);
        }
        let next = self.next?;
        let (arrival, packet) = self.waiting.remove(&next)?;
        self.next = Some(next + 1);
        Some(Step::Packet(arrival, packet))
    }

    /// Gives up on what is missing before the first packet that waits.
    pub(super) fn skip(&mut self) {
        let first = self.waiting.first_key_value().map(|(seq, _)| *seq);
        if first.is_some() && first != self.next {
            self.next = first;
            self.gap = true;
        }
    }

    /// When to give up; `None` while nothing is missing. The packet right behind the gap is the one that has waited since the gap
    /// was seen or later, so the earliest arrival of all that wait counts.
    pub(super) fn due(&self) -> Option<Instant> {
        let (first, _) = self.waiting.first_key_value()?;
        if Some(*first) == self.next {
            return None;
        }
        self.waiting.values().map(|(arrival, _)| *arrival).min().map(|arrival| arrival + self.wait)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use super::*;

    struct Bench {
        start: Instant,
        reorder: Reorder,
    }

    impl Bench {
        fn new() -> Self {
            Self { start: Instant::now(), reorder: Reorder::new(Kind::Video) }
        }

        fn push(&mut self, ms: u64, sequence: u16) -> bool {
            self.reorder.push(
                self.start + Duration::from_millis(ms),
                1,
                sequence,
                Bytes::copy_from_slice(&sequence.to_be_bytes()),
            )
        }

        /// Sequence numbers, `None` for a gap.
        fn steps(&mut self, ms: u64) -> Vec<Option<u16>> {
            let now = self.start + Duration::from_millis(ms);
            std::iter::from_fn(|| self.reorder.poll(now))
                .map(|step| match step {
                    Step::Packet(_, packet) => Some(u16::from_be_bytes([packet[0], packet[1]])),
                    Step::Gap => None,
                })
                .collect()
        }
    }

    #[test]
    fn overtaken_packets_come_in_order_without_waiting() {
        let mut bench = Bench::new();
        for (ms, seq) in [(0, 65_535), (1, 1), (2, 0), (3, 2)] {
            bench.push(ms, seq);
        }
        assert_eq!(bench.steps(3), [Some(65_535), Some(0), Some(1), Some(2)]);
        assert_eq!(bench.reorder.due(), None);
        assert!(!bench.push(4, 1));
    }

    #[test]
    fn what_is_missing_is_waited_for_and_given_up() {
        let mut bench = Bench::new();
        bench.push(0, 10);
        bench.push(5, 12);
        assert_eq!(bench.steps(404), [Some(10)]);
        assert_eq!(bench.reorder.due(), Some(bench.start + Duration::from_millis(405)));
        assert_eq!(bench.steps(405), [None, Some(12)]);
        assert!(!bench.push(406, 11));
        bench.push(407, 13);
        assert_eq!(bench.steps(407), [Some(13)]);
    }

    #[test]
    fn a_full_buffer_gives_up_at_once() {
        let mut bench = Bench::new();
        bench.push(0, 0);
        for seq in 2..2 + 1025 {
            bench.push(1, seq);
        }
        assert_eq!(bench.steps(1).len(), 1 + 1 + 1025);
    }

    #[test]
    fn another_source_or_count_is_a_gap() {
        let mut bench = Bench::new();
        bench.push(0, 10);
        assert_eq!(bench.steps(0), [Some(10)]);
        assert!(!bench.push(1, 30_000));
        assert!(bench.push(2, 30_001));
        assert_eq!(bench.steps(2), [None, Some(30_001)]);
        let later = bench.start + Duration::from_millis(3);
        assert!(bench.reorder.push(later, 2, 7, Bytes::from_static(&[0, 7])));
        assert_eq!(bench.steps(3), [None, Some(7)]);
    }
}
