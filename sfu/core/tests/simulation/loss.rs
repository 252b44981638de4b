//! What is lost on the way comes again; what cannot is bounded.

use crate::link::{BAD, CLEAR};
use crate::publisher::{Habits, USUAL};
use crate::world::{Plan, World};
use crate::{bad, clear, ms, secs};

/// Runs ten seconds with loss, then lets the repairs arrive over a clear link.
fn recovered(plan: Plan) -> World {
    let mut world = World::new(plan);
    world.run(secs(1));
    for number in 1..=3 {
        world.join(number);
    }
    world.run(secs(10));
    (world.plan.up, world.plan.down) = (CLEAR, CLEAR);
    world.run(secs(2));
    world
}

fn assert_complete(world: &World) {
    assert_eq!(world.violations, [""; 0], "seed {}", world.plan.seed);
    for (peer, subscriber) in &world.subscribers {
        let (got, missing) = subscriber.video();
        assert!(got > 500, "seed {}: {peer:?} got {got}", world.plan.seed);
        assert_eq!(missing, 0, "seed {}: {peer:?} misses {missing} of {got}", world.plan.seed);
        assert!(subscriber.audio() > 400, "seed {}: {peer:?} heard {}", world.plan.seed, subscriber.audio());
    }
}

#[test]
fn five_percent_loss_both_ways_is_repaired_completely() {
    for seed in 1..=8 {
        let world = recovered(bad(seed));
        assert_complete(&world);
        let stats = world.shard.stats();
        assert!(stats.retransmissions_received > 10 && stats.retransmissions_served > 60, "{stats:?}");
        assert!(stats.feedbacks_out > 100, "{stats:?}");
        assert!(world.publisher.feedbacks > 100);
    }
}

#[test]
fn without_retransmission_streams_packets_are_sent_again_as_they_were() {
    for seed in 11..=13 {
        let habits = Habits { rtx: false, ..USUAL };
        assert_complete(&recovered(Plan { habits, ..bad(seed) }));
    }
}

#[test]
fn padding_leaves_no_gap_downstream() {
    for seed in 21..=23 {
        let habits = Habits { rtx: false, padding: 0.4, ..USUAL };
        let world = recovered(Plan { habits, down: BAD, ..clear(seed) });
        assert_complete(&world);
        let padding = world.shard.stats().dropped_padding;
        assert!(padding > 200, "seed {seed}: {padding}");
    }
}

#[test]
fn an_outage_makes_no_storm_of_requests() {
    for seed in 31..=33 {
        let mut world = World::new(clear(seed));
        world.join(1);
        world.run(secs(2));
        let plis = world.publisher.plis.len();
        world.silenced = true;
        world.run(secs(5));
        world.silenced = false;
        world.run(secs(5));
        assert_eq!(world.violations, [""; 0]);
        for (second, asked) in &world.publisher.asked {
            assert!(*asked <= 850, "seed {seed}: {asked} asked for in second {second}");
        }
        assert!(world.publisher.plis.len() > plis, "a key frame ends the outage");
        let keys = world.publisher.plis.windows(2).map(|pair| pair[1] - pair[0]).min();
        assert!(keys.is_none_or(|apart| apart >= crate::ms(399)), "{keys:?}");
    }
}

#[test]
fn a_nack_storm_costs_a_bounded_answer() {
    let mut world = World::new(clear(41));
    let peer = world.join(1);
    world.run(secs(5));
    let before = world.shard.stats().retransmissions_served;
    let mut nack = Vec::new();
    let all: Vec<u16> = (0..=u16::MAX).collect();
    minamo_sfu_core::rtcp::nack(&mut nack, 1, 0x1010, &all[..6000]);
    for _ in 0..200 {
        world.deliver(peer, &nack);
        let mut wide = Vec::new();
        minamo_sfu_core::rtcp::nack(&mut wide, 1, 0x1010, &all);
        world.deliver(peer, &wide[..wide.len().min(65_000)]);
    }
    assert!(world.shard.stats().retransmissions_served - before <= 250);
    assert_eq!(world.violations, [""; 0]);
}

#[test]
fn a_seed_decides_everything() {
    let digest = |seed| recovered(bad(seed)).digest();
    assert_eq!(digest(51), digest(51));
    assert_ne!(digest(51), digest(52));
}

/// Nothing tells a subscriber that the first packets were lost: whoever asks for a picture at once gets them again.
#[test]
fn a_new_subscriber_without_a_picture_is_sent_its_first_packets_again() {
    let mut world = World::new(clear(31));
    world.run(secs(1));
    let peer = world.join(1);
    world.run(ms(200));
    let pli = world.subscribers[&peer].pli();
    let served = |world: &mut World| {
        let before = world.shard.stats().retransmissions_served;
        world.deliver(peer, &pli);
        world.shard.stats().retransmissions_served - before
    };
    assert_eq!(served(&mut world), 3);
    assert_eq!(served(&mut world), 0, "once in a round trip");
    world.run(secs(1));
    assert_eq!(served(&mut world), 0, "it is not new any more");
    world.run(secs(1));
    assert_eq!(world.violations, [""; 0]);
    assert_eq!(world.subscribers[&peer].video().1, 0);
}
