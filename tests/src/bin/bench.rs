//! `make bench`: what one transmuxed channel and one forwarded packet cost, beside the bare limit of the same run.
//!
//! The machine may be shared and noisy: read the ratios, not the absolute figures.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use minamo_client::demo::{self, DemoOptions};
use minamo_client::peer::{Peer, PeerEvent, PeerOptions};
use minamo_client::source::SourceOptions;
use minamo_tests::bench::{bare, server::Server};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const WARM_UP: Duration = Duration::from_secs(6);
const MEASURE: Duration = Duration::from_secs(20);
const SUBSCRIBERS: usize = 64;

#[tokio::main]
async fn main() -> Result<()> {
    println!("bare limit (header rewrite + AES-128-GCM + sendto on loopback, {SUBSCRIBERS} peers) …");
    let limit = bare::nanoseconds_per_packet(SUBSCRIBERS)?;
    println!("  {limit:.0} ns per packet\n");
    transmuxed_channel().await?;
    forwarding(limit).await
}

fn source(video_bps: u32) -> DemoOptions {
    DemoOptions { source: SourceOptions { video_bps, ..SourceOptions::default() } }
}

/// CPU share of the server over [`MEASURE`].
async fn cpu_share(server: &Server) -> Result<f64> {
    let before = server.cpu()?;
    tokio::time::sleep(MEASURE).await;
    Ok((server.cpu()? - before).as_secs_f64() / MEASURE.as_secs_f64())
}

async fn transmuxed_channel() -> Result<()> {
    println!("one 1280x720@30 channel, WebRTC in, LL-HLS out, nobody watching …");
    let server = Server::start().await?;
    let idle = cpu_share(&server).await?;
    let channel = server.create_channel().await?;
    let stop = CancellationToken::new();
    let publisher = tokio::spawn(demo::run(server.signaling_url(), channel, source(2_500_000), stop.clone()));
    tokio::time::sleep(WARM_UP).await;
    let parts = server.metric("minamo_hls_parts_total").await?;
    let busy = cpu_share(&server).await?;
    let written = server.metric("minamo_hls_parts_total").await? - parts;
    if written < MEASURE.as_secs_f64() * 3.0 {
        bail!("the channel did not run: {written} parts in {MEASURE:?}");
    }
    println!("  idle server {:.2} % of a core; with the channel {:.2} %", idle * 100.0, busy * 100.0);
    println!("  one transmuxed channel: {:.2} % of a core ({written:.0} parts written)\n", (busy - idle) * 100.0);
    stop.cancel();
    publisher.await??;
    Ok(())
}

async fn forwarding(limit: f64) -> Result<()> {
    println!("one publisher at 2.5 Mbit/s to {SUBSCRIBERS} subscribers in a room, everything on …");
    let server = Server::start().await?;
    let room = server.create_room().await?;
    let stop = CancellationToken::new();
    let publisher = tokio::spawn(demo::run(server.signaling_url(), room.clone(), source(2_500_000), stop.clone()));
    tokio::time::sleep(WARM_UP).await;
    let alone = cpu_share(&server).await?;
    let memory = server.resident_kib()?;
    let cpu_before_joins = server.cpu()?;
    for _ in 0..SUBSCRIBERS {
        subscribe(&server, &room, &stop).await?;
    }
    let joining = server.cpu()? - cpu_before_joins;
    tokio::time::sleep(WARM_UP).await;
    let sent = server.metric("minamo_sfu_packets_out_total").await?;
    let together = cpu_share(&server).await?;
    let sent = server.metric("minamo_sfu_packets_out_total").await? - sent;
    let per_packet = (together - alone) * MEASURE.as_secs_f64() * 1e9 / sent;
    println!(
        "  {sent:.0} packets out in {MEASURE:?}; server {:.2} % of a core, {:.2} % with the publisher alone",
        together * 100.0,
        alone * 100.0
    );
    println!("  {per_packet:.0} ns of CPU per forwarded packet = {:.2} × the bare limit of this run", per_packet / limit);
    println!("  {:.2} ms of CPU per join", joining.as_secs_f64() * 1e3 / SUBSCRIBERS as f64);
    println!("  {} KiB of memory per active subscriber", (server.resident_kib()?.saturating_sub(memory)) / SUBSCRIBERS as u64);
    stop.cancel();
    publisher.await??;
    Ok(())
}

/// One recvonly peer that takes everything and throws it away.
async fn subscribe(server: &Server, room: &str, stop: &CancellationToken) -> Result<()> {
    let options = PeerOptions {
        signaling_url: server.signaling_url(),
        channel_id: room.to_owned(),
        role: "recvonly",
        udp: "127.0.0.1:0".to_owned(),
        video_kbps: None,
    };
    let (sender, mut events) = mpsc::channel(64);
    let peer = Peer::join(&options, sender).await.context("a subscriber could not join")?;
    tokio::spawn(peer.run(stop.clone()));
    loop {
        match events.recv().await.context("a subscriber ended")? {
            PeerEvent::Connected => break,
            PeerEvent::Closed(reason) => bail!("a subscriber was closed: {reason}"),
            _ => {}
        }
    }
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let PeerEvent::Track(track) = event {
                tokio::spawn(async move { while track.poll().await.is_some() {} });
            }
        }
    });
    Ok(())
}
