//! What /metrics will say of a programme.

use std::time::Instant;

use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;

/// The value of the first sample whose name and labels begin so.
fn sample(text: &str, name: &str) -> Option<f64> {
    text.lines().find(|line| line.starts_with(name))?.rsplit(' ').next()?.parse().ok()
}

#[test]
fn parts_segments_and_latency_are_measured() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let around = surroundings();
    let (mut now, mut unix) = (Instant::now(), source::UNIX_AT_START);
    let mut publisher = Source::new("P", 1, true, true);
    metrics::with_local_recorder(&recorder, || {
        let mut programme = programme();
        publisher.tracks().into_iter().for_each(|event| programme.handle(now, unix, &publisher.id, event, &around));
        for tick in 0..300 {
            now += TICK;
            unix += TICK;
            if tick % 100 == 99 {
                publisher.force_key_frame();
            }
            for event in publisher.tick(now) {
                programme.handle(now, unix, &publisher.id, event, &around);
            }
            programme.handle_timeout(now, unix, &around);
        }
        let live = handle.render();
        assert!(sample(&live, "minamo_hls_parts_total").is_some_and(|parts| (24.0..40.0).contains(&parts)), "{live}");
        assert!(sample(&live, "minamo_hls_segments_total").is_some_and(|count| (4.0..8.0).contains(&count)), "{live}");
        assert_eq!(sample(&live, "minamo_hls_programmes"), Some(1.0));
        let latency = sample(&live, "minamo_hls_live_latency_seconds{channel=\"c\"}").unwrap();
        assert!((0.0..0.6).contains(&latency), "{latency}");
        // Frozen time for the publisher: latency grows with nothing new. The negative control of the number above.
        programme.handle_timeout(now, unix + Duration::from_secs(3), &around);
        programme.handle_timeout(now + Duration::from_secs(1), unix + Duration::from_secs(4), &around);
        let late = sample(&handle.render(), "minamo_hls_live_latency_seconds{channel=\"c\"}").unwrap();
        assert!(late > 2.0, "{late}");
        programme.handle(now, unix, &publisher.id, TapEvent::PublisherGone { clean: true }, &around);
        programme.handle_timeout(now + Duration::from_secs(1), unix + Duration::from_secs(5), &around);
    });
    let ended = handle.render();
    assert_eq!(sample(&ended, "minamo_hls_programmes"), Some(0.0));
    assert_eq!(sample(&ended, "minamo_hls_live_latency_seconds{channel=\"c\"}"), Some(0.0));
}
