//! The comings and goings of a soak: publishers and subscribers in a room, short channels with HLS, clients that break off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use minamo_client::demo::{self, DemoOptions};
use minamo_client::peer::{Peer, PeerEvent, PeerOptions};
use minamo_client::source::SourceOptions;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::bench::server::Server;

/// How long joining may take before it counts as failed.
const JOIN_LIMIT: Duration = Duration::from_secs(20);

/// What was done so far.
#[derive(Debug, Default)]
pub struct Turns {
    /// Subscribers that joined, watched and left.
    pub subscribers: AtomicU64,
    /// Of them, those that broke off without a goodbye.
    pub broken_off: AtomicU64,
    /// Publishers of rooms that joined and left.
    pub publishers: AtomicU64,
    /// Channels with HLS that were created, published into and deleted.
    pub channels: AtomicU64,
    /// What failed. Must stay 0.
    pub failures: AtomicU64,
}

/// A running load. Dropped, it stops at once; [`Load::stop`] lets everybody say goodbye.
pub struct Load {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    /// Counted up as it runs.
    pub turns: Arc<Turns>,
}

impl Load {
    /// One steady HLS channel and one room with a steady publisher, `subscribers` that take turns in the room, one more publisher
    /// that comes and goes, and one channel after another that lives for some seconds.
    ///
    /// # Errors
    /// When the server refuses the first channel or room.
    pub async fn start(server: Arc<Server>, subscribers: u64) -> Result<Self> {
        let (stop, turns, mut tasks) = (CancellationToken::new(), Arc::new(Turns::default()), JoinSet::new());
        let (channel, room) = (server.create_channel().await?, server.create_room().await?);
        for steady in [channel, room.clone()] {
            tasks.spawn(publish(server.clone(), steady, stop.clone()));
        }
        for number in 0..subscribers {
            tasks.spawn(take_turns(server.clone(), room.clone(), number, stop.clone(), turns.clone()));
        }
        tasks.spawn(come_and_go(server.clone(), room, stop.clone(), turns.clone()));
        tasks.spawn(short_channels(server, stop.clone(), turns.clone()));
        Ok(Self { stop, tasks, turns })
    }

    /// Ends everything and waits for it.
    pub async fn stop(mut self) -> Arc<Turns> {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.turns.clone()
    }
}

impl Turns {
    fn note(&self, what: &AtomicU64, outcome: Result<()>) {
        match outcome {
            Ok(()) => what.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                eprintln!("soak: {error:#}");
                self.failures.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

fn source() -> DemoOptions {
    DemoOptions { source: SourceOptions { video_bps: 300_000, ..SourceOptions::default() } }
}

async fn publish(server: Arc<Server>, channel: String, stop: CancellationToken) {
    if let Err(error) = demo::run(server.signaling_url(), channel, source(), stop).await {
        eprintln!("soak: the steady publisher ended: {error:#}");
    }
}

/// Waits, unless the soak ends before. False if it does.
async fn rest(stop: &CancellationToken, time: Duration) -> bool {
    tokio::time::timeout(time, stop.cancelled()).await.is_err()
}

async fn take_turns(server: Arc<Server>, room: String, number: u64, stop: CancellationToken, turns: Arc<Turns>) {
    let mut round = number;
    while rest(&stop, Duration::from_millis(500 + 137 * (number % 7))).await {
        round += 1;
        // Every third goes without a word, as phones do in tunnels.
        let breaks_off = round.is_multiple_of(3);
        let watched = watch(&server, &room, Duration::from_millis(1500 + 401 * (round % 5)), breaks_off).await;
        turns.note(if breaks_off { &turns.broken_off } else { &turns.subscribers }, watched);
    }
}

async fn watch(server: &Server, room: &str, time: Duration, breaks_off: bool) -> Result<()> {
    let options = PeerOptions {
        signaling_url: server.signaling_url(),
        channel_id: room.to_owned(),
        role: "recvonly",
        udp: "127.0.0.1:0".to_owned(),
        video_kbps: None,
    };
    let (sender, mut events) = mpsc::channel(64);
    let stop = CancellationToken::new();
    let peer = tokio::time::timeout(JOIN_LIMIT, Peer::join(&options, sender)).await??;
    let running = tokio::spawn(peer.run(stop.clone()));
    let first_track = async {
        loop {
            match events.recv().await {
                Some(PeerEvent::Track(_)) => return Ok(()),
                Some(PeerEvent::Closed(reason)) => bail!("a subscriber was closed: {reason}"),
                None => bail!("a subscriber ended"),
                Some(_) => {}
            }
        }
    };
    tokio::time::timeout(JOIN_LIMIT, first_track).await??;
    tokio::time::sleep(time).await;
    if breaks_off {
        running.abort();
    } else {
        stop.cancel();
    }
    let _ = running.await;
    Ok(())
}

async fn come_and_go(server: Arc<Server>, room: String, stop: CancellationToken, turns: Arc<Turns>) {
    while rest(&stop, Duration::from_secs(3)).await {
        let leave = stop.child_token();
        let run = tokio::spawn(demo::run(server.signaling_url(), room.clone(), source(), leave.clone()));
        rest(&stop, Duration::from_secs(6)).await;
        leave.cancel();
        turns.note(&turns.publishers, flatten(run.await));
    }
}

async fn short_channels(server: Arc<Server>, stop: CancellationToken, turns: Arc<Turns>) {
    while rest(&stop, Duration::from_secs(1)).await {
        turns.note(&turns.channels, short_channel(&server, &stop).await);
    }
}

async fn short_channel(server: &Server, stop: &CancellationToken) -> Result<()> {
    let channel = server.create_channel().await?;
    let leave = stop.child_token();
    let run = tokio::spawn(demo::run(server.signaling_url(), channel.clone(), source(), leave.clone()));
    rest(stop, Duration::from_secs(5)).await;
    leave.cancel();
    flatten(run.await)?;
    server.delete_channel(&channel).await
}

fn flatten(joined: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    joined.unwrap_or_else(|panic| Err(panic.into()))
}
