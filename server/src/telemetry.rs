//! Logs and metrics of the process. Both are global, so both are set up once whatever is started in it.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat};

/// Logs go to stderr: stdout is for what a person or a script asked for.
pub(crate) fn start_logs(config: &LogConfig) {
    let filter = filter(&config.level);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match config.format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // An error means that whoever embeds us has set up logs of their own.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}

/// A bare level counts for our own parts. Others then warn only, and the WebRTC crates, which warn of what any peer may
/// send, not even that. Whoever names a module has said what is wanted.
fn filter(level: &str) -> Targets {
    let own = |level: LevelFilter| {
        let others = level.min(LevelFilter::WARN);
        let webrtc = level.min(LevelFilter::ERROR);
        Targets::new().with_default(others).with_targets([("minamo", level), ("rtc", webrtc), ("webrtc", webrtc)])
    };
    // Checked when the configuration was read.
    level.trim().parse().map_or_else(|_| level.parse().unwrap_or_default(), own)
}

/// Seconds, from a part's length to a minute: the buckets of every histogram that ends in `_seconds`.
const SECONDS: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 60.0];

/// The registry of this process; installed by the first who asks.
pub(crate) fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new();
            // Fails for an empty list only.
            let builder = builder
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
                .unwrap_or_else(|_| PrometheusBuilder::new());
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is installed: /metrics stays empty");
            }
            metrics::gauge!("minamo_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            handle
        })
        .clone()
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::filter;

    #[test]
    fn a_bare_level_is_about_us() {
        let info = filter("info");
        assert!(info.would_enable("minamo_sfu::media", &Level::INFO) && !info.would_enable("minamo_sfu", &Level::DEBUG));
        assert!(info.would_enable("sqlx::query", &Level::WARN) && !info.would_enable("sqlx::query", &Level::INFO));
        assert!(info.would_enable("rtc_dtls::conn", &Level::ERROR) && !info.would_enable("rtc_dtls::conn", &Level::WARN));
        let off = filter("off");
        assert!(!off.would_enable("minamo", &Level::ERROR) && !off.would_enable("sqlx", &Level::ERROR));
    }

    #[test]
    fn a_named_module_is_heard() {
        let named = filter("warn,rtc_dtls=trace");
        assert!(named.would_enable("rtc_dtls::conn", &Level::TRACE) && !named.would_enable("minamo_sfu", &Level::INFO));
    }
}
