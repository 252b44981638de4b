//! Transport-wide congestion control feedback, read: what became of each packet that was sent.

/// A run of feedback names more packets than a message could hold one by one; no more than this are read from one message.
const STATUSES_MAX: u16 = 8192;
/// Microseconds in a delta's unit, and in the reference time's.
const TICK_US: i64 = 250;
const REFERENCE_US: i64 = 64_000;

/// One feedback message (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1), read without copying. Iterates over the statuses
/// from `base` on: `Some` is the arrival in microseconds after the message's reference time, `None` is a packet that has not come.
///
/// Ends at the message's end, however many packets it claims to tell of.
#[derive(Clone, Debug)]
pub struct Arrivals<'a> {
    /// Transport-wide sequence number of the first status.
    pub base: u16,
    /// How many statuses the message claims.
    pub statuses: u16,
    /// The reference time: microseconds on the receiver's clock, modulo 2^24 · 64 ms.
    pub reference_us: i64,
    /// Counts the messages, wrapping.
    pub count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
    left: u16,
    /// Symbols of the chunk that is being read, as many as `in_chunk`.
    chunk: Chunk,
    in_chunk: u16,
    time_us: i64,
}

#[derive(Clone, Copy, Debug)]
enum Chunk {
    Run(u8),
    /// 14 symbols of one bit, or 7 of two: the remaining ones in the high bits.
    Vector {
        bits: u16,
        width: u16,
    },
}

impl<'a> Arrivals<'a> {
    /// The period of [`Self::reference_us`].
    pub const REFERENCE_PERIOD_US: i64 = REFERENCE_US << 24;

    /// Reads the message's head; `message` is the whole RTCP packet. `None` where it is malformed.
    #[must_use]
    pub fn read(message: &'a [u8]) -> Option<Self> {
        let head: &[u8; 20] = message.first_chunk()?;
        let statuses = u16::from_be_bytes([head[14], head[15]]);
        let reference = i64::from(u32::from_be_bytes([0, head[16], head[17], head[18]]));
        let left = statuses.min(STATUSES_MAX);
        let deltas_at = chunks_end(message, left)?;
        Some(Self {
            base: u16::from_be_bytes([head[12], head[13]]),
            statuses: left,
            reference_us: reference * REFERENCE_US,
            count: head[19],
            chunks: &message[20..deltas_at],
            deltas: &message[deltas_at..],
            left,
            chunk: Chunk::Run(0),
            in_chunk: 0,
            time_us: 0,
        })
    }

    fn symbol(&mut self) -> Option<u8> {
        self.left = self.left.checked_sub(1)?;
        if self.in_chunk == 0 {
            let (bytes, rest) = self.chunks.split_first_chunk()?;
            self.chunks = rest;
            (self.chunk, self.in_chunk) = open(u16::from_be_bytes(*bytes));
        }
        self.in_chunk = self.in_chunk.checked_sub(1)?;
        Some(match &mut self.chunk {
            Chunk::Run(symbol) => *symbol,
            Chunk::Vector { bits, width } => {
                let symbol = *bits >> (16 - *width);
                *bits <<= *width;
                symbol as u8
            }
        })
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.deltas.split_first_chunk()?;
        self.deltas = rest;
        Some(*bytes)
    }
}

impl Iterator for Arrivals<'_> {
    type Item = Option<i64>;

    fn next(&mut self) -> Option<Option<i64>> {
        let delta = match self.symbol()? {
            0 => return Some(None),
            1 => i64::from(self.take::<1>()?[0]),
            2 => i64::from(i16::from_be_bytes(self.take()?)),
            _ => {
                self.left = 0;
                return None;
            }
        };
        self.time_us += delta * TICK_US;
        Some(Some(self.time_us))
    }
}

/// A chunk and how many symbols it holds (§3.1.1).
fn open(chunk: u16) -> (Chunk, u16) {
    match chunk >> 14 {
        0 | 1 => (Chunk::Run((chunk >> 13) as u8), chunk & 0x1fff),
        2 => (Chunk::Vector { bits: chunk << 2, width: 1 }, 14),
        _ => (Chunk::Vector { bits: chunk << 2, width: 2 }, 7),
    }
}

/// Where the chunks for so many statuses end and the deltas begin.
fn chunks_end(message: &[u8], statuses: u16) -> Option<usize> {
    let (mut at, mut told) = (20, 0u32);
    while told < u32::from(statuses) {
        let bytes: [u8; 2] = message.get(at..at + 2)?.try_into().ok()?;
        told += u32::from(open(u16::from_be_bytes(bytes)).1);
        at += 2;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtcp::Feedback;

    proptest! {
        #[test]
        fn what_was_written_is_read(
            start in 0i64..100_000_000,
            steps in prop::collection::vec(prop::option::weighted(0.8, -20_000i64..200_000), 1..200),
        ) {
            let mut time = start + 8_000_000;
            let arrivals: Vec<_> = steps.iter().map(|step| step.map(|step| { time += step; time })).collect();
            let mut out = Vec::new();
            let feedback = Feedback { sender: 1, media: 2, count: 3, base: 65_530, arrivals: &arrivals };
            if feedback.write(&mut out) > 0 {
                let read = Arrivals::read(&out).unwrap();
                prop_assert_eq!((read.base, usize::from(read.statuses), read.count), (65_530, arrivals.len(), 3));
                let reference = read.reference_us;
                let floor: Vec<_> = arrivals.iter().map(|at| at.map(|at| at.div_euclid(TICK_US) * TICK_US)).collect();
                prop_assert_eq!(read.map(|at| at.map(|at| at + reference)).collect::<Vec<_>>(), floor);
            }
        }

        #[test]
        fn garbage_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(arrivals) = Arrivals::read(&bytes) {
                prop_assert!(arrivals.count() <= usize::from(STATUSES_MAX));
            }
        }
    }

    #[test]
    fn a_chunk_of_nothing_is_not_read_for_ever() {
        let mut message = vec![0x8f, 205, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
        message.extend([0; 600]);
        assert!(Arrivals::read(&message).is_none());
    }
}
