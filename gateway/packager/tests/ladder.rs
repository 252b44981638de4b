//! Three layers of one publisher as three renditions, judged by the strict client.

#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
mod publisher;

use publisher::{Outcome, Script, run};

const RUNGS: [&str; 3] = ["video.m3u8", "video-1.m3u8", "video-2.m3u8"];

fn three() -> Script {
    Script { layers: 3, ..Script::default() }
}

/// `#EXTINF`s with the media sequence number, from the last version.
fn durations(outcome: &Outcome, name: &str) -> Vec<(u64, f64)> {
    let text = &outcome.last[name];
    let first: u64 = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")?.parse().ok()).unwrap();
    let lengths = text.lines().filter_map(|line| line.strip_prefix("#EXTINF:")?.trim_end_matches(',').parse().ok());
    lengths.enumerate().map(|(index, length)| (first + index as u64, length)).collect()
}

fn versions<'a>(outcome: &'a Outcome, wanted: &'a str) -> impl Iterator<Item = &'a str> {
    outcome.history.iter().filter(move |(_, name, _)| *name == wanted).map(|(_, _, text)| text.as_str())
}

#[test]
fn segments_of_all_rungs_begin_with_the_same_picture() {
    let outcome = run(Script { length_ms: 60_000, ..three() });
    outcome.clean();
    let top = durations(&outcome, RUNGS[0]);
    assert!(top.len() >= 8);
    for name in RUNGS {
        let rung = durations(&outcome, name);
        assert!(rung.iter().zip(&top).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 0.05), "{name}: {rung:?} {top:?}");
        assert!(versions(&outcome, name).all(|text| !text.contains("GAP")), "{name}");
    }
    let wanted = outcome.key_frames_wanted;
    assert!((26..=34).contains(&wanted), "one wish for a segment, whatever the number of rungs, not {wanted}");
    println!("{}\n{}", outcome.multivariant, outcome.last["video-2.m3u8"]);
}

#[test]
fn each_rung_is_described_as_it_is() {
    let outcome = run(Script { length_ms: 40_000, width: |_| 80, ..three() });
    outcome.clean();
    let streams: Vec<&str> = outcome.multivariant.lines().filter(|line| line.starts_with("#EXT-X-STREAM-INF")).collect();
    assert_eq!(streams.len(), 3, "{}", outcome.multivariant);
    for (stream, size) in streams.iter().zip(["1280x352", "640x352", "320x352"]) {
        assert!(stream.contains(&format!("RESOLUTION={size}")) && stream.contains("FRAME-RATE=30.000"), "{stream}");
    }
    let bandwidth = |stream: &&str| stream.split(",").next()?.rsplit_once('=')?.1.parse::<u64>().ok();
    let rates: Vec<u64> = streams.iter().filter_map(bandwidth).collect();
    assert!(rates.windows(2).all(|pair| pair[0] > pair[1] * 5 / 4), "{rates:?}");
    for (own, name) in RUNGS.iter().enumerate() {
        let reports: Vec<&str> = outcome
            .history
            .iter()
            .rev()
            .find(|(_, of, text)| of == name && !text.contains("ENDLIST"))
            .map(|(_, _, text)| text.lines().filter(|line| line.starts_with("#EXT-X-RENDITION-REPORT")).collect())
            .unwrap();
        assert_eq!(reports.len(), 3, "{own} {reports:?}");
    }
}

#[test]
fn the_highest_layer_stops_and_returns() {
    let outcome =
        run(Script { length_ms: 80_000, layer_off: |ms, layer| layer == 2 && (20_000..41_500).contains(&ms), ..three() });
    outcome.clean();
    assert!(versions(&outcome, RUNGS[0]).filter(|text| text.contains("GAP=YES")).count() > 20);
    assert!(!outcome.last[RUNGS[0]].contains("GAP"), "it came back: {}", outcome.last[RUNGS[0]]);
    for name in &RUNGS[1..] {
        assert!(versions(&outcome, name).all(|text| !text.contains("GAP")), "{name} goes on without it");
    }
}

#[test]
fn a_lower_layer_stops_and_returns() {
    let outcome =
        run(Script { length_ms: 80_000, layer_off: |ms, layer| layer == 0 && (20_000..41_500).contains(&ms), ..three() });
    outcome.clean();
    assert!(versions(&outcome, RUNGS[2]).filter(|text| text.contains("GAP=YES")).count() > 20);
    assert!(!outcome.last[RUNGS[2]].contains("GAP"));
    assert!(versions(&outcome, RUNGS[0]).all(|text| !text.contains("GAP")));
}

#[test]
fn layers_that_begin_late_are_there_when_players_come() {
    let outcome = run(Script { length_ms: 60_000, layer_off: |ms, layer| ms < 1_500 * u64::from(layer), ..three() });
    outcome.clean();
    let (_, _, first) = &outcome.history[0];
    assert!(first.contains("#EXTINF"));
    assert_eq!(outcome.multivariant.matches("#EXT-X-STREAM-INF").count(), 3);
}

#[test]
fn a_layer_that_never_comes_is_not_listed() {
    let outcome = run(Script { length_ms: 60_000, layer_off: |_, layer| layer == 2, ..three() });
    outcome.clean();
    assert_eq!(outcome.multivariant.matches("#EXT-X-STREAM-INF").count(), 2);
    assert!(!outcome.last.contains_key(RUNGS[0]));
}

#[test]
fn a_size_that_changes_in_one_layer_is_one_discontinuity_in_all() {
    for changing in 0..3_u8 {
        let width: fn(u64, u8) -> u32 = match changing {
            0 => |ms, layer| (40 >> (2 - layer)) << u32::from(layer == 0 && ms > 20_300),
            1 => |ms, layer| (40 >> (2 - layer)) << u32::from(layer == 1 && ms > 20_300),
            _ => |ms, layer| (40 >> (2 - layer)) << u32::from(layer == 2 && ms > 20_300),
        };
        let outcome = run(Script { length_ms: 50_000, layer_width: Some(width), ..three() });
        outcome.clean();
        for name in RUNGS.into_iter().chain(["audio.m3u8"]) {
            let most = versions(&outcome, name).map(|text| text.matches("#EXT-X-DISCONTINUITY\n").count()).max();
            assert_eq!(most, Some(1), "layer {changing}, {name}");
        }
    }
}

#[test]
fn sizes_that_change_in_all_layers_are_one_discontinuity() {
    let outcome = run(Script { length_ms: 50_000, width: |ms| if ms < 20_300 { 40 } else { 80 }, ..three() });
    outcome.clean();
    for name in RUNGS.into_iter().chain(["audio.m3u8"]) {
        let most = versions(&outcome, name).map(|text| text.matches("#EXT-X-DISCONTINUITY\n").count()).max();
        assert_eq!(most, Some(1), "{name}");
    }
}

#[test]
fn a_publisher_that_returns_goes_on_behind_one_discontinuity() {
    let outcome = run(Script { length_ms: 75_000, away: |ms| (20_000..29_000).contains(&ms), ..three() });
    outcome.clean();
    for name in RUNGS.into_iter().chain(["audio.m3u8"]) {
        let most = versions(&outcome, name).map(|text| text.matches("#EXT-X-DISCONTINUITY\n").count()).max();
        assert_eq!(most, Some(1), "{name}");
    }
}

#[test]
fn loss_in_any_layer() {
    for seed in 1..=6 {
        run(Script { seed, length_ms: 90_000, lost: |_, _, rng| rng.below(400) == 0, ..three() }).clean();
    }
}

#[test]
fn layers_that_come_and_go_with_loss_and_late_key_frames() {
    for seed in 1..=8 {
        run(Script {
            seed,
            length_ms: 120_000,
            picture_every_ms: |ms, rng| if ms % 31_000 < 1_200 { 0 } else { 10 + rng.below(120) },
            muted: |ms| ms % 23_000 < 4_000,
            key_after_ms: |_, rng| 50 + rng.below(900),
            layer_off: |ms, layer| ms / 7_000 % 5 == u64::from(layer),
            lost: |_, _, rng| rng.below(600) == 0,
            audio_ppm: 150.0,
            video_ppm: -150.0,
            jitter_ms: 60,
            ..three()
        })
        .clean();
    }
}
