//! Rules that one playlist shows on its own.

use super::must_break;

/// In every version.
#[track_caller]
fn replaced(rule: u8, words: &str, from: &str, to: &str) {
    must_break(rule, words, |_, _, body| body.replace(from, to));
}

#[test]
fn rule_0_form() {
    replaced(0, "no URI", "#EXT-X-MAP:URI=", "#EXT-X-MAP:URL=");
    replaced(0, "EXT-X-VERSION 5", "VERSION:9", "VERSION:5");
    replaced(0, "EXT-X-VERSION 7", "VERSION:9", "VERSION:7");
}

#[test]
fn rule_1_target_duration() {
    replaced(1, "EXTINF 4.5", "#EXTINF:1.92000,", "#EXTINF:4.50000,");
    replaced(1, "EXTINF 0", "#EXTINF:1.92000,", "#EXTINF:0.00000,");
    replaced(1, "no TARGETDURATION", "#EXT-X-TARGETDURATION:4\n", "");
}

#[test]
fn rule_4_part_tags_near_the_edge_only() {
    let old = "#EXT-X-PART:DURATION=1.92000,URI=\"old.m4s\",INDEPENDENT=YES\n#EXTINF:1.92000,\nv-102.m4s";
    replaced(4, "still has EXT-X-PART", "#EXTINF:1.92000,\nv-102.m4s", old);
    must_break(4, "has no EXT-X-PART", |_, _, body| {
        body.lines()
            .filter(|line| !line.contains("-108.") || !line.starts_with("#EXT-X-PART"))
            .flat_map(|line| [line, "\n"])
            .collect()
    });
}

#[test]
fn rule_5_discontinuity() {
    replaced(5, "no EXT-X-DISCONTINUITY-SEQUENCE", "#EXT-X-DISCONTINUITY-SEQUENCE", "#EXT-X-NOTHING");
    replaced(5, "another EXT-X-MAP", "#EXT-X-DISCONTINUITY\n", "");
}

#[test]
fn rule_6_dates() {
    replaced(6, "no EXT-X-PROGRAM-DATE-TIME", "#EXT-X-PROGRAM-DATE-TIME", "#EXT-X-NOTHING");
    replaced(6, "at the first segment", "#EXT-X-PROGRAM-DATE-TIME:2026-10-01T12:00:00.000Z\n", "");
    replaced(6, "off the sum of EXTINF", "12:00:03.840Z", "12:00:03.843Z");
    replaced(6, "behind EXT-X-DISCONTINUITY", "#EXT-X-PROGRAM-DATE-TIME:2026-10-01T12:00:11.520Z\n", "");
}

#[test]
fn rule_8_the_end() {
    replaced(8, "EXT-X-PLAYLIST-TYPE", "#EXT-X-INDEPENDENT", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEPENDENT");
    must_break(8, "beside EXT-X-ENDLIST", |_, parts, body| if parts == 100 { body + "#EXT-X-ENDLIST\n" } else { body });
}

#[test]
fn rule_10_part_durations() {
    replaced(10, "above PART-TARGET", "DURATION=0.32000,URI=\"v-107.3", "DURATION=0.32001,URI=\"v-107.3");
    replaced(10, "under 85 %", "DURATION=0.32000,URI=\"v-107.3", "DURATION=0.27000,URI=\"v-107.3");
    replaced(10, "without EXT-X-PART-INF", "#EXT-X-PART-INF:PART-TARGET=0.32000\n", "");
}

#[test]
fn rule_10_allows_short_parts_where_the_draft_does() {
    for (from, to) in [
        ("DURATION=0.32000,URI=\"a-107.3", "DURATION=0.20000,URI=\"a-107.3"),
        ("DURATION=0.32000,URI=\"v-107.5", "DURATION=0.20000,URI=\"v-107.5"),
        ("DURATION=0.32000,URI=\"v-109.2", "DURATION=0.20000,URI=\"v-109.2"),
        ("DURATION=0.32000,URI=\"v-109.1", "DURATION=0.20000,URI=\"v-109.1"),
    ] {
        let text = super::sample::playlist(if to.contains("a-") { 'a' } else { 'v' }, 63).replace(from, to);
        let found = crate::form::judge(&super::parse(&text).0);
        assert!(found.iter().all(|violation| violation.rule != 10), "{to}: {found:?}");
    }
}

#[test]
fn rule_11_heads_before_parts() {
    let late = "INDEPENDENT=YES\n#EXT-X-PROGRAM-DATE-TIME:2026-10-01T12:00:13.440Z\n#EXT-X-PART:DURATION=0.32000,URI=\"v-107.1";
    replaced(11, "EXT-X-PROGRAM-DATE-TIME behind", "INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.32000,URI=\"v-107.1", late);
    replaced(11, "no EXT-X-MAP", "#EXT-X-MAP", "#EXT-X-NOTHING");
}

#[test]
fn rule_12_hold_back() {
    replaced(12, "PART-HOLD-BACK", "PART-HOLD-BACK=0.96000", "PART-HOLD-BACK=0.95000");
    replaced(12, "PART-HOLD-BACK None", ",PART-HOLD-BACK=0.96000", "");
    replaced(12, "HOLD-BACK Some(11.0)", ",HOLD-BACK=12", ",HOLD-BACK=11");
    replaced(12, "CAN-SKIP-UNTIL", "CAN-SKIP-UNTIL=24", "CAN-SKIP-UNTIL=23.9");
    replaced(12, "CAN-BLOCK-RELOAD", "CAN-BLOCK-RELOAD=YES,", "");
    replaced(12, "no EXT-X-SERVER-CONTROL", "#EXT-X-SERVER-CONTROL", "#EXT-X-NOTHING");
}

#[test]
fn rule_13_parts_add_up() {
    replaced(13, "EXTINF says 1.93", "#EXTINF:1.92000,", "#EXTINF:1.93000,");
}

#[test]
fn rule_14_gaps() {
    replaced(14, "no EXT-X-GAP", "#EXT-X-GAP\n", "");
    replaced(14, "not one part", ",GAP=YES", "");
}

#[test]
fn rule_22_one_hint() {
    let second = "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"other.m4s\"\n#EXT-X-RENDITION";
    replaced(22, "more than one", "#EXT-X-RENDITION", second);
    replaced(22, "already there", "TYPE=PART,URI=\"v-110.3.m4s\"", "TYPE=PART,URI=\"v-110.2.m4s\"");
}
