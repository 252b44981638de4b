//! Simulation, interop helpers, benchmarks, the tidy test.

pub mod bench;
pub mod llhls;
pub mod soak;
