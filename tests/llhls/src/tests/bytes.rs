//! Rules between the playlists and the bytes.

use super::{Checker, must_break, must_find};
use crate::Violation;
use crate::sample::fmp4;
use crate::sample::{Programme, part_bytes, play, playlist, time_of};

/// Every answer for media goes through `serve`.
fn served(serve: impl Fn(&str, Vec<u8>) -> (u16, Vec<u8>)) -> Vec<Violation> {
    play(&Programme { serve: &serve, ..Programme::good() })
}

/// The bytes of one URI are others.
fn swapped(uri: &str, bytes: &[u8]) -> Vec<Violation> {
    served(|asked, good| (200, if asked == uri { bytes.to_vec() } else { good }))
}

fn refused(uri: &str, status: u16) -> Vec<Violation> {
    served(|asked, good| if asked == uri { (status, Vec::new()) } else { (200, good) })
}

const VIDEO_107_3: u64 = (7 * 1920 + 3 * 320 + 1_000_000) * 90;

#[test]
fn rule_1_and_10_real_durations() {
    let short = fmp4::fragment(VIDEO_107_3, 3600, &[(&[0, 0, 0, 2, 0x41, 7], 0x0101_0000)], 7);
    must_find(10, "v-107.3.m4s lasts 0.28", swapped("v-107.3.m4s", &short));
    let long = fmp4::fragment(VIDEO_107_3, 3600, &[(&[0, 0, 0, 2, 0x41, 7], 0x0101_0000)], 9);
    must_find(10, "above PART-TARGET", swapped("v-107.3.m4s", &long));
    must_find(1, "a-107.m4s lasts 0.32", swapped("a-107.m4s", &part_bytes('a', 107, 0)));
}

#[test]
fn rule_4_listed_media_is_there() {
    must_find(4, "v-107.m4s must be fetchable", refused("v-107.m4s", 404));
    must_find(4, "a-init-2.mp4 must be fetchable", refused("a-init-2.mp4", 500));
    must_find(22, "v-107.3.m4s must be fetchable", refused("v-107.3.m4s", 404));
}

#[test]
fn rule_4_removed_media_stays() {
    let mut checker = Checker::new();
    for parts in 54..=66 {
        assert_eq!(checker.observe_playlist(time_of(parts), "v.m3u8", "", &playlist('v', parts)), []);
    }
    let kept = checker.removed_but_kept(time_of(66), "v.m3u8").unwrap();
    assert_eq!(kept, "v-101.m4s");
    must_find(4, "v-101.m4s", checker.observe_media(time_of(66), "v.m3u8", &kept, 404, 0, &[]));
    // A part's time is over 3 × TARGETDURATION after its tag went away.
    let mut checker = Checker::new();
    for parts in 54..=130 {
        checker.observe_playlist(time_of(parts), "v.m3u8", "", &playlist('v', parts));
    }
    assert_eq!(checker.observe_media(time_of(130), "v.m3u8", "v-108.0.m4s", 404, 0, &[]), []);
}

#[test]
fn rule_5_media_time_goes_on() {
    let late = fmp4::video(VIDEO_107_3 + 1, false);
    must_find(5, "v-107.3.m4s starts at", swapped("v-107.3.m4s", &late));
    must_break(5, "there is no EXT-X-DISCONTINUITY", |_, _, body| body.replace("#EXT-X-DISCONTINUITY\n", ""));
}

#[test]
fn rule_6_dates_agree_with_media_time() {
    must_break(6, "for the same media time", |letter, _, body| match letter {
        'a' => body.replace("#EXT-X-PROGRAM-DATE-TIME:2026-10-01T12:", "#EXT-X-PROGRAM-DATE-TIME:2026-10-01T13:"),
        _ => body,
    });
}

#[test]
fn rule_9_what_the_init_section_says() {
    let programme = |from: &str, to: &str| super::sample::MULTIVARIANT.replace(from, to);
    for (from, to, words) in [
        ("avc1.42e01f", "avc1.640028", "v.m3u8 is avc1.42e01f"),
        ("mp4a.40.2", "mp4a.40.5", "a.m3u8 is mp4a.40.2"),
        ("640x360", "1280x720", "is 640x360"),
        ("BANDWIDTH=40000,AVERAGE-BANDWIDTH=20000", "BANDWIDTH=4000,AVERAGE-BANDWIDTH=2000", "at the peak"),
    ] {
        must_find(9, words, play(&Programme { multivariant: &programme(from, to), ..Programme::good() }));
    }
}

#[test]
fn rule_11_an_init_section_is_one() {
    must_find(11, "no init section", swapped("v-init-2.mp4", b"\0\0\0\x08ftyp"));
}

#[test]
fn rule_13_parts_joined_are_the_segment() {
    let mut other = super::sample::segment_bytes('v', 107);
    *other.last_mut().unwrap() ^= 1;
    must_find(13, "is not its parts joined", swapped("v-107.m4s", &other));
    must_find(13, "cannot be read", swapped("v-107.3.m4s", b"\0\0\0\x20moof"));
    must_find(13, "cannot be read", swapped("v-107.3.m4s", b"<html>not found</html>"));
    let mut checker = Checker::new();
    checker.observe_playlist(time_of(63), "v.m3u8", "", &playlist('v', 63));
    must_find(13, "3 of 999 bytes", checker.observe_media(time_of(63), "v.m3u8", "v-110.0.m4s", 200, 999, b"cut"));
}

#[test]
fn rule_13_independent_is_an_idr() {
    must_break(13, "is INDEPENDENT and does not", |_, _, body| {
        body.replace("URI=\"v-107.3.m4s\"", "URI=\"v-107.3.m4s\",INDEPENDENT=YES")
    });
    must_break(13, "and is not INDEPENDENT", |_, _, body| {
        body.replace("URI=\"v-107.0.m4s\",INDEPENDENT=YES", "URI=\"v-107.0.m4s\"")
    });
    let no_idr = fmp4::video((7 * 1920 + 1_000_000) * 90, false);
    must_find(13, "EXT-X-INDEPENDENT-SEGMENTS", swapped("v-107.0.m4s", &no_idr));
    let flags = fmp4::fragment(VIDEO_107_3, 3600, &[(&[0, 0, 0, 2, 0x65, 7], 0x0101_0000)], 8);
    must_find(13, "disagree", swapped("v-107.3.m4s", &flags));
}

#[test]
fn rule_22_hints_and_unknown_names() {
    let checker = || {
        let mut checker = Checker::new();
        assert_eq!(checker.observe_playlist(time_of(63), "v.m3u8", "", &playlist('v', 63)), []);
        checker
    };
    let bytes = part_bytes('v', 110, 3);
    let length = bytes.len() as u64;
    let answered = |checker: &mut Checker, uri, status| checker.observe_media(time_of(64), "v.m3u8", uri, status, length, &bytes);
    let next = |checker: &mut Checker, text: String| checker.observe_playlist(time_of(64), "v.m3u8", "", &text);
    // It came as hinted.
    let mut good = checker();
    assert_eq!(answered(&mut good, "v-110.3.m4s", 200), []);
    assert_eq!(next(&mut good, playlist('v', 64)), []);
    // Refused and then listed; never hinted and there; abandoned and there.
    let mut wrong = checker();
    assert_eq!(answered(&mut wrong, "v-110.3.m4s", 404), []);
    must_find(22, "refused and then listed", next(&mut wrong, playlist('v', 64)));
    must_find(22, "instead of 404", answered(&mut checker(), "v-999.0.m4s", 200));
    must_find(22, "instead of 404", answered(&mut checker(), "v-999.0.m4s", 400));
    let elsewhere = || playlist('v', 64).replace("v-110.3.m4s", "v-110.9.m4s");
    let mut wrong = checker();
    answered(&mut wrong, "v-110.3.m4s", 200);
    must_find(22, "never listed", next(&mut wrong, elsewhere()));
    let mut wrong = checker();
    next(&mut wrong, elsewhere());
    must_find(22, "abandoned", answered(&mut wrong, "v-110.3.m4s", 200));
}

#[test]
fn rule_25_bytes_never_change() {
    let mut checker = Checker::new();
    checker.observe_playlist(time_of(63), "v.m3u8", "", &playlist('v', 63));
    assert_eq!(checker.observe_media(time_of(63), "v.m3u8", "v-110.0.m4s", 200, 1, b"a"), []);
    must_find(25, "changed its bytes", checker.observe_media(time_of(63), "v.m3u8", "v-110.0.m4s", 200, 1, b"b"));
}

#[test]
fn no_bytes_break_the_reader() {
    let (init, part) = (fmp4::init('v'), fmp4::video(0, true));
    let good = crate::boxes::init(&init).unwrap();
    for wrong in 0..init.len() {
        let mut bytes = init.clone();
        bytes[wrong] = 0xff;
        let _ = (crate::boxes::init(&bytes), crate::boxes::init(&init[..wrong]));
    }
    for wrong in 0..part.len() {
        let mut bytes = part.clone();
        bytes[wrong] = 0xff;
        let _ = (crate::boxes::fragments(&bytes, &good), crate::boxes::fragments(&part[..wrong], &good));
    }
}
