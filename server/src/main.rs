//! `minamo`

use std::process::ExitCode;

fn main() -> ExitCode {
    minamo::cli::run(std::env::args_os())
}
