//! The binary: configuration and wiring. The only crate that knows everyone.
//!
//! [`Server`] is the whole product as a value: started from a [`Config`], asked for its addresses, shut down. The command
//! line is a thin layer over it.

pub mod cli;
pub mod config;
mod demo;
mod doctor;
mod headers;
mod http_server;
mod operations;
mod pages;
mod programmes;
mod server;
mod telemetry;
mod token;

pub use config::{Config, ConfigError};
pub use server::{Addresses, Server, StartError};
pub use token::{Token, TokenError, TokenOrigin};
