//! From the tap to the HLS origin: one timeline per programme, a ring in memory, HTTP.
//!
//! [`Gateway`] takes access units as a [`minamo_media::TapSink`] and hands them to its worker threads. A worker owns its
//! programmes and is the only place that reads a clock; what a programme does is in the pure packager and in the
//! transcoder. Every new snapshot goes through a watch to the HTTP handlers of [`Gateway::router`], which render nothing:
//! they ask for bytes that exist, or wait for them.
//!
//! Bounds: a worker's queue drops media and counts (`minamo_hls_tap_dropped_total`); waiting requests are limited
//! ([`GatewayConfig::waiters_max`]); an ended programme leaves memory after [`GatewayConfig::ended_retention`]; there is one
//! small entry per opened channel until it is deleted.

mod assembly;
mod clock;
mod config;
mod gateway;
mod http;
mod ladder;
mod origin;
mod plan;
mod programme;
mod publishers;
mod signed;
mod telemetry;
mod ts;
mod worker;

#[cfg(test)]
mod tests;

pub use config::{
    GatewayConfig, PlaylistEntry, ProgrammeSettings, ProgrammeState, TranscodePolicy, TranscodeSettings, TranscodeState,
};
pub use gateway::{Gateway, NotTold};
pub use plan::{Filling, LadderPlan, Missing, Rung};
pub use signed::Access;
