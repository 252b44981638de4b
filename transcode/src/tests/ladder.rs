use minamo_media::Codec;
use minamo_media::h264::{H264Config, Sps};

use super::{Source, difference, painted};
use crate::{
    DecodeError, Fit, KeyFrames, Ladder, LadderError, OpenH264Decoder, Picture, Profile, RungPicture, RungSettings, Scaler,
    SourceUnit, VideoDecoder, decoder_of,
};

pub(super) fn rung(width: usize, height: usize) -> RungSettings {
    RungSettings { width, height, fit: Fit::Inside, fps: None, bitrate: 500_000, profile: Profile::Main }
}

fn ladder(codec: Codec, rungs: &[RungSettings], keys: KeyFrames) -> Ladder {
    Ladder::new(decoder_of(codec).unwrap().unwrap(), rungs, keys).unwrap()
}

fn size(picture: &RungPicture) -> (u16, u16) {
    let sps = Sps::parse(&H264Config::from_access_unit(&picture.picture.data).unwrap().sps).unwrap();
    (sps.width, sps.height)
}

#[test]
fn rungs_are_aligned_and_times_pass_through() {
    for codec in [Codec::H264, Codec::Vp8, Codec::Vp9] {
        let mut source = Source::new(codec, 640, 360);
        let mut ladder = ladder(codec, &[rung(320, 180), rung(160, 90)], KeyFrames::OfSource);
        for n in 0..50 {
            let mut unit = source.next(n % 20 == 0);
            unit.pts = n * 3000 + n % 7 + (1 << 40);
            let mut out = Vec::new();
            ladder.push(&unit, true, &mut out).unwrap();
            let got: Vec<_> = out.iter().map(|picture| (picture.rung, picture.pts, picture.picture.key)).collect();
            assert_eq!(got, [(0, unit.pts, unit.key), (1, unit.pts, unit.key)], "{codec:?} {n}");
            if unit.key {
                assert_eq!((size(&out[0]), size(&out[1])), ((320, 180), (160, 90)));
            }
        }
    }
}

#[test]
fn each_rung_shows_the_source_picture() {
    let mut source = Source::new(Codec::Vp8, 640, 360);
    let mut ladder = ladder(Codec::Vp8, &[rung(320, 180)], KeyFrames::OfSource);
    let mut player = OpenH264Decoder::new().unwrap();
    for n in 0..40 {
        let mut out = Vec::new();
        ladder.push(&source.next(false), true, &mut out).unwrap();
        let mut shown = None;
        player.decode(&out[0].picture.data, &mut |picture| shown = Some(Picture::copy_of(picture))).unwrap();
        let mut scaler = Scaler::new((320, 180), Fit::Inside);
        let original = painted(n, 640, 360);
        let expected = Picture::copy_of(scaler.scale(original.view()).unwrap());
        let off = difference(&shown.unwrap(), &expected);
        assert!(off < 8.0, "picture {n}: {off}");
    }
}

#[test]
fn key_frames_come_at_intervals_and_when_asked() {
    let mut source = Source::new(Codec::Vp8, 160, 120);
    let mut ladder = ladder(Codec::Vp8, &[rung(160, 120)], KeyFrames::Every(2 * 90_000));
    let mut keys = Vec::new();
    for n in 0..200 {
        if n == 100 {
            ladder.force_key_frame();
        }
        let mut out = Vec::new();
        // Key frames of the source in between are nobody's business.
        let unit = source.next(n % 45 == 0);
        ladder.push(&SourceUnit { boundary: n == 190, ..unit }, n != 150, &mut out).unwrap();
        assert_eq!(out.len(), usize::from(n != 150));
        keys.extend(out.iter().filter(|picture| picture.picture.key).map(|picture| picture.pts / 3000));
    }
    assert_eq!(keys, [0, 60, 100, 160, 190]);
}

#[test]
fn a_cap_on_the_rate_leaves_pictures_out_but_no_key_frame() {
    for (cap, expected) in [(30.0, 90), (20.0, 60), (15.0, 45), (10.0, 30), (7.0, 21), (60.0, 90)] {
        let mut source = Source::new(Codec::H264, 160, 120);
        let capped = RungSettings { fps: Some(cap), ..rung(160, 120) };
        let mut ladder = ladder(Codec::H264, &[capped], KeyFrames::OfSource);
        let mut out = Vec::new();
        for n in 0..90 {
            ladder.push(&source.next(n == 50), true, &mut out).unwrap();
        }
        assert!(out.len().abs_diff(expected) <= 2, "{cap}: {}", out.len());
        assert!(out.iter().any(|picture| picture.picture.key && picture.pts == 150_000));
    }
}

#[test]
fn after_damage_it_waits_for_a_key_frame() {
    let mut source = Source::new(Codec::H264, 160, 120);
    let mut ladder = ladder(Codec::H264, &[rung(160, 120)], KeyFrames::OfSource);
    let mut out = Vec::new();
    ladder.push(&source.next(true), true, &mut out).unwrap();
    let mut broken = source.next(false);
    broken.data = broken.data.slice(..broken.data.len() / 2);
    let failed = ladder.push(&broken, true, &mut out);
    assert!(matches!(failed, Err(LadderError::Decode(DecodeError::Damaged))), "{failed:?}");
    ladder.push(&source.next(false), true, &mut out).unwrap();
    assert_eq!(out.len(), 1);
    ladder.push(&source.next(true), true, &mut out).unwrap();
    assert!(out.len() == 2 && out[1].picture.key);
}

#[test]
fn a_padded_rung_keeps_its_size_while_the_source_changes() {
    let padded = RungSettings { fit: Fit::Pad, ..rung(320, 180) };
    let mut ladder = ladder(Codec::Vp8, &[padded], KeyFrames::Every(180_000));
    let mut out = Vec::new();
    for (round, (width, height)) in [(320, 180), (160, 120), (640, 360)].into_iter().enumerate() {
        let mut source = Source::new(Codec::Vp8, width, height);
        for _ in 0..5 {
            let mut unit = source.next(false);
            unit.pts += round as i64 * 15_000;
            ladder.push(&unit, true, &mut out).unwrap();
        }
    }
    assert_eq!(out.len(), 15);
    let keys: Vec<_> = out.iter().filter(|picture| picture.picture.key).collect();
    assert_eq!(keys.len(), 3);
    let configs: Vec<_> = keys.iter().map(|picture| H264Config::from_access_unit(&picture.picture.data).unwrap()).collect();
    assert!(configs.windows(2).all(|pair| pair[0] == pair[1]), "no new init section");
}
