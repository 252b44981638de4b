#![allow(clippy::disallowed_methods)] // a test needs some Instant to begin with

use super::*;

fn step(layer: u8, temporal: u8, kbps: u64) -> Step {
    Step { layer, temporal, bps: kbps * 1000 }
}

fn audio(track: u64) -> Demand {
    Demand { track: TrackId(track), audio: true, steps: vec![step(0, 0, 60)] }
}

fn simulcast(track: u64) -> Demand {
    Demand { track: TrackId(track), audio: false, steps: vec![step(0, 3, 150), step(1, 3, 500), step(2, 3, 1500)] }
}

/// Layers (-1 for nothing) after the budget, in kbit/s, has stood for some seconds.
fn settled(allocation: &mut Allocation, from: Instant, seconds: u64, kbps: u64, demands: &[Demand]) -> Vec<i32> {
    for tick in 0..seconds * 5 {
        allocation.update(from + Duration::from_millis(tick * 200), Some(kbps * 1000), demands);
    }
    allocation.chosen().iter().map(|chosen| chosen.step.map_or(-1, |step| i32::from(step.layer))).collect()
}

#[test]
fn audio_first_then_a_picture_for_all_then_better_ones() {
    let demands = [simulcast(1), audio(2), simulcast(3)];
    for (kbps, layers) in [
        (50, [-1, 0, -1]),
        (230, [0, 0, -1]),
        (370, [0, 0, 0]),
        (1000, [1, 0, 0]),
        (1300, [1, 0, 1]),
        (2500, [2, 0, 1]),
        (4000, [2, 0, 2]),
    ] {
        let (mut allocation, now) = (Allocation::default(), Instant::now());
        settled(&mut allocation, now, 2, 20, &demands);
        assert_eq!(settled(&mut allocation, now + Duration::from_secs(2), 5, kbps, &demands), layers, "{kbps} kbit/s");
    }
}

#[test]
fn temporal_layers_are_half_steps() {
    let steps = vec![step(0, 0, 80), step(0, 3, 150), step(1, 0, 300), step(1, 3, 500)];
    let demands = [Demand { track: TrackId(1), audio: false, steps }];
    let (mut allocation, now) = (Allocation::default(), Instant::now());
    allocation.update(now, Some(400_000), &demands);
    assert_eq!(allocation.chosen()[0].step, Some(step(1, 0, 300)));
    assert_eq!(allocation.chosen()[0].reason, Reason::Full);
    allocation.update(now, Some(100_000), &demands);
    assert_eq!(allocation.chosen()[0].step, Some(step(0, 0, 80)));
}

#[test]
fn without_a_budget_nothing_is_held_back_and_the_wish_is_counted() {
    let (mut allocation, now) = (Allocation::default(), Instant::now());
    let wanted = allocation.update(now, None, &[simulcast(1), audio(2)]);
    assert_eq!(wanted, Wanted { bps: 1_560_000, unknown: false });
    assert_eq!(allocation.chosen()[0].reason, Reason::Unknown);
    let silent = Demand { track: TrackId(3), audio: false, steps: Vec::new() };
    assert!(allocation.update(now, None, &[silent]).unknown);
}

#[test]
fn one_layer_alone_goes_on_for_a_while_and_then_pauses_rather_than_drown_audio() {
    let only = Demand { track: TrackId(1), audio: false, steps: vec![step(0, 3, 2000)] };
    let demands = [only, audio(2)];
    let (mut allocation, now) = (Allocation::default(), Instant::now());
    assert_eq!(settled(&mut allocation, now, 3, 1600, &demands), [0, 0]);
    assert_eq!(settled(&mut allocation, now + Duration::from_secs(3), 3, 600, &demands), [-1, 0]);
    assert_eq!(allocation.chosen()[0].reason, Reason::Paused);
    assert_eq!(allocation.shortage(), 3);
    assert_eq!(settled(&mut allocation, now + Duration::from_secs(6), 3, 1600, &demands), [-1, 0], "all of it must fit again");
    assert_eq!(settled(&mut allocation, now + Duration::from_secs(9), 3, 2100, &demands), [0, 0]);
}

/// Switches of a track's layer in a minute whose budget swings around what a layer takes, with that period.
fn switches(period_ms: u64) -> usize {
    let (mut allocation, now, demands) = (Allocation::default(), Instant::now(), [simulcast(1), audio(2)]);
    let (mut count, mut before) = (0, None);
    for tick in 0..300u64 {
        let kbps = if (tick * 200 / period_ms).is_multiple_of(2) { 2000 } else { 1400 };
        allocation.update(now + Duration::from_millis(tick * 200), Some(kbps * 1000), &demands);
        let layer = allocation.chosen()[0].step.map(|step| step.layer);
        count += usize::from(before.is_some_and(|before| before != layer));
        before = Some(layer);
    }
    count
}

#[test]
fn a_budget_that_swings_does_not_make_layers_flap() {
    assert!(switches(600) <= 1, "faster than the wait: {}", switches(600));
    assert!(switches(3000) <= 9, "each failure doubles the wait: {}", switches(3000));
    assert!(switches(20_000) >= 2, "negative control: a slow swing is followed: {}", switches(20_000));
}

#[test]
fn who_has_recovered_is_upgraded_within_seconds() {
    let (mut allocation, now, demands) = (Allocation::default(), Instant::now(), [simulcast(1), audio(2)]);
    assert_eq!(settled(&mut allocation, now, 20, 450, &demands), [0, 0]);
    assert_eq!(allocation.shortage(), 2);
    assert_eq!(settled(&mut allocation, now + Duration::from_secs(20), 2, 2500, &demands), [2, 0]);
    assert_eq!(allocation.shortage(), 0);
}

/// Whoever was taken back often does not wait for that any longer than the layer may take to return.
#[test]
fn failures_are_not_held_against_a_link_for_long() {
    let (mut allocation, start, demands) = (Allocation::default(), Instant::now(), [simulcast(1), audio(2)]);
    let mut now = start;
    for _ in 0..8 {
        settled(&mut allocation, now, 1, 450, &demands);
        now += Duration::from_secs(1);
        while settled(&mut allocation, now, 1, 2500, &demands) != [2, 0] {
            now += Duration::from_secs(1);
        }
    }
    settled(&mut allocation, now, 1, 450, &demands);
    now += Duration::from_secs(1);
    assert_eq!(settled(&mut allocation, now, 4, 2500, &demands), [0, 0], "it is not forgotten");
    assert_eq!(settled(&mut allocation, now + Duration::from_secs(4), 8, 2500, &demands), [2, 0]);
}
