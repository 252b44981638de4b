//! Program specific information (§2.4.4): what is in the stream.

use super::{AUDIO_PID, VIDEO_PID};

pub(super) const PAT_PID: u16 = 0;
pub(super) const PMT_PID: u16 = 0x1000;

const PROGRAM: u16 = 1;
const TABLE_PAT: u8 = 0;
const TABLE_PMT: u8 = 2;
/// ITU-T H.264, byte stream.
const STREAM_H264: u8 = 0x1B;
/// ISO/IEC 13818-7 ADTS.
const STREAM_AAC: u8 = 0x0F;

pub(super) fn pat() -> Vec<u8> {
    let [program_high, program_low] = PROGRAM.to_be_bytes();
    let [pid_high, pid_low] = (0xE000 | PMT_PID).to_be_bytes();
    table(TABLE_PAT, 0, &[program_high, program_low, pid_high, pid_low])
}

/// The version says what is in it: two tables that differ never have the same one.
pub(super) fn pmt(clock: u16, video: bool, audio: bool) -> Vec<u8> {
    let version = u8::from(!video) << 1 | u8::from(!audio);
    let [clock_high, clock_low] = (0xE000 | clock).to_be_bytes();
    // No descriptors, neither of the programme nor of its streams.
    let mut body = vec![clock_high, clock_low, 0xF0, 0];
    for (there, kind, pid) in [(video, STREAM_H264, VIDEO_PID), (audio, STREAM_AAC, AUDIO_PID)] {
        if there {
            let [high, low] = (0xE000 | pid).to_be_bytes();
            body.extend([kind, high, low, 0xF0, 0]);
        }
    }
    table(TABLE_PMT, version, &body)
}

/// A section of the programme, or of the whole stream, which has the same number.
fn table(id: u8, version: u8, body: &[u8]) -> Vec<u8> {
    let [number_high, number_low] = PROGRAM.to_be_bytes();
    // Behind the length: number, version, section 0 of 0, body, CRC.
    let length = 5 + body.len() + 4;
    let [length_high, length_low] = (0xB000 | length as u16).to_be_bytes();
    let mut section = vec![id, length_high, length_low, number_high, number_low, 0xC1 | version << 1, 0, 0];
    section.extend_from_slice(body);
    section.extend(crc(&section).to_be_bytes());
    section
}

/// CRC-32 of annex A: polynomial 0x04C11DB7, from all ones, not reflected.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| if crc >> 31 == 1 { crc << 1 ^ 0x04C1_1DB7 } else { crc << 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_section_with_its_checksum_is_zero() {
        for section in [pat(), pmt(VIDEO_PID, true, true), pmt(AUDIO_PID, false, true)] {
            assert_eq!(crc(&section), 0);
        }
        assert_ne!(crc(&pat()[1..]), 0);
    }

    #[test]
    fn versions_tell_tables_apart() {
        let version = |video, audio| pmt(VIDEO_PID, video, audio)[5] >> 1 & 0x1F;
        assert_eq!([version(true, true), version(true, false), version(false, true)], [0, 1, 2]);
    }
}
