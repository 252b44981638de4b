//! What is on the wire never does more than fail.

use minamo_media::Codec;

use super::{Source, difference, painted};
use crate::{DecodeError, Picture, VideoDecoder, decoder_of};

const CODECS: [Codec; 3] = [Codec::H264, Codec::Vp8, Codec::Vp9];

fn decoder(codec: Codec) -> Box<dyn VideoDecoder> {
    decoder_of(codec).unwrap().unwrap()
}

fn decode(decoder: &mut dyn VideoDecoder, data: &[u8]) -> Result<Option<Picture>, DecodeError> {
    let mut shown = None;
    decoder.decode(data, &mut |picture| shown = Some(Picture::copy_of(picture)))?;
    Ok(shown)
}

#[test]
fn every_codec_gives_back_the_picture_of_the_same_unit() {
    for codec in CODECS {
        let mut source = Source::new(codec, 320, 240);
        let mut decoder = decoder(codec);
        for n in 0..30 {
            let unit = source.next(n == 15);
            assert_eq!(unit.key, n == 0 || n == 15, "{codec:?} {n}");
            let shown = decode(&mut *decoder, &unit.data).unwrap().unwrap();
            let right = difference(&shown, &painted(n, 320, 240));
            // The negative control: the picture before differs more.
            let wrong = difference(&shown, &painted(n + 1, 320, 240));
            assert!(right < 8.0 && right < wrong / 1.5, "{codec:?} {n}: {right} {wrong}");
        }
    }
}

#[test]
fn sizes_change_and_odd_ones_lose_a_line() {
    for codec in CODECS {
        let mut decoder = decoder(codec);
        for (width, height) in [(320, 240), (160, 120), (640, 360), (320, 240)] {
            let mut source = Source::new(codec, width, height);
            for _ in 0..3 {
                let shown = decode(&mut *decoder, &source.next(false).data).unwrap().unwrap();
                assert_eq!((shown.width(), shown.height()), (width, height), "{codec:?}");
            }
        }
    }
}

#[test]
fn damaged_units_fail_and_the_next_key_frame_heals() {
    for codec in CODECS {
        let mut source = Source::new(codec, 320, 240);
        let units: Vec<_> = (0..24).map(|n| source.next(n % 8 == 0)).collect();
        let mut seed = 7_u32;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as usize % below.max(1)
        };
        for round in 0..150 {
            let mut decoder = decoder(codec);
            for unit in &units {
                let mut data = unit.data.to_vec();
                match random(4) {
                    0 => data.truncate(random(data.len())),
                    1 => (0..=random(20)).for_each(|_| {
                        let at = random(data.len());
                        data[at] ^= 1 << random(8);
                    }),
                    2 => {
                        let (from, to) = (random(data.len()), random(data.len()));
                        let cut = data.split_off(from.min(to));
                        data.extend_from_slice(&cut[cut.len() / 2..]);
                    }
                    _ => {}
                }
                let _ = decode(&mut *decoder, &data);
            }
            let healed = decode(&mut *decoder, &units[0].data);
            // A decoder that was shown another size in damaged headers may need one more; never more than that.
            let healed = healed.ok().flatten().or_else(|| decode(&mut *decoder, &units[0].data).ok().flatten());
            let healed = healed.unwrap_or_else(|| panic!("{codec:?}: round {round} is not healed"));
            assert!(difference(&healed, &painted(0, 320, 240)) < 8.0, "{codec:?} {round}");
        }
    }
}

#[test]
fn garbage_is_an_error_and_nothing_else() {
    for codec in CODECS {
        let mut decoder = decoder(codec);
        for first in 0..=255_u8 {
            for length in [0_usize, 1, 2, 3, 4, 5, 9, 16, 100, 1000] {
                let data: Vec<u8> =
                    (0..length).map(|n| first.wrapping_mul((n as u8).wrapping_add(31)).rotate_left(n as u32 % 7)).collect();
                assert_eq!(decode(&mut *decoder, &data).ok().flatten(), None, "{codec:?} {first} {length}");
            }
        }
    }
}

#[test]
fn pictures_that_are_too_large_are_not_given_to_a_decoder() {
    let vp8 = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0xff, 0x3f, 0xff, 0x3f, 0, 0, 0, 0];
    let refused = decode(&mut *decoder(Codec::Vp8), &vp8);
    assert!(matches!(refused, Err(DecodeError::TooLarge(size)) if size.width == 0x3fff), "{refused:?}");
}
