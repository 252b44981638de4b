//! A client of our own signaling on the `webrtc` crate's PeerConnections: what `minamo demo` publishes with,
//! and what tests and benchmarks use as a load generator and interop peer.
//!
//! It deliberately shares nothing with the server but the wire: messages are plain JSON here, as any SDK would write them.

pub mod demo;
mod key_frame_requests;
pub mod pattern;
pub mod peer;
pub mod signaling;
pub mod source;
