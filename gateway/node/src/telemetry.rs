//! Names of what is counted, in one place.

use minamo_media::ChannelId;
use minamo_transcode::{JobCounts, Load};

/// Describes every metric to the installed recorder.
pub(crate) fn describe() {
    metrics::describe_counter!("minamo_hls_parts_total", "LL-HLS parts written");
    metrics::describe_counter!("minamo_hls_segments_total", "HLS segments written");
    metrics::describe_gauge!("minamo_hls_blocked_requests", "HTTP requests that wait for a part or a segment");
    metrics::describe_counter!("minamo_hls_refused_waits_total", "HTTP requests refused because too many waited");
    metrics::describe_counter!("minamo_hls_tap_dropped_total", "Tap events dropped, by reason");
    metrics::describe_gauge!("minamo_hls_programmes", "Programmes that are live");
    metrics::describe_gauge!(
        "minamo_hls_live_latency_seconds",
        metrics::Unit::Seconds,
        "Now minus the wall time of the end of the newest complete part; 0 when not live"
    );
    metrics::describe_gauge!("minamo_transcode_jobs", "Transcoding jobs that run");
    metrics::describe_gauge!("minamo_transcode_capacity_pixels", "Pixels per second that transcoding threads may be promised");
    metrics::describe_gauge!("minamo_transcode_used_pixels", "Pixels per second that they are promised");
    metrics::describe_counter!("minamo_transcode_pictures_total", "Source pictures of transcoding, by what became of them");
    metrics::describe_counter!("minamo_transcode_refused_total", "Transcoding jobs that were refused or failed, by reason");
    metrics::describe_counter!("minamo_hls_programme_failures_total", "Programmes ended by an internal failure");
}

pub(crate) fn tap_dropped(reason: &'static str) {
    metrics::counter!("minamo_hls_tap_dropped_total", "reason" => reason).increment(1);
}

pub(crate) fn parts(count: u64) {
    metrics::counter!("minamo_hls_parts_total").increment(count);
}

pub(crate) fn segments(count: u64) {
    metrics::counter!("minamo_hls_segments_total").increment(count);
}

pub(crate) fn live_latency(channel: &ChannelId, seconds: f64) {
    metrics::gauge!("minamo_hls_live_latency_seconds", "channel" => channel.as_str().to_owned()).set(seconds);
}

pub(crate) fn programme_failure() {
    metrics::counter!("minamo_hls_programme_failures_total").increment(1);
}

pub(crate) fn transcode_refused(reason: &'static str) {
    metrics::counter!("minamo_transcode_refused_total", "reason" => reason).increment(1);
}

pub(crate) fn transcoded(now: &JobCounts, before: &JobCounts) {
    let made = [
        ("decoded", now.decoded - before.decoded),
        ("encoded", now.encoded - before.encoded),
        ("dropped", now.dropped - before.dropped),
        ("thinned", now.thinned - before.thinned),
        ("damaged", now.damaged - before.damaged),
    ];
    for (became, count) in made {
        metrics::counter!("minamo_transcode_pictures_total", "became" => became).increment(count);
    }
}

pub(crate) fn pool(load: &Load) {
    metrics::gauge!("minamo_transcode_jobs").set(load.jobs as f64);
    metrics::gauge!("minamo_transcode_capacity_pixels").set(load.capacity as f64);
    metrics::gauge!("minamo_transcode_used_pixels").set(load.used as f64);
}

pub(crate) fn refused_wait() {
    metrics::counter!("minamo_hls_refused_waits_total").increment(1);
}

/// Counts one live programme while it lives.
pub(crate) struct LiveProgramme;

impl LiveProgramme {
    pub(crate) fn new() -> Self {
        metrics::gauge!("minamo_hls_programmes").increment(1.0);
        Self
    }
}

impl Drop for LiveProgramme {
    fn drop(&mut self) {
        metrics::gauge!("minamo_hls_programmes").decrement(1.0);
    }
}

/// Counts one waiting request while it lives.
pub(crate) struct Blocked;

impl Blocked {
    pub(crate) fn new() -> Self {
        metrics::gauge!("minamo_hls_blocked_requests").increment(1.0);
        Self
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        metrics::gauge!("minamo_hls_blocked_requests").decrement(1.0);
    }
}
