//! `make soak MINUTES=10`: peers join and leave all the time; memory and descriptors of the server must stay flat, and nothing of a peer
//! may be left when all are gone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Parser;
use minamo_tests::bench::server::Server;
use minamo_tests::soak::{Growth, Load, Sample};

/// Gauges that must be 0 when everybody has gone.
const GAUGES: [&str; 4] = ["minamo_sfu_peers", "minamo_sfu_uplinks", "minamo_sfu_downlinks", "minamo_signaling_connections"];
/// ICE consent of those who broke off is 30 s; their session ends with the WebSocket, well before.
const LEAVE_LIMIT: Duration = Duration::from_secs(45);

#[derive(Parser)]
struct Options {
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Subscribers that take turns.
    #[arg(long, default_value_t = 4)]
    subscribers: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let server = Arc::new(Server::start().await?);
    let load = Load::start(server.clone(), options.subscribers).await?;
    let samples = observe(&server, &load, Duration::from_secs_f64(options.minutes * 60.0)).await?;
    let turns = load.stop().await;
    println!("{turns:?}");
    let left = wait_until_gone(&server).await?;
    let Some(growth) = Growth::of(&samples) else { bail!("too short to judge") };
    println!("{growth}: {}", if growth.is_flat() { "flat" } else { "NOT flat" });
    if !left.is_empty() {
        bail!("left behind by peers that are gone: {left}");
    }
    if turns.failures.load(Ordering::Relaxed) > 0 {
        bail!("{} turns failed", turns.failures.load(Ordering::Relaxed));
    }
    if !growth.is_flat() {
        bail!("the server has grown");
    }
    Ok(())
}

async fn observe(server: &Server, load: &Load, time: Duration) -> Result<Vec<Sample>> {
    let (start, every) = (Instant::now(), (time / 60).clamp(Duration::from_secs(2), Duration::from_secs(30)));
    let mut samples = Vec::new();
    while start.elapsed() < time {
        tokio::time::sleep(every).await;
        let sample = Sample { at: start.elapsed(), resident_kib: server.resident_kib()?, descriptors: server.descriptors()? };
        let joins = load.turns.subscribers.load(Ordering::Relaxed) + load.turns.broken_off.load(Ordering::Relaxed);
        println!(
            "{:>6.0} s  {:>7.1} MiB  {:>4} descriptors  {joins} subscribers came and went",
            sample.at.as_secs_f64(),
            sample.resident_kib as f64 / 1024.0,
            sample.descriptors
        );
        samples.push(sample);
    }
    Ok(samples)
}

/// What is not 0 yet at the end; empty when all is gone.
async fn wait_until_gone(server: &Server) -> Result<String> {
    let start = Instant::now();
    loop {
        let mut left = String::new();
        for gauge in GAUGES {
            let value = server.metric(gauge).await?;
            if value > 0.0 {
                left += &format!(" {gauge}={value}");
            }
        }
        if left.is_empty() || start.elapsed() > LEAVE_LIMIT {
            return Ok(left);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
