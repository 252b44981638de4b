//! Ten thousand playlist requests that wait for the same part: how far apart they are answered, and what each costs meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Edge;
use super::http::{Connection, get};
use crate::bench::server::Server;

/// Opened in groups, lest the backlog overflows.
const AT_ONCE: usize = 500;

/// Runs once and prints.
///
/// # Errors
/// When a connection cannot be opened (`ulimit -n`), or the part came before all were waiting.
pub async fn run(server: &Server, channel: &str, count: usize) -> Result<()> {
    println!("{count} playlist requests that wait for one part, a connection each …");
    let empty = server.resident_kib()?;
    let mut connections = Vec::with_capacity(count);
    while connections.len() < count {
        connections.push(Connection::open(server.address()).await?);
        if connections.len().is_multiple_of(AT_ONCE) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let connected = server.resident_kib()?;
    // As far ahead as may be waited for, right after a segment began: there is time for all to ask.
    let edge = fresh_segment(server, channel).await?;
    let request = get(&format!("/hls/{channel}/video.m3u8?_HLS_msn={}&_HLS_part=4", edge.open + 1), true);
    let asked = Arc::new(Barrier::new(count + 1));
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let (asked, request) = (Arc::clone(&asked), Arc::clone(&request));
        tasks.spawn(async move {
            connection.ask(&request).await?;
            asked.wait().await;
            connection.take(0).await?;
            anyhow::Ok(Instant::now())
        });
    }
    asked.wait().await;
    let mut waiting = 0.0;
    let begun = Instant::now();
    while waiting < count as f64 {
        waiting = server.metric("minamo_hls_blocked_requests").await?;
        if begun.elapsed() > Duration::from_secs(3) {
            bail!("only {waiting} are waiting: the machine is too slow for so many");
        }
    }
    let (memory, cpu) = (server.resident_kib()?, server.cpu()?);
    let mut answered = Vec::with_capacity(count);
    while let Some(done) = tasks.join_next().await {
        answered.push(done??);
    }
    let cpu = server.cpu()? - cpu;
    answered.sort_unstable();
    let after = |share: f64| (answered[((count - 1) as f64 * share) as usize] - answered[0]).as_secs_f64() * 1e3;
    println!("  answered after the first: p50 {:.0} ms, p99 {:.0} ms, last {:.0} ms", after(0.5), after(0.99), after(1.0));
    println!("  {:.1} us of CPU each from then on, the channel included", cpu.as_secs_f64() * 1e6 / count as f64);
    let each = |from: u64, to: u64| to.saturating_sub(from) as f64 / count as f64;
    println!("  {:.1} KiB for each connection, {:.1} KiB more while it waits\n", each(empty, connected), each(connected, memory));
    Ok(())
}

/// The live edge when a segment has just begun.
async fn fresh_segment(server: &Server, channel: &str) -> Result<Edge> {
    let mut before = None;
    loop {
        let edge = Edge::find(server, channel).await?;
        if before.is_some_and(|open| open != edge.open) {
            return Ok(edge);
        }
        before = Some(edge.open);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}
