//! `make bench`: what one transmuxed channel and one forwarded packet cost, beside the bare limit of the same run.
//!
//! The machine may be shared and noisy: read the ratios, not the absolute figures.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use minamo_client::demo::{self, DemoOptions};
use minamo_client::peer::{Peer, PeerEvent, PeerOptions};
use minamo_client::source::SourceOptions;
use minamo_tests::bench::{bare, channels, origin, server::Server};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const WARM_UP: Duration = Duration::from_secs(6);
const MEASURE: Duration = Duration::from_secs(20);
const SUBSCRIBERS: usize = 64;
/// Transmuxed channels in one server: the aim is that one core bears them.
const CHANNELS: usize = 50;
/// RTP packets to subscribers.
const PACKETS: &str = "minamo_sfu_rtp_out_total";

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("fanout") => return fanout(),
        Some("origin") => return origin::run().await,
        Some("channels") => return channels::run(words.get(1).map_or(Ok(CHANNELS), |count| count.parse())?).await,
        _ => {}
    }
    println!("bare limit (header rewrite + AES-128-GCM + sendto on loopback, {SUBSCRIBERS} peers) …");
    let before = Limits::measure()?;
    transmuxed_channel().await?;
    channels::run(CHANNELS).await?;
    origin::run().await?;
    let forwarded = forwarding().await?;
    println!("bare limit once more, as the machine may have become slower or faster …");
    let after = Limits::measure()?;
    println!("forwarding against the mean of both");
    println!("  {:.2} × the bare limit without a pause", forwarded / f64::midpoint(before.unpaused, after.unpaused));
    println!("  {:.2} × the bare limit at the programme's pace", forwarded / f64::midpoint(before.paced, after.paced));
    Ok(())
}

/// `minamo-bench fanout …`: the program beside this one does it; further arguments are its own.
fn fanout() -> Result<()> {
    let program = std::env::current_exe()?.with_file_name("minamo-fanout");
    let status = std::process::Command::new(&program).args(std::env::args().skip(2)).status().with_context(|| {
        format!("cannot start {}: cargo build --release -p minamo-fanout --features stacks", program.display())
    })?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(())
}

/// Nanoseconds per packet of what cannot be left out.
struct Limits {
    unpaused: f64,
    paced: f64,
}

impl Limits {
    fn measure() -> Result<Self> {
        let unpaused = bare::without_a_pause(SUBSCRIBERS)?;
        println!("  {unpaused:.0} ns per packet without a pause, to sockets that nobody reads");
        let paced = bare::at_a_programmes_pace(SUBSCRIBERS)?;
        println!("  {paced:.0} ns per packet at a programme's pace, to sockets that are read\n");
        Ok(Self { unpaused, paced })
    }
}

fn source(video_bps: u32) -> DemoOptions {
    DemoOptions { source: SourceOptions { video_bps, filled: true, ..SourceOptions::default() } }
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

/// What the server has done and used so far, at a moment when its metrics are fresh.
struct Sample {
    at: Instant,
    cpu: Duration,
    packets: f64,
    datagrams: f64,
    sends: f64,
}

/// Between two [`Sample`]s.
struct Spent {
    seconds: f64,
    cpu: Duration,
    packets: f64,
    datagrams: f64,
    sends: f64,
}

impl Sample {
    /// The SFU publishes its counts once a second: waits for the next time, lest a second's packets are missed or counted twice.
    async fn take(server: &Server) -> Result<Self> {
        let stale = server.metric(PACKETS).await?;
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let packets = server.metric(PACKETS).await?;
            if packets > stale {
                return Self::now(server).await;
            }
        }
    }

    async fn now(server: &Server) -> Result<Self> {
        let (packets, datagrams) = (server.metric(PACKETS).await?, server.metric("minamo_sfu_datagrams_out_total").await?);
        let sends = server.metric("minamo_sfu_sends_total").await?;
        Ok(Self { at: Instant::now(), cpu: server.cpu()?, packets, datagrams, sends })
    }

    fn since(&self, before: &Self) -> Spent {
        Spent {
            seconds: (self.at - before.at).as_secs_f64(),
            cpu: self.cpu - before.cpu,
            packets: self.packets - before.packets,
            datagrams: self.datagrams - before.datagrams,
            sends: self.sends - before.sends,
        }
    }
}

/// Answers the CPU time per forwarded packet in nanoseconds.
async fn forwarding() -> Result<f64> {
    println!("one publisher at 2.5 Mbit/s to {SUBSCRIBERS} subscribers in a room, everything on …");
    let server = Server::start().await?;
    let room = server.create_room().await?;
    let stop = CancellationToken::new();
    let publisher = tokio::spawn(demo::run(server.signaling_url(), room.clone(), source(2_500_000), stop.clone()));
    tokio::time::sleep(WARM_UP).await;
    let alone = cpu_share(&server).await?;
    let memory = server.resident_kib()?;
    let before = Sample::now(&server).await?;
    for _ in 0..SUBSCRIBERS {
        subscribe(&server, &room, &stop).await?;
    }
    let during = Sample::take(&server).await?.since(&before);
    tokio::time::sleep(WARM_UP).await;
    let before = Sample::take(&server).await?;
    tokio::time::sleep(MEASURE).await;
    let spent = Sample::take(&server).await?.since(&before);
    let together = spent.cpu.as_secs_f64() / spent.seconds;
    let per_packet = (together - alone) * spent.seconds * 1e9 / spent.packets;
    let grouped = spent.datagrams / spent.sends;
    println!("  {:.0} packets out in {:.1} s, {grouped:.2} datagrams to a system call", spent.packets, spent.seconds);
    println!("  server {:.2} % of a core, {:.2} % with the publisher alone", together * 100.0, alone * 100.0);
    println!("  {per_packet:.0} ns of CPU per forwarded packet, receiving, reports and wake-ups included");
    // While they joined, one after another, the others were sent the programme already.
    let forwarded = during.packets * per_packet / 1e9 + alone * during.seconds;
    println!("  {:.2} ms of CPU per join", (during.cpu.as_secs_f64() - forwarded) * 1e3 / SUBSCRIBERS as f64);
    println!("  {} KiB of memory per active subscriber", (server.resident_kib()?.saturating_sub(memory)) / SUBSCRIBERS as u64);
    stop.cancel();
    publisher.await??;
    Ok(per_packet)
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
