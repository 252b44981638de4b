//! The SFU as a value: peers, tracks, forwarding, feedback, ICE-lite, DTLS and SRTP, rooms. No clock, no socket, no task.
//!
//! The shell (`minamo-sfu`) owns sockets and threads and feeds a [`model::Command`], a datagram or a timeout with the time beside it.
//! This crate does not know that HLS or HTTP exist.
//!
//! * [`shard::Shard`] owns peers and forwards between them; one thread drives one shard.
//! * [`transport::Transport`] is one peer's ICE-lite, DTLS and SRTP.
//! * [`turn::TurnServer`] wraps datagrams of clients that cannot send us plain UDP.
//! * [`tap::Assembler`] makes access units out of the packets that a shard copies aside, on another thread.
//! * [`room::Room`] says who hears whom; signaling owns it.

pub mod model;
pub mod room;
pub mod rtcp;
pub mod shard;
pub mod tap;
pub mod transport;
pub mod turn;

mod bandwidth;
mod budget;
mod downlink;
mod peer;
mod table;
mod track;
