//! Minutes of programmes in virtual time, judged by a strict client that shares no code with the packager.

#![allow(missing_docs)]

mod publisher;
mod strict;

use publisher::{Script, run};

#[test]
fn an_ordinary_programme() {
    let outcome = run(Script { length_ms: 120_000, ..Script::default() });
    outcome.clean();
    assert_eq!(outcome.discontinuities, 0);
    let wanted = outcome.key_frames_wanted;
    assert!((55..=64).contains(&wanted), "one wish for a segment, not {wanted}");
    assert!(outcome.max_skew_after(10_000) < 10.0, "{}", outcome.max_skew_after(10_000));
    assert!(!outcome.last["video.m3u8"].contains("GAP"));
    println!("{}\n{}", outcome.multivariant, outcome.last["video.m3u8"]);
}
