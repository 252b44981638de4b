//! Many transmuxed channels in one server, nobody watching: what each costs, and where.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use minamo_fanout::light::Kit;
use minamo_transcode::{OpusToAac, Step};

use super::clip::{Clip, SOUNDS};
use super::publishers::{Publishers, credentials, offer};
use super::server::Server;

const WARM_UP: Duration = Duration::from_secs(8);
const MEASURE: Duration = Duration::from_secs(20);
/// As the channels have it.
const AAC_BPS: u32 = 128_000;

/// Channels that are being published, until dropped.
pub struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<f64>>>,
    /// Their names.
    pub channels: Vec<String>,
}

impl Running {
    /// Makes the channels, publishes to each, and waits until all have segments.
    ///
    /// # Errors
    /// When the server refuses or a publisher cannot connect.
    pub async fn start(server: &Server, clip: Arc<Clip>, count: usize) -> Result<Self> {
        let kit = Arc::new(Kit::new()?);
        let (mut channels, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let channel = server.create_channel().await?;
            answers.push(credentials(&server.whip(&channel, offer(&kit)).await?)?);
            channels.push(channel);
        }
        let (address, stop) = (server.address(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("publishers".to_owned());
        let thread = thread.spawn(move || Publishers::join(kit, clip, address, answers)?.run(&stopped))?;
        let mut running = Self { stop, thread: Some(thread), channels };
        let begun = Instant::now();
        while server.metric("minamo_hls_programmes").await? < count as f64 {
            if begun.elapsed() > Duration::from_secs(60) || running.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                running.end()?;
                bail!("not all channels begin");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(running)
    }

    /// Stops publishing. Answers the share of its pace that the load kept.
    ///
    /// # Errors
    /// When a publisher failed.
    pub fn end(&mut self) -> Result<f64> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("ended before")?;
        thread.join().map_err(|_| anyhow::anyhow!("the publishers panicked"))?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Measures `count` channels and prints a table.
///
/// # Errors
/// When they do not run.
pub async fn run(count: usize) -> Result<()> {
    let clip = Arc::new(Clip::encode()?);
    println!(
        "{count} channels of 1280x720@30, {:.2} Mbit/s and Opus, LL-HLS out, nobody watching …",
        clip.video_bps() as f64 / 1e6
    );
    let audio = audio_share(&clip)?;
    let server = Server::start().await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let memory = server.resident_kib()?;
    let mut running = Running::start(&server, clip, count).await?;
    tokio::time::sleep(WARM_UP).await;
    let (parts, before, begun) = (server.metric("minamo_hls_parts_total").await?, server.threads()?, Instant::now());
    tokio::time::sleep(MEASURE).await;
    let (after, seconds) = (server.threads()?, begun.elapsed().as_secs_f64());
    let written = server.metric("minamo_hls_parts_total").await? - parts;
    let memory = server.resident_kib()?.saturating_sub(memory) / count as u64;
    let pace = running.end()?;
    if written < seconds * 5.0 * count as f64 * pace {
        bail!("the channels did not run: {written} parts in {seconds:.1} s");
    }
    print(&before, &after, seconds, count, audio);
    println!("  {written:.0} parts written, {memory} KiB a channel, the load kept {:.0} % of its pace\n", pace * 100.0);
    Ok(())
}

fn print(before: &BTreeMap<String, Duration>, after: &BTreeMap<String, Duration>, seconds: f64, count: usize, audio: f64) {
    let share = |spent: Duration| spent.as_secs_f64() * 100.0 / seconds / count as f64;
    let mut all = Duration::ZERO;
    for (name, spent) in after {
        let spent = *spent - before.get(name).copied().unwrap_or_default();
        all += spent;
        if share(spent) >= 0.0005 {
            println!("  {name:16} {:.3} % of a core a channel", share(spent));
        }
        if name == "hls" {
            println!("    of which Opus to AAC {audio:.3} %, measured alone on the same packets");
        }
    }
    println!("  one transmuxed channel: {:.3} % of a core, {count} of them {:.1} %", share(all), share(all) * count as f64);
}

/// Per cent of a core that the channel's sound takes, on this thread alone.
fn audio_share(clip: &Clip) -> Result<f64> {
    let mut encoder = OpusToAac::new(AAC_BPS, 0)?;
    let rounds = 10;
    let before = thread_cpu()?;
    for _ in 0..rounds {
        for packet in &clip.sounds {
            encoder.push(&[Step::Decode(packet.clone())])?;
        }
    }
    let spent = thread_cpu()? - before;
    Ok(spent.as_secs_f64() * 100.0 / (rounds as f64 * clip.sounds.len() as f64 / SOUNDS as f64))
}

fn thread_cpu() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(text.split(' ').next().context("no schedstat")?.parse()?))
}
