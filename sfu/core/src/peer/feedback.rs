//! When a publisher's packets arrived, for its congestion control: the ledger behind transport-wide feedback.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use minamo_media::rtp::SequenceExtender;

use crate::rtcp::Feedback;

/// From the first unreported packet to its report. The draft asks for 50–100 ms; Chromium's estimate grows fast at 50.
const INTERVAL: Duration = Duration::from_millis(50);
/// Statuses in one message: 1 KB of large deltas.
const STATUSES_MAX: usize = 400;
/// Reported packets remembered, so that one that was overtaken across a report still gets its arrival told.
const BEHIND_MAX: usize = 128;
/// Statuses remembered at all. A larger jump starts anew: the sender will see the old ones as unreported.
const WINDOW: usize = 2048;

/// Arrivals by transport-wide sequence number, one ledger for each peer.
#[derive(Debug)]
pub(crate) struct Arrivals {
    start: Instant,
    extender: SequenceExtender,
    /// The extended number of `times[0]`.
    base: u64,
    times: VecDeque<Option<i64>>,
    /// The first extended number that is to go into the next report.
    next: u64,
    due: Option<Instant>,
    count: u8,
}

impl Arrivals {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, extender: SequenceExtender::new(), base: 0, times: VecDeque::new(), next: 0, due: None, count: 0 }
    }

    /// A packet came.
    pub(crate) fn note(&mut self, now: Instant, sequence: u16) {
        let seq = self.extender.extend(sequence);
        let end = self.base + self.times.len() as u64;
        if self.times.is_empty() || seq < self.base || seq >= end + WINDOW as u64 {
            // Before the window: reported as lost long ago.
            if seq < self.base {
                return;
            }
            self.times.clear();
            (self.base, self.next) = (seq, seq);
        }
        let index = (seq - self.base) as usize;
        if index >= self.times.len() {
            self.times.resize(index + 1, None);
        }
        if self.times[index].is_some() {
            return;
        }
        self.times[index] = Some(now.saturating_duration_since(self.start).as_micros() as i64);
        self.next = self.next.min(seq);
        self.due.get_or_insert(now + INTERVAL);
        self.trim(WINDOW);
    }

    fn trim(&mut self, most: usize) {
        while self.times.len() > most {
            self.times.pop_front();
            self.base += 1;
        }
        self.next = self.next.max(self.base);
    }

    /// When the next report is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Writes the next message; call until false.
    pub(crate) fn report(&mut self, sender: u32, media: u32, out: &mut Vec<u8>) -> bool {
        let end = self.base + self.times.len() as u64;
        // A report begins with a packet that came: what is missing before it may still come.
        while self.next < end && self.times[(self.next - self.base) as usize].is_none() {
            self.next += 1;
        }
        if self.next >= end {
            self.due = None;
            self.trim(BEHIND_MAX);
            return false;
        }
        let from = (self.next - self.base) as usize;
        let arrivals = &self.times.make_contiguous()[from..];
        let arrivals = &arrivals[..arrivals.len().min(STATUSES_MAX)];
        let feedback = Feedback { sender, media, count: self.count, base: self.next as u16, arrivals };
        let used = feedback.write(out);
        self.count = self.count.wrapping_add(1);
        self.next += used.max(1) as u64;
        used > 0
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use super::*;
    use crate::rtcp::{Packet, packets};

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Base and count of each message.
    fn reports(arrivals: &mut Arrivals) -> Vec<(u16, u16)> {
        let mut list = Vec::new();
        let mut out = Vec::new();
        while arrivals.report(1, 2, &mut out) {
            let Some(Packet::TransportCc(message)) = packets(&out).next() else { panic!() };
            list.push((u16::from_be_bytes([message[12], message[13]]), u16::from_be_bytes([message[14], message[15]])));
            out.clear();
        }
        list
    }

    #[test]
    fn each_packet_is_reported_once_and_in_time() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        for n in 0..10u64 {
            arrivals.note(start + ms(n), 65_530u16.wrapping_add(n as u16));
        }
        assert_eq!(arrivals.due(), Some(start + ms(50)));
        assert_eq!(reports(&mut arrivals), [(65_530, 10)]);
        assert_eq!(arrivals.due(), None);
        arrivals.note(start + ms(60), 5);
        assert_eq!(reports(&mut arrivals), [(5, 1)]);
    }

    #[test]
    fn an_overtaken_packet_is_reported_late() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        arrivals.note(start, 1);
        arrivals.note(start, 3);
        assert_eq!(reports(&mut arrivals), [(1, 3)]);
        arrivals.note(start + ms(1), 2);
        assert_eq!(reports(&mut arrivals), [(2, 2)]);
    }

    #[test]
    fn the_window_is_bounded_whatever_comes() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        let mut seq = 1u16;
        for n in 0..20_000u64 {
            seq = seq.wrapping_mul(25_173).wrapping_add(13_849);
            arrivals.note(start + ms(n), seq);
            assert!(arrivals.times.len() <= WINDOW);
        }
        assert!(!reports(&mut arrivals).is_empty());
    }
}
