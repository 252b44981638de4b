//! A panic in one peer's processing ends that peer, and only that one.

use minamo_sfu_core::model::{CloseReason, Command, Fault as Panic, PeerEvent, PeerId};

use crate::null::{Fault, POISON};
use crate::world::{PUBLISHER, Plan, World};
use crate::{clear, secs};

const OTHERS: [PeerId; 2] = [PeerId(2), PeerId(3)];

fn room(fault: Fault) -> World {
    let mut world = World::new(Plan { fault, ..clear(1) });
    for number in 1..=3 {
        world.join(number);
    }
    world.run(secs(2));
    world
}

fn ended(world: &World) -> Vec<(PeerId, PeerEvent)> {
    world.peer_events.iter().filter(|(_, event)| matches!(event, PeerEvent::Closed(_))).cloned().collect()
}

fn internal(peer: PeerId) -> (PeerId, PeerEvent) {
    (peer, PeerEvent::Closed(CloseReason::Internal))
}

fn heard(world: &World) -> Vec<(usize, usize)> {
    OTHERS.iter().map(|peer| world.subscribers[peer].video()).collect()
}

/// Everybody else hears on, without a gap.
fn assert_others_hear_on(world: &mut World) {
    let before = heard(world);
    world.run(secs(2));
    for ((before, _), (after, missing)) in before.into_iter().zip(heard(world)) {
        assert!(after > before + 50 && missing == 0, "{before} {after} {missing}");
    }
    assert_eq!(world.violations, [""; 0]);
}

fn assert_nothing_stays(world: &mut World) {
    for peer in 0..=4 {
        world.command(Command::RemovePeer { peer: PeerId(peer), clean: true });
    }
    assert!(world.shard.is_empty());
    let stats = world.shard.stats();
    assert_eq!((stats.peers, stats.uplinks, stats.downlinks), (0, 0, 0));
}

#[test]
fn a_subscriber_that_panics_ends_alone() {
    for fault in [Fault::None, Fault::DiesTwice] {
        for panic in [Panic::Downlink, Panic::Timer, Panic::Control, Panic::Command] {
            let mut world = room(fault);
            world.command(Command::Fault(PeerId(1), panic));
            assert_others_hear_on(&mut world);
            assert_eq!(ended(&world), [internal(PeerId(1))], "{panic:?}");
            let stats = world.shard.stats();
            assert_eq!((stats.panicked_peers, stats.peers, stats.uplinks, stats.downlinks), (1, 3, 2, 4), "{panic:?}");
            if fault == Fault::None {
                world.join(4);
                assert_others_hear_on(&mut world);
                assert_nothing_stays(&mut world);
            }
        }
    }
}

#[test]
fn a_publisher_that_panics_ends_alone() {
    for fault in [Fault::None, Fault::DiesTwice] {
        for panic in [Panic::Uplink, Panic::Timer, Panic::Control, Panic::Command] {
            let mut world = room(fault);
            world.command(Command::Fault(PUBLISHER, panic));
            world.run(secs(2));
            assert_eq!(ended(&world), [internal(PUBLISHER)], "{panic:?}");
            assert_eq!(world.tap.inputs[2..], ["removed t1", "removed t2", "gone clean=false"], "{panic:?}");
            let stats = world.shard.stats();
            assert_eq!((stats.panicked_peers, stats.peers, stats.uplinks, stats.downlinks), (1, 3, 0, 6), "{panic:?}");
            // It comes again, and is heard again.
            world.plan.fault = Fault::None;
            world.connect(PUBLISHER);
            for uplink in world.publisher.uplinks(None) {
                world.command(Command::AddUplink(PUBLISHER, uplink));
            }
            let before = heard(&world);
            world.run(secs(2));
            assert!(before.into_iter().zip(heard(&world)).all(|(before, after)| after.0 > before.0 + 30), "{panic:?}");
            if fault == Fault::None {
                assert_nothing_stays(&mut world);
            }
        }
    }
}

/// A packet that nobody can be sent without a panic costs two subscribers, and then its publisher.
#[test]
fn a_packet_that_breaks_every_subscriber_does_not_end_the_room() {
    let mut world = room(Fault::Poisoned);
    for number in 4..=9 {
        world.join(number);
    }
    world.run(secs(2));
    let packet = world.publisher.ending_with(world.now, POISON);
    world.deliver(PUBLISHER, &packet);
    world.run(secs(1));
    assert_eq!(ended(&world), [internal(PeerId(1)), internal(PeerId(2)), internal(PUBLISHER)]);
    assert_eq!((world.shard.stats().panicked_peers, world.shard.stats().peers), (3, 7));
}

/// Negative control: without a fault nobody ends.
#[test]
fn nobody_ends_without_a_panic() {
    let mut world = room(Fault::None);
    assert_others_hear_on(&mut world);
    assert_eq!(ended(&world), []);
    assert_eq!(world.shard.stats().panicked_peers, 0);
    assert_nothing_stays(&mut world);
}
