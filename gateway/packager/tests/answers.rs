//! What snapshots answer: blocking reload, hints, media, the end. No HTTP.

#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
mod publisher;

use std::sync::Arc;

use minamo_packager::{Directives, Media, PackagerEvent, Rendition, Response, Snapshot};
use publisher::{Script, World};

const FIRST: u64 = 1_795_000_000;

fn live() -> (World, Arc<Snapshot>) {
    let mut world = World::new(Script::default());
    // Inside a segment.
    for ms in 30_000.. {
        world.advance(ms);
        let snapshot = world.packager().snapshot(Rendition::Video(0)).unwrap();
        if snapshot.last_part().is_some_and(|(_, part)| part == 2) {
            return (world, snapshot);
        }
    }
    unreachable!()
}

fn answer(snapshot: &Snapshot, query: &str) -> u16 {
    match snapshot.respond(&Directives::parse(query).unwrap()) {
        Response::Ready(_) => 200,
        Response::Wait => 0,
        Response::Reject(reject) => reject.status,
    }
}

fn text(snapshot: &Snapshot, query: &str) -> String {
    let Response::Ready(body) = snapshot.respond(&Directives::parse(query).unwrap()) else { panic!("{query}") };
    String::from_utf8(body.plain().to_vec()).unwrap()
}

#[test]
fn no_playlist_before_there_is_a_segment_of_both() {
    let mut world = World::new(Script::default());
    world.advance(1_500);
    assert!(world.packager().snapshot(Rendition::Video(0)).is_none());
    assert!(world.packager().multivariant().is_none());
    world.advance(3_500);
    let snapshot = world.packager().snapshot(Rendition::Video(0)).unwrap();
    let playlist = text(&snapshot, "");
    assert_eq!(playlist.matches("#EXTINF").count(), 1, "{playlist}");
    assert!(playlist.contains("#EXT-X-DISCONTINUITY-SEQUENCE:7\n"));
    assert!(world.packager().snapshot(Rendition::Audio).is_some() && world.packager().multivariant().is_some());
}

#[test]
fn rules_15_and_16_what_is_there_comes_at_once_and_the_next_waits() {
    let (_, snapshot) = live();
    let (msn, part) = snapshot.last_part().unwrap();
    assert_eq!(answer(&snapshot, ""), 200);
    assert_eq!(answer(&snapshot, "_HLS_msn=0"), 200, "long gone");
    assert_eq!(answer(&snapshot, &format!("_HLS_msn={}", msn - 1)), 200);
    assert_eq!(answer(&snapshot, &format!("_HLS_msn={msn}")), 0, "the whole segment");
    assert_eq!(answer(&snapshot, &format!("_HLS_msn={msn}&_HLS_part={part}")), 200);
    assert_eq!(answer(&snapshot, &format!("_HLS_msn={msn}&_HLS_part={}", part + 1)), 0);
    assert_eq!(answer(&snapshot, &format!("_HLS_msn={}&_HLS_part=99", msn - 1)), 200, "past the last part: part 0 of the next");
    assert_eq!(answer(&snapshot, &format!("_HLS_msn={}&_HLS_part=0", msn + 1)), 0);
}

#[test]
fn rule_15_past_the_last_part_waits_for_the_next_segment() {
    let mut world = World::new(Script::default());
    world.advance(20_000);
    // The moment at which a segment is complete and the next has no part yet.
    for ms in 20_001..30_000 {
        world.advance(ms);
        let snapshot = world.packager().snapshot(Rendition::Video(0)).unwrap();
        let (msn, part) = snapshot.last_part().unwrap();
        if answer(&snapshot, &format!("_HLS_msn={msn}")) == 200 {
            assert_eq!(answer(&snapshot, &format!("_HLS_msn={msn}&_HLS_part={part}")), 200);
            assert_eq!(answer(&snapshot, &format!("_HLS_msn={msn}&_HLS_part={}", part + 1)), 0);
            return;
        }
    }
    panic!("no segment ended");
}

#[test]
fn rule_17_the_far_future_is_refused_at_once() {
    let (_, snapshot) = live();
    let (msn, part) = snapshot.last_part().unwrap();
    assert_eq!(answer(&snapshot, &format!("_HLS_msn={}", msn + 1)), 0, "two past the last complete one");
    assert_eq!(answer(&snapshot, &format!("_HLS_msn={}", msn + 2)), 400);
    assert_eq!(answer(&snapshot, "_HLS_msn=999999999999999999"), 400);
    assert_eq!(answer(&snapshot, &format!("_HLS_msn={msn}&_HLS_part={}", part + 9)), 0);
    assert_eq!(answer(&snapshot, &format!("_HLS_msn={msn}&_HLS_part={}", part + 10)), 400);
    assert_eq!(answer(&snapshot, &format!("_HLS_msn={}&_HLS_part=9", msn + 1)), 400);
}

#[test]
fn rules_8_and_18_after_the_end_directives_are_ignored() {
    let (mut world, _) = live();
    let now = world.now();
    world.packager().end(now);
    let mut told = Vec::new();
    while let Some(event) = world.packager().poll_event() {
        told.push(event);
    }
    assert!(
        told.contains(&PackagerEvent::Published(Rendition::Video(0)))
            && told.contains(&PackagerEvent::Published(Rendition::Audio))
    );
    for rendition in [Rendition::Video(0), Rendition::Audio] {
        let snapshot = world.packager().snapshot(rendition).unwrap();
        assert!(snapshot.ended());
        let playlist = text(&snapshot, "_HLS_msn=999999999&_HLS_part=1000000&_HLS_skip=YES");
        assert!(playlist.ends_with("#EXT-X-ENDLIST\n") && !playlist.contains("PRELOAD-HINT") && !playlist.contains("SKIP:"));
    }
    assert!(world.packager().poll_timeout().is_none());
    assert!(world.packager().next_msn() > FIRST + 10);
}

#[test]
fn rule_20_a_body_is_rendered_and_compressed_once() {
    let (_, snapshot) = live();
    let bodies: Vec<_> = (0..1_000)
        .map(|_| match snapshot.respond(&Directives::default()) {
            Response::Ready(body) => body,
            _ => panic!("ready"),
        })
        .collect();
    assert!(bodies.iter().all(|body| Arc::ptr_eq(body, &bodies[0])));
    assert!(bodies.iter().all(|body| body.gzip().as_ptr() == bodies[0].gzip().as_ptr()));
}

#[test]
fn rule_22_a_hint_becomes_its_part_and_names_are_canonical() {
    let (mut world, snapshot) = live();
    let (msn, part) = snapshot.last_part().unwrap();
    let hinted = format!("v-{msn}.{}.m4s", part + 1);
    assert!(text(&snapshot, "").contains(&format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{hinted}\"")));
    assert_eq!(snapshot.media(&hinted), Media::Hinted);
    for unknown in [
        format!("v-{msn}.{}.m4s", part + 2),
        format!("v-{msn}.m4s"),
        format!("v-0{}.m4s", msn - 1),
        format!("a-{}.m4s", msn - 1),
        "v-init-0.mp4".into(),
        "v-.m4s".into(),
        "v-1.1.1.m4s".into(),
        "v-18446744073709551616.m4s".into(),
        "../v-1.m4s".into(),
        String::new(),
    ] {
        assert_eq!(snapshot.media(&unknown), Media::Missing, "{unknown}");
    }
    assert!(matches!(snapshot.media(&format!("v-{}.m4s", msn - 1)), Media::Ready(_, "video/mp4")));
    let soon = world.ms() + 500;
    world.advance(soon);
    let later = world.packager().snapshot(Rendition::Video(0)).unwrap();
    assert!(matches!(later.media(&hinted), Media::Ready(..)));
}

#[test]
fn rule_9_the_multivariant_playlist_is_read_by_others() {
    let (mut world, _) = live();
    let body = world.packager().multivariant().unwrap();
    let (_, found) = m3u8_rs::parse_master_playlist(body.plain()).unwrap();
    let variant = &found.variants[0];
    assert_eq!(variant.uri, "video.m3u8");
    assert_eq!(variant.codecs.as_deref(), Some("avc1.42e01f,mp4a.40.2"));
    assert_eq!(variant.resolution.map(|size| (size.width, size.height)), Some((640, 352)));
    assert_eq!(variant.frame_rate, Some(30.0));
    assert_eq!(variant.audio.as_deref(), Some("audio"));
    assert_eq!(found.alternatives[0].uri.as_deref(), Some("audio.m3u8"));
    let video_bps = (12_000.0 + 60.0 * 2_750.0) * 8.0 / 2.0;
    assert!((variant.bandwidth as f64) > video_bps && (variant.bandwidth as f64) < video_bps * 1.35, "{}", variant.bandwidth);
}

#[test]
fn rule_6_dates_are_the_wall_clock_of_what_is_seen() {
    let (world, snapshot) = live();
    // The run's wall clock says 1 795 000 000 s at its start; the edge is the way here and at most a part behind it.
    let edge = snapshot.edge_date().unwrap().as_secs_f64() - 1_795_000_000.0;
    let behind = world.ms() as f64 / 1_000.0 - edge;
    assert!(behind > -0.05 && behind < 0.5, "{behind}");
}
