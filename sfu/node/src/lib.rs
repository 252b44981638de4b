//! The SFU's shell: UDP sockets, media threads, the tap. No async runtime.
//!
//! * One media thread drives one [`Shard`](minamo_sfu_core::shard::Shard): batches of datagrams in (`recvmmsg`, GRO), batches out (GSO).
//! * There may be several media threads, each with a socket on the same port (`SO_REUSEPORT`). A peer lives on the thread where its first
//!   authentic check arrives; what comes to another is handed over, and tracks are mirrored where they have subscribers.
//! * One tap thread makes access units out of the packets that the media thread copies aside, and pours them into a
//!   [`TapSink`](minamo_media::TapSink).
//! * One thread carries media over TCP: ICE-TCP, and TURN over TCP. TURN over UDP is ended on the media thread.
//! * Control comes over a bounded queue that refuses when full ([`Overloaded`]) and loses nothing that it took. Media goes to the tap
//!   over a bounded queue that drops and counts.
//!
//! This crate knows nothing of HLS or of signaling's messages.

mod candidates;
mod claims;
mod commands;
mod counts;
mod heartbeat;
mod lanes;
mod media;
mod others;
mod sfu;
mod socket;
mod streams;
mod tap;

pub use minamo_sfu_core::shard::Stats;
pub use minamo_sfu_core::turn::RelayLogin;

pub use crate::commands::Overloaded;
pub use crate::sfu::{Relay, Sfu, SfuConfig, StartError, THREADS_MAX, Tcp};
pub use crate::streams::{Framing, MediaStream, OPENING_BYTES, Opening, opening};
