//! The SFU as a value: peers, tracks, forwarding, feedback, ICE-lite, DTLS and SRTP, rooms. No clock, no socket, no task.
//!
//! The shell (`minamo-sfu`) owns sockets and threads and feeds a [`model::Command`], a datagram or a timeout with the time beside it.
//! This crate does not know that HLS or HTTP exist.

pub mod model;
