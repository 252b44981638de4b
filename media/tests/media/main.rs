//! The crate from outside: formats against known bytes, round trips, and input that nobody meant to send.

#![allow(clippy::unwrap_used)]

mod audio;
mod fmp4;
mod h264;
mod header;
mod key;
mod mpegts;
mod payload_h264;
mod payload_layers;
mod payload_vp8;
mod red;
mod sequence;
mod support;
mod time;
