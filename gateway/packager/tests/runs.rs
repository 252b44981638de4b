//! Minutes of programmes in virtual time, judged by a strict client that shares no code with the packager.

#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
mod publisher;

use publisher::{Script, run};

#[test]
fn an_ordinary_programme() {
    let outcome = run(Script { length_ms: 120_000, ..Script::default() });
    outcome.clean();
    assert_eq!(outcome.discontinuities, 0);
    let wanted = outcome.key_frames_wanted;
    assert!((55..=64).contains(&wanted), "one wish for a segment, not {wanted}");
    assert!(outcome.max_skew_after(10_000) < 10.0, "{}", outcome.max_skew_after(10_000));
    assert!(!outcome.last_video().contains("GAP"));
    println!("{}\n{}\n{}", outcome.multivariant, outcome.last_video(), outcome.last["audio.m3u8"]);
}

#[test]
fn frame_rates_from_none_to_sixty() {
    for seed in 1..=6 {
        let outcome = run(Script {
            seed,
            length_ms: 90_000,
            picture_every_ms: |ms, rng| match ms % 15_000 {
                0..=2_500 => 0,
                2_501..=6_000 => 16 + rng.below(2),
                6_001..=9_000 => 30 + rng.below(170),
                _ => 20 + rng.below(50),
            },
            ..Script::default()
        });
        outcome.clean();
    }
}

#[test]
fn constant_frame_rates_need_no_gap() {
    for every in [
        |_, _: &mut publisher::Rng| 16,
        |_, _: &mut publisher::Rng| 40,
        |_, _: &mut publisher::Rng| 66,
        |_, _: &mut publisher::Rng| 67,
        |_, _: &mut publisher::Rng| 83,
        |_, _: &mut publisher::Rng| 100,
        |_, _: &mut publisher::Rng| 125,
        |_, _: &mut publisher::Rng| 200,
        |_, _: &mut publisher::Rng| 250,
    ] {
        let outcome = run(Script { length_ms: 40_000, picture_every_ms: every, ..Script::default() });
        outcome.clean();
        assert!(!outcome.last_video().contains("GAP"), "{}", outcome.last_video());
    }
}

#[test]
fn very_slow_pictures_go_on_with_gaps() {
    for every in [|_, _: &mut publisher::Rng| 500, |_, _: &mut publisher::Rng| 1_000, |_, _: &mut publisher::Rng| 3_000] {
        run(Script { length_ms: 60_000, picture_every_ms: every, ..Script::default() }).clean();
    }
}

#[test]
fn late_key_frames_make_longer_segments() {
    for seed in 1..=4 {
        let outcome = run(Script { seed, length_ms: 60_000, key_after_ms: |_, rng| 150 + rng.below(1_100), ..Script::default() });
        outcome.clean();
        assert!(!outcome.last_video().contains("GAP"), "{}", outcome.last_video());
    }
}

#[test]
fn key_frames_that_never_come_end_in_gaps_and_return() {
    let outcome = run(Script {
        length_ms: 60_000,
        key_after_ms: |ms, _| if (20_000..32_000).contains(&ms) { 40_000 - ms } else { 80 },
        ..Script::default()
    });
    outcome.clean();
    let with_gap = outcome.history.iter().filter(|(_, name, text)| *name == "video.m3u8" && text.contains("GAP=YES")).count();
    assert!(with_gap > 20);
    assert!(outcome.history.iter().all(|(_, name, text)| *name != "audio.m3u8" || !text.contains("GAP")));
    assert!(!outcome.last_video().ends_with("GAP\n"));
}

#[test]
fn pictures_that_stop_for_good_leave_the_sound() {
    let outcome =
        run(Script { length_ms: 80_000, picture_every_ms: |ms, _| if ms > 30_000 { 0 } else { 33 }, ..Script::default() });
    outcome.clean();
    assert!(outcome.key_frames_wanted < 50, "wishes are capped: {}", outcome.key_frames_wanted);
}

#[test]
fn mutes_are_silence() {
    let outcome = run(Script {
        length_ms: 90_000,
        muted: |ms| matches!(ms, 10_000..=20_000 | 25_000..=25_060 | 30_000..=30_400 | 40_000..=75_000),
        ..Script::default()
    });
    outcome.clean();
    assert!(outcome.max_skew_after(10_000) < 33.0, "{}", outcome.max_skew_after(10_000));
}

#[test]
fn muted_from_the_start() {
    run(Script { muted: |ms| ms < 20_000, ..Script::default() }).clean();
}

#[test]
fn a_publisher_that_returns_goes_on_behind_one_discontinuity() {
    let outcome = run(Script { length_ms: 75_000, away: |ms| (20_000..29_000).contains(&ms), ..Script::default() });
    outcome.clean();
    let most = outcome.history.iter().map(|(_, _, text)| text.matches("#EXT-X-DISCONTINUITY\n").count()).max();
    assert_eq!(most, Some(1));
    assert!(outcome.last_video().contains("#EXT-X-DISCONTINUITY-SEQUENCE:8\n"), "{}", outcome.last_video());
    assert!(outcome.max_skew_after(40_000) < 33.0);
}

#[test]
fn a_changed_sps_is_one_discontinuity_in_both_renditions() {
    let outcome = run(Script {
        length_ms: 60_000,
        width: |ms| {
            if ms < 18_300 {
                40
            } else if ms < 41_000 {
                20
            } else {
                80
            }
        },
        key_after_ms: |ms, _| if (18_000..18_400).contains(&ms) { 350 } else { 90 },
        ..Script::default()
    });
    outcome.clean();
    let inits = |text: &str| text.matches("v-init-").count();
    assert!(outcome.history.iter().any(|(_, name, text)| *name == "video.m3u8" && inits(text) == 2));
    assert!(outcome.multivariant.contains("RESOLUTION=1280x352"), "{}", outcome.multivariant);
}

#[test]
fn rtp_clocks_that_wrap_after_a_second() {
    let wrap = 1_i64 << 32;
    let outcome = run(Script { audio_rtp: wrap - 48_000, video_rtp: wrap - 90_000, ..Script::default() });
    outcome.clean();
    assert_eq!(outcome.discontinuities, 0);
    assert!(outcome.max_skew_after(10_000) < 10.0);
}

#[test]
fn drifting_clocks_stay_together() {
    for (audio_ppm, video_ppm) in [(200.0, -200.0), (-200.0, 200.0), (200.0, 200.0)] {
        let outcome = run(Script { length_ms: 300_000, audio_ppm, video_ppm, ..Script::default() });
        outcome.clean();
        assert_eq!(outcome.discontinuities, 0);
        assert!(outcome.max_skew_after(10_000) < 15.0, "{}", outcome.max_skew_after(10_000));
    }
}

#[test]
fn drifting_clocks_without_reports_stay_within_a_frame_of_their_arrival() {
    let outcome = run(Script { length_ms: 180_000, audio_ppm: 200.0, video_ppm: -200.0, reports: false, ..Script::default() });
    outcome.clean();
    assert_eq!(outcome.discontinuities, 0);
    // The pictures' longer way cannot be known without reports.
    assert!(outcome.max_skew_after(10_000) < 30.0 + 33.0, "{}", outcome.max_skew_after(10_000));
}

#[test]
fn pictures_that_take_far_longer_than_sound_are_put_right_by_reports() {
    let outcome = run(Script { video_late_ms: 250, ..Script::default() });
    outcome.clean();
    assert_eq!(outcome.discontinuities, 0);
    assert!(outcome.max_skew_after(10_000) < 15.0, "{}", outcome.max_skew_after(10_000));
}

#[test]
fn sound_alone_and_pictures_alone() {
    run(Script { video: false, ..Script::default() }).clean();
    run(Script { audio: false, ..Script::default() }).clean();
}

#[test]
fn delta_updates_of_a_long_window() {
    let outcome = run(Script { length_ms: 120_000, window: 30, ..Script::default() });
    outcome.clean();
    assert!(outcome.history.iter().filter(|(_, _, text)| text.contains("#EXT-X-SKIP:")).count() > 50);
}

#[test]
fn everything_at_once() {
    for seed in 1..=8 {
        run(Script {
            seed,
            length_ms: 120_000,
            picture_every_ms: |ms, rng| if ms % 31_000 < 1_200 { 0 } else { 10 + rng.below(120) },
            muted: |ms| ms % 23_000 < 4_000,
            key_after_ms: |_, rng| 50 + rng.below(1_900),
            width: |ms| 20 + 20 * (ms / 17_000 % 3) as u32,
            away: |ms| (50_000..58_000).contains(&ms),
            audio_ppm: 150.0,
            video_ppm: -150.0,
            jitter_ms: 60,
            ..Script::default()
        })
        .clean();
    }
}
