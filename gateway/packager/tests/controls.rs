//! Negative controls: a playlist that is right, broken in one place, must be found out under that rule's number.

#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
mod publisher;

use std::sync::OnceLock;
use std::time::Duration;

use minamo_llhls_checker::Checker;
use publisher::{Outcome, Script, run};

fn good() -> &'static Outcome {
    static GOOD: OnceLock<Outcome> = OnceLock::new();
    GOOD.get_or_init(|| run(Script { length_ms: 40_000, ..Script::default() }))
}

/// The rules that the strict client finds broken when the last version of `name` is changed by `change`.
fn broken(name: &str, query: &str, change: impl Fn(&str) -> String) -> Vec<u8> {
    let outcome = good();
    // The versions after the end are not live any more.
    let live: Vec<_> = outcome.history.iter().filter(|(_, _, text)| !text.contains("ENDLIST")).collect();
    let last = live.iter().rposition(|(_, of, text)| *of == name && text.matches("#EXT-X-PART:").count() % 7 == 4).unwrap();
    let mut checker = Checker::new();
    assert!(checker.observe_multivariant(&good().multivariant).is_empty());
    for (at, of, text) in &live[last.saturating_sub(60)..last] {
        let found = checker.observe_playlist(*at, of, "", text);
        assert!(found.is_empty(), "{found:?}");
    }
    let (at, of, text) = live[last];
    let changed = change(text);
    assert!(changed != *text || !query.is_empty(), "the control changes nothing:\n{text}");
    let found = checker.observe_playlist(*at, of, query, &changed);
    found.iter().map(|violation| violation.rule).collect()
}

#[track_caller]
fn expect(rule: u8, name: &str, change: impl Fn(&str) -> String) {
    let found = broken(name, "", change);
    assert!(found.contains(&rule), "rule {rule} was broken, found: {found:?}");
}

fn without(text: &str, start: &str) -> String {
    text.lines().filter(|line| !line.starts_with(start)).map(|line| format!("{line}\n")).collect()
}

/// Changes the nth line from the end that starts so.
fn change_line(text: &str, start: &str, from_end: usize, change: impl Fn(&str) -> String) -> String {
    let lines: Vec<_> = text.lines().collect();
    let nth = lines.iter().enumerate().filter(|(_, line)| line.starts_with(start)).rev().nth(from_end).unwrap().0;
    let changed = |(index, line): (usize, &&str)| if index == nth { change(line) } else { format!("{line}\n") };
    lines.iter().enumerate().map(changed).collect()
}

const V: &str = "video.m3u8";

#[test]
fn the_good_one_is_good() {
    good().clean();
}

#[test]
fn rule_0_form() {
    expect(0, V, |text| text.replace("#EXTM3U", "#EXTM3U8"));
    expect(0, V, |text| change_line(text, "#EXTINF", 1, |_| String::new()));
    expect(0, V, |text| text.replace("#EXT-X-MEDIA-SEQUENCE:", "#EXT-X-MEDIA-SEQUENCE:-"));
}

#[test]
fn rule_1_target_duration() {
    expect(1, V, |text| text.replace("TARGETDURATION:4", "TARGETDURATION:1"));
    expect(1, V, |text| change_line(text, "#EXTINF", 1, |_| "#EXTINF:4.6,\n".into()));
}

#[test]
fn rule_2_nothing_new() {
    let (at, name, text) = &good().history[20];
    let mut checker = Checker::new();
    assert_eq!(checker.observe_playlist(*at, name, "", text), []);
    let found = checker.observe_playlist(*at + Duration::from_secs(8), name, "", text);
    // Parts and segments are both overdue.
    assert_eq!(found.iter().map(|violation| violation.rule).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn rule_3_only_append_and_remove_in_order() {
    expect(3, V, |text| change_line(text, "v-", 2, |line| format!("x{line}\n")));
    expect(3, V, |text| {
        let cut = text.rfind("#EXTINF").unwrap();
        let cut = text[..cut].rfind("#EXT-X-PROGRAM-DATE-TIME").unwrap();
        text[..cut].into()
    });
    // Two thirds of the window gone at once.
    expect(3, V, |text| {
        let list = text.find("#EXT-X-MAP").unwrap();
        let at: Vec<_> = text.match_indices("#EXT-X-PROGRAM-DATE-TIME").map(|(at, _)| at).collect();
        let from = at[at.len() - 4];
        let map = &text[list..=list + text[list..].find('\n').unwrap()];
        let head = text[..list].lines().map(|line| match line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
            Some(first) => format!("#EXT-X-MEDIA-SEQUENCE:{}\n", first.parse::<usize>().unwrap() + at.len() - 4),
            None => format!("{line}\n"),
        });
        head.collect::<String>() + map + &text[from..]
    });
}

#[test]
fn rule_4_part_tags() {
    expect(4, V, |text| without(text, "#EXT-X-PART:"));
}

#[test]
fn rule_5_discontinuities() {
    expect(5, V, |text| without(text, "#EXT-X-DISCONTINUITY-SEQUENCE"));
    expect(5, V, |text| text.replace("DISCONTINUITY-SEQUENCE:7", "DISCONTINUITY-SEQUENCE:8"));
}

#[test]
fn rule_6_dates() {
    expect(6, V, |text| without(text, "#EXT-X-PROGRAM-DATE-TIME"));
    expect(6, V, |text| {
        change_line(text, "#EXT-X-PROGRAM-DATE-TIME", 1, |_| "#EXT-X-PROGRAM-DATE-TIME:2026-11-20T00:00:00.000Z\n".into())
    });
}

#[test]
fn rule_7_server_control() {
    expect(7, V, |text| text.replace("HOLD-BACK=12", "HOLD-BACK=13"));
}

#[test]
fn rule_8_types_and_ends() {
    expect(8, V, |text| text.replace("#EXT-X-PART-INF", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-PART-INF"));
    expect(8, V, |text| format!("{text}#EXT-X-ENDLIST\n"));
}

#[test]
fn rule_9_the_multivariant_playlist() {
    let good = &good().multivariant;
    assert!(Checker::new().observe_multivariant(good).is_empty());
    for change in [
        good.replace(",RESOLUTION=640x352", ""),
        good.replace("mp4a.40.2", "mp4a"),
        good.replace("AVERAGE-BANDWIDTH=", "AVERAGE-BANDWIDTH=9"),
        good.replace("AUDIO=\"audio\"", "AUDIO=\"sound\""),
        good.replace("FRAME-RATE", "FRAMERATE"),
    ] {
        assert_ne!(change, *good);
        assert!(Checker::new().observe_multivariant(&change).iter().any(|violation| violation.rule == 9), "{change}");
    }
}

#[test]
fn rule_10_durations_of_parts() {
    expect(10, V, |text| change_line(text, "#EXT-X-PART:", 1, |line| line.replace("DURATION=0.3", "DURATION=0.4") + "\n"));
    expect(10, V, |text| change_line(text, "#EXT-X-PART:", 1, |line| line.replace("DURATION=0.3", "DURATION=0.1") + "\n"));
}

#[test]
fn rule_11_tags_before_the_first_part() {
    expect(11, V, |text| change_line(text, "#EXT-X-PART:", 1, |line| format!("{line}\n#EXT-X-MAP:URI=\"v-init-9.mp4\"\n")));
    expect(11, V, |text| without(text, "#EXT-X-MAP"));
}

#[test]
fn rule_12_hold_back() {
    expect(12, V, |text| text.replace("PART-HOLD-BACK=1.00002", "PART-HOLD-BACK=0.83"));
    expect(12, V, |text| text.replace(",HOLD-BACK=12", ",HOLD-BACK=8"));
    expect(12, V, |text| text.replace("CAN-SKIP-UNTIL=24", "CAN-SKIP-UNTIL=12"));
}

#[test]
fn rule_13_parts_add_up() {
    expect(13, V, |text| change_line(text, "#EXTINF", 1, |_| "#EXTINF:1.5,\n".into()));
}

#[test]
fn rule_14_no_hole_in_the_sound() {
    expect(14, "audio.m3u8", |text| change_line(text, "#EXT-X-PART:", 0, |line| format!("{line},GAP=YES\n")));
}

#[test]
fn rule_15_what_was_waited_for() {
    assert!(broken(V, "_HLS_msn=1795999999", str::to_owned).contains(&15));
    assert!(broken(V, "_HLS_msn=1795999999&_HLS_part=0", str::to_owned).contains(&15));
    expect(12, V, |text| text.replace("CAN-BLOCK-RELOAD=YES,", ""));
}

#[test]
fn rule_21_skips() {
    expect(21, V, |text| {
        text.replace("#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3")
    });
}

#[test]
fn rule_22_hints() {
    expect(22, V, |text| change_line(text, "#EXT-X-PRELOAD-HINT", 0, |line| format!("{line}\n{line}\n")));
    let first_part = |text: &str| text.split("URI=\"v-1").nth(1).unwrap().split('"').next().unwrap().to_owned();
    expect(22, V, |text| {
        let hint =
            format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"v-1{}\"\n", first_part(&text[text.find("#EXT-X-PART:").unwrap()..]));
        change_line(text, "#EXT-X-PRELOAD-HINT", 0, |_| hint.clone())
    });
}

#[test]
fn rule_23_reports() {
    expect(23, V, |text| without(text, "#EXT-X-RENDITION-REPORT"));
    expect(23, V, |text| text.replace("URI=\"audio.m3u8\"", "URI=\"/hls/c/audio.m3u8\""));
    expect(23, V, |text| text.replace("LAST-MSN=17950000", "LAST-MSN=16950000"));
}

#[test]
fn rule_14_gaps_are_marked() {
    expect(14, V, |text| change_line(text, "#EXTINF", 1, |line| format!("#EXT-X-GAP\n{line}\n")));
}
