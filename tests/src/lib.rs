//! Simulation, interop helpers, benchmarks, the tidy test.
