//! The tap's access units are the publisher's, byte for byte, in order, with their reports.

use std::collections::BTreeSet;

use minamo_media::TapEvent;

use crate::link::{BAD, Weather};
use crate::publisher::{AUDIO, VIDEO};
use crate::world::{Plan, World};
use crate::{bad, clear, secs};

fn run(plan: Plan) -> World {
    let mut world = World::new(plan);
    world.run(secs(12));
    assert_eq!(world.violations, [""; 0], "seed {}", plan.seed);
    world
}

/// Each video unit checked against what was published; returns their count and how many came after a loss.
fn check_units(world: &World) -> (usize, usize) {
    let (mut count, mut losses, mut first) = (0, 0, true);
    for event in &world.tap.events {
        let TapEvent::AccessUnit(VIDEO, unit) = event else { continue };
        let since = (unit.rtp - i64::from(world.publisher.first_timestamp())) as u32;
        let published = world.publisher.units.get(&since).map_or(&[][..], Vec::as_slice);
        // Parameter sets in a packet of their own are not missed by the slices behind them: then the rest of the unit comes.
        let same = published == &unit.data[..] || (unit.after_loss && published.ends_with(&unit.data));
        assert!(same, "seed {}: the unit at {since} is not what was published", world.plan.seed);
        assert!(unit.key || !(first || unit.after_loss), "after a loss only a key frame will do");
        first = false;
        count += 1;
        losses += usize::from(unit.after_loss);
    }
    (count, losses)
}

#[test]
fn a_clear_link_taps_everything() {
    let world = run(clear(71));
    let (count, losses) = check_units(&world);
    assert!(count >= world.publisher.units.len() - 2, "{count} of {}", world.publisher.units.len());
    assert_eq!(losses, 0);
}

#[test]
fn repaired_loss_is_not_seen_by_the_tap() {
    for seed in 72..=75 {
        let world = run(bad(seed));
        let (count, losses) = check_units(&world);
        assert!(count >= world.publisher.units.len() - 15, "seed {seed}: {count} of {}", world.publisher.units.len());
        assert!(losses <= 1, "seed {seed}: {losses}");
        let heard = world.tap.events.iter().filter(|event| matches!(event, TapEvent::AccessUnit(AUDIO, _))).count();
        assert!((520..600).contains(&heard), "seed {seed}: {heard} of 600 less five in a hundred");
    }
}

#[test]
fn loss_beyond_repair_goes_on_with_a_key_frame() {
    let terrible = Weather { loss: 0.45, ..BAD };
    for seed in 76..=78 {
        let world = run(Plan { up: terrible, ..bad(seed) });
        let (count, losses) = check_units(&world);
        assert!(losses >= 1 && count > 10, "seed {seed}: {count} with {losses} losses");
        assert!(!world.publisher.plis.is_empty());
    }
}

#[test]
fn reports_lie_on_the_packets_line() {
    let world = run(bad(79));
    let mut tracks = BTreeSet::new();
    for event in &world.tap.events {
        let TapEvent::SenderReport(track, report) = event else { continue };
        tracks.insert(*track);
        let (rate, first) =
            if *track == VIDEO { (90_000.0, world.publisher.first_timestamp()) } else { (48_000.0, 0u32.wrapping_sub(48_000)) };
        let seconds = (report.rtp - i64::from(first)) as f64 / rate;
        let clock = report.ntp.seconds_since(world.publisher.ntp(world.start));
        assert!((seconds - clock).abs() < 0.001, "{track}: {seconds} against {clock}");
    }
    assert_eq!(tracks.len(), 2);
}
