use super::*;

const SEEDS: [u64; 6] = [1, 2, 3, 5, 8, 13];
const M: f64 = 1_000_000.0;

#[test]
fn a_constant_link_is_used() {
    for (seed, rate) in SEEDS.into_iter().flat_map(|seed| [(seed, 0.6 * M), (seed, 1.5 * M), (seed, 3.0 * M), (seed, 8.0 * M)]) {
        let mut world = World::new(Conditions::rate(rate), Video::Adaptive(20.0 * M), seed);
        world.run(10.0);
        let share = mean(world.run(20.0)) / rate;
        assert!((0.75..1.02).contains(&share), "seed {seed}, {rate} bps: {share}");
    }
}

#[test]
fn a_fall_is_followed_and_a_rise_is_found() {
    for seed in SEEDS {
        let mut world = World::new(Conditions::rate(3.0 * M), Video::Layers([0.15 * M, 0.5 * M, 1.5 * M]), seed);
        world.run(10.0);
        assert!(world.bps() > 1.7 * M, "seed {seed}: the best layer fits: {}", world.bps());
        world.link.conditions.bps = 0.6 * M;
        let down = until(world.run(8.0), |bps| bps < 0.62 * M);
        assert!(down.is_some_and(|seconds| seconds <= 2.5), "seed {seed}: down after {down:?}");
        let dropped = world.link.dropped;
        world.run(15.0);
        let queued_ms = world.link.queued_us / 1000;
        assert!(
            queued_ms < 200 && world.link.dropped == dropped,
            "seed {seed}: sound beside it waits {queued_ms} ms at most, none is lost"
        );
        world.link.conditions.bps = 3.0 * M;
        let up = until(world.run(15.0), |bps| bps > 1.8 * M);
        assert!(up.is_some_and(|seconds| seconds <= 10.0), "seed {seed}: up after {up:?}");
    }
}

#[test]
fn random_loss_is_no_congestion() {
    for seed in SEEDS {
        for (loss, least) in [(0.05, 0.9), (0.1, 0.5)] {
            let conditions = Conditions { delay_us: 50_000, jitter_us: 5_000, loss, ..Conditions::rate(4.0 * M) };
            let mut world = World::new(conditions, Video::Layers([0.15 * M, 0.5 * M, 2.0 * M]), seed);
            world.run(10.0);
            let estimates = world.run(30.0);
            let enough = estimates.iter().filter(|bps| **bps > 2.3 * M).count() as f64 / estimates.len() as f64;
            assert!(enough > least, "seed {seed}, loss {loss}: the best layer for {enough} of the time");
            assert!(loss > 0.05 || mean(estimates) > 0.8 * 3.5 * M, "seed {seed}: {}", mean(estimates));
        }
    }
}

#[test]
fn jitter_is_no_congestion() {
    for seed in SEEDS {
        let conditions = Conditions { delay_us: 50_000, jitter_us: 20_000, ..Conditions::rate(20.0 * M) };
        let mut world = World::new(conditions, Video::Layers([0.15 * M, 0.5 * M, 2.0 * M]), seed);
        world.run(10.0);
        let estimates = world.run(30.0);
        let enough = estimates.iter().filter(|bps| **bps > 2.3 * M).count() as f64 / estimates.len() as f64;
        assert!(enough > 0.8, "seed {seed}: {enough}");
    }
}

#[test]
fn arrivals_in_batches_are_no_congestion() {
    for (seed, ms) in SEEDS.into_iter().flat_map(|seed| [1, 5, 10, 20, 40, 60].map(|ms| (seed, ms))) {
        for video in [Video::Layers([0.15 * M, 0.5 * M, 2.0 * M]), Video::Fixed(2.6 * M)] {
            let conditions = Conditions { batch_us: ms * 1000, ..Conditions::rate(50.0 * M) };
            let mut world = World::new(conditions, video, seed);
            world.run(10.0);
            let least = world.run(30.0).iter().copied().fold(f64::MAX, f64::min);
            assert!(least > 2.2 * M, "seed {seed}, all at once every {ms} ms: {least}");
        }
    }
}

#[test]
fn a_link_that_drops_instead_of_queueing_is_noticed() {
    for seed in SEEDS {
        let mut world = World::new(Conditions { queue_us: 20_000, ..Conditions::rate(4.0 * M) }, Video::Adaptive(3.0 * M), seed);
        world.run(10.0);
        world.link.conditions.bps = 0.8 * M;
        let down = until(world.run(8.0), |bps| bps < 1.0 * M);
        assert!(down.is_some_and(|seconds| seconds <= 4.0), "seed {seed}: {down:?}");
    }
}

#[test]
fn who_wants_no_more_is_not_probed() {
    let mut world = World::new(Conditions::rate(20.0 * M), Video::Fixed(1.0 * M), 4);
    world.run(5.0);
    let before = world.padding;
    world.run(60.0);
    assert_eq!(world.padding, before);
    assert!(world.bps() > 1.0 * M);
}

#[test]
fn an_outage_is_survived() {
    for seed in SEEDS {
        let mut world = World::new(Conditions::rate(3.0 * M), Video::Layers([0.15 * M, 0.5 * M, 1.5 * M]), seed);
        world.run(10.0);
        world.link.conditions.loss = 1.0;
        world.run(5.0);
        world.link.conditions.loss = 0.0;
        let up = until(world.run(15.0), |bps| bps > 1.7 * M);
        assert!(up.is_some_and(|seconds| seconds < 10.0), "seed {seed}: {up:?}");
    }
}

/// Negative control: a sender that follows nothing is seen to drown the link, so the judgements above can fail.
#[test]
fn who_does_not_follow_drowns_the_link() {
    let mut world = World::new(Conditions::rate(0.6 * M), Video::Fixed(3.0 * M), 1);
    world.run(10.0);
    assert!(world.link.queued_us > 400_000 && world.link.dropped > 1000);
    assert!(world.bps() < 0.7 * M, "the estimate tells: {}", world.bps());
}
