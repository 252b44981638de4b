//! The shard and the tap in virtual time: model clients over seeded bad links, a null cipher, and invariants after every step.
//!
//! A run is decided by its seed. A seed that ever broke something stays in its test's list.

mod containment;
mod control;
mod fanout;
mod key_frames;
mod layered;
mod lifecycle;
mod link;
mod loss;
mod null;
mod numbers;
mod publisher;
mod red;
mod rooms;
mod subscriber;
mod tapped;
mod world;

use std::time::Duration;

use self::link::{BAD, CLEAR};
use self::null::Fault;
use self::publisher::USUAL;
use self::world::Plan;

fn clear(seed: u64) -> Plan {
    Plan { seed, habits: USUAL, up: CLEAR, down: CLEAR, fault: Fault::None }
}

fn bad(seed: u64) -> Plan {
    Plan { up: BAD, down: BAD, ..clear(seed) }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
