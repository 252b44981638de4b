//! Switches by wish, by layers that come and go, by bandwidth; and that nobody sees more of them than the picture's size.

use minamo_media::Codec;
use minamo_sfu_core::model::{Command, Layer, LayerCause, LayerWish, PeerEvent, PeerId, Tap, Uplink};

use super::source::Habits;
use super::stage::{PUBLISHER, SIMULCAST, Stage};
use crate::link::{BAD, CLEAR};
use crate::null::Fault;
use crate::{ms, secs};

const CODECS: [Codec; 4] = [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264];

fn stage(seed: u64, codec: Codec) -> Stage {
    Stage::new(seed, Habits { codec, temporal: codec != Codec::H264, ..SIMULCAST }, false, Fault::None)
}

fn at_most(layer: u8) -> LayerWish {
    LayerWish::AtMost(Layer(layer))
}

#[test]
fn the_best_layer_is_reached_soon_and_stays() {
    for codec in CODECS {
        let mut stage = stage(1, codec);
        stage.run(secs(3));
        let peer = stage.join(1, LayerWish::Best);
        stage.run(secs(2));
        let since = stage.now;
        stage.run(secs(5));
        assert_eq!(stage.violations(), [""; 0], "{codec:?}");
        let viewer = &stage.viewers[&peer];
        assert_eq!((viewer.layers_since(since), viewer.undecodable), (vec![2], 0), "{codec:?}");
        assert!(viewer.freeze(since, stage.now) < ms(80));
    }
}

#[test]
fn a_wish_is_followed_without_a_freeze_or_a_jump() {
    for (seed, codec) in (10..).zip(CODECS) {
        let mut stage = stage(seed, codec);
        let peer = stage.join(1, at_most(0));
        stage.run(secs(3));
        for layer in [1, 2, 0, 2, 1, 0] {
            let since = stage.now;
            stage.wish(peer, at_most(layer));
            stage.run(secs(5));
            let viewer = &stage.viewers[&peer];
            assert_eq!(viewer.layers_since(stage.now - secs(2)), [layer], "{codec:?}");
            assert!(viewer.freeze(since, stage.now) < ms(120), "{codec:?} to {layer}: {:?}", viewer.freeze(since, stage.now));
        }
        assert_eq!(stage.violations(), [""; 0], "{codec:?}");
        assert_eq!(stage.viewers[&peer].undecodable, 0);
        let switches = stage.switches(peer);
        assert_eq!(switches.last(), Some(&(Some(1), Some(0), LayerCause::Wish)));
        assert_eq!(switches.len(), 7, "{switches:?}");
    }
}

#[test]
fn in_bad_weather_too() {
    for seed in 20..=25 {
        let codec = CODECS[seed as usize % 4];
        let mut stage = stage(seed, codec);
        (stage.up, stage.down) = (BAD, BAD);
        let peers: Vec<PeerId> = (1..=3).map(|number| stage.join(number, LayerWish::Best)).collect();
        stage.run(secs(2));
        for round in 0..8u8 {
            for (peer, shift) in peers.iter().zip(0..) {
                stage.wish(*peer, at_most((round + shift) % 3));
            }
            stage.run(secs(2));
        }
        peers.iter().for_each(|peer| stage.wish(*peer, LayerWish::Best));
        stage.run(secs(4));
        (stage.up, stage.down) = (CLEAR, CLEAR);
        let since = stage.now + secs(2);
        stage.run(secs(4));
        assert_eq!(stage.violations(), [""; 0], "seed {seed} {codec:?}");
        assert!(stage.source.nacked > 20);
        for (peer, viewer) in &stage.viewers {
            assert_eq!(viewer.layers_since(since), [2], "seed {seed} {codec:?} {peer:?}");
            assert!(viewer.freeze(since, stage.now) < ms(80));
        }
    }
}

#[test]
fn a_layer_that_stops_is_left_and_one_that_returns_is_taken() {
    for (seed, codec) in (30..).zip(CODECS) {
        let mut stage = stage(seed, codec);
        let peer = stage.join(1, LayerWish::Best);
        stage.run(secs(4));
        stage.source.activate(2, false);
        let since = stage.now;
        stage.run(secs(5));
        let viewer = &stage.viewers[&peer];
        assert_eq!(viewer.layers_since(since + secs(2)), [1], "{codec:?}");
        assert!(viewer.freeze(since, stage.now) < ms(1600), "{:?}", viewer.freeze(since, stage.now));
        stage.source.activate(2, true);
        stage.run(secs(4));
        let viewer = &stage.viewers[&peer];
        assert_eq!(viewer.layers_since(stage.now - secs(2)), [2], "{codec:?}");
        assert_eq!((stage.violations(), viewer.undecodable), (vec![], 0), "{codec:?}");
        let causes: Vec<_> = stage.switches(peer).iter().rev().take(2).map(|(_, to, cause)| (*to, *cause)).collect();
        assert_eq!(causes, [(Some(2), LayerCause::Publisher), (Some(1), LayerCause::Publisher)]);
    }
}

#[test]
fn off_is_off_and_comes_back_with_a_key_frame() {
    let mut stage = stage(40, Codec::Vp8);
    let peer = stage.join(1, LayerWish::Best);
    stage.run(secs(3));
    stage.wish(peer, LayerWish::Off);
    stage.run(ms(100));
    let count = stage.viewers[&peer].shown.len();
    stage.run(secs(3));
    assert_eq!(stage.viewers[&peer].shown.len(), count);
    stage.wish(peer, at_most(1));
    stage.run(secs(3));
    let viewer = &stage.viewers[&peer];
    assert!(viewer.shown[count].slice.is_key() && viewer.shown.len() > count + 60);
    assert_eq!((stage.violations(), viewer.undecodable), (vec![], 0));
    let switches: Vec<_> = stage.switches(peer).iter().map(|(from, to, _)| (*from, *to)).collect();
    assert!(switches.ends_with(&[(Some(2), None), (None, Some(1))]), "{switches:?}");
}

#[test]
fn what_is_off_is_not_sent_again_either() {
    let mut refused = 0;
    for seed in 41..=50 {
        let mut stage = stage(seed, Codec::Vp8);
        stage.down = BAD;
        let peer = stage.join(1, LayerWish::Best);
        stage.run(secs(4));
        stage.wish(peer, LayerWish::Off);
        let before = stage.shard.stats();
        let (served_before, refused_before) = (before.retransmissions_served, before.retransmissions_refused);
        assert!(served_before > 10, "{served_before}");
        stage.run(secs(2));
        let after = stage.shard.stats();
        assert_eq!(after.retransmissions_served, served_before);
        refused += after.retransmissions_refused - refused_before;
        stage.wish(peer, LayerWish::Best);
        stage.down = CLEAR;
        stage.run(secs(5));
        let since = stage.now - secs(3);
        assert!(stage.viewers[&peer].shown.iter().filter(|shown| shown.at >= since).count() > 60, "it comes back");
    }
    assert!(refused > 0, "what was missing was asked for");
}

#[test]
fn before_the_reports_the_time_of_arrival_must_do() {
    let mut stage = Stage::new(50, Habits { reports: false, ..SIMULCAST }, false, Fault::None);
    let peer = stage.join(1, at_most(0));
    if let Some(viewer) = stage.viewers.get_mut(&peer) {
        viewer.tolerance = 3000;
    }
    stage.run(secs(3));
    for layer in [2, 0, 1] {
        stage.wish(peer, at_most(layer));
        stage.run(secs(4));
        assert_eq!(stage.viewers[&peer].layers_since(stage.now - secs(1)), [layer]);
    }
    assert_eq!(stage.violations(), [""; 0]);
}

#[test]
fn little_bandwidth_thins_out_pictures_before_it_takes_them_away() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1] {
        let mut stage = Stage::new(60, Habits { codec, layers: 1, ..SIMULCAST }, false, Fault::None);
        let peer = stage.join(1, LayerWish::Best);
        stage.run(secs(5));
        let all = stage.viewers[&peer].shown.len();
        // About 145 kbit/s in all: half of the pictures are of the highest temporal layer.
        if let Some(viewer) = stage.viewers.get_mut(&peer) {
            viewer.remb = Some(115_000);
        }
        stage.run(secs(6));
        let since = stage.now;
        stage.run(secs(4));
        let viewer = &stage.viewers[&peer];
        let thinned: Vec<u8> = viewer.shown.iter().filter(|shown| shown.at >= since).map(|shown| shown.slice.temporal).collect();
        assert!(thinned.len() < 70 && thinned.len() > 20 && !thinned.contains(&2), "{codec:?}: {} of {all}", thinned.len());
        assert_eq!((stage.violations(), viewer.undecodable), (vec![], 0), "{codec:?}");
        if let Some(viewer) = stage.viewers.get_mut(&peer) {
            viewer.remb = Some(3_000_000);
        }
        stage.run(secs(20));
        let viewer = &stage.viewers[&peer];
        let again = viewer.shown.iter().filter(|shown| shown.at >= stage.now - secs(2)).count();
        assert!(again > 55, "{codec:?}: {again}");
        assert_eq!((stage.violations(), viewer.undecodable), (vec![], 0), "{codec:?}");
    }
}

#[test]
fn publishers_learn_which_layers_are_watched() {
    let mut stage = stage(70, Codec::Vp8);
    let peer = stage.join(1, at_most(1));
    stage.run(secs(10));
    stage.wish(peer, LayerWish::Best);
    stage.run(secs(3));
    let told: Vec<Vec<bool>> = stage
        .events
        .iter()
        .filter_map(|(_, peer, event)| match event {
            PeerEvent::LayersWatched(_, layers) if *peer == PeerId(0) => Some(layers.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(told.last(), Some(&vec![false, true, true]));
    assert_eq!(told[told.len() - 2], [false, true, false]);
    assert!(told.len() <= 3, "{told:?}");
}

#[test]
fn the_tap_gets_one_layer_at_a_time_as_one_track() {
    for codec in [Codec::Vp8, Codec::H264] {
        let mut stage = Stage::new(80, Habits { codec, ..SIMULCAST }, true, Fault::None);
        stage.run(secs(4));
        stage.source.activate(2, false);
        stage.run(secs(4));
        stage.source.activate(2, true);
        stage.run(secs(4));
        let packets = &stage.tapped.packets;
        let mut layers: Vec<u8> = packets.iter().map(|(_, _, slice, _)| slice.layer).collect();
        layers.dedup();
        assert_eq!(layers, [2, 1, 2], "{codec:?}");
        for pair in packets.windows(2) {
            let ((seq, stamp, slice, _), (next, later, after, _)) = (pair[0], pair[1]);
            assert_eq!(next, seq.wrapping_add(1));
            let taken = (after.picture - slice.picture) as i32 * 3000;
            assert!((later.wrapping_sub(stamp) as i32 - taken).abs() < 200, "{slice:?} {after:?}");
            assert!(slice.layer == after.layer || (after.is_key() && after.at == 0));
        }
        // All reports lie on the one line on which the packets are.
        let (_, stamp, slice, _) = packets[0];
        for (rtp, ntp) in &stage.tapped.reports {
            let taken = ntp.seconds_since(stage.source.ntp(stage.start)) * 90_000.0;
            let line = f64::from(rtp.wrapping_sub(stamp).wrapping_add(slice.picture * 3000) as i32);
            assert!((taken - line).abs() < 200.0, "{taken} {line}");
        }
        assert!(stage.tapped.reports.len() >= 10);
    }
}

#[test]
fn the_tap_is_told_of_every_picture_that_a_switch_cuts_short() {
    let mut cuts = 0;
    for seed in 80..90 {
        let mut stage = Stage::new(seed, Habits { codec: Codec::H264, ..SIMULCAST }, true, Fault::None);
        // Reordered within milliseconds, so that layers overlap.
        stage.up = crate::link::Weather { jitter: ms(12), ..crate::link::CLEAR };
        stage.run(secs(4));
        for round in 0..8 {
            stage.source.activate(2, round % 2 == 1);
            stage.run(secs(3));
        }
        let mut packets = stage.tapped.packets.clone();
        packets.sort_by_key(|(sequence, ..)| sequence.wrapping_sub(stage.tapped.packets[0].0));
        for pair in packets.windows(2) {
            let ((_, _, slice, _), (next, _, after, _)) = (pair[0], pair[1]);
            let cut = slice.layer != after.layer && slice.at + 1 < slice.of;
            assert!(!cut || stage.tapped.cuts.contains(&next), "seed {seed}: {slice:?} {after:?}");
            cuts += usize::from(cut);
        }
        let known = |sequence: &u16| packets.iter().any(|(other, ..)| other == sequence);
        assert!(stage.tapped.cuts.iter().all(known));
    }
    assert!(cuts > 3, "{cuts} pictures were cut short");
}

#[test]
fn a_ladder_gets_every_layer_by_itself() {
    let mut stage = Stage::new(81, Habits { codec: Codec::H264, ..SIMULCAST }, false, Fault::None);
    let uplink = stage.source.uplink(true);
    let tap = uplink.tap.clone().map(|tap| Tap { layers: true, ..tap });
    stage.command(Command::RemoveUplink(PUBLISHER, uplink.track));
    stage.command(Command::AddUplink(PUBLISHER, Uplink { tap, ..uplink }));
    stage.run(secs(4));
    let layers = &stage.tapped.layers;
    assert!(layers.iter().all(|(said, is)| said == is));
    for layer in 0..3 {
        assert!(layers.iter().filter(|(said, _)| *said == layer).count() > 60, "layer {layer}");
    }
    assert!(stage.tapped.reports.len() >= 6);
}

/// Negative controls: the viewer sees what is wrong.
#[test]
fn deliberate_faults_are_seen() {
    for fault in [Fault::ReuseSequence, Fault::WrongTimestamp] {
        let mut stage = Stage::new(90, SIMULCAST, false, fault);
        stage.join(1, LayerWish::Best);
        stage.run(secs(8));
        assert!(!stage.violations().is_empty(), "{fault:?}");
    }
    let mut stage = Stage::new(91, SIMULCAST, false, Fault::None);
    let peer = stage.join(1, LayerWish::Best);
    stage.run(secs(3));
    stage.swallow = Some(|slice| slice.picture.is_multiple_of(40));
    stage.run(secs(8));
    assert!(stage.viewers[&peer].undecodable > 0);
}
