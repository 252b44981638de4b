use std::hint::black_box;

use minamo_media::aac::AudioSpecificConfig;
use minamo_media::opus::{PACKET_SAMPLES_MAX, is_stereo, packet_samples};
use minamo_media::rtp::opus::Depacketizer;
use minamo_media::rtp::{Damage, Event};

use crate::support::survives;

fn toc(config: u8, code: u8) -> u8 {
    (config << 3) | code
}

/// RFC 6716 table 2, in tenths of a millisecond.
const FRAME_TENTHS: [u32; 32] = [
    100, 200, 400, 600, 100, 200, 400, 600, 100, 200, 400, 600, 100, 200, 100, 200, 25, 50, 100, 200, 25, 50, 100, 200, 25, 50,
    100, 200, 25, 50, 100, 200,
];

#[test]
fn every_configuration_has_its_length() {
    for (config, tenths) in (0u8..).zip(FRAME_TENTHS) {
        let samples = tenths * 48 / 10;
        assert_eq!(packet_samples(&[toc(config, 0), 1]), Some(samples), "configuration {config}");
        assert_eq!(packet_samples(&[toc(config, 1), 1, 2]), Some(2 * samples).filter(|all| *all <= PACKET_SAMPLES_MAX));
        assert_eq!(packet_samples(&[toc(config, 2), 0, 2]), Some(2 * samples).filter(|all| *all <= PACKET_SAMPLES_MAX));
    }
}

#[test]
fn browsers_send_twenty_milliseconds() {
    assert_eq!(packet_samples(&[0xFC, 0xFF, 0xFE]), Some(960));
    assert_eq!(packet_samples(&[0x78, 1]), Some(960));
    assert!(is_stereo(&[0xFC, 0xFF, 0xFE]) && !is_stereo(&[0x78, 1]) && !is_stereo(&[]));
}

#[test]
fn refuses_what_is_no_packet() {
    // Nothing; no count; no frames; 140 ms; two frames of one size in an odd number of bytes.
    for packet in [&[][..], &[toc(31, 3)], &[toc(31, 3), 0], &[toc(31, 3), 7], &[toc(31, 1), 1]] {
        assert_eq!(packet_samples(packet), None, "{packet:02x?}");
    }
    assert_eq!(packet_samples(&[toc(31, 3), 6]), Some(PACKET_SAMPLES_MAX));
}

#[test]
fn each_payload_is_a_unit() {
    let mut depacketizer = Depacketizer;
    let events: Vec<_> = depacketizer.push(&[0xFC, 1], 960, false).collect();
    assert!(matches!(&events[..], [Event::Frame(frame)] if frame.key && frame.timestamp == 960 && frame.data[..] == [0xFC, 1]));
    let events: Vec<_> = depacketizer.push(&[0xFF, 0], 1_920, true).collect();
    assert_eq!(events, [Event::Damaged { timestamp: 1_920, damage: Damage::Malformed }]);
    assert_eq!(depacketizer.push(&[], 2_880, true).count(), 0);
}

#[test]
fn audio_specific_configs_have_their_known_bytes() {
    let cases = [(48_000, 2, vec![0x11, 0x90]), (44_100, 2, vec![0x12, 0x10]), (48_000, 1, vec![0x11, 0x88])];
    for (sample_rate, channels, bytes) in cases {
        let config = AudioSpecificConfig { sample_rate, channels };
        assert_eq!(config.to_bytes(), bytes);
        assert_eq!(AudioSpecificConfig::parse(&bytes), Some(config));
    }
    let odd = AudioSpecificConfig { sample_rate: 47_999, channels: 2 };
    assert_eq!(AudioSpecificConfig::parse(&odd.to_bytes()), Some(odd));
    assert_eq!(odd.to_bytes().len(), 5);
}

#[test]
fn refuses_configs_of_other_codecs_and_cut_ones() {
    // HE-AAC (5), a reserved rate index, a missing byte.
    for bytes in [&[0x29, 0x90][..], &[0x16, 0x90], &[0x11], &[]] {
        assert_eq!(AudioSpecificConfig::parse(bytes), None);
    }
}

#[test]
fn arbitrary_bytes_never_panic() {
    assert!(survives(&[&[], &[0xFF], &[0x17, 0x80]], |input| {
        assert!(packet_samples(input).is_none_or(|samples| (1..=PACKET_SAMPLES_MAX).contains(&samples)));
        black_box(AudioSpecificConfig::parse(input));
    }));
}
