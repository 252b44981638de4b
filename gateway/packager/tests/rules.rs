//! The thirty rules in one table: by what each is judged on the packager as a value, and that each form of a programme meets it.
//!
//! The strict client (`minamo-llhls-checker`) judges every version and every byte of a run; that it finds a breach of each rule is
//! shown beside it and in `controls.rs`, `protected.rs` and `derived.rs`. What the table adds: no rule is passed because nothing in
//! the run touches it.

#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
mod publisher;

use std::time::Duration;

use minamo_packager::{CaptionTrack, Cipher, DateRange, PackagerConfig, Rotation};
use publisher::{Outcome, SECRET, Script, UNIX, run};

/// What shows that a run touches a rule.
enum Touch {
    /// A version of a playlist has all of these words.
    Version(&'static [&'static str]),
    /// The multivariant playlist has them.
    Multivariant(&'static [&'static str]),
    /// Every run touches it: each version, each byte or each name is held against it.
    Always,
    /// It is about answers, not about playlists: here under this name, or over HTTP.
    Elsewhere(&'static str),
}

use Touch::{Always, Elsewhere, Multivariant, Version};

const RULES: [(u8, &str, Touch); 30] = [
    (1, "EXTINF within a constant TARGETDURATION", Version(&["#EXT-X-TARGETDURATION:4\n", "#EXTINF:"])),
    (2, "every version adds, in time", Always),
    (3, "append at the end, remove in order", Always),
    (4, "what is removed stays fetchable, part tags near the edge only", Always),
    (5, "discontinuities, counted alike everywhere", Version(&["#EXT-X-DISCONTINUITY\n", "#EXT-X-DISCONTINUITY-SEQUENCE:"])),
    (6, "dates, the same in all renditions", Version(&["#EXT-X-PROGRAM-DATE-TIME:"])),
    (7, "one TARGETDURATION and one SERVER-CONTROL", Version(&["#EXT-X-SERVER-CONTROL:"])),
    (8, "ENDLIST at the end, and no hint then", Version(&["#EXT-X-ENDLIST"])),
    (
        9,
        "the multivariant playlist is complete and right",
        Multivariant(&["CODECS=", "RESOLUTION=", "FRAME-RATE=", "AVERAGE-BANDWIDTH="]),
    ),
    (10, "lengths of parts", Version(&["#EXT-X-PART:DURATION=", "#EXT-X-PART-INF:PART-TARGET="])),
    (11, "what holds for a segment stands before its first part", Version(&["#EXT-X-MAP:", "#EXT-X-PART:"])),
    (12, "hold-back and skip boundary", Version(&["PART-HOLD-BACK=", ",HOLD-BACK=", "CAN-SKIP-UNTIL="])),
    (13, "parts joined are the segment, IDRs are marked", Version(&["INDEPENDENT=YES"])),
    (14, "pictures stall in gaps, sound never", Version(&["GAP=YES"])),
    (15, "blocking reload waits for what it names", Elsewhere("answers: rules_15_and_16…, rule_15…")),
    (16, "what is there or long gone comes at once", Elsewhere("answers: rules_15_and_16…")),
    (17, "what is too far ahead is refused", Elsewhere("answers: rule_17…")),
    (18, "a wait has an end", Elsewhere("answers: rules_8_and_18…; the limit over HTTP")),
    (19, "strange directives", Elsewhere("directives: rule_19…")),
    (20, "one body for a crowd", Elsewhere("answers: rule_20…")),
    (21, "delta updates", Version(&["#EXT-X-SKIP:SKIPPED-SEGMENTS=", "CAN-SKIP-DATERANGES=YES"])),
    (22, "hints become parts", Version(&["#EXT-X-PRELOAD-HINT:TYPE=PART"])),
    (23, "reports of every other rendition", Version(&["#EXT-X-RENDITION-REPORT:"])),
    (24, "gzip, CORS, ranges", Elsewhere("over HTTP: minamo-llhls")),
    (25, "caching", Elsewhere("over HTTP: minamo-llhls; bytes under one name never change here")),
    (26, "Date and Age", Elsewhere("over HTTP: minamo-llhls")),
    (27, "keys with explicit IVs", Version(&["#EXT-X-KEY:METHOD=AES-128,URI=", ",IV=0x"])),
    (28, "date ranges", Version(&["#EXT-X-DATERANGE:ID="])),
    (29, "I-frames", Multivariant(&["#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH="])),
    (30, "gap segments keep their time", Version(&["#EXT-X-GAP\n#EXTINF:"])),
];

/// A programme in which everything happens: a long window, a gap, a return, another format, metadata, captions.
fn eventful() -> Script {
    Script {
        length_ms: 100_000,
        window: 16,
        away: |ms| (40_000..48_000).contains(&ms),
        width: |ms| if ms < 70_000 { 40 } else { 20 },
        settings: with_captions,
        metadata: |ms| {
            let id = format!("m-{ms}");
            let start = UNIX + Duration::from_millis(ms);
            let range = DateRange { id, start, duration: Some(Duration::ZERO), planned: None, attributes: [].into() };
            ms.is_multiple_of(7_000).then_some(range)
        },
        ..Script::default()
    }
}

fn with_captions(config: PackagerConfig) -> PackagerConfig {
    let track = CaptionTrack { language: "ja".into(), name: "日本語".into() };
    PackagerConfig { captions: vec![track], ..config }
}

fn encrypted(config: PackagerConfig) -> PackagerConfig {
    let cipher = Cipher::new("https://keys.example/".into(), "0011223344556677".into(), &SECRET, Rotation::Segments(5));
    PackagerConfig { cipher: Some(cipher), ..with_captions(config) }
}

fn touches(outcome: &Outcome, touch: &Touch) -> Option<bool> {
    let has = |text: &str, words: &[&str]| words.iter().all(|word| text.contains(word));
    match touch {
        Version(words) => Some(outcome.history.iter().any(|(_, _, text)| has(text, words))),
        Multivariant(words) => Some(has(&outcome.multivariant, words)),
        Always => Some(!outcome.history.is_empty()),
        Elsewhere(_) => None,
    }
}

#[test]
fn the_table_has_every_rule_once() {
    assert!(RULES.iter().map(|(rule, ..)| *rule).eq(1..=30));
    assert!(RULES.iter().all(|(_, _, touch)| !matches!(touch, Elsewhere(place) if place.is_empty())));
}

#[test]
fn a_plain_programme_meets_and_touches_every_rule_but_that_of_keys() {
    let outcome = run(eventful());
    outcome.clean();
    for (rule, words, touch) in &RULES {
        let expected = *rule != 27;
        assert_eq!(touches(&outcome, touch).unwrap_or(expected), expected, "rule {rule}: {words}");
    }
}

#[test]
fn an_encrypted_programme_meets_and_touches_every_rule_but_that_of_i_frames() {
    let outcome = run(Script { settings: encrypted, ..eventful() });
    outcome.clean();
    for (rule, words, touch) in &RULES {
        let expected = *rule != 29;
        assert_eq!(touches(&outcome, touch).unwrap_or(expected), expected, "rule {rule}: {words}");
    }
}

/// Negative control: a run in which nothing happens touches neither discontinuities nor gaps, keys, ranges or skips.
#[test]
fn a_quiet_programme_does_not_touch_all() {
    let outcome = run(Script { length_ms: 20_000, ..Script::default() });
    outcome.clean();
    let untouched: Vec<u8> =
        RULES.iter().filter(|(_, _, touch)| touches(&outcome, touch) == Some(false)).map(|(rule, ..)| *rule).collect();
    assert_eq!(untouched, [5, 14, 21, 27, 28, 30]);
}
