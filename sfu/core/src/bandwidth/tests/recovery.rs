//! What becomes of layers and sound when a link turns bad, and how soon all is as before when it is good again.

use std::ops::Range;

use super::link::Conditions;
use super::subscriber::Subscriber;

const LAYERS: [u64; 3] = [150_000, 500_000, 1_500_000];
const SEEDS: Range<u64> = 1..41;
const GOOD: Conditions = Conditions { delay_us: 50_000, ..Conditions::rate(50e6) };
/// The aim, in seconds.
const BACK_MAX: f64 = 15.0;

/// A subscriber that has had the best for a while.
fn settled(layers: &[u64], seed: u64) -> Subscriber {
    let mut subscriber = Subscriber::new(GOOD, layers, seed);
    subscriber.run(10.0);
    assert_eq!(subscriber.held, Some(layers.len() as u8 - 1), "seed {seed}");
    subscriber
}

/// Seconds from now on until the layer is sent; much if it never is.
fn back(subscriber: &mut Subscriber, layer: u8) -> f64 {
    subscriber.run(40.0).iter().position(|held| *held == Some(layer)).map_or(99.0, |at| at as f64 / 10.0)
}

fn mean(list: &[f64]) -> f64 {
    list.iter().sum::<f64>() / list.len() as f64
}

fn most(list: &[f64]) -> f64 {
    list.iter().copied().fold(0.0, f64::max)
}

#[test]
fn after_loss_the_best_layer_is_back() {
    for (jitter_us, batch_us) in [(10_000, 1), (10_000, 20_000), (10_000, 60_000), (40_000, 1)] {
        for seed in SEEDS {
            let mut subscriber = settled(&LAYERS, seed);
            subscriber.link.conditions = Conditions { jitter_us, loss: 0.05, batch_us, ..GOOD };
            subscriber.run(20.0);
            subscriber.link.conditions = Conditions { batch_us, ..GOOD };
            let back = back(&mut subscriber, 2);
            assert!(back < BACK_MAX, "seed {seed}, jitter {jitter_us}, batches {batch_us}: back after {back} s");
        }
    }
}

#[test]
fn a_layer_that_its_publisher_stopped_is_back_when_it_flows() {
    for seed in SEEDS {
        let mut subscriber = settled(&LAYERS, seed);
        subscriber.link.conditions = Conditions { jitter_us: 10_000, loss: 0.05, ..GOOD };
        subscriber.layers[2] = 0;
        subscriber.run(20.0);
        subscriber.link.conditions = GOOD;
        subscriber.layers[2] = LAYERS[2];
        let back = back(&mut subscriber, 2);
        assert!(back < 3.0, "seed {seed}: back after {back} s");
    }
}

/// What is concealed of the first three seconds on a narrow link, of what follows, and how soon the best is back.
fn narrow(layers: &[u64], bps: f64) -> (f64, f64, f64) {
    let mut found = (Vec::new(), Vec::new(), Vec::new());
    for seed in SEEDS {
        let mut subscriber = settled(layers, seed);
        subscriber.link.conditions.bps = bps;
        subscriber.run(3.0);
        assert!(subscriber.held < Some(2) && subscriber.held != Some(layers.len() as u8 - 1), "seed {seed}: lower within 3 s");
        found.0.push(subscriber.concealed_share());
        subscriber.run(9.0);
        found.1.push(subscriber.concealed_share());
        subscriber.link.conditions = GOOD;
        found.2.push(back(&mut subscriber, layers.len() as u8 - 1));
    }
    (mean(&found.0), most(&found.1), most(&found.2))
}

/// What stands in the way's queue when it becomes narrow is heard by nobody in time, half a second of it here. Beyond that hardly
/// anything is lost: video is held until the queue has drained.
#[test]
fn on_a_narrow_link_sound_is_whole_again_soon() {
    for (layers, bps, first_max) in [(&LAYERS[..], 600e3, 0.3), (&LAYERS[..], 300e3, 0.5), (&LAYERS[2..], 300e3, 0.33)] {
        let (first, then, back) = narrow(layers, bps);
        assert!(first < first_max, "{layers:?}, {bps}: {first} of the first seconds");
        assert!(then < 0.05, "{layers:?}, {bps}: {then} of what follows");
        assert!(back < BACK_MAX, "{layers:?}, {bps}: back after {back} s");
    }
}

#[test]
fn sudden_jitter_costs_the_best_layer_for_seconds_only() {
    for jitter_us in [30_000, 50_000, 70_000] {
        let longest = |history: &[Option<u8>]| {
            let stretches = history.split(|held| *held == Some(2));
            stretches.map(<[_]>::len).max().unwrap_or(0) as f64 / 10.0
        };
        let times: Vec<f64> = SEEDS
            .map(|seed| {
                let mut subscriber = settled(&LAYERS, seed);
                subscriber.link.conditions = Conditions { jitter_us, ..GOOD };
                longest(subscriber.run(40.0))
            })
            .collect();
        assert!(mean(&times) < 3.0 && (jitter_us > 50_000 || most(&times) < 8.0), "jitter {jitter_us}: {times:?}");
    }
}
