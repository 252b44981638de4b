use minamo_media::rtp::header::{Header, HeaderError, Packet, is_rtcp};
use proptest::prelude::*;

use crate::support::{bytes, runner, survives};

/// Version 2, padding, extension, one CSRC; marker, type 96; two one-byte extensions; payload 1 2 3; padding of two.
const FULL: [u8; 37] = [
    0xB1, 0xE0, 0x12, 0x34, 0xDE, 0xAD, 0xBE, 0xEF, 0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 9, // fixed and CSRC
    0xBE, 0xDE, 0, 2, 0x32, 0xAA, 0xBB, 0xCC, 0, 0x40, 0x30, 0, // id 3 (3 bytes), padding, id 4 (1 byte)
    1, 2, 3, 4, 5, 6, 7, 0, 2,
];

#[test]
fn reads_every_field() {
    let packet = Packet::parse(&FULL).unwrap();
    assert!(packet.marker());
    assert_eq!(packet.payload_type(), 96);
    assert_eq!(packet.sequence(), 0x1234);
    assert_eq!(packet.timestamp(), 0xDEAD_BEEF);
    assert_eq!(packet.ssrc(), 0xCAFE_BABE);
    assert_eq!(packet.extensions().collect::<Vec<_>>(), [(3, &[0xAA, 0xBB, 0xCC][..]), (4, b"0")]);
    assert_eq!(packet.extension(4), Some(&b"0"[..]));
    assert_eq!(packet.extension(5), None);
    assert_eq!(packet.payload(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(packet.payload(), &FULL[packet.payload_range()]);
}

#[test]
fn reads_two_byte_extensions() {
    let packet = [&[0x90; 1], &FULL[1..12], &[0x10, 0x05, 0, 2, 20, 0, 21, 2, 8, 9, 0, 0]].concat();
    let packet = Packet::parse(&packet).unwrap();
    assert_eq!(packet.extensions().collect::<Vec<_>>(), [(20, &[][..]), (21, &[8, 9])]);
}

#[test]
fn extensions_stop_at_what_is_malformed_or_reserved() {
    for words in [[0x3F, 1, 2, 3], [0xF0, 1, 0x30, 3]] {
        let packet = [&[0x90], &FULL[1..12], &[0xBE, 0xDE, 0, 1], &words].concat();
        assert_eq!(Packet::parse(&packet).unwrap().extensions().next(), None);
    }
}

#[test]
fn refuses_what_is_no_packet() {
    assert_eq!(Packet::parse(&[]), Err(HeaderError::TooShort));
    assert_eq!(Packet::parse(&FULL[..15]), Err(HeaderError::TooShort));
    assert_eq!(Packet::parse(&FULL[..27]), Err(HeaderError::TooShort));
    assert_eq!(Packet::parse(&[&[0x40], &FULL[1..]].concat()), Err(HeaderError::Version));
    for padding in [0, 10, 255] {
        let mut packet = FULL;
        packet[36] = padding;
        assert_eq!(Packet::parse(&packet), Err(HeaderError::Padding));
    }
}

#[test]
fn a_packet_may_be_only_padding() {
    let packet = [&[0xA0], &FULL[1..12], &[0, 0, 3]].concat();
    assert_eq!(Packet::parse(&packet).unwrap().payload(), []);
}

#[test]
fn tells_rtcp_by_its_type() {
    assert!(is_rtcp(&[0x80, 200]));
    assert!(is_rtcp(&[0x81, 206]));
    assert!(!is_rtcp(&[0x80, 96]));
    assert!(!is_rtcp(&[0x80, 0x80 | 111]));
    assert!(!is_rtcp(&[0x80]));
}

#[test]
fn what_is_written_is_read_back() {
    let extensions = prop::collection::vec((1u8..15, prop::collection::vec(any::<u8>(), 1..40)), 0..5);
    let numbers = (any::<bool>(), 0u8..128, any::<u16>(), any::<u32>(), any::<u32>());
    runner(500)
        .run(&(numbers, extensions, bytes(50)), |((marker, payload_type, sequence, timestamp, ssrc), extensions, payload)| {
            let borrowed: Vec<_> = extensions.iter().map(|(id, data)| (*id, data.as_slice())).collect();
            let header = Header { marker, payload_type, sequence, timestamp, ssrc, extensions: &borrowed };
            let mut out = Vec::new();
            header.write(&mut out);
            prop_assert_eq!(out.len(), header.encoded_len());
            out.extend(&payload);
            let packet = Packet::parse(&out).unwrap();
            let read = (packet.marker(), packet.payload_type(), packet.sequence(), packet.timestamp(), packet.ssrc());
            prop_assert_eq!(read, (marker, payload_type, sequence, timestamp, ssrc));
            prop_assert_eq!(packet.extensions().collect::<Vec<_>>(), borrowed);
            prop_assert_eq!(packet.payload(), payload);
            Ok(())
        })
        .unwrap();
}

#[test]
fn extensions_without_a_form_are_left_out() {
    let (long, longest) = ([7; 17], [7; 256]);
    let header = Header { extensions: &[(0, &[1]), (15, &[1]), (5, &[]), (6, &longest), (7, &[9])], ..Header::default() };
    let mut out = Vec::new();
    header.write(&mut out);
    assert_eq!(out[12..14], [0xBE, 0xDE]);
    assert_eq!(Packet::parse(&out).unwrap().extensions().collect::<Vec<_>>(), [(7, &[9][..])]);
    // One that is too long for the one-byte form gives all of them the other.
    let header = Header { extensions: &[(6, &long), (7, &[9])], ..Header::default() };
    out.clear();
    header.write(&mut out);
    assert_eq!(out[12..14], [0x10, 0x00]);
    assert_eq!(Packet::parse(&out).unwrap().extensions().collect::<Vec<_>>(), [(6, &long[..]), (7, &[9][..])]);
}

#[test]
fn arbitrary_bytes_never_panic() {
    assert!(survives(&[&[], &[0x80], &[0xBF], &FULL[..16], &FULL[..18]], |input| {
        if let Ok(packet) = Packet::parse(input) {
            packet.extensions().for_each(drop);
            assert!(packet.payload().len() + 12 <= input.len());
        }
    }));
}
