//! One good live programme without a violation, and for every rule a way to break it that must be found.

mod answers;
mod bytes;
mod form;
mod multivariant;
mod versions;

use super::*;
use sample::{Programme, play};

/// Plays the programme with `edit` applied to every playlist: (rendition's letter, parts published, text).
#[track_caller]
fn must_break(rule: u8, words: &str, edit: impl Fn(char, u64, String) -> String) {
    must_find(rule, words, play(&Programme { edit: &edit, ..Programme::good() }));
}

#[track_caller]
#[allow(clippy::needless_pass_by_value, reason = "shorter at every call")]
fn must_find(rule: u8, words: &str, found: Vec<Violation>) {
    assert!(found.iter().any(|violation| violation.rule == rule && violation.what.contains(words)), "{found:#?}");
}

#[test]
fn a_good_programme_breaks_no_rule() {
    assert_eq!(play(&Programme::good()), []);
}

#[test]
fn sabotage_is_found_in_every_round() {
    for round in 0..4 {
        let found = play(&Programme {
            edit: &|_, parts, body| if parts == 63 { sabotage(round, &body) } else { body },
            ..Programme::good()
        });
        assert!(!found.is_empty(), "round {round}");
    }
}
