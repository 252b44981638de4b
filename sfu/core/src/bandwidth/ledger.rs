//! What was sent and is not judged yet: one short record for each packet.

use std::collections::VecDeque;

/// Packets remembered: a second at 20 Mbit/s. At the bound the oldest is forgotten; nothing is then learned from it.
const PACKETS_MAX: usize = 2048;

/// What is known of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// No feedback told of it: on its way, or that feedback was lost.
    Unknown,
    Missing,
    Arrived,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    /// Wraps after 71 minutes; only differences over seconds are looked at.
    sent_us: u32,
    size: u16,
    probe: u8,
    fate: Fate,
}

/// A packet that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// On our clock, modulo 2^32.
    pub sent_us: u32,
    /// On the receiver's clock.
    pub arrived_us: i64,
    /// Bytes on the wire.
    pub size: u16,
    /// The probe that it was part of; 0 for none.
    pub probe: u8,
}

/// Packets whose fate is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    pub arrived: u32,
    pub lost: u32,
}

/// The packets on their way, by transport-wide sequence number.
#[derive(Debug)]
pub(super) struct Ledger {
    records: VecDeque<Record>,
    /// The extended number of the first record. Begins in the second cycle, so that nothing goes below zero.
    first: u64,
    /// Numbers below are judged with the next feedback: what is missing may only have been overtaken.
    told: u64,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let first = 1 << 16;
        Self { records: VecDeque::new(), first, told: first }
    }

    /// The number that the next packet will get.
    pub(super) fn upcoming(&self) -> u16 {
        self.end() as u16
    }

    /// The extended number that the next packet will get.
    pub(super) fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// See [`super::Way::warm`].
    pub(super) fn warm(&self) -> u64 {
        self.records.back().map_or(0, |record| u64::from(record.sent_us))
    }

    pub(super) fn push(&mut self, sent_us: u32, size: u16, probe: u8) {
        if self.records.len() == PACKETS_MAX {
            self.records.pop_front();
            self.first += 1;
        }
        self.records.push_back(Record { sent_us, size, probe, fate: Fate::Unknown });
    }

    /// The extended number that a feedback message means; `None` where it cannot be one of ours.
    pub(super) fn extend(&self, sequence: u16) -> Option<u64> {
        let next = self.end();
        let behind = (next as u16).wrapping_sub(sequence);
        (behind > 0).then(|| next.checked_sub(u64::from(behind))).flatten()
    }

    /// A packet has arrived. `None` where it is not known any more or had arrived before.
    pub(super) fn arrived(&mut self, seq: u64, arrived_us: i64) -> Option<Arrival> {
        let record = self.record(seq)?;
        if record.fate == Fate::Arrived {
            return None;
        }
        record.fate = Fate::Arrived;
        Some(Arrival { sent_us: record.sent_us, arrived_us, size: record.size, probe: record.probe })
    }

    /// Feedback says that a packet had not come so far.
    pub(super) fn missing(&mut self, seq: u64) {
        if let Some(record) = self.record(seq).filter(|record| record.fate == Fate::Unknown) {
            record.fate = Fate::Missing;
        }
    }

    /// Judges what was told before the feedback that ends before `end`, and forgets it.
    pub(super) fn judge(&mut self, end: u64) -> Judged {
        let mut judged = Judged::default();
        while self.first < self.told {
            let Some(record) = self.records.pop_front() else { break };
            self.first += 1;
            match record.fate {
                Fate::Arrived => judged.arrived += 1,
                Fate::Missing => judged.lost += 1,
                // The feedback was lost, not the packet.
                Fate::Unknown => {}
            }
        }
        self.told = self.told.max(end.min(self.end()));
        judged
    }

    fn record(&mut self, seq: u64) -> Option<&mut Record> {
        let at = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.records.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_overtaken_is_not_lost_and_untold_is_neither() {
        let mut ledger = Ledger::new();
        for n in 0..6 {
            ledger.push(n, 100, 0);
        }
        let base = ledger.extend(0).unwrap();
        ledger.arrived(base, 10);
        ledger.missing(base + 1);
        ledger.missing(base + 2);
        ledger.arrived(base + 3, 13);
        assert_eq!(ledger.judge(base + 4), Judged::default());
        // 1 comes late, 4 is told of by nobody, 5 has arrived.
        assert!(ledger.arrived(base + 1, 14).is_some());
        assert!(ledger.arrived(base + 1, 15).is_none(), "only once");
        ledger.arrived(base + 5, 16);
        assert_eq!(ledger.judge(base + 6), Judged { arrived: 3, lost: 1 });
        assert_eq!(ledger.judge(base + 6), Judged { arrived: 1, lost: 0 });
    }

    #[test]
    fn it_is_bounded_and_numbers_from_elsewhere_lead_nowhere() {
        let mut ledger = Ledger::new();
        for n in 0..100_000 {
            ledger.push(n, 100, 0);
        }
        assert!(ledger.records.len() <= PACKETS_MAX && ledger.records.capacity() <= PACKETS_MAX * 2);
        let next = ledger.upcoming();
        assert!(ledger.extend(next).is_none(), "not sent yet");
        let old = ledger.extend(next.wrapping_add(1)).unwrap();
        assert!(ledger.arrived(old, 5).is_none());
        assert!(ledger.extend(next.wrapping_sub(1)).is_some());
    }
}
