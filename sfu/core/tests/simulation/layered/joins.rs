//! A crowd that joins costs its publisher little, and sees a picture soon.

use std::time::Duration;

use minamo_media::Codec;
use minamo_sfu_core::model::{Command, LayerWish, PeerId};

use super::source::Habits;
use super::stage::{SIMULCAST, Stage};
use crate::link::BAD;
use crate::null::Fault;
use crate::{ms, secs};

fn single(seed: u64) -> Stage {
    Stage::new(seed, Habits { codec: Codec::Vp8, layers: 1, ..SIMULCAST }, false, Fault::None)
}

/// When each viewer saw its first picture, after its joining.
fn waits(stage: &Stage) -> Vec<Duration> {
    let first = |viewer: &super::viewer::Viewer| viewer.shown.first().map(|shown| shown.at - viewer.joined);
    let mut waits: Vec<Duration> = stage.viewers.values().map(|viewer| first(viewer).unwrap_or(secs(100))).collect();
    waits.sort();
    waits
}

#[test]
fn who_joins_soon_after_a_key_frame_begins_with_it() {
    let mut stage = single(1);
    stage.run(secs(1));
    for number in 1..=20 {
        stage.join(number, LayerWish::Best);
        stage.run(ms(30));
    }
    stage.run(secs(6));
    assert_eq!((stage.source.plis.len(), stage.shard.stats().cached_starts), (0, 20));
    assert_eq!(stage.violations(), [""; 0]);
    assert!(waits(&stage).iter().all(|wait| *wait < ms(40)), "{:?}", waits(&stage));
    for viewer in stage.viewers.values() {
        assert_eq!(viewer.undecodable, 0);
        // All show the same picture at the same time, whenever they joined.
        let last = viewer.shown.last().map(|shown| shown.slice.picture);
        assert_eq!(last, stage.viewers[&PeerId(1)].shown.last().map(|shown| shown.slice.picture));
    }
}

#[test]
fn who_joins_long_after_one_asks_for_one() {
    let mut stage = single(2);
    stage.run(secs(8));
    stage.join(1, LayerWish::Best);
    stage.run(secs(2));
    assert_eq!((stage.source.plis.len(), stage.shard.stats().cached_starts), (1, 0));
    assert!(waits(&stage)[0] < ms(150), "{:?}", waits(&stage));
}

#[test]
fn cached_pictures_are_repaired_like_others() {
    for seed in 10..=13 {
        let mut stage = single(seed);
        (stage.up, stage.down) = (BAD, BAD);
        stage.run(secs(2));
        for number in 1..=10 {
            stage.join(number, LayerWish::Best);
            stage.run(ms(211));
        }
        stage.run(secs(5));
        assert_eq!(stage.violations(), [""; 0], "seed {seed}");
        assert!(waits(&stage).iter().all(|wait| *wait < secs(3)), "seed {seed}: {:?}", waits(&stage));
    }
}

/// A thousand subscribers join within a minute, watch for two seconds, and leave.
#[test]
fn a_thousand_joins_in_a_minute_cost_one_key_frame_in_two_seconds() {
    let mut stage = single(3);
    stage.run(secs(5));
    let mut all = Vec::new();
    for number in 1..=1000u32 {
        stage.join(number, LayerWish::Best);
        stage.run(ms(60));
        if let Some(old) = number.checked_sub(40).filter(|old| *old > 0) {
            let peer = PeerId(u64::from(old));
            stage.command(Command::RemovePeer { peer, clean: true });
            all.extend(stage.viewers.remove(&peer));
        }
    }
    let plis: Vec<_> = stage.source.plis.iter().map(|(at, _)| *at - stage.start).collect();
    assert!((1..=30).contains(&plis.len()), "{}", plis.len());
    assert!(plis.windows(2).all(|pair| pair[1] - pair[0] >= secs(2)), "{plis:?}");
    for viewer in &all {
        let wait = viewer.shown.first().map(|shown| shown.at - viewer.joined);
        assert!(wait.is_some_and(|wait| wait < ms(2200)), "{wait:?}");
        assert_eq!((viewer.violations.len(), viewer.undecodable), (0, 0), "{:?}", viewer.violations);
    }
    let soon = all.iter().filter(|viewer| viewer.shown.first().is_some_and(|shown| shown.at - viewer.joined < ms(150))).count();
    assert!(soon > all.len() * 9 / 10, "{soon} of {}", all.len());
}
