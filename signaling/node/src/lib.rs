//! WebSocket sessions, rooms, the JSON API.
//!
//! [`session::Session`] is one connection's protocol as a value: messages in, actions out, told the time. [`Signaling`] is the
//! shell around it: sockets, timers, rooms and the SFU. Media bytes never come through here.

pub mod api;
mod config;
mod ids;
mod media_plane;
mod programmes;
pub mod session;
mod signaling;

pub use config::SignalingConfig;
pub use media_plane::{Busy, MediaPlane};
pub use programmes::{PlaylistPath, Programmes};
pub use signaling::Signaling;
mod summary;
pub use summary::ConnectionSummary;
