//! I-frame playlists and caption tracks, which come with the leading rendition's segments.

#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
mod publisher;

use std::time::Duration;

use minamo_llhls_checker::{Violation, judge_iframes, parse};
use minamo_packager::{CaptionTrack, Cipher, Cue, CueTime, Directives, Media, PackagerConfig, Rendition, Response, Rotation};
use publisher::{SECRET, Script, UNIX, World, run};

fn tracks(config: PackagerConfig) -> PackagerConfig {
    let track = |language: &str, name: &str| CaptionTrack { language: language.into(), name: name.into() };
    PackagerConfig { captions: vec![track("ja", "日本語"), track("en", "English")], ..config }
}

fn text(world: &mut World, rendition: Rendition, query: &str) -> String {
    let snapshot = world.packager().snapshot(rendition).unwrap();
    let Response::Ready(body) = snapshot.respond(&Directives::parse(query).unwrap()) else { panic!("{query} must be there") };
    String::from_utf8(body.plain().to_vec()).unwrap()
}

fn bytes(world: &mut World, rendition: Rendition, name: &str) -> Vec<u8> {
    let snapshot = world.packager().snapshot(rendition).unwrap();
    let Media::Ready(bytes, _) = snapshot.media(name) else { panic!("{name} is listed and not there") };
    bytes.to_vec()
}

#[test]
fn rule_29_every_range_is_one_key_frame() {
    let away = |ms| (20_000..26_000).contains(&ms);
    let mut world = World::new(Script { away, ..Script::default() });
    world.advance(40_000);
    let playlist = text(&mut world, Rendition::IFrames(0), "");
    let (frames, found) = judge_iframes(&playlist);
    assert_eq!(found, [], "{playlist}");
    assert!(frames.len() >= 6 && playlist.contains("#EXT-X-GAP\n"), "{playlist}");
    for frame in &frames {
        let whole = bytes(&mut world, Rendition::Video(0), &frame.uri);
        let range = &whole[frame.range.1 as usize..(frame.range.0 + frame.range.1) as usize];
        let size = |at: usize| u32::from_be_bytes(range[at..at + 4].try_into().unwrap()) as usize;
        let mdat = size(0);
        assert_eq!((&range[4..8], &range[mdat + 4..mdat + 8]), (&b"moof"[..], &b"mdat"[..]));
        // One IDR slice with its length, and nothing behind it.
        assert_eq!((size(mdat + 8) + 12 + mdat, range[mdat + 12] & 0x1f), (range.len(), 5));
    }
    let (video, _) = parse(&text(&mut world, Rendition::Video(0), ""));
    let (trick, _) = parse(&playlist);
    let of = |playlist: &minamo_llhls_checker::MediaPlaylist| -> Vec<_> {
        playlist.segments.iter().map(|segment| (segment.msn, segment.duration, segment.date, segment.gap)).collect()
    };
    // Rule 30: a gap keeps its time.
    assert_eq!(of(&trick), of(&video));
}

/// Negative control: what rule 29 forbids is found.
#[test]
fn rule_29_is_judged() {
    let mut world = World::new(Script::default());
    world.advance(20_000);
    let good = text(&mut world, Rendition::IFrames(0), "");
    let rules = |text: &str| judge_iframes(text).1.into_iter().map(|Violation { rule, .. }| rule).collect::<Vec<_>>();
    assert_eq!(rules(&good), []);
    assert!(rules(&good.replace("#EXT-X-I-FRAMES-ONLY\n", "")).contains(&29));
    assert!(rules(&text(&mut world, Rendition::Video(0), "")).contains(&29));
    let multivariant = String::from_utf8(world.packager().multivariant().unwrap().plain().to_vec()).unwrap();
    let judged = |text: &str| minamo_llhls_checker::Checker::new().observe_multivariant(text);
    assert_eq!(judged(&multivariant), []);
    let line = multivariant.lines().find(|line| line.starts_with("#EXT-X-I-FRAME-STREAM-INF")).unwrap();
    for wrong in [
        line.replace("URI=", "FRAME-RATE=30,URI="),
        line.replace("URI=", "AUDIO=\"audio\",URI="),
        line.replace("BANDWIDTH=", "X-BANDWIDTH="),
    ] {
        assert!(judged(&multivariant.replace(line, &wrong)).iter().any(|violation| violation.rule == 29), "{wrong}");
    }
}

#[test]
fn an_encrypted_programme_has_no_i_frame_playlist() {
    let settings = |config| PackagerConfig {
        cipher: Some(Cipher::new("https://k.example".into(), "0011223344556677".into(), &SECRET, Rotation::Never)),
        ..config
    };
    let outcome = run(Script { settings, length_ms: 20_000, ..Script::default() });
    assert!(!outcome.clean().multivariant.contains("I-FRAME"));
}

#[test]
fn captions_come_with_the_segments_that_they_are_shown_in() {
    let mut world = World::new(Script { settings: tracks, ..Script::default() });
    world.advance(9_000);
    let wall = |ms| CueTime::Wall(UNIX + Duration::from_millis(ms));
    let cue = Cue { start: wall(9_500), end: wall(12_000), text: "こんにちは".into() };
    assert!(world.packager().add_caption(0, &cue));
    assert!(!world.packager().add_caption(2, &cue), "there is no third track");
    world.advance(20_000);
    let playlist = text(&mut world, Rendition::Captions(0), "");
    let (video, _) = parse(&text(&mut world, Rendition::Video(0), ""));
    let (captions, faults) = parse(&playlist);
    assert_eq!(faults, Vec::<String>::new());
    assert!(
        !playlist.contains("EXT-X-PART") && !playlist.contains("EXT-X-MAP") && !playlist.contains("PRELOAD-HINT"),
        "{playlist}"
    );
    let of = |segment: &minamo_llhls_checker::Segment| (segment.msn, segment.duration, segment.date);
    assert!(captions.segments.iter().map(of).eq(video.segments.iter().map(of)), "the same numbers, lengths and dates");
    let mut shown = 0;
    for segment in &captions.segments {
        let vtt = String::from_utf8(bytes(&mut world, Rendition::Captions(0), &segment.uri)).unwrap();
        assert!(vtt.starts_with("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:"), "{vtt}");
        // The clock that the media has: MPEGTS is where the pictures of this segment begin.
        let ticks: u64 = vtt.split("MPEGTS:").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
        let pictures = bytes(&mut world, Rendition::Video(0), &format!("v-{}.m4s", segment.msn));
        let tfdt = pictures.windows(4).position(|name| name == b"tfdt").unwrap();
        assert_eq!(u64::from_be_bytes(pictures[tfdt + 8..tfdt + 16].try_into().unwrap()), ticks);
        shown += usize::from(vtt.contains("こんにちは"));
    }
    assert!((2..=3).contains(&shown), "{shown}");
    assert!(
        !String::from_utf8(bytes(&mut world, Rendition::Captions(1), &captions.segments[3].uri.replace("c-", "c1-")))
            .unwrap()
            .contains("-->")
    );
}

#[test]
fn the_strict_client_finds_nothing_in_a_programme_with_captions() {
    let outcome = run(Script { settings: tracks, length_ms: 60_000, ..Script::default() });
    outcome.clean();
    let line = "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"captions\",NAME=\"日本語\",LANGUAGE=\"ja\",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI=\"captions.m3u8\"\n";
    assert!(
        outcome.multivariant.contains(line) && outcome.multivariant.contains(",SUBTITLES=\"captions\""),
        "{}",
        outcome.multivariant
    );
    assert!(outcome.last.keys().any(|name| *name == "captions-1.m3u8"));
}

#[test]
fn they_wait_for_segments_and_end_with_the_programme() {
    let mut world = World::new(Script { settings: tracks, ..Script::default() });
    world.advance(20_000);
    let snapshot = world.packager().snapshot(Rendition::Captions(0)).unwrap();
    let next = snapshot.segments().last().unwrap().head().msn() + 1;
    assert!(matches!(snapshot.respond(&Directives::parse(&format!("_HLS_msn={next}")).unwrap()), Response::Wait));
    world.advance(23_000);
    assert!(text(&mut world, Rendition::Captions(0), &format!("_HLS_msn={next}")).contains(&format!("c-{next}.vtt")));
    let now = world.now();
    world.packager().end(now);
    for rendition in [Rendition::Captions(0), Rendition::IFrames(0)] {
        assert!(text(&mut world, rendition, "").ends_with("#EXT-X-ENDLIST\n"));
    }
}
