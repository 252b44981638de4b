//! Transport packets (§2.4.3.2), their counters and their clock.

use bytes::{BufMut, Bytes, BytesMut};

use super::pes::{self, Pes};
use super::{AUDIO_PID, PACKET, PCR_EVERY, PCR_JUMP, PCR_PAUSE, VIDEO_PID};

/// What a packet can carry behind its header.
const ROOM: usize = PACKET - 4;
/// Of each elementary stream a segment has a multiple of so many packets.
const COUNTERS: usize = 16;

/// How many packets each of one stream's PES packets fills: as few as it can, but all together a multiple of sixteen, so that the
/// next segment's counters begin at zero whatever was in this one. The last ones are spread for that.
pub(super) fn shares(packets: &[Pes]) -> Vec<usize> {
    let mut shares: Vec<usize> = packets.iter().map(least).collect();
    let total: usize = shares.iter().sum();
    let mut missing = total.next_multiple_of(COUNTERS) - total;
    for (share, pes) in shares.iter_mut().zip(packets).rev() {
        // With the header in the first packet, and at least a byte in each.
        let more = (1 + pes.len() - pes.header).saturating_sub(*share).min(missing);
        *share += more;
        missing -= more;
    }
    debug_assert_eq!(missing, 0, "the stream was given too little stuffing");
    shares
}

/// A PES packet of a clock stream may need room for the clock; it is counted for all.
fn least(pes: &Pes) -> usize {
    let first = ROOM - first_adaptation(pes);
    1 + pes.len().saturating_sub(first).div_ceil(ROOM)
}

/// Bytes before the payload of the first packet: length, flags, clock.
fn first_adaptation(pes: &Pes) -> usize {
    if pes.pid == VIDEO_PID || pes.random_access { 8 } else { 0 }
}

/// What is written into an adaptation field.
#[derive(Clone, Copy, Default)]
struct Adaptation {
    random_access: bool,
    clock: Option<[u8; 6]>,
}

pub(super) struct Packets {
    out: BytesMut,
    clock_pid: u16,
    /// Decoding time that the last PCR belongs to.
    clock: Option<i64>,
    /// Of [`VIDEO_PID`] and [`AUDIO_PID`].
    counters: [u8; 2],
}

impl Packets {
    pub(super) fn new(clock_pid: u16, capacity: usize) -> Self {
        Self { out: BytesMut::with_capacity(capacity), clock_pid, clock: None, counters: [0; 2] }
    }

    pub(super) fn finish(self) -> Bytes {
        self.out.freeze()
    }

    /// One packet with a whole section.
    pub(super) fn section(&mut self, pid: u16, number: u64, section: &[u8]) {
        self.header(pid, true, 1, (number % 16) as u8);
        self.out.put_u8(0);
        self.out.put_slice(section);
        self.out.put_bytes(0xFF, ROOM - 1 - section.len());
    }

    /// Shows the clock in pauses of its stream, before something is decoded at `dts`. `next`: when that stream goes on.
    pub(super) fn clock_until(&mut self, dts: i64, next: Option<i64>) {
        if self.clock.is_none() && next.is_none_or(|next| next - dts > PCR_PAUSE) && dts != i64::MIN {
            self.only_clock(dts);
        }
        while let Some(last) = self.clock.filter(|last| dts.saturating_sub(*last) > PCR_PAUSE) {
            let jump = dts.saturating_sub(last) > PCR_JUMP;
            self.only_clock(if jump { dts } else { last + PCR_EVERY });
        }
    }

    /// No payload, so the counter stays (§2.4.3.3).
    fn only_clock(&mut self, dts: i64) {
        self.clock = Some(dts);
        let before = self.counters[usize::from(self.clock_pid == AUDIO_PID)].wrapping_sub(1) & 0x0F;
        self.header(self.clock_pid, false, 2, before);
        self.adaptation(ROOM, Adaptation { clock: Some(pes::clock(dts)), ..Adaptation::default() });
    }

    /// A PES packet in `count` packets.
    pub(super) fn pes(&mut self, pes: &Pes, count: usize) {
        let has_clock = pes.pid == self.clock_pid;
        if has_clock {
            self.clock = Some(pes.dts);
        }
        let first = Adaptation { random_access: pes.random_access, clock: has_clock.then(|| pes::clock(pes.dts)) };
        let mut rest = &pes.bytes[..];
        for left in (0..count).rev() {
            let start = left + 1 == count;
            let room = if start { ROOM - first_adaptation(pes) } else { ROOM };
            let (payload, after) = rest.split_at(room.min(rest.len().saturating_sub(left)));
            rest = after;
            self.payload(pes.pid, start, if start { first } else { Adaptation::default() }, payload);
        }
        debug_assert!(rest.is_empty());
    }

    fn payload(&mut self, pid: u16, start: bool, adaptation: Adaptation, payload: &[u8]) {
        let counter = &mut self.counters[usize::from(pid == AUDIO_PID)];
        let count = std::mem::replace(counter, (*counter + 1) & 0x0F);
        let stuffing = ROOM - payload.len();
        self.header(pid, start, if stuffing > 0 { 3 } else { 1 }, count);
        if stuffing > 0 {
            self.adaptation(stuffing, adaptation);
        }
        self.out.put_slice(payload);
    }

    /// `control`: 1 payload, 2 adaptation field, 3 both.
    fn header(&mut self, pid: u16, start: bool, control: u8, counter: u8) {
        self.out.put_u8(0x47);
        self.out.put_u16(u16::from(start) << 14 | pid);
        self.out.put_u8(control << 4 | counter);
    }

    /// An adaptation field of `size` bytes, its length included, filled up.
    fn adaptation(&mut self, size: usize, what: Adaptation) {
        self.out.put_u8((size - 1) as u8);
        if size == 1 {
            return;
        }
        self.out.put_u8(u8::from(what.random_access) << 6 | u8::from(what.clock.is_some()) << 4);
        let clock = what.clock.unwrap_or_default();
        let clock = if what.clock.is_some() { &clock[..] } else { &[] };
        self.out.put_slice(clock);
        self.out.put_bytes(0xFF, size - 2 - clock.len());
    }
}
