//! Rule 9 as the multivariant playlist alone shows it.

use super::{Checker, must_find};
use crate::sample::MULTIVARIANT;

#[test]
fn rule_9_complete_and_right() {
    assert_eq!(Checker::new().observe_multivariant(MULTIVARIANT), []);
    for (from, to, words) in [
        ("BANDWIDTH=40000,", "", "BANDWIDTH"),
        ("AVERAGE-BANDWIDTH=20000,", "", "AVERAGE-BANDWIDTH"),
        ("AVERAGE-BANDWIDTH=20000", "AVERAGE-BANDWIDTH=50000", "above BANDWIDTH"),
        (",CODECS=\"avc1.42e01f,mp4a.40.2\"", "", "no CODECS"),
        (",mp4a.40.2", "", "nothing of the sound"),
        (",RESOLUTION=640x360", "", "no RESOLUTION"),
        (",FRAME-RATE=25.000", "", "no FRAME-RATE"),
        ("GROUP-ID=\"aac\"", "GROUP-ID=\"opus\"", "no EXT-X-MEDIA"),
        (",AUDIO=\"aac\"", "", "group of its own"),
        ("v.m3u8\n", "", "no variant"),
    ] {
        let text = MULTIVARIANT.replacen(from, to, 1);
        assert_ne!(text, MULTIVARIANT, "{from}");
        must_find(9, words, Checker::new().observe_multivariant(&text));
    }
}

#[test]
fn rule_0_form() {
    for (from, to) in [("#EXTM3U\n", ""), ("#EXT-X-STREAM-INF:", "#EXT-X-STREAM:"), ("NAME=\"main\"", "NAME=\"main")] {
        must_find(0, "multivariant", Checker::new().observe_multivariant(&MULTIVARIANT.replacen(from, to, 1)));
    }
}
