//! Transport-wide sequence numbers into packets that have a place for one.

use std::collections::VecDeque;

/// Packets remembered that may be sent again as they were: 2 KB, and 2.5 s of two voices.
const REMEMBERED_MAX: usize = 256;

/// Where a packet's transport-wide number goes: the first extension, which [`crate::downlink::Downlink`] writes empty. Both forms of
/// RFC 8285 are known. `None` where the packet has none.
fn place(packet: &[u8], id: u8) -> Option<std::ops::Range<usize>> {
    let head: &[u8; 18] = packet.first_chunk()?;
    // Version 2 with an extension and without contributing sources; padding or not.
    let at = match (head[0] & 0xdf, head[12], head[13]) {
        (0x90, 0xbe, 0xde) if head[16] == id << 4 | 1 => 17,
        (0x90, 0x10, _) if head[16] == id && head[17] == 2 => 18,
        _ => return None,
    };
    (packet.len() >= at + 2).then_some(at..at + 2)
}

/// Writes the number. False where the packet has no place for it.
pub(super) fn write(packet: &mut [u8], id: u8, number: u16) -> bool {
    let place = place(packet, id);
    if let Some(place) = place.clone() {
        packet[place].copy_from_slice(&number.to_be_bytes());
    }
    place.is_some()
}

/// The numbers of packets that are sent again as they were, where retransmissions have no sequence of their own: they keep their
/// number, too, because AES-GCM allows no second packet under one index.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// SSRC, sequence number, transport-wide number. Bounded: the oldest goes first, and is then not sent again.
    packets: VecDeque<(u32, u16, u16)>,
}

impl Remembered {
    pub(super) fn push(&mut self, packet: &[u8], number: u16) {
        let Some((ssrc, sequence)) = name(packet) else { return };
        if self.packets.len() == REMEMBERED_MAX {
            self.packets.pop_front();
        }
        self.packets.push_back((ssrc, sequence, number));
    }

    pub(super) fn find(&self, packet: &[u8]) -> Option<u16> {
        let name = name(packet)?;
        self.packets.iter().rev().find(|(ssrc, sequence, _)| (*ssrc, *sequence) == name).map(|(_, _, number)| *number)
    }
}

fn name(packet: &[u8]) -> Option<(u32, u16)> {
    let head: &[u8; 12] = packet.first_chunk()?;
    let ssrc = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    Some((ssrc, u16::from_be_bytes([head[2], head[3]])))
}

#[cfg(test)]
mod tests {
    use minamo_media::rtp::{Header, Packet};

    use super::*;

    fn packet(ssrc: u32, sequence: u16, extensions: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        Header { ssrc, sequence, extensions, ..Header::default() }.write(&mut bytes);
        bytes.push(7);
        bytes
    }

    #[test]
    fn the_number_gets_where_it_belongs_or_nowhere() {
        let mut bytes = packet(1, 2, &[(3, &[0, 0]), (4, b"v")]);
        assert!(write(&mut bytes, 3, 0x1234));
        let read = Packet::parse(&bytes).unwrap();
        assert_eq!((read.extension(3), read.extension(4)), (Some([0x12, 0x34].as_slice()), Some(b"v".as_slice())));
        bytes[0] |= 0x20;
        assert!(write(&mut bytes, 3, 0x1235), "padding does not matter");
        for without in [packet(1, 2, &[(4, b"vi")]), packet(1, 2, &[]), vec![0x90; 10]] {
            let mut bytes = without.clone();
            assert!(!write(&mut bytes, 3, 5));
            assert_eq!(bytes, without);
        }
        let mut two_byte = vec![0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 0, 0, 1, 3, 2, 0, 0, 9];
        assert!(write(&mut two_byte, 3, 0xabcd));
        assert_eq!(two_byte[16..], [3, 2, 0xab, 0xcd, 9]);
    }

    #[test]
    fn the_same_packet_has_the_same_number_as_long_as_it_is_remembered() {
        let mut remembered = Remembered::default();
        for sequence in 0..1000u16 {
            remembered.push(&packet(7, sequence, &[]), sequence.wrapping_mul(3));
        }
        assert_eq!(remembered.find(&packet(7, 990, &[])), Some(2970));
        assert_eq!(remembered.find(&packet(8, 990, &[])), None);
        assert_eq!(remembered.find(&packet(7, 1, &[])), None);
    }
}
