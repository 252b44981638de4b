use std::hint::black_box;

use bytes::Bytes;
use minamo_media::h264::{
    H264Config, NalType, Sps, SpsError, annex_b_nal_units, annex_b_to_avcc, avcc_to_annex_b, codec_string, is_idr, is_key_packet,
    nal_units, without_parameter_sets,
};
use proptest::prelude::*;

use crate::support::{bytes, runner, survives, survives_mutations};

/// 640x360, constrained baseline: the last macroblock row is cropped.
pub const BASELINE: &[u8] = &[
    0x67, 0x42, 0xC0, 0x1E, 0xD9, 0x00, 0xA0, 0x2F, 0xF9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x3C,
    0x0F, 0x16, 0x2E, 0x48,
];
pub const BASELINE_PPS: &[u8] = &[0x68, 0xCB, 0x83, 0xCB, 0x20];
/// 1920x1080 at 30000/1001, high, with colour description.
pub const HIGH: &[u8] = &[
    0x67, 0x64, 0x00, 0x28, 0xAC, 0xB2, 0x00, 0xF0, 0x04, 0x4F, 0xCB, 0x80, 0xB5, 0x01, 0x01, 0x01, 0x40, 0x00, 0x00, 0xFA, 0x40,
    0x00, 0x3A, 0x98, 0x03, 0xC6, 0x0C, 0x92,
];
/// 720x486 interlaced 4:2:2 in ten bits, with a scaling matrix and its own sample aspect ratio.
const HIGH_422: &[u8] = &[
    0x67, 0x7A, 0x00, 0x1E, 0xB6, 0xCD, 0x94, 0x0B, 0x42, 0x0F, 0xC7, 0x60, 0x22, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03,
    0x00, 0x64, 0x3E, 0x28, 0x53, 0x2C,
];
/// 322x182 in 4:4:4: odd cropping.
const HIGH_444: &[u8] = &[
    0x67, 0xF4, 0x00, 0x0D, 0x91, 0x9B, 0x28, 0x2A, 0x33, 0xC7, 0xC5, 0xE0, 0x22, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03,
    0x00, 0x64, 0x1E, 0x28, 0x53, 0x2C,
];
const ALL: [&[u8]; 4] = [BASELINE, HIGH, HIGH_422, HIGH_444];

type Facts = (&'static str, u16, u16, u8, u8);

fn facts(sps: &Sps) -> (String, u16, u16, u8, u8) {
    (codec_string(sps), sps.width, sps.height, sps.chroma_format, sps.luma_bits)
}

#[test]
fn reads_sequence_parameter_sets_of_real_encoders() {
    let expected: [Facts; 4] = [
        ("avc1.42c01e", 640, 360, 1, 8),
        ("avc1.640028", 1920, 1080, 1, 8),
        ("avc1.7a001e", 720, 486, 2, 10),
        ("avc1.f4000d", 322, 182, 3, 8),
    ];
    for (nal, (codec, width, height, chroma, bits)) in ALL.into_iter().zip(expected) {
        let sps = Sps::parse(nal).unwrap();
        assert_eq!(facts(&sps), (codec.to_owned(), width, height, chroma, bits));
    }
    let rates: Vec<_> = ALL.map(|nal| Sps::parse(nal).unwrap().frame_rate()).to_vec();
    assert_eq!(rates, [Some(30.0), Some(30_000.0 / 1_001.0), Some(25.0), Some(25.0)]);
}

#[test]
fn refuses_what_is_no_sequence_parameter_set() {
    assert_eq!(Sps::parse(&[]), Err(SpsError::NotSps));
    assert_eq!(Sps::parse(BASELINE_PPS), Err(SpsError::NotSps));
    assert_eq!(Sps::parse(&BASELINE[..6]), Err(SpsError::Truncated));
}

/// A baseline SPS out of Exp-Golomb numbers: everything behind the level, one flag being the number's single bit.
fn baseline(fields: &[Result<u32, &str>]) -> Vec<u8> {
    let code = |number: &u32| {
        let bits = format!("{:b}", number + 1);
        "0".repeat(bits.len() - 1) + &bits
    };
    let text = |field: &Result<u32, &str>| field.as_ref().map_or_else(|bits| (*bits).to_owned(), code);
    let bits: Vec<u8> = fields.iter().map(text).collect::<String>().into_bytes();
    let byte = |chunk: &[u8]| chunk.iter().enumerate().fold(0, |byte, (at, bit)| byte | ((bit - b'0') << (7 - at)));
    [0x67, 0x42, 0xE0, 0x1F].into_iter().chain(bits.chunks(8).map(byte)).chain([0x80]).collect()
}

#[test]
fn reads_every_branch_of_the_fields() {
    // id, frame_num, then the picture order: type 0 with its bits, 1 with a list of two, 2 without anything.
    let orders: [&[Result<u32, &str>]; 3] = [&[Ok(0), Ok(4)], &[Ok(1), Err("0"), Ok(1), Ok(2), Ok(2), Ok(9), Ok(9)], &[Ok(2)]];
    for order in orders {
        // Four macroblocks by three, frames only, cropped by (1+2)·2 and (0+1)·2, no VUI.
        let rest = [Ok(1), Err("0"), Ok(3), Ok(2), Err("111"), Ok(1), Ok(2), Ok(0), Ok(1), Err("0")];
        let sps = Sps::parse(&baseline(&[&[Ok(0), Ok(0)], order, &rest].concat())).unwrap();
        assert_eq!((sps.width, sps.height, sps.timing), (64 - 6, 48 - 2, None));
        // Field pictures: twice the rows, in steps of four.
        let rest = [Ok(1), Err("0"), Ok(3), Ok(2), Err("0011"), Ok(1), Ok(2), Ok(0), Ok(1), Err("0")];
        let sps = Sps::parse(&baseline(&[&[Ok(0), Ok(0)], order, &rest].concat())).unwrap();
        assert_eq!((sps.width, sps.height), (64 - 6, 96 - 4));
    }
}

#[test]
fn refuses_impossible_sizes() {
    let start = [Ok(0), Ok(0), Ok(2), Ok(1), Err("0")];
    let whole = |width, height, crop| {
        baseline(&[&start[..], &[Ok(width), Ok(height), Err("111"), Ok(crop), Ok(crop), Ok(0), Ok(0), Err("0")]].concat())
    };
    assert_eq!(Sps::parse(&whole(0, 0, 3)).map(|sps| sps.width), Ok(4));
    assert_eq!(Sps::parse(&whole(0, 0, 4)), Err(SpsError::Invalid));
    assert_eq!(Sps::parse(&whole(0, 0, u32::MAX - 1)), Err(SpsError::Invalid));
    assert_eq!(Sps::parse(&whole(4_096, 0, 0)), Err(SpsError::Invalid));
    assert_eq!(Sps::parse(&whole(0, u32::MAX - 1, 0)), Err(SpsError::Invalid));
}

/// One bit of the width changed gives another width: the parser reads that field and no other.
#[test]
fn negative_control_another_size_is_another_result() {
    let mut nal = BASELINE.to_vec();
    nal[6] ^= 0x20;
    assert_ne!(Sps::parse(&nal).map(|sps| sps.width), Ok(640));
}

#[test]
fn broken_parameter_sets_never_panic() {
    assert!(survives_mutations(&ALL, |nal| _ = black_box(Sps::parse(nal))));
    assert!(survives(&[&[0x67], &BASELINE[..4], &HIGH[..4], &[0x67, 0xF4, 0, 13]], |nal| _ = black_box(Sps::parse(nal))));
}

fn avcc(nals: &[&[u8]]) -> Bytes {
    nals.iter().flat_map(|nal| [&(nal.len() as u32).to_be_bytes()[..], nal].concat()).collect()
}

#[test]
fn walks_nal_units_and_stops_at_what_does_not_fit() {
    let unit = avcc(&[BASELINE, &[], BASELINE_PPS, &[0x65, 1]]);
    assert_eq!(nal_units(&unit).collect::<Vec<_>>(), [BASELINE, BASELINE_PPS, &[0x65, 1]]);
    assert_eq!(nal_units(&unit[..unit.len() - 1]).count(), 2);
    assert_eq!(nal_units(&[0xFF, 0xFF, 0xFF, 0xFF, 1]).count(), 0);
    assert!(is_idr(&unit) && !is_idr(&avcc(&[BASELINE, &[0x41, 1]])));
    assert!(is_key_packet(BASELINE) && !is_key_packet(BASELINE_PPS));
    assert_eq!(NalType::of(BASELINE), Some(NalType::SPS));
}

#[test]
fn takes_parameter_sets_out() {
    let unit = avcc(&[&[0x09, 0xF0], BASELINE, BASELINE_PPS, &[0x06, 5], &[0x68, 1], BASELINE_PPS, &[0x65, 1], &[0x0C, 0xFF]]);
    let config = H264Config::from_access_unit(&unit).unwrap();
    assert_eq!(config, H264Config { sps: BASELINE.into(), pps: vec![BASELINE_PPS.into(), (&[0x68, 1][..]).into()] });
    assert_eq!(H264Config::from_access_unit(&avcc(&[BASELINE, &[0x65, 1]])), None);
    assert_eq!(without_parameter_sets(&unit), avcc(&[&[0x06, 5], &[0x65, 1]]));
    let bare = avcc(&[&[0x41, 1]]);
    assert_eq!(without_parameter_sets(&bare).as_ptr(), bare.as_ptr());
}

#[test]
fn start_codes_of_three_and_four_bytes_and_stray_zeros() {
    let stream = [7, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0x65, 0, 3, 0, 0];
    let nals: Vec<_> = annex_b_nal_units(&stream).collect();
    assert_eq!(nals, [&[0x67, 1][..], &[0x68, 2], &[0x65, 0, 3]]);
    assert_eq!(annex_b_nal_units(&[0, 0, 0, 0]).count(), 0);
}

#[test]
fn lengths_become_start_codes_and_lengths_again() {
    // What an encoder writes holds no start code inside and no zero at its end.
    let nal = prop::collection::vec(1u8.., 1..40);
    runner(300)
        .run(&prop::collection::vec(nal, 0..6), |nals| {
            let borrowed: Vec<&[u8]> = nals.iter().map(Vec::as_slice).collect();
            let unit = avcc(&borrowed);
            prop_assert_eq!(annex_b_to_avcc(&avcc_to_annex_b(&unit)), unit);
            Ok(())
        })
        .unwrap();
}

#[test]
fn arbitrary_bytes_never_panic() {
    assert!(survives(&[&[], &[0, 0, 0, 2], &[0, 0, 1]], |input| {
        assert!(nal_units(input).map(|nal| 4 + nal.len()).sum::<usize>() <= input.len());
        black_box(is_idr(input));
        black_box(is_key_packet(input));
        black_box(H264Config::from_access_unit(input));
        black_box(without_parameter_sets(&Bytes::copy_from_slice(input)));
        black_box(annex_b_to_avcc(input));
        black_box(avcc_to_annex_b(input));
    }));
}

/// Every well-formed unit is walked whole, whatever its bytes are.
#[test]
fn no_nal_unit_is_passed_over() {
    runner(300)
        .run(&prop::collection::vec(bytes(30), 0..8), |nals| {
            let borrowed: Vec<&[u8]> = nals.iter().map(Vec::as_slice).collect();
            let expected: Vec<&[u8]> = borrowed.iter().copied().filter(|nal| !nal.is_empty()).collect();
            let unit = avcc(&borrowed);
            prop_assert_eq!(nal_units(&unit).collect::<Vec<_>>(), expected);
            Ok(())
        })
        .unwrap();
}
