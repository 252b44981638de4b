//! The origin: requests per second of CPU beside nginx with the same bytes as files, and a crowd that waits for one part.

pub mod http;
pub mod nginx;
pub mod waiters;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use self::http::{Connection, get, hammer};
use self::nginx::Nginx;
use super::channels::Running;
use super::clip::Clip;
use super::server::Server;

const MEASURE: Duration = Duration::from_secs(3);
/// Of each figure two are taken, in turns.
const ROUNDS: usize = 2;
const FEW: usize = 64;
const MANY: usize = 2000;
const WAITERS: usize = 10_000;
/// Complete segments that a playlist has, before it is measured.
const SETTLED: usize = 7;

/// Where a channel's video playlist is now.
pub struct Edge {
    /// Number of the open segment.
    pub open: u64,
    /// Name of the last complete segment.
    pub segment: String,
    /// Name of the last part.
    pub part: String,
}

impl Edge {
    /// Reads the live playlist.
    ///
    /// # Errors
    /// When there is none.
    pub async fn find(server: &Server, channel: &str) -> Result<Self> {
        Self::of(server, channel, "video").await
    }

    async fn of(server: &Server, channel: &str, rendition: &str) -> Result<Self> {
        let text = fetch(server.address(), &format!("/hls/{channel}/{rendition}.m3u8")).await?;
        let text = String::from_utf8(text)?;
        let first: u64 =
            text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")).context("no sequence")?.parse()?;
        let segments: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let part = text.lines().rfind(|line| line.starts_with("#EXT-X-PART:")).and_then(|line| line.split('"').nth(1));
        Ok(Self {
            open: first + segments.len() as u64,
            segment: (*segments.last().context("no segment")?).to_owned(),
            part: part.context("no part")?.to_owned(),
        })
    }
}

async fn fetch(address: SocketAddr, path: &str) -> Result<Vec<u8>> {
    Connection::open(address).await?.fetch(&get(path, false)).await
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Thing {
    Playlist {
        gzip: bool,
    },
    /// With the directives of a part that is already there.
    Fulfilled,
    AudioPart,
    VideoPart,
    Segment,
}

impl Thing {
    async fn path(self, server: &Server, channel: &str) -> Result<String> {
        let edge = Edge::of(server, channel, if matches!(self, Self::AudioPart) { "audio" } else { "video" }).await?;
        let name = match self {
            Self::Playlist { .. } => "video.m3u8".to_owned(),
            Self::Fulfilled => format!("video.m3u8?_HLS_msn={}&_HLS_part=0", edge.open - 1),
            Self::AudioPart | Self::VideoPart => edge.part,
            Self::Segment => edge.segment,
        };
        Ok(format!("/hls/{channel}/{name}"))
    }

    fn gzip(self) -> bool {
        matches!(self, Self::Playlist { gzip: true })
    }
}

/// Measures and prints everything.
///
/// # Errors
/// When the server or nginx do not run, or the machine allows too few files.
pub async fn run() -> Result<()> {
    let server = Server::start().await?;
    let mut nginx = Nginx::start()?;
    let running = Running::start(&server, Arc::new(Clip::encode()?), 1).await?;
    let channel = running.channels[0].clone();
    while segments(&server, &channel).await? < SETTLED {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("requests per second of CPU: the live channel, and nginx with the same bytes in files");
    println!("  {:40} {:>8} {:>9} {:>9} {:>6}", "", "bytes", "minamo", "nginx", "ratio");
    for (what, thing, connections) in [
        ("live playlist", Thing::Playlist { gzip: false }, FEW),
        ("live playlist, 2000 connections", Thing::Playlist { gzip: false }, MANY),
        ("live playlist, gzip", Thing::Playlist { gzip: true }, FEW),
        ("directives of a part that is there", Thing::Fulfilled, FEW),
        ("audio part", Thing::AudioPart, FEW),
        ("video part", Thing::VideoPart, FEW),
        ("video part, 2000 connections", Thing::VideoPart, MANY),
        ("segment", Thing::Segment, FEW),
    ] {
        let [ours, theirs, bytes] = compare(&server, &mut nginx, &channel, thing, connections).await?;
        println!("  {what:40} {bytes:>8.0} {ours:>9.0} {theirs:>9.0} {:>6.2}", ours / theirs);
    }
    blocking(&server, &channel).await?;
    waiters::run(&server, &channel, WAITERS).await
}

async fn segments(server: &Server, channel: &str) -> Result<usize> {
    let text = fetch(server.address(), &format!("/hls/{channel}/video.m3u8")).await.unwrap_or_default();
    Ok(String::from_utf8(text)?.matches("#EXTINF").count())
}

/// Requests per second of CPU of ours and of theirs, and the bytes of the body.
async fn compare(server: &Server, nginx: &mut Nginx, channel: &str, thing: Thing, connections: usize) -> Result<[f64; 3]> {
    let (mut ours, mut theirs, mut bytes) = (0.0, 0.0, 0);
    for _ in 0..ROUNDS {
        let path = thing.path(server, channel).await?;
        let request = get(&path, thing.gzip());
        let body = Connection::open(server.address()).await?.fetch(&request).await?;
        let file = get(&nginx.put(&body)?, false);
        // Both begin warm.
        hammer(nginx.address, &file, connections, MEASURE / 10).await?;
        let before = server.cpu()?;
        let count = hammer(server.address(), &request, connections, MEASURE).await?;
        ours += count as f64 / (server.cpu()? - before).as_secs_f64();
        let before = nginx.cpu()?;
        let count = hammer(nginx.address, &file, connections, MEASURE).await?;
        theirs += count as f64 / (nginx.cpu()? - before).as_secs_f64();
        bytes = body.len();
    }
    Ok([ours / ROUNDS as f64, theirs / ROUNDS as f64, bytes as f64])
}

/// Players in number that wait for each part of the video, with a delta update, and get it.
async fn blocking(server: &Server, channel: &str) -> Result<()> {
    let edge = Edge::find(server, channel).await?;
    let mut tasks = tokio::task::JoinSet::new();
    let mut connections = Vec::new();
    for _ in 0..MANY {
        connections.push(Connection::open(server.address()).await?);
    }
    let before = server.cpu()?;
    for mut connection in connections {
        let path = format!("/hls/{channel}/video.m3u8");
        let first = edge.open;
        tasks.spawn(async move {
            // Two segments of six parts.
            for number in 0..12 {
                let (msn, part) = (first + 1 + number / 6, number % 6);
                connection.ask(&get(&format!("{path}?_HLS_msn={msn}&_HLS_part={part}&_HLS_skip=YES"), true)).await?;
                connection.take(0).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let rate = (12 * MANY) as f64 / (server.cpu()? - before).as_secs_f64();
    println!("  {:40} {:>8} {rate:>9.0}   ({MANY} players that wait for each part)\n", "blocking reload, gzip, delta", "");
    Ok(())
}
