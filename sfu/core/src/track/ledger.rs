//! What came of one SSRC: which sequence numbers, with how much jitter, and how much of it was lost (RFC 3550 appendix A).

use std::ops::Range;
use std::time::Instant;

use minamo_media::rtp::SequenceExtender;

use crate::rtcp::ReportBlock;

/// Sequence numbers remembered behind the highest; older packets are late, whether they are duplicates or not.
pub(crate) const WINDOW: u64 = 1024;
/// A packet this far ahead does not belong to the same count: the sender started anew, or it is a stray.
const JUMP_MAX: i16 = 3000;

/// What a packet's sequence number means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The highest so far. The numbers between the one before and this one are missing.
    Ahead { seq: u64, missing: Range<u64> },
    /// One that was missing.
    Behind { seq: u64 },
    /// One that was here before.
    Duplicate,
    /// Older than the window.
    Late,
    /// Far away from the others; a second one next to it makes it [`Arrival::Restart`].
    Stray,
    /// The sender counts anew: nothing of before counts any more. Push the packet into a new ledger.
    Restart,
}

/// The record of one SSRC.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    clock_rate: f64,
    extender: SequenceExtender,
    seen: [u64; WINDOW as usize / 64],
    first: u64,
    received: u64,
    prior: (u64, u64),
    jitter: f64,
    last: Option<(Instant, u32)>,
    stray: Option<u16>,
}

impl Ledger {
    pub(crate) fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: f64::from(clock_rate),
            extender: SequenceExtender::new(),
            seen: [0; WINDOW as usize / 64],
            first: 0,
            received: 0,
            prior: (0, 0),
            jitter: 0.0,
            last: None,
            stray: None,
        }
    }

    /// Takes note of a packet.
    pub(crate) fn arrive(&mut self, now: Instant, sequence: u16, timestamp: u32) -> Arrival {
        let Some(highest) = self.extender.highest() else {
            let seq = self.extender.extend(sequence);
            self.first = seq;
            self.take(seq);
            self.last = Some((now, timestamp));
            return Arrival::Ahead { seq, missing: seq..seq };
        };
        let distance = sequence.wrapping_sub(highest as u16) as i16;
        if !(-(WINDOW as i16) * 8..=JUMP_MAX).contains(&distance) {
            return self.far(sequence);
        }
        self.stray = None;
        let seq = self.extender.extend(sequence);
        if seq > highest {
            self.forget(highest + 1..seq + 1);
            self.take(seq);
            self.measure(now, timestamp);
            return Arrival::Ahead { seq, missing: highest + 1..seq };
        }
        if highest - seq >= WINDOW {
            return Arrival::Late;
        }
        if self.has(seq) {
            return Arrival::Duplicate;
        }
        self.first = self.first.min(seq);
        self.take(seq);
        Arrival::Behind { seq }
    }

    /// RFC 3550 A.1: one packet far away is a stray, two in a row are a restart.
    fn far(&mut self, sequence: u16) -> Arrival {
        if self.stray == Some(sequence) {
            return Arrival::Restart;
        }
        self.stray = Some(sequence.wrapping_add(1));
        Arrival::Stray
    }

    fn take(&mut self, seq: u64) {
        let bit = seq % WINDOW;
        self.seen[(bit / 64) as usize] |= 1 << (bit % 64);
        self.received += 1;
    }

    fn has(&self, seq: u64) -> bool {
        let bit = seq % WINDOW;
        self.seen[(bit / 64) as usize] >> (bit % 64) & 1 == 1
    }

    fn forget(&mut self, range: Range<u64>) {
        if range.end - range.start >= WINDOW {
            self.seen = [0; WINDOW as usize / 64];
            return;
        }
        for bit in range.map(|seq| seq % WINDOW) {
            self.seen[(bit / 64) as usize] &= !(1 << (bit % 64));
        }
    }

    /// RFC 3550 A.8, over packets in order: retransmissions say nothing of the network's jitter.
    fn measure(&mut self, now: Instant, timestamp: u32) {
        if let Some((before, stamp)) = self.last {
            let elapsed = now.saturating_duration_since(before).as_secs_f64() * self.clock_rate;
            let difference = elapsed - f64::from(timestamp.wrapping_sub(stamp) as i32);
            self.jitter += (difference.abs() - self.jitter) / 16.0;
        }
        self.last = Some((now, timestamp));
    }

    /// A report block since the last one (RFC 3550 A.3); `lsr` and `dlsr` are the caller's.
    pub(crate) fn report(&mut self, ssrc: u32) -> ReportBlock {
        let highest = self.extender.highest().unwrap_or(self.first);
        let expected = highest - self.first + 1;
        let (expected_prior, received_prior) = std::mem::replace(&mut self.prior, (expected, self.received));
        let due = expected.saturating_sub(expected_prior);
        let lost = due.saturating_sub(self.received - received_prior);
        let fraction_lost = (lost * 256).checked_div(due).unwrap_or(0).min(255) as u8;
        ReportBlock {
            ssrc,
            fraction_lost,
            lost: (expected as i64 - self.received as i64).clamp(-0x80_0000, 0x7f_ffff) as i32,
            // The extension starts in the second cycle; on the wire the first is zero.
            highest: highest.wrapping_sub(1 << 16) as u32,
            jitter: self.jitter as u32,
            lsr: 0,
            dlsr: 0,
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use super::*;

    fn arrivals(sequences: &[u16]) -> (Ledger, Vec<Arrival>) {
        let (mut ledger, now) = (Ledger::new(90_000), Instant::now());
        let arrivals = sequences.iter().map(|seq| ledger.arrive(now, *seq, 0)).collect();
        (ledger, arrivals)
    }

    #[test]
    fn gaps_duplicates_and_late_ones_across_the_wrap() {
        let (mut ledger, got) = arrivals(&[65534, 1, 65535, 65535, 0, 1]);
        let base = 65536 + 65534;
        assert_eq!(got[0], Arrival::Ahead { seq: base, missing: base..base });
        assert_eq!(got[1], Arrival::Ahead { seq: base + 3, missing: base + 1..base + 3 });
        assert_eq!(got[2], Arrival::Behind { seq: base + 1 });
        assert_eq!(got[3], Arrival::Duplicate);
        assert_eq!(got[4], Arrival::Behind { seq: base + 2 });
        assert_eq!(got[5], Arrival::Duplicate);
        let report = ledger.report(7);
        assert_eq!((report.lost, report.fraction_lost, report.highest), (0, 0, 65537));
    }

    #[test]
    fn a_report_counts_the_interval_and_the_total() {
        let (mut ledger, _) = arrivals(&[10, 11, 13]);
        let report = ledger.report(7);
        assert_eq!((report.lost, report.fraction_lost), (1, 64));
        assert_eq!(ledger.report(7).fraction_lost, 0);
    }

    #[test]
    fn two_strays_in_a_row_are_a_restart() {
        let (_, got) = arrivals(&[10, 20_000, 11, 20_001, 40_000, 40_001]);
        assert_eq!(got[1], Arrival::Stray);
        assert!(matches!(got[2], Arrival::Ahead { .. }));
        assert_eq!(got[3..], [Arrival::Stray, Arrival::Stray, Arrival::Restart]);
    }

    #[test]
    fn a_packet_behind_the_window_is_late() {
        let (_, got) = arrivals(&[0, 2000, 1]);
        assert_eq!(got[2], Arrival::Late);
    }
}
