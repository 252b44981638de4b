//! Rules between versions and between renditions.

use std::time::Duration;

use super::{Checker, must_break, must_find};
use crate::sample::{MULTIVARIANT, playlist, time_of};

/// Only in the version of 63 parts: ten segments and three parts.
#[track_caller]
fn once(rule: u8, words: &str, edit: impl Fn(String) -> String) {
    must_break(rule, words, |_, parts, body| if parts == 63 { edit(body) } else { body });
}

#[test]
fn rule_1_target_duration_is_constant() {
    once(1, "TARGETDURATION went", |body| body.replace("TARGETDURATION:4", "TARGETDURATION:5"));
}

#[test]
fn rule_2_a_version_adds_something() {
    must_break(2, "without a new segment or part", |letter, parts, body| match parts {
        63 => playlist(letter, 62).replace("#EXT-X-INDEPENDENT-SEGMENTS\n", ""),
        _ => body,
    });
}

#[test]
fn rule_2_parts_come_in_time() {
    for (late, broken) in [(0, false), (5, true)] {
        let mut checker = Checker::new();
        let mut found = checker.observe_playlist(time_of(63), "v.m3u8", "", &playlist('v', 63));
        found.extend(checker.observe_playlist(time_of(64) + Duration::from_secs(late), "v.m3u8", "", &playlist('v', 64)));
        assert_eq!(found.iter().any(|violation| violation.rule == 2), broken, "{found:?}");
    }
    let mut checker = Checker::new();
    checker.observe_playlist(time_of(60), "v.m3u8", "", &playlist('v', 60));
    let without_parts = playlist('v', 60).replace("#EXT-X-PART-INF", "#EXT-X-NOTHING");
    must_find(
        2,
        "1.5 × TARGETDURATION",
        checker.observe_playlist(time_of(60) + Duration::from_secs(8), "v.m3u8", "", &without_parts),
    );
}

#[test]
fn rule_3_append_and_remove_in_order() {
    once(3, "back to", |body| body.replace("SEQUENCE:102", "SEQUENCE:101"));
    once(3, "jumped", |body| body.replace("SEQUENCE:102", "SEQUENCE:202"));
    once(3, "changed its URI", |body| body.replace("v-104.m4s", "v-104b.m4s"));
    once(3, "changed its parts", |body| body.replace("#EXT-X-PART:DURATION=0.32000,URI=\"v-107.3.m4s\"\n", ""));
    once(3, "changed its parts", |body| body.replace("#EXT-X-PART:DURATION=0.32000,URI=\"v-110.1.m4s\"\n", ""));
    once(3, "changed its EXT-X-PROGRAM-DATE-TIME", |body| body.replace("12:00:03.840Z", "12:00:03.842Z"));
    must_break(3, "the end went", |letter, parts, body| if parts == 63 { playlist(letter, 61) } else { body });
}

#[test]
fn rule_3_enough_is_left() {
    must_break(3, "under 3 × TARGETDURATION", |_, _, body| short_window(&body));
    must_break(3, "are left", |_, _, body| short_window(&body));
}

/// Takes the first four of eight segments out.
fn short_window(body: &str) -> String {
    let Some((header, rest)) = body.split_once("#EXT-X-INDEPENDENT-SEGMENTS\n") else { return body.to_owned() };
    let ends: Vec<usize> =
        rest.match_indices(".m4s\n").filter(|(at, _)| !rest[..*at].ends_with('"')).map(|(at, end)| at + end.len()).collect();
    let first: u64 = header.split("MEDIA-SEQUENCE:").nth(1).and_then(|text| text.lines().next()).unwrap().parse().unwrap();
    let Some(cut) = ends.get(3) else { return body.to_owned() };
    let header = header.replace(&format!("MEDIA-SEQUENCE:{first}"), &format!("MEDIA-SEQUENCE:{}", first + 4));
    format!("{header}#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"v-init-1.mp4\"\n{}", &rest[*cut..])
}

#[test]
fn rule_5_discontinuities_are_counted() {
    must_break(5, "EXT-X-DISCONTINUITY-SEQUENCE", |_, _, body| body.replace("SEQUENCE:8\n", "SEQUENCE:7\n"));
    must_break(5, "the same time in", |letter, _, body| match letter {
        'a' => body.replace("SEQUENCE:7\n", "SEQUENCE:6\n").replace("SEQUENCE:8\n", "SEQUENCE:7\n"),
        _ => body,
    });
}

#[test]
fn rule_7_the_same_in_all() {
    let in_audio = |words: &str, from: &str, to: &str| {
        must_break(7, words, |letter, _, body| if letter == 'a' { body.replace(from, to) } else { body });
    };
    in_audio("TARGETDURATION is", "TARGETDURATION:4", "TARGETDURATION:3");
    in_audio("is not that of", ",HOLD-BACK=12", ",HOLD-BACK=13");
    once(7, "changed", |body| body.replace(",HOLD-BACK=12", ",HOLD-BACK=13"));
}

#[test]
fn rule_8_nothing_behind_the_end() {
    must_break(8, "went on", |_, parts, body| if parts == 63 { body + "#EXT-X-ENDLIST\n" } else { body });
}

#[test]
fn rule_14_no_rendition_falls_behind() {
    must_break(
        14,
        "behind that of a.m3u8",
        |letter, parts, body| if letter == 'v' && parts > 70 { playlist('v', 70) } else { body },
    );
}

#[test]
fn rule_22_the_hint_comes_true() {
    must_break(22, "was hinted and v-110.3.m4s came", |_, _, body| {
        body.replace("PART,URI=\"v-110.3.m4s\"", "PART,URI=\"v-110.4.m4s\"")
    });
    // A segment that is complete has no further part; one that is open may end without it.
    must_break(22, "was hinted and v-111.0.m4s came", |_, _, body| {
        body.replace("PART,URI=\"v-111.0.m4s\"", "PART,URI=\"v-110.6.m4s\"")
    });
    let mut checker = Checker::new();
    assert_eq!(checker.observe_playlist(time_of(63), "v.m3u8", "", &playlist('v', 63)), []);
    let early = playlist('v', 66).replace("-110.3.", "-111.0.").replace("-110.4.", "-111.1.").replace("-110.5.", "-111.2.");
    let early = early.replace("#EXTINF:1.92000,\nv-110.m4s\n", "");
    let head = "#EXTINF:0.96000,\nv-110.m4s\n#EXT-X-PROGRAM-DATE-TIME:2026-10-01T12:00:20.160Z\n";
    let at = early.find("#EXT-X-PART:DURATION=0.32000,URI=\"v-111.0").unwrap();
    let early = format!("{}{head}{}", &early[..at], &early[at..]).replace("PART,URI=\"v-111.0", "PART,URI=\"v-111.3");
    let found = checker.observe_playlist(time_of(66), "v.m3u8", "", &early);
    assert!(found.iter().all(|violation| violation.rule != 22 && violation.rule != 0), "{found:?}");
}

#[test]
fn rule_23_reports() {
    must_break(23, "no EXT-X-RENDITION-REPORT for a.m3u8", |letter, _, body| {
        if letter == 'v' { body.replace("#EXT-X-RENDITION", "#EXT-X-NO") } else { body }
    });
    must_break(23, "not relative", |_, _, body| body.replace("URI=\"a.m3u8\"", "URI=\"/hls/a.m3u8\""));
    must_break(23, "which is no rendition", |_, _, body| body.replace("URI=\"a.m3u8\"", "URI=\"b.m3u8\""));
    must_break(23, "no LAST-PART", |_, _, body| body.replace(",LAST-PART=2", ""));
    must_break(23, "no LAST-MSN", |_, _, body| body.replace("LAST-MSN=110,", ""));
    must_break(23, "was there", |_, _, body| body.replace("LAST-MSN=111,", "LAST-MSN=110,"));
}

#[test]
fn a_report_may_be_a_part_late_and_renditions_may_lie_in_folders() {
    let mut checker = Checker::new();
    let multivariant = MULTIVARIANT.replace("a.m3u8", "sound/a.m3u8").replace("v.m3u8", "pictures/v.m3u8");
    let mut found = checker.observe_multivariant(&multivariant);
    let body = |letter, parts: u64| {
        let text = playlist(letter, parts).replace("URI=\"a.m3u8\"", "URI=\"../sound/a.m3u8\"");
        text.replace("URI=\"v.m3u8\"", "URI=\"../pictures/v.m3u8\"")
    };
    for parts in 60..70 {
        found.extend(checker.observe_playlist(time_of(parts), "sound/a.m3u8", "", &body('a', parts)));
        let report = |of: u64| (100 + (of - 1) / 6, (of - 1) % 6);
        let ((msn, part), (old_msn, old_part)) = (report(parts), report(parts - 1));
        let late = body('v', parts)
            .replace(&format!("LAST-MSN={msn},LAST-PART={part}"), &format!("LAST-MSN={old_msn},LAST-PART={old_part}"));
        found.extend(checker.observe_playlist(time_of(parts), "pictures/v.m3u8", "", &late));
    }
    assert_eq!(found, []);
}
