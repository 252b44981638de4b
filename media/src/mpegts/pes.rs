//! Packetised elementary streams (§2.4.3.6): access units with their times.

/// Ticks per second of PTS, DTS and the PCR's base.
pub(super) const SCALE: i64 = 90_000;
/// Times on the wire have 33 bits: 26.5 hours.
const WRAP: i64 = 1 << 33;
/// Media time zero stands at this time in the stream, so that the clock, which runs ahead, does not begin with a wrap.
const START: i64 = 14 * SCALE / 10;
/// The clock shows this much less than the decoding time of what comes: room for a decoder's buffer.
const LEAD: i64 = 7 * SCALE / 10;

/// One PES packet to be: a picture, or a few frames of sound.
#[derive(Debug)]
pub(super) struct Pes {
    pub pid: u16,
    pub dts: i64,
    /// The header up to the times; always whole in the first transport packet.
    pub header: usize,
    /// A decoder can begin here, and everything that it needs stands here.
    pub random_access: bool,
    /// Header and payload.
    pub bytes: Vec<u8>,
}

const STREAM_VIDEO: u8 = 0xE0;
const STREAM_AUDIO: u8 = 0xC0;

impl Pes {
    /// `stuffing` bytes go between header and payload.
    pub(super) fn video(pts: i64, dts: i64, key: bool, stuffing: usize, payload: &[u8]) -> Self {
        Self::new(super::VIDEO_PID, STREAM_VIDEO, pts, dts, key, stuffing, payload)
    }

    pub(super) fn audio(pts: i64, stuffing: usize, payload: &[u8]) -> Self {
        Self::new(super::AUDIO_PID, STREAM_AUDIO, pts, pts, true, stuffing, payload)
    }

    fn new(pid: u16, stream: u8, pts: i64, dts: i64, random_access: bool, stuffing: usize, payload: &[u8]) -> Self {
        let both = pts != dts;
        let times = if both { 10 } else { 5 };
        let mut bytes = Vec::with_capacity(9 + times + stuffing + payload.len());
        // Video that is longer than the field may leave the length open (§2.4.3.7).
        let length = u16::try_from(3 + times + stuffing + payload.len()).unwrap_or(0);
        bytes.extend([0, 0, 1, stream]);
        bytes.extend(length.to_be_bytes());
        // An access unit begins here; PTS, or PTS and DTS.
        bytes.extend([0x84, if both { 0xC0 } else { 0x80 }, (times + stuffing) as u8]);
        bytes.extend(time(if both { 3 } else { 2 }, pts));
        if both {
            bytes.extend(time(1, dts));
        }
        let header = bytes.len();
        bytes.resize(header + stuffing, 0xFF);
        bytes.extend_from_slice(payload);
        Self { pid, dts, header, random_access, bytes }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// A time of 33 bits among marker bits.
fn time(prefix: u8, ticks: i64) -> [u8; 5] {
    let ticks = (ticks + START).rem_euclid(WRAP);
    [
        prefix << 4 | (ticks >> 29) as u8 & 0x0E | 1,
        (ticks >> 22) as u8,
        (ticks >> 14) as u8 | 1,
        (ticks >> 7) as u8,
        (ticks << 1) as u8 | 1,
    ]
}

/// The PCR that stands where what is decoded at `dts` begins: a base of 33 bits, six reserved ones, no extension.
pub(super) fn clock(dts: i64) -> [u8; 6] {
    let base = (dts + START - LEAD).rem_euclid(WRAP);
    let [_, _, bytes @ ..] = ((base << 15) | 0x7E00).to_be_bytes();
    bytes
}
