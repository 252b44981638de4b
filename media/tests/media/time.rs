use std::time::Duration;

use minamo_media::{NtpTime, Timestamp};

#[test]
fn rescaling_rounds_to_the_nearest_tick_on_both_sides_of_zero() {
    let to_milliseconds = |ticks| Timestamp::new(ticks, 90_000).rescale(1_000).ticks;
    assert_eq!([90_000, 44, 45, -44, -46, -90_000].map(to_milliseconds), [1_000, 0, 1, 0, -1, -1_000]);
    // A year at 90 kHz in nanoseconds does not overflow on the way.
    let year = Timestamp::new(90_000 * 31_536_000, 90_000).rescale(1_000_000_000);
    assert_eq!(year.ticks, 31_536_000_000_000_000);
}

#[test]
fn ntp_counts_from_1900_and_wraps_in_2036() {
    let at = |seconds, nanos| NtpTime::from_unix(Duration::new(seconds, nanos));
    assert_eq!(at(0, 500_000_000), NtpTime((2_208_988_800 << 32) | (1 << 31)));
    assert_eq!(at(0, 500_000_000).middle(), ((2_208_988_800_u64 << 16) as u32) | 0x8000);
    let wrap = (1 << 32) - 2_208_988_800;
    assert!((at(wrap + 1, 0).seconds_since(at(wrap - 1, 500_000_000)) - 1.5).abs() < 1e-9);
    assert!(at(10, 0).seconds_since(at(11, 0)) < 0.0);
}
