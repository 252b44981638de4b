//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1), written compactly.

use super::build::{begin, end, put};
use super::{FMT_TRANSPORT_CC, TRANSPORT_FEEDBACK};

/// A delta's unit.
const TICK_US: i64 = 250;
/// The reference time's unit.
const REFERENCE_US: i64 = 64_000;
/// A run-length chunk counts with 13 bits.
const RUN_MAX: usize = 0x1fff;
/// Symbols in a vector chunk of one bit each, and of two.
const BITS_1: usize = 14;
const BITS_2: usize = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Symbol {
    Missing = 0,
    Small = 1,
    Large = 2,
}

/// One feedback message: when the packets from `base` on arrived.
#[derive(Clone, Copy, Debug)]
pub struct Feedback<'a> {
    /// SSRC of who reports.
    pub sender: u32,
    /// Any SSRC of the reported peer.
    pub media: u32,
    /// Counts feedback messages of one peer, wrapping.
    pub count: u8,
    /// Transport-wide sequence number of the first status.
    pub base: u16,
    /// Arrival of each packet in microseconds since any fixed start, `None` where it did not come. At least one came, at most 65535 statuses.
    pub arrivals: &'a [Option<i64>],
}

impl Feedback<'_> {
    /// Appends the message. Returns how many statuses went in: a delta that 16 bits do not hold (8 s) ends it early; nothing is
    /// appended and 0 returned where no packet came.
    pub fn write(&self, out: &mut Vec<u8>) -> usize {
        let Some(first) = self.arrivals.iter().flatten().next() else { return 0 };
        let reference = first.div_euclid(REFERENCE_US);
        let (symbols, deltas) = measure(self.arrivals, reference * REFERENCE_US);
        let start = begin(out, TRANSPORT_FEEDBACK, FMT_TRANSPORT_CC);
        put(out, self.sender);
        put(out, self.media);
        put(out, u32::from(self.base) << 16 | symbols.len() as u32);
        put(out, (reference as u32) << 8 | u32::from(self.count));
        write_chunks(out, &symbols);
        out.extend_from_slice(&deltas);
        while !(out.len() - start).is_multiple_of(4) {
            out.push(0);
        }
        end(out, start);
        symbols.len()
    }
}

fn measure(arrivals: &[Option<i64>], reference_us: i64) -> (Vec<Symbol>, Vec<u8>) {
    let mut symbols = Vec::with_capacity(arrivals.len());
    let mut deltas = Vec::with_capacity(arrivals.len() * 2);
    let mut ticks_before = reference_us / TICK_US;
    for arrival in arrivals.iter().take(usize::from(u16::MAX)) {
        let Some(arrival) = arrival else {
            symbols.push(Symbol::Missing);
            continue;
        };
        let ticks = arrival.div_euclid(TICK_US);
        let delta = ticks - ticks_before;
        if let Ok(small) = u8::try_from(delta) {
            symbols.push(Symbol::Small);
            deltas.push(small);
        } else if let Ok(large) = i16::try_from(delta) {
            symbols.push(Symbol::Large);
            deltas.extend_from_slice(&large.to_be_bytes());
        } else {
            break;
        }
        ticks_before = ticks;
    }
    (symbols, deltas)
}

fn write_chunks(out: &mut Vec<u8>, mut symbols: &[Symbol]) {
    while let Some(first) = symbols.first() {
        let run = symbols.iter().take(RUN_MAX).take_while(|symbol| *symbol == first).count();
        let narrow = symbols.iter().take(BITS_1).all(|symbol| *symbol != Symbol::Large);
        let vector = if narrow { BITS_1 } else { BITS_2 };
        let (chunk, used) = if run >= vector.min(symbols.len()) {
            ((*first as u16) << 13 | run as u16, run)
        } else if narrow {
            vector_chunk(0x8000, 1, BITS_1, symbols)
        } else {
            vector_chunk(0xc000, 2, BITS_2, symbols)
        };
        out.extend_from_slice(&chunk.to_be_bytes());
        symbols = &symbols[used..];
    }
}

fn vector_chunk(head: u16, width: usize, most: usize, symbols: &[Symbol]) -> (u16, usize) {
    let used = symbols.len().min(most);
    let mut chunk = head;
    for (at, symbol) in symbols[..used].iter().enumerate() {
        chunk |= (*symbol as u16) << (width * (most - 1 - at));
    }
    (chunk, used)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtc_rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, SymbolTypeTcc, TransportLayerCc};
    use rtc_shared::marshal::Unmarshal;

    use super::*;

    /// Reads a message with the other implementation, back into arrivals.
    fn read(message: &[u8]) -> Vec<Option<i64>> {
        let parsed = TransportLayerCc::unmarshal(&mut bytes::Bytes::copy_from_slice(message)).unwrap();
        let mut symbols = Vec::new();
        for chunk in &parsed.packet_chunks {
            match chunk {
                PacketStatusChunk::RunLengthChunk(run) => {
                    symbols.extend(vec![run.packet_status_symbol; usize::from(run.run_length)]);
                }
                PacketStatusChunk::StatusVectorChunk(vector) => symbols.extend(vector.symbol_list.iter().copied()),
            }
        }
        symbols.truncate(usize::from(parsed.packet_status_count));
        let mut time = i64::from(parsed.reference_time) * REFERENCE_US;
        let mut deltas = parsed.recv_deltas.iter();
        let arrival = |symbol: SymbolTypeTcc| {
            (symbol != SymbolTypeTcc::PacketNotReceived).then(|| {
                time += deltas.next().unwrap().delta;
                time
            })
        };
        symbols.into_iter().map(arrival).collect()
    }

    fn write(arrivals: &[Option<i64>]) -> (Vec<u8>, usize) {
        let mut out = Vec::new();
        let used = Feedback { sender: 1, media: 2, count: 3, base: 65_530, arrivals }.write(&mut out);
        (out, used)
    }

    #[test]
    fn a_steady_flow_costs_one_chunk() {
        let arrivals: Vec<_> = (0..40).map(|n| Some(1_000_000 + n * 1_000)).collect();
        let (message, used) = write(&arrivals);
        assert_eq!(used, 40);
        // Header, one run, 40 deltas, padded to words. 1,000,000 µs lies 40 ms after its reference: still a small delta.
        assert_eq!(message.len(), 20 + 2 + 40 + 2);
        assert_eq!(read(&message), arrivals);
    }

    #[test]
    fn a_pause_of_many_seconds_ends_a_message() {
        let (message, used) = write(&[Some(0), None, Some(9_000_000)]);
        assert_eq!(used, 2);
        assert_eq!(read(&message), [Some(0), None]);
        assert_eq!(write(&[None, None]).1, 0);
    }

    proptest! {
        #[test]
        fn another_implementation_reads_the_same(
            start in 0i64..100_000_000,
            steps in prop::collection::vec(prop::option::weighted(0.8, -20_000i64..200_000), 1..200),
        ) {
            let mut time = start + 8_000_000;
            let arrivals: Vec<_> = steps.iter().map(|step| step.map(|step| { time += step; time })).collect();
            let (message, used) = write(&arrivals);
            if arrivals.iter().all(Option::is_none) {
                prop_assert_eq!(used, 0);
            } else {
                prop_assert_eq!(used, arrivals.len());
                let floor: Vec<_> = arrivals.iter().map(|at| at.map(|at| at.div_euclid(TICK_US) * TICK_US)).collect();
                prop_assert_eq!(read(&message), floor);
            }
        }
    }
}
