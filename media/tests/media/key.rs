use std::hint::black_box;

use minamo_media::Codec;
use minamo_media::rtp::{Depacketizer, is_key_packet};

use crate::support::survives;

const ALL: [Codec; 6] = [Codec::Opus, Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H265];

#[test]
fn knows_where_a_subscriber_may_start() {
    let cases: [(Codec, &[u8], bool); 22] = [
        (Codec::Opus, &[0xFC], true),
        (Codec::H264, &[0x67, 0x42], true),
        (Codec::H264, &[0x65, 0x88], true),
        (Codec::H264, &[0x68, 0xCB], false),
        (Codec::H264, &[0x41, 0x9A], false),
        (Codec::H264, &[0x78, 0, 2, 0x68, 1, 0, 1, 0x65], true),
        (Codec::H264, &[0x78, 0, 2, 0x41, 1, 0, 1, 0x06], false),
        (Codec::H264, &[0x7C, 0x85, 1], true),
        (Codec::H264, &[0x7C, 0x45, 1], false),
        (Codec::H264, &[0x7C, 0x81, 1], false),
        (Codec::Vp8, &[0x10, 0x10], true),
        (Codec::Vp9, &[0x8C, 0x92, 0x34, 0], true),
        (Codec::Vp9, &[0xCC, 0x92, 0x34, 0], false),
        (Codec::Vp9, &[0xAC, 0x92, 0x34, 0x00, 0x07], true),
        (Codec::Vp9, &[0xAC, 0x12, 0x02, 0x00, 0x07], false),
        (Codec::Vp9, &[0x84, 0x12, 0], false),
        (Codec::Av1, &[0x18, 0x0A], true),
        (Codec::Av1, &[0x10, 0x32], false),
        (Codec::H265, &[0x40, 1, 0x0C], true),
        (Codec::H265, &[0x02, 1, 0xD0], false),
        (Codec::H265, &[0x62, 1, 0x93, 9], true),
        (Codec::H265, &[0x60, 1, 0, 9, 0x42, 1], true),
    ];
    for (codec, payload, expected) in cases {
        assert_eq!(is_key_packet(codec, payload), expected, "{codec:?} {payload:02x?}");
    }
}

#[test]
fn nothing_is_no_key() {
    assert!(ALL[1..].iter().all(|codec| !is_key_packet(*codec, &[])));
}

#[test]
fn only_what_the_tap_understands_has_a_depacketizer() {
    let tapped: Vec<_> = ALL.into_iter().filter(|codec| Depacketizer::new(*codec).is_some()).collect();
    assert_eq!(tapped, [Codec::Opus, Codec::H264, Codec::Vp8]);
}

#[test]
fn arbitrary_bytes_never_panic() {
    assert!(survives(&[&[], &[0x78, 0, 1], &[0xFF], &[0xAC, 0xFF], &[0x60, 1], &[0x62]], |input| {
        for codec in ALL {
            black_box(is_key_packet(codec, input));
            if let Some(mut depacketizer) = Depacketizer::new(codec) {
                input.chunks(7).for_each(|payload| depacketizer.push(payload, 0, payload.len() < 7).for_each(drop));
                depacketizer.gap();
                depacketizer.finish();
            }
        }
    }));
}
