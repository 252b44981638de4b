//! Random rooms: members of every kind come, go, mute and wish over links of every kind. What they are sent keeps its rules at every
//! packet, and whoever may see somebody does in the end.
//!
//! A seed that ever broke something stays in [`SEEDS`] or [`KEPT`]. More of them: `SEEDS=1000..1500 cargo test -p minamo-sfu-core --release --test
//! simulation sweep -- --ignored --nocapture`.

mod hall;
mod member;
mod reception;
mod source;
mod told;

use std::time::Duration;

use self::hall::{Flaws, Hall};
use crate::null::Fault;

/// Run with every build.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=14;
/// Found by a sweep: late packets where temporal layers were left out.
const KEPT: [u64; 4] = [127, 140, 142, 157];
const ACTING: Duration = Duration::from_secs(20);

fn play(seed: u64, flaws: Flaws) -> Hall {
    let mut hall = Hall::new(seed, flaws);
    hall.play(ACTING);
    hall
}

fn assert_fine(seed: u64) {
    let hall = play(seed, Flaws::default());
    assert_eq!(hall.violations, [""; 0], "seed {seed}");
    assert!(hall.frames > 50, "seed {seed}: {} frames were seen", hall.frames);
}

#[test]
fn random_rooms_keep_the_rules() {
    SEEDS.chain(KEPT).for_each(assert_fine);
}

#[test]
fn a_run_is_the_same_to_the_packet() {
    let digest = |seed| play(seed, Flaws::default()).digest();
    assert_eq!(digest(3), digest(3));
    assert_ne!(digest(3), digest(4));
}

/// Negative control: each of these faults is found, in some of a few runs at least.
#[test]
fn faults_are_found() {
    let transport = |transport| Flaws { transport, ..Flaws::default() };
    let flaws = [
        (transport(Fault::ReuseSequence), "and is now"),
        (transport(Fault::WrongTimestamp), "a step of"),
        (transport(Fault::LosesBeginnings), "see"),
        (transport(Fault::SwapsSources), "on the SSRC of"),
        (Flaws { bundles_forgotten: true, ..Flaws::default() }, "which is not for it"),
        (Flaws { filters_forgotten: true, ..Flaws::default() }, "which its filter blocks"),
        (Flaws { leavers_stay: true, ..Flaws::default() }, "remembers somebody"),
    ];
    for (flaws, words) in flaws {
        let found: Vec<String> = SEEDS.take(6).flat_map(|seed| play(seed, flaws).violations).collect();
        assert!(found.iter().any(|found| found.contains(words)), "{flaws:?} was not found: {found:?}");
    }
}

/// Many seeds: `SEEDS` is a range such as `1..100`.
#[test]
#[ignore = "a sweep takes as long as it is told to"]
fn sweep() {
    let range = std::env::var("SEEDS").unwrap_or_else(|_| "1..200".to_owned());
    let (from, to) = range.split_once("..").expect("a range such as 1..200");
    let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
    let mut broken = Vec::new();
    for seed in from..to {
        let hall = play(seed, Flaws::default());
        let seen = format!("{} members, {} frames", hall.most, hall.frames);
        match hall.violations.first() {
            None => println!("seed {seed}: fine, {seen}"),
            Some(found) => {
                println!("seed {seed}: {found}");
                broken.push(seed);
            }
        }
    }
    assert_eq!(broken, [0; 0]);
}
