//! WebSocket sessions, WHIP and WHEP, rooms, the JSON API.
//!
//! `session::Session` is one connection's protocol as a value: messages in, actions out, told the time. [`Signaling`] is the
//! shell around it: sockets, timers, rooms and the SFU. Media bytes never come through here.

mod agreement;
pub mod api;
mod auth;
mod clock;
mod config;
mod connection;
mod door;
mod figures;
mod ids;
mod mailbox;
mod media_plane;
mod place;
mod programmes;
mod reach;
mod rooms;
mod rpc;
mod session;
mod signaling;
mod socket;
mod summary;
#[cfg(test)]
mod tests;
pub mod whip;

pub use config::{DataDefaults, SignalingConfig};
pub use media_plane::{Busy, MediaPlane, OnPeerEvent};
pub use programmes::{Caption, CaptionTime, Captions, Later, Metadata, MetadataRefused, PlaylistPath, Programmes, Transcoding};
pub use reach::RelayPolicy;
pub use session::Timing;
pub use signaling::Signaling;
pub use summary::ConnectionSummary;
