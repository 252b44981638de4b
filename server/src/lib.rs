//! The binary: configuration and wiring.
