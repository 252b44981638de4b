use std::hint::black_box;

use minamo_media::rtp::vp8::{Depacketizer, Descriptor, is_key_packet, key_frame_size};
use minamo_media::rtp::{Damage, Event, Frame};

use crate::support::survives;

/// The head of a 320x180 key frame.
const KEY: [u8; 10] = [0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x40, 0x01, 0xB4, 0x00];
/// Everything that a descriptor can have: long picture id, TL0PICIDX, TID and KEYIDX.
const LONG: [u8; 6] = [0xB0, 0xF0, 0x92, 0x34, 0x07, 0xAB];

#[test]
fn reads_the_descriptor() {
    let (descriptor, data) = Descriptor::parse(&[0x10, 9]).unwrap();
    assert_eq!((descriptor, data), (Descriptor { partition_start: true, ..Descriptor::default() }, &[9][..]));
    let payload = [&LONG[..], &KEY].concat();
    let (descriptor, data) = Descriptor::parse(&payload).unwrap();
    assert_eq!(data, KEY);
    assert_eq!(descriptor.picture_id, Some(0x1234));
    assert_eq!(descriptor.tl0_picture_index, Some(7));
    assert_eq!(descriptor.temporal, Some((2, true)));
    assert_eq!(descriptor.key_index, Some(11));
    assert!(descriptor.non_reference && descriptor.partition_start);
    assert_eq!(Descriptor::parse(&[0x80, 0x80, 0x12]).unwrap().0.picture_id, Some(0x12));
    for cut in 0..LONG.len() {
        assert_eq!(Descriptor::parse(&LONG[..cut]), None);
    }
}

#[test]
fn knows_a_key_frame_by_its_first_packet_only() {
    assert!(is_key_packet(&[&[0x10], &KEY[..]].concat()));
    assert!(!is_key_packet(&[&[0x00], &KEY[..]].concat()));
    assert!(!is_key_packet(&[&[0x11], &KEY[..]].concat()));
    assert!(!is_key_packet(&[0x10, 0x11, 0x02]));
    assert!(!is_key_packet(&[0x10]));
    assert_eq!(key_frame_size(&KEY), Some((320, 180)));
    assert_eq!(key_frame_size(&KEY[..9]), None);
}

#[test]
fn packets_become_frames() {
    let mut depacketizer = Depacketizer::default();
    assert_eq!(depacketizer.push(&[&LONG[..], &KEY].concat(), 1, false).count(), 0);
    let events: Vec<_> = depacketizer.push(&[0x00, 1, 2], 1, true).collect();
    let data = [&KEY[..], &[1, 2]].concat();
    assert_eq!(events, [Event::Frame(Frame { timestamp: 1, key: true, data: data.into() })]);
    let events: Vec<_> = depacketizer.push(&[0x10, 0x11, 3], 2, true).collect();
    assert_eq!(events, [Event::Frame(Frame { timestamp: 2, key: false, data: vec![0x11, 3].into() })]);
}

#[test]
fn damage_is_named() {
    let cases: [(&[&[u8]], Damage); 4] = [
        (&[&[0x00, 1]], Damage::Headless),
        (&[&[0x11, 1]], Damage::Headless),
        (&[&[0x10, 1], &[0x10, 1]], Damage::FragmentWithoutEnd),
        (&[&[0x10, 1], &[0x80]], Damage::Malformed),
    ];
    for (payloads, damage) in cases {
        let mut depacketizer = Depacketizer::default();
        let events: Vec<_> = payloads.iter().flat_map(|payload| depacketizer.push(payload, 1, false)).collect();
        assert_eq!(events, []);
        assert_eq!(depacketizer.finish(), Some(Event::Damaged { timestamp: 1, damage }));
    }
}

#[test]
fn arbitrary_bytes_never_panic() {
    assert!(survives(&[&[], &[0x90], &LONG, &[0x80, 0xFF]], |input| {
        black_box(is_key_packet(input));
        black_box(key_frame_size(input));
        let mut depacketizer = Depacketizer::default();
        input.chunks(9).for_each(|payload| depacketizer.push(payload, i64::from(payload[0]), payload[0] & 3 == 0).for_each(drop));
        depacketizer.finish();
    }));
}
