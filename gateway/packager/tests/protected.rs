//! Encrypted programmes, tokens in names, timed metadata, where playback starts: judged by the strict client.

#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
mod publisher;

use std::collections::BTreeSet;
use std::time::Duration;

use minamo_llhls_checker::{Checker, parse};
use minamo_packager::{
    Cipher, DateRange, DateRangeRefused, Directives, MediaTokens, PackagerConfig, Rendition, Response, Rotation, key_of,
};
use publisher::{Outcome, SECRET, Script, UNIX, World, run};

const KEYS: &str = "https://keys.example/k?room=1";

fn encrypted(config: PackagerConfig, rotation: Rotation) -> PackagerConfig {
    let cipher = Cipher::new(KEYS.into(), "00112233445566aa".into(), &SECRET, rotation);
    PackagerConfig { cipher: Some(cipher), ..config }
}

fn key_tags(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("#EXT-X-KEY:")).collect()
}

fn kids(outcome: &Outcome, name: &str) -> BTreeSet<String> {
    let texts = outcome.history.iter().filter(|(_, of, _)| *of == name).flat_map(|(_, _, text)| key_tags(text));
    texts.map(|tag| tag.split("kid=").nth(1).unwrap().split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn rule_27_an_encrypted_programme_plays_and_both_renditions_have_one_key() {
    let outcome = run(Script { settings: |config| encrypted(config, Rotation::Never), ..Script::default() });
    outcome.clean();
    assert_eq!(kids(&outcome, "video.m3u8").len(), 1);
    assert_eq!(kids(&outcome, "video.m3u8"), kids(&outcome, "audio.m3u8"));
    let text = outcome.last_video();
    assert_eq!(key_tags(text).len(), 1, "{text}");
    assert!(key_tags(text)[0].starts_with("#EXT-X-KEY:METHOD=AES-128,URI=\"https://keys.example/k?room=1&kid="), "{text}");
    assert!(text.find("#EXT-X-KEY").unwrap() < text.find("#EXT-X-MAP").unwrap(), "{text}");
}

#[test]
fn keys_rotate_and_nobody_needs_an_old_one_to_join() {
    let outcome =
        run(Script { length_ms: 90_000, settings: |config| encrypted(config, Rotation::Segments(3)), ..Script::default() });
    outcome.clean();
    let video = kids(&outcome, "video.m3u8");
    assert!((13..=16).contains(&video.len()), "{video:?}");
    assert_eq!(video, kids(&outcome, "audio.m3u8"));
    for (_, name, text) in outcome.history.iter().filter(|(_, _, text)| !text.contains("EXT-X-SKIP")) {
        let (playlist, _) = parse(text);
        let stale = playlist.all().find(|segment| segment.key != segment.map_key);
        assert!(stale.is_none(), "{name}: an init section is under another key than its segments\n{text}");
    }
}

#[test]
fn keys_go_through_gaps_changes_and_delta_updates() {
    let outcome = run(Script {
        length_ms: 120_000,
        window: 20,
        away: |ms| (40_000..49_000).contains(&ms),
        width: |ms| if ms < 25_000 { 40 } else { 20 },
        key_after_ms: |ms, _| if (70_000..80_000).contains(&ms) { 9_000 } else { 80 },
        settings: |config| encrypted(config, Rotation::Age(Duration::from_secs(9))),
        ..Script::default()
    });
    outcome.clean();
    let seen = |words: &str| outcome.history.iter().any(|(_, _, text)| text.contains(words) && text.contains("#EXT-X-KEY"));
    assert!(seen("GAP=YES") && seen("#EXT-X-DISCONTINUITY\n") && seen("#EXT-X-SKIP:"));
}

/// Negative control: what is under no key, or another one, is found; so is a playlist that does not say so as it must.
#[test]
fn rule_27_wrong_keys_are_found() {
    let mut world = World::new(Script { settings: |config| encrypted(config, Rotation::Never), ..Script::default() });
    world.advance(20_000);
    let snapshot = world.packager().snapshot(Rendition::Video(0)).unwrap();
    let Response::Ready(body) = snapshot.respond(&Directives::default()) else { panic!("ready") };
    let text = String::from_utf8(body.plain().to_vec()).unwrap();
    let judged = |text: &str, key: [u8; 16], edit: fn(Vec<u8>) -> Vec<u8>| -> Vec<u8> {
        let mut checker = Checker::new();
        let mut found = checker.observe_playlist(Duration::from_secs(20), "video.m3u8", "", text);
        let (playlist, _) = parse(text);
        let segment = playlist.segments.last().unwrap();
        if let Some(named) = &segment.key {
            checker.add_key(&named.uri, key);
        }
        for uri in [segment.map.clone().unwrap(), segment.parts[0].uri.clone()] {
            let minamo_packager::Media::Ready(bytes, _) = snapshot.media(&uri) else { panic!("{uri}") };
            let bytes = edit(bytes.to_vec());
            found.extend(checker.observe_media(Duration::from_secs(20), "video.m3u8", &uri, 200, bytes.len() as u64, &bytes));
        }
        found.iter().map(|violation| violation.rule).collect()
    };
    let kid = key_tags(&text)[0].split("kid=").nth(1).unwrap().split('"').next().unwrap();
    let key = key_of(&SECRET, kid).unwrap();
    let same = |bytes| bytes;
    assert_eq!(judged(&text, key, same), Vec::<u8>::new());
    assert!(judged(&text, [0; 16], same).contains(&27));
    assert!(judged(&text, key, |bytes| bytes[16..].to_vec()).iter().any(|rule| [11, 13, 27].contains(rule)));
    assert!(judged(&text, key, |bytes| bytes[..bytes.len() - 16].to_vec()).contains(&27));
    let without_iv = text.replace(&text[text.find(",IV=").unwrap()..text.find(",IV=").unwrap() + 4 + 34], "");
    assert!(judged(&without_iv, key, same).contains(&27));
    let untold = text.lines().filter(|line| !line.starts_with("#EXT-X-KEY")).map(|line| format!("{line}\n")).collect::<String>();
    assert!(judged(&untold, key, same).iter().any(|rule| [11, 13].contains(rule)));
}

#[test]
fn names_carry_tokens_that_open_them() {
    let outcome = run(Script {
        settings: |config| PackagerConfig { tokens: Some(MediaTokens::new(&SECRET)), ..config },
        ..Script::default()
    });
    outcome.clean();
    let tokens = MediaTokens::new(&SECRET);
    let (playlist, _) = parse(outcome.last["audio.m3u8"].as_str());
    let uris = playlist.all().flat_map(|segment| segment.parts.iter().map(|part| &part.uri).chain(segment.map.iter()));
    let mut count = 0;
    for uri in uris.chain(playlist.segments.iter().map(|segment| &segment.uri)) {
        let (name, query) = uri.split_once('?').unwrap();
        assert!(tokens.opens(name, query), "{uri}");
        count += 1;
    }
    assert!(count > 20);
    let hints = outcome.history.iter().filter(|(_, _, text)| text.contains("PRELOAD-HINT") && text.contains("m4s?t="));
    assert!(hints.count() > 20);
}

fn splice(ms: u64) -> Option<DateRange> {
    let range = |id: &str, start: u64, duration: Option<u64>, attributes: &[(&str, &str)]| DateRange {
        id: id.into(),
        start: UNIX + Duration::from_millis(start),
        duration: duration.map(Duration::from_secs),
        planned: None,
        attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    match ms {
        10_000 => Some(range("ad", 14_000, None, &[("SCTE35-OUT", "0xFC0003000000")])),
        20_000 => Some(range("ad", 14_000, Some(8), &[("SCTE35-IN", "0xFC0003000001")])),
        30_000..=60_000 if ms.is_multiple_of(3_000) => Some(range(&format!("m-{ms}"), ms, Some(0), &[("X-N", "7")])),
        _ => None,
    }
}

#[test]
fn rule_28_timed_metadata_is_in_every_rendition_until_it_is_over() {
    let outcome = run(Script { length_ms: 100_000, window: 20, metadata: splice, ..Script::default() });
    outcome.clean();
    for name in ["video.m3u8", "audio.m3u8"] {
        let of = |words: &str| outcome.history.iter().filter(|(_, of, text)| *of == name && text.contains(words)).count();
        assert!(of("ID=\"ad\",SCTE35-OUT=0xFC0003000000") > 10 && of("SCTE35-IN=0xFC0003000001") > 10, "{name}");
        assert!(of("ID=\"m-30000\"") > 10 && of("ID=\"m-60000\"") > 10);
        let skipped = |text: &str| text.contains("EXT-X-SKIP") && text.contains("EXT-X-DATERANGE");
        assert!(outcome.history.iter().any(|(_, of, text)| *of == name && skipped(text)));
        assert!(!outcome.last[name].contains("ID=\"ad\""), "it left with its media");
    }
}

#[test]
fn rule_21_version_2_leaves_out_old_ranges_and_names_what_has_gone() {
    let mut world = World::new(Script { window: 30, metadata: splice, ..Script::default() });
    world.advance(70_000);
    let text = |world: &mut World, skip: &str| {
        let snapshot = world.packager().snapshot(Rendition::Video(0)).unwrap();
        let Response::Ready(body) = snapshot.respond(&Directives::parse(skip).unwrap()) else { panic!("ready") };
        String::from_utf8(body.plain().to_vec()).unwrap()
    };
    let (yes, v2) = (text(&mut world, "_HLS_skip=YES"), text(&mut world, "_HLS_skip=v2"));
    assert!(yes.contains("#EXT-X-VERSION:9\n") && yes.contains("ID=\"m-30000\"") && yes.contains("CAN-SKIP-DATERANGES=YES"));
    assert!(v2.contains("#EXT-X-VERSION:10\n") && !v2.contains("ID=\"m-30000\"") && v2.contains("ID=\"m-57000\""), "{v2}");
    world.advance(83_000);
    let v2 = text(&mut world, "_HLS_skip=v2");
    assert!(v2.contains("RECENTLY-REMOVED-DATERANGES=\"ad"), "{v2}");
    assert!(!text(&mut world, "_HLS_skip=YES").contains("RECENTLY-REMOVED"));
}

#[test]
fn rule_28_what_would_break_it_is_refused_and_found() {
    let mut world = World::new(Script { metadata: splice, ..Script::default() });
    world.advance(25_000);
    let mut other = splice(10_000).unwrap();
    other.attributes.insert("SCTE35-OUT".into(), "0xFC0003000009".into());
    assert_eq!(world.packager().add_date_range(&other), Err(DateRangeRefused::Changed("SCTE35-OUT".into())));
    world.advance(59_000);
    assert_eq!(world.packager().add_date_range(&splice(10_000).unwrap()), Err(DateRangeRefused::Used));

    // Negative controls, on versions that were right.
    let good = run(Script { metadata: splice, ..Script::default() });
    let versions: Vec<_> =
        good.history.iter().filter(|(_, name, text)| *name == "video.m3u8" && !text.contains("EXT-X-SKIP")).collect();
    let (first, then) = versions.split_at(versions.iter().rposition(|(_, _, text)| text.contains("ID=\"ad\"")).unwrap());
    let found = |edit: &dyn Fn(&str) -> String| -> Vec<u8> {
        let mut checker = Checker::new();
        for (at, name, text) in first {
            checker.observe_playlist(*at, name, "", text);
        }
        let (at, name, text) = then[0];
        assert_ne!(edit(text), *text);
        checker.observe_playlist(*at, name, "", &edit(text)).iter().map(|violation| violation.rule).collect()
    };
    assert!(found(&|text| text.replace("0xFC0003000000", "0xFC0003000002")).contains(&28));
    assert!(found(&|text| text.replace("0xFC0003000000", "0xFC00030000")).contains(&28));
    assert!(found(&|text| text.replace("DURATION=8.000", "DURATION=9.000")).contains(&28));
    assert!(found(&|text| text.replace(",SCTE35-IN=0xFC0003000001", "")).contains(&28));
    assert!(found(&|text| text.replace(":ID=\"ad\"", ":CLASS=\"ad\"")).contains(&28));
}

#[test]
fn playback_starts_where_the_channel_says() {
    let text = |settings: fn(PackagerConfig) -> PackagerConfig| {
        let outcome = run(Script { length_ms: 20_000, settings, ..Script::default() });
        outcome.clean().last_video().to_owned()
    };
    let from_the_end = text(|config| PackagerConfig { start_offset_ms: Some(-2_000), ..config });
    assert!(from_the_end.contains("#EXT-X-START:TIME-OFFSET=-2\n"), "{from_the_end}");
    let from_the_start = text(|config| PackagerConfig { start_offset_ms: Some(1_500), ..config });
    assert!(from_the_start.contains("#EXT-X-START:TIME-OFFSET=1.5\n"), "{from_the_start}");
    assert!(!text(|config| config).contains("EXT-X-START"));
}
