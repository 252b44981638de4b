//! The binary: configuration and wiring. The only crate that knows everyone.
//!
//! [`Server`] is the whole product as a value: started from a [`Config`], asked for its addresses, shut down. The command
//! line is a thin layer over it.

mod addresses;
mod arrival;
pub mod cli;
pub mod config;
mod demo;
mod doctor;
mod files;
mod headers;
mod http_server;
mod operations;
mod pages;
mod patience;
mod programmes;
mod server;
mod telemetry;
mod tls;
mod token;

pub use addresses::Addresses;
pub use config::{Config, ConfigError};
pub use server::{Server, StartError};
pub use tls::TlsError;
pub use token::{Token, TokenError, TokenOrigin};
