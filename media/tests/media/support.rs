//! Seeded properties: every run tries the same cases.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

pub fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Bytes that nobody meant to send, with more small numbers than chance would give.
pub fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => any::<u8>(), 1 => Just(0), 1 => Just(1), 1 => Just(3), 1 => Just(0xFF)];
    prop::collection::vec(byte, 0..max)
}

/// Whether a parser never panics, over many arbitrary inputs that each begin with one of `starts`.
pub fn survives(starts: &[&[u8]], parser: impl Fn(&[u8])) -> bool {
    let starts: Vec<Vec<u8>> = starts.iter().map(|start| start.to_vec()).collect();
    let input = (prop::sample::select(starts), bytes(80)).prop_map(|(start, rest)| [start, rest].concat());
    let outcome = runner(4_000).run(&input, |input| {
        parser(&input);
        Ok(())
    });
    outcome.is_ok()
}

/// Whether a parser survives every known good input with any one byte changed, and cut at any place.
pub fn survives_mutations(good: &[&[u8]], parser: impl Fn(&[u8]) + std::panic::RefUnwindSafe) -> bool {
    let all = || {
        for input in good {
            for at in 0..input.len() {
                parser(&input[..at]);
                for value in [0, 1, 0x7F, 0x80, 0xFF, input[at] ^ 0x10] {
                    let mut mutated = input.to_vec();
                    mutated[at] = value;
                    parser(&mutated);
                }
            }
        }
    };
    std::panic::catch_unwind(all).is_ok()
}

#[test]
fn negative_control_a_parser_that_panics_does_not_survive() {
    assert!(!survives(&[&[]], |input| assert!(input.len() < 70)));
    assert!(!survives_mutations(&[&[1, 2, 3, 4]], |input| assert_ne!(input, [1, 2, 0xFF, 4])));
}
