//! The light peer, for benchmarks elsewhere.

pub mod light;
