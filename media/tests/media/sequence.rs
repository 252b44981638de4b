use minamo_media::rtp::{SequenceExtender, TimestampExtender};
use proptest::prelude::*;

use crate::support::runner;

const FRAME: u32 = 3_000;

/// Two seconds of 30 Hz video whose timestamps start `before_wrap` ticks before the wrap.
fn timestamps(before_wrap: u32) -> Vec<u32> {
    (0..60).map(|frame: u32| 0u32.wrapping_sub(before_wrap).wrapping_add(frame * FRAME)).collect()
}

fn is_even_line(extended: &[i64]) -> bool {
    extended.windows(2).all(|pair| pair[1] - pair[0] == i64::from(FRAME))
}

#[test]
fn a_timestamp_may_wrap_one_second_after_the_start() {
    for before_wrap in [90_000, 1, FRAME, 90_001] {
        let mut extender = TimestampExtender::new();
        let extended: Vec<_> = timestamps(before_wrap).into_iter().map(|timestamp| extender.extend(timestamp)).collect();
        assert!(is_even_line(&extended));
    }
}

#[test]
fn negative_control_timestamps_that_are_not_extended_break_the_line() {
    let raw: Vec<_> = timestamps(90_000).into_iter().map(i64::from).collect();
    assert!(!is_even_line(&raw));
}

#[test]
fn a_report_is_measured_against_the_packets_on_both_sides_of_a_wrap() {
    let mut extender = TimestampExtender::new();
    assert_eq!(extender.peek(5), None);
    // The first packet is behind the wrap, the report speaks of a time before it.
    let packet = extender.extend(1_000);
    assert_eq!(extender.peek(u32::MAX - 999), Some(packet - 2_000));
    assert_eq!(extender.peek(91_000), Some(packet + 90_000));
    // Looking does not move the line.
    assert_eq!(extender.extend(4_000), packet + 3_000);
}

#[test]
fn what_was_overtaken_comes_out_before() {
    let mut extender = SequenceExtender::new();
    let first = extender.extend(2);
    assert_eq!(extender.extend(65_535), first - 3);
    assert_eq!(extender.highest(), Some(first));
    assert_eq!(extender.extend(3), first + 1);
}

/// A walk with steps that a 16-bit number can tell apart comes out with the same steps.
#[test]
fn sequence_numbers_keep_their_steps_over_any_number_of_wraps() {
    let steps = prop::collection::vec(prop_oneof![4 => 1i64..4, 1 => -200i64..0, 1 => 1i64..30_000], 1..400);
    runner(300)
        .run(&(any::<u16>(), steps), |(start, steps)| {
            let mut extender = SequenceExtender::new();
            let first = extender.extend(start) as i64;
            let mut highest = i64::from(start);
            for step in steps {
                // An old packet is measured from the newest, as on the wire.
                let real = highest + step;
                highest = highest.max(real);
                let extended = extender.extend(real.rem_euclid(1 << 16) as u16) as i64;
                prop_assert_eq!(extended - first, real - i64::from(start));
            }
            prop_assert_eq!(extender.highest().map(|value| value as i64 - first), Some(highest - i64::from(start)));
            Ok(())
        })
        .unwrap();
}

#[test]
fn timestamps_keep_their_steps_over_any_number_of_wraps() {
    let steps = prop::collection::vec(-1_000_000i64..(1 << 31) - 1, 1..100);
    runner(300)
        .run(&(any::<u32>(), steps), |(start, steps)| {
            let mut extender = TimestampExtender::new();
            let first = extender.extend(start);
            let mut highest = i64::from(start);
            for step in steps {
                let real = highest + step;
                highest = highest.max(real);
                let extended = extender.extend(real.rem_euclid(1 << 32) as u32);
                prop_assert_eq!(extended - first, real - i64::from(start));
            }
            Ok(())
        })
        .unwrap();
}
