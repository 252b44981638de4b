//! What packets say of their pictures, and other numbers written into them.

use std::hint::black_box;

use minamo_media::Codec;
use minamo_media::rtp::av1::{self, Structure};
use minamo_media::rtp::vp9::{Descriptor, LayerIndices};
use minamo_media::rtp::{Inspector, Picture, PictureId, picture, vp8, vp9};
use proptest::prelude::*;

use crate::support::survives;

/// Chromium's L1T3, as its encoder writes it with a key frame: 5 templates, 3 decode targets.
fn structure() -> Vec<u8> {
    let mut bits = Vec::new();
    let mut put = |value: u32, count: u32| bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    put(0b10, 2); // start, not end
    put(20, 6); // template id
    put(0x1234, 16);
    put(0b10000, 5); // structure present
    put(20, 6); // offset
    put(2, 5); // three decode targets
    // temporal ids 0 0 1 2 2
    for next in [0, 1, 1, 0, 3] {
        put(next, 2);
    }
    const ABSENT: u32 = 0;
    const DISCARDABLE: u32 = 1;
    const SWITCH: u32 = 2;
    for indications in
        [[SWITCH; 3], [SWITCH; 3], [ABSENT, DISCARDABLE, SWITCH], [ABSENT, ABSENT, DISCARDABLE], [ABSENT, ABSENT, DISCARDABLE]]
    {
        indications.iter().for_each(|indication| put(*indication, 2));
    }
    // What follows (differences, chains, resolutions) is not read.
    put(0x2a5, 10);
    bits.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |sum, (at, bit)| sum | u8::from(*bit) << (7 - at))).collect()
}

#[test]
fn a_dependency_descriptor_with_its_structure_and_those_behind_it() {
    let mut known = Structure::default();
    let key = av1::Descriptor::parse(&structure(), &mut known).unwrap();
    assert!(key.begins && !key.ends && key.structure && key.switching_up);
    assert_eq!((key.frame_number, key.temporal, key.spatial), (0x1234, 0, 0));
    for (template, temporal, switching_up) in [(21, 0, true), (22, 1, true), (23, 2, false), (24, 2, false)] {
        let descriptor = av1::Descriptor::parse(&[0xC0 | template, 0x12, 0x35], &mut known).unwrap();
        assert!(descriptor.begins && descriptor.ends && !descriptor.structure);
        assert_eq!((descriptor.temporal, descriptor.switching_up, descriptor.frame_number), (temporal, switching_up, 0x1235));
    }
    let unknown = av1::Descriptor::parse(&[0xC0 | 30, 0, 1], &mut known).unwrap();
    assert_eq!((unknown.temporal, unknown.switching_up), (0, false));
    for cut in 0..8 {
        assert_eq!(av1::Descriptor::parse(&structure()[..cut.min(2)], &mut Structure::default()), None);
        if cut > 3 {
            assert_eq!(av1::Descriptor::parse(&structure()[..cut], &mut Structure::default()), None, "{cut}");
        }
    }
}

#[test]
fn other_frame_numbers_change_nothing_else() {
    let mut data = structure();
    let before = av1::Descriptor::parse(&data, &mut Structure::default()).unwrap();
    av1::renumber(&mut data, 0xFFFE);
    let mut known = Structure::default();
    let after = av1::Descriptor::parse(&data, &mut known).unwrap();
    assert_eq!(after, av1::Descriptor { frame_number: 0xFFFE, ..before });
    av1::renumber(&mut [1, 2], 7);
}

#[test]
fn an_av1_key_frame_has_a_sequence_header_in_front() {
    // W=1: no length; W=0 and W=2: a length before it; behind a temporal delimiter.
    for key in [&[0x18, 0x0A, 0x0B][..], &[0x08, 2, 0x0A, 1], &[0x28, 1, 0x0A, 0x32], &[0x28, 2, 0x12, 0, 0x0A, 0x0B]] {
        assert!(av1::is_key_packet(key), "{key:02x?}");
    }
    // No new sequence; a continued one; a frame in front.
    for other in [&[0x10, 0x0A, 0x0B][..], &[0x98, 0x0A, 0x0B], &[0x18, 0x32, 0x0B], &[0x18], &[0x08, 0xFF, 0xFF, 0xFF, 0xFF]] {
        assert!(!av1::is_key_packet(other), "{other:02x?}");
    }
}

#[test]
fn vp9_descriptors_of_both_modes() {
    // Non-flexible, 15 bits, TID 2, U, TL0PICIDX 7.
    let payload = [0xA8, 0x92, 0x34, 0x50, 7, 0xFF];
    let descriptor = Descriptor::parse(&payload).unwrap();
    let layer = LayerIndices { temporal: 2, switching_up: true, spatial: 0 };
    let expected = Descriptor {
        intra: true,
        begins: true,
        picture_id: Some((0x1234, 15)),
        layer: Some(layer),
        tl0_picture_index: Some(7),
        ..Descriptor::default()
    };
    assert_eq!(descriptor, expected);
    // Flexible: no TL0PICIDX, reference differences behind.
    let descriptor = Descriptor::parse(&[0xFC, 0x12, 0x02, 0x03, 0xFF]).unwrap();
    assert_eq!((descriptor.picture_id, descriptor.tl0_picture_index, descriptor.intra), (Some((0x12, 7)), None, false));
    assert!(descriptor.ends && descriptor.begins && !descriptor.begins_picture());
    assert!((0..5).all(|cut| Descriptor::parse(&payload[..cut]).is_none()));
}

/// Payloads with every combination of fields.
fn payloads() -> Vec<(Codec, Vec<u8>, u8)> {
    let mut list = Vec::new();
    for (long, tl0, temporal) in (0..8).map(|mix| (mix & 1 > 0, mix & 2 > 0, mix & 4 > 0)) {
        let id: &[u8] = if long { &[0x92, 0x34] } else { &[0x12] };
        let flags = 0x80 | u8::from(tl0) << 6 | u8::from(temporal) << 5;
        let mut payload = [&[0x90, flags], id].concat();
        payload.extend([9].repeat(usize::from(tl0)));
        payload.extend([0x60].repeat(usize::from(temporal)));
        list.push((Codec::Vp8, [&payload[..], &[0x11, 1, 2]].concat(), if long { 15 } else { 7 }));
        let mut payload = [&[0x88 | u8::from(tl0 || temporal) << 5 | u8::from(!tl0) << 4][..], id].concat();
        payload.extend([0x60].repeat(usize::from(tl0 || temporal)));
        payload.extend([9].repeat(usize::from(tl0)));
        list.push((Codec::Vp9, [&payload[..], &[0x11, 1, 2]].concat(), if long { 15 } else { 7 }));
    }
    list
}

#[test]
fn other_numbers_are_written_where_they_are() {
    for (codec, before, bits) in payloads() {
        let mut after = before.clone();
        picture::renumber(codec, &mut after, 0x7FFF, 0xEE);
        assert!(after.ends_with(&[0x11, 1, 2]) && after.len() == before.len());
        let was = Inspector::new(codec).inspect(&before, None);
        let now = Inspector::new(codec).inspect(&after, None);
        assert_eq!(was.id, Some(PictureId { value: if bits == 15 { 0x1234 } else { 0x12 }, bits }), "{before:02x?}");
        assert_eq!(
            now,
            Picture {
                id: Some(PictureId { value: if bits == 15 { 0x7FFF } else { 0x7F }, bits }),
                tl0: was.tl0.map(|_| 0xEE),
                ..was
            }
        );
    }
}

#[test]
fn temporal_layers_are_told() {
    let told = |codec, payload: &[u8]| Inspector::new(codec).inspect(payload, None);
    let vp8 = told(Codec::Vp8, &[0x90, 0xE0, 0x12, 7, 0xA0, 0x11]);
    assert_eq!((vp8.temporal, vp8.sync, vp8.first, vp8.key), (2, true, true, false));
    let key = told(Codec::Vp8, &[0x90, 0xE0, 0x12, 7, 0x00, 0x10]);
    assert!(key.key && key.switching_up);
    let vp9 = told(Codec::Vp9, &[0xE8, 0x12, 0x30, 7, 0x11]);
    assert_eq!((vp9.temporal, vp9.switching_up, vp9.key), (1, true, false));
    let mut h264 = Inspector::new(Codec::H264);
    assert!(h264.inspect(&[0x67, 1], Some(&structure())).first);
    let slice = h264.inspect(&[0x41, 1], Some(&[0xC0 | 23, 0, 9]));
    assert_eq!((slice.temporal, slice.id, slice.key), (2, Some(PictureId { value: 9, bits: 16 }), false));
}

#[test]
fn arbitrary_bytes_never_panic() {
    assert!(survives(&[&[], &[0x90, 0xFF], &[0xFF; 4], &structure(), &[0x28, 0xFF, 0xFF, 0x01]], |input| {
        let mut bytes = input.to_vec();
        vp8::renumber(&mut bytes, 1, 2);
        vp9::renumber(&mut bytes, 1, 2);
        for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264, Codec::H265, Codec::Opus] {
            let mut inspector = Inspector::new(codec);
            for piece in input.chunks(9) {
                black_box(inspector.inspect(piece, Some(input)));
                black_box(inspector.inspect(input, Some(piece)));
            }
        }
    }));
}

proptest! {
    #[test]
    fn random_descriptors_never_panic(data in prop::collection::vec(any::<u8>(), 0..80), payload in prop::collection::vec(any::<u8>(), 0..20)) {
        let mut inspector = Inspector::new(Codec::Av1);
        for end in 0..=data.len() {
            black_box(inspector.inspect(&payload, Some(&data[..end])));
        }
    }
}
