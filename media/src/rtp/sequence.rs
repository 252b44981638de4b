//! Counters that wrap, made into ones that do not, by signed difference to the highest one so far.

/// Extends 16-bit sequence numbers to 64 bits.
///
/// The first one lands in the second cycle (65,536 and up), so that packets that were overtaken by it stay positive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequenceExtender {
    highest: Option<u64>,
}

impl SequenceExtender {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The extended number; later ones are measured against the highest that was ever given here.
    pub fn extend(&mut self, sequence: u16) -> u64 {
        let extended = self.peek(sequence);
        if self.highest.is_none_or(|highest| extended > highest) {
            self.highest = Some(extended);
        }
        extended
    }

    /// The extended number, without taking note of it.
    #[must_use]
    pub fn peek(&self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else {
            return (1 << 16) + u64::from(sequence);
        };
        let difference = sequence.wrapping_sub(highest as u16) as i16;
        highest.saturating_add_signed(i64::from(difference))
    }

    /// The highest number so far.
    #[must_use]
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// Extends 32-bit RTP timestamps to 64 bits. RTP timestamps start at random, so the first may be followed by a wrap at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimestampExtender {
    highest: Option<i64>,
}

impl TimestampExtender {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The extended timestamp of a packet; later ones are measured against the highest.
    pub fn extend(&mut self, timestamp: u32) -> i64 {
        let extended = self.peek(timestamp).unwrap_or(i64::from(timestamp));
        if self.highest.is_none_or(|highest| extended > highest) {
            self.highest = Some(extended);
        }
        extended
    }

    /// The extended timestamp on the same line, without taking note of it: for sender reports, which must never have an
    /// extender of their own. `None` before the first packet; may be negative right after it.
    #[must_use]
    pub fn peek(&self, timestamp: u32) -> Option<i64> {
        let highest = self.highest?;
        let difference = timestamp.wrapping_sub(highest as u32) as i32;
        Some(highest + i64::from(difference))
    }
}
