//! A strict LL-HLS client: plays a live programme and names every rule that the server breaks.
//!
//! Exit code 0 without violations, 1 with, 2 when there was nothing to watch.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use minamo_tests::llhls::{self, Options};

/// Plays every rendition of a live LL-HLS programme and names every rule that the server breaks.
#[derive(Parser)]
#[command(name = "minamo-llhls", version)]
struct Arguments {
    /// How long to watch.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Alter playlists before they are judged: violations must be found.
    #[arg(long)]
    sabotage: bool,
    /// Token of the server's API: media under AES-128 is looked into, with the keys that GetEncryptKey tells.
    #[arg(long)]
    api_token: Option<String>,
    /// URL of the multivariant playlist.
    url: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { seconds, sabotage, api_token, url } = Arguments::parse();
    match llhls::run(Options { url, watch: Duration::from_secs(seconds), sabotage, api_token }).await {
        Ok(summary) => {
            if !summary.rules.is_empty() {
                println!("rules broken: {:?}", summary.rules);
            }
            println!("{summary}");
            ExitCode::from(u8::from(summary.violations > 0))
        }
        Err(error) => {
            eprintln!("llhls: {error:#}");
            ExitCode::from(2)
        }
    }
}
