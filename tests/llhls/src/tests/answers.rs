//! Rules of the directives.

use std::time::Duration;

use super::{Checker, must_break, must_find};
use crate::sample::{playlist, time_of};
use crate::{Answer, Violation};

/// A client that knows 63 parts (segment 109 is complete, 110 has three parts) gets this answer after `waited` seconds.
fn answered(query: &str, status: u16, waited: f64, body: &str) -> Vec<Violation> {
    let mut checker = Checker::new();
    assert_eq!(checker.observe_playlist(time_of(63), "v.m3u8", "", &playlist('v', 63)), []);
    let (asked, waited) = (time_of(63), Duration::from_secs_f64(waited));
    checker.observe_answer(&Answer { asked, answered: asked + waited, rendition: "v.m3u8", query, status, body })
}

fn with(query: &str, parts: u64) -> Vec<Violation> {
    answered(query, 200, 0.3, &playlist('v', parts))
}

#[test]
fn rule_15_the_answer_holds_what_was_asked_for() {
    for (query, parts) in [
        ("_HLS_msn=110&_HLS_part=3", 64),
        ("_HLS_msn=110&_HLS_part=6", 67),
        ("_HLS_msn=110", 66),
        ("_HLS_msn=111&_HLS_part=0", 67),
    ] {
        assert_eq!(with(query, parts), [], "{query}");
        must_find(15, "was asked for", with(query, parts - 1));
    }
    must_find(15, "was answered with 404", answered("_HLS_msn=110&_HLS_part=3", 404, 0.1, ""));
}

#[test]
fn rule_16_an_old_number_is_no_mistake() {
    assert_eq!(with("_HLS_msn=1", 63), []);
    assert_eq!(with("_HLS_msn=105&_HLS_part=2", 63), []);
    must_find(16, "400", answered("_HLS_msn=1", 400, 0.0, ""));
    must_find(16, "404", answered("_HLS_msn=105&_HLS_part=2", 404, 0.0, ""));
}

#[test]
fn rule_17_what_cannot_be_waited_for() {
    for query in ["_HLS_part=1", "_HLS_msn=210", "_HLS_msn=110&_HLS_part=5000"] {
        assert_eq!(answered(query, 400, 0.0, ""), [], "{query}");
        must_find(17, "right is [400]", with(query, 63));
        must_find(17, "right is [400]", answered(query, 503, 12.1, ""));
        must_find(17, "refused only after", answered(query, 400, 5.0, ""));
    }
    let mut checker = Checker::new();
    must_find(17, "only 400", checker.observe_playlist(time_of(63), "v.m3u8", "_HLS_part=1", &playlist('v', 63)));
}

#[test]
fn rule_18_no_answer_later_than_three_targets() {
    assert_eq!(answered("_HLS_msn=110&_HLS_part=3", 503, 12.1, ""), []);
    must_find(18, "answered after 14.0 s", answered("_HLS_msn=110&_HLS_part=3", 503, 14.0, ""));
    must_find(15, "503", answered("_HLS_msn=110&_HLS_part=3", 503, 1.0, ""));
}

#[test]
fn rule_18_the_end_ignores_directives() {
    let ended = playlist('v', 66).replace("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"v-111.0.m4s\"\n", "") + "#EXT-X-ENDLIST\n";
    let mut checker = Checker::new();
    assert_eq!(checker.observe_playlist(time_of(66), "v.m3u8", "", &ended), []);
    let mut ask = |query, status, body: &str| {
        let at = time_of(66);
        checker.observe_answer(&Answer { asked: at, answered: at, rendition: "v.m3u8", query, status, body })
    };
    assert_eq!(ask("_HLS_msn=500&_HLS_part=3", 200, &ended), []);
    must_find(18, "400", ask("_HLS_msn=500", 400, ""));
}

#[test]
fn rule_19_odd_directives() {
    for query in [
        "_HLS_msn=-1",
        "_HLS_msn=1.5",
        "_HLS_msn=99999999999999999999999999",
        "_HLS_msn=abc&_HLS_part=0",
        "_HLS_msn=110&_HLS_part=-1",
        "_HLS_msn=",
    ] {
        assert_eq!(answered(query, 400, 0.0, ""), [], "{query}");
        must_find(19, "right is [400]", with(query, 63));
        must_find(19, "500", answered(query, 500, 0.0, ""));
    }
    assert_eq!(answered("_HLS_msn=105&_HLS_msn=105", 400, 0.0, ""), []);
    assert_eq!(with("_HLS_msn=105&_HLS_msn=105", 63), []);
    must_find(19, "500", answered("_HLS_msn=105&_HLS_msn=105", 500, 0.0, ""));
    assert_eq!(with("_HLS_part=0&_HLS_msn=105", 63), []);
    assert_eq!(with("_HLS_nobody_knows=1", 63), []);
    let echo = playlist('v', 63).replace("a.m3u8", "a.m3u8?_HLS_nobody_knows=1");
    must_find(19, "repeats directives", answered("_HLS_nobody_knows=1", 200, 0.0, &echo));
    must_find(15, "400", answered("_HLS_nobody_knows=1", 400, 0.0, ""));
}

/// Twenty segments, so that the first of them are older than CAN-SKIP-UNTIL.
fn long(skipped: u64) -> String {
    let mut out =
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:4\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24\n\
        #EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n"
            .to_owned();
    if skipped > 0 {
        out += &format!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n");
    }
    out += "#EXT-X-MAP:URI=\"i.mp4\"\n";
    for index in skipped..20 {
        out += &format!("#EXT-X-PROGRAM-DATE-TIME:2026-10-01T12:00:{:02}Z\n#EXTINF:2.0,\ns{}.m4s\n", index * 2, index + 1);
    }
    out
}

#[test]
fn rule_21_delta_updates() {
    let after = |known: u64, query: &str, body: &str| {
        let mut checker = Checker::new();
        if known > 0 {
            assert_eq!(checker.observe_playlist(Duration::ZERO, "v.m3u8", "", &long(0)), []);
        }
        checker.observe_playlist(Duration::ZERO, "v.m3u8", query, body)
    };
    assert_eq!(after(20, "_HLS_skip=YES", &long(8)), []);
    must_find(21, "nobody asked", after(20, "", &long(8)));
    must_find(21, "nearer to the edge", after(20, "_HLS_skip=YES", &long(9)));
    must_find(21, "had 0 of them", after(0, "_HLS_skip=YES", &long(8)));
    must_find(21, "EXT-X-VERSION 8", after(20, "_HLS_skip=YES", &long(8).replace("VERSION:9", "VERSION:8")));
    must_find(3, "changed its URI", after(20, "_HLS_skip=YES", &long(8).replace("s12.m4s", "t12.m4s")));
}

#[test]
fn rule_15_holds_in_the_whole_programme() {
    must_break(15, "was asked for", |letter, parts, body| if parts == 63 { playlist(letter, 62) } else { body });
}
