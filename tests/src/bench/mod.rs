//! Pieces of `make bench`: the server as a process of its own whose CPU time is read from outside, and the bare limit.

pub mod bare;
pub mod channels;
pub mod clip;
pub mod origin;
pub mod publishers;
pub mod server;
