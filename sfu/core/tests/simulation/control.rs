//! Negative controls: a deliberate fault must be seen by the invariants that the other tests rely on.

use crate::link::CLEAR;
use crate::null::Fault;
use crate::world::{Plan, World};
use crate::{bad, secs};

fn faulty(fault: Fault) -> World {
    let mut world = World::new(Plan { fault, ..bad(1) });
    world.run(secs(1));
    world.join(1);
    world.run(secs(6));
    (world.plan.up, world.plan.down) = (CLEAR, CLEAR);
    world.run(secs(2));
    world
}

#[test]
fn without_a_fault_nothing_is_found() {
    let world = faulty(Fault::None);
    assert_eq!(world.violations, [""; 0]);
    assert!(world.subscribers.values().all(|subscriber| subscriber.video().1 == 0));
}

#[test]
fn a_sequence_number_used_twice_is_seen() {
    assert!(!faulty(Fault::ReuseSequence).violations.is_empty());
}

#[test]
fn a_wrong_timestamp_is_seen() {
    assert!(!faulty(Fault::WrongTimestamp).violations.is_empty());
}

#[test]
fn loss_that_is_not_repaired_is_seen() {
    let world = faulty(Fault::DeafToNacks);
    assert!(world.subscribers.values().any(|subscriber| subscriber.video().1 > 0));
}
