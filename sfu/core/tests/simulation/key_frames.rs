//! Key frames: one request for many wishes, spaced, repeated until it is answered; subscribers begin with one.

use crate::link::CLEAR;
use crate::publisher::{Habits, USUAL, VIDEO};
use crate::world::{Plan, World};
use crate::{bad, clear, ms, secs};
use minamo_sfu_core::model::Command;

#[test]
fn many_joins_are_one_request() {
    let mut world = World::new(clear(1));
    world.run(secs(6));
    assert_eq!(world.publisher.plis.len(), 0, "the first picture is a key frame anyway");
    for number in 1..=50 {
        world.join(number);
    }
    world.run(secs(3));
    assert_eq!(world.publisher.plis.len(), 1);
    assert_eq!(world.violations, [""; 0]);
    for (peer, subscriber) in &world.subscribers {
        let began = subscriber.began_with();
        assert!(began.is_some_and(|sent| sent.key), "{peer:?} began with {began:?}");
    }
}

#[test]
fn a_flood_of_pli_is_spaced() {
    let mut world = World::new(clear(2));
    let peer = world.join(1);
    world.run(secs(2));
    let before = world.publisher.plis.len();
    for _ in 0..200 {
        let pli = world.subscribers[&peer].pli();
        world.deliver(peer, &pli);
        world.command(Command::RequestKeyFrame(VIDEO));
        world.run(ms(10));
    }
    let asked = world.publisher.plis.len() - before;
    assert!((4..=6).contains(&asked), "{asked} in two seconds");
}

#[test]
fn an_unanswered_wish_is_repeated_but_not_for_ever() {
    let habits = Habits { answers_pli: false, ..USUAL };
    let mut world = World::new(Plan { habits, ..clear(3) });
    world.run(secs(1));
    world.command(Command::RequestKeyFrame(VIDEO));
    world.run(secs(120));
    let asked = world.publisher.plis.len();
    assert!((10..=20).contains(&asked), "{asked}");
}

#[test]
fn a_join_in_bad_weather_begins_with_a_key_frame_too() {
    for seed in 61..=66 {
        let mut world = World::new(bad(seed));
        world.run(secs(1));
        for number in 1..=8 {
            world.join(number);
            world.run(ms(137));
        }
        world.run(secs(3));
        (world.plan.up, world.plan.down) = (CLEAR, CLEAR);
        world.run(secs(2));
        assert_eq!(world.violations, [""; 0], "seed {seed}");
        for (peer, subscriber) in &world.subscribers {
            assert!(subscriber.video().0 > 30, "seed {seed}: {peer:?} got {:?}", subscriber.video());
        }
    }
}
