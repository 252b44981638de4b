//! The server under test as a process of its own: the SFU with its threads and its socket, without signaling. Told what to do by lines
//! on its standard input; each is answered by one line.

use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use minamo_media::{ChannelId, ConnectionId, TapEvent, TapSink};
use minamo_sfu::{Sfu, SfuConfig};
use minamo_sfu_core::model::{Command, Fingerprint, PeerId};
use nix::time::{ClockId, clock_gettime};

use crate::engine::credentials;
use crate::media::Source;

struct Nothing;

impl TapSink for Nothing {
    fn push(&self, _: &ChannelId, _: &ConnectionId, _: TapEvent) {}
}

/// Serves until the input ends, on so many media threads. `fingerprint` is the one of all clients, as 64 hexadecimal digits.
///
/// # Errors
/// When the SFU does not start or a line is not understood.
pub fn run(fingerprint: &str, threads: usize) -> Result<()> {
    let bytes = (0..32).map(|at| Ok(u8::from_str_radix(fingerprint.get(2 * at..2 * at + 2).context("too short")?, 16)?));
    let Ok(fingerprint) = bytes.collect::<Result<Vec<u8>>>()?.try_into().map(Fingerprint) else { bail!("32 bytes") };
    let mut config = SfuConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    config.threads = threads;
    let sfu = Sfu::start(config, Arc::new(Nothing))?;
    println!("{}", sfu.local_port());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split(' ');
        let verb = words.next().unwrap_or_default();
        let numbers: Vec<u64> = words.map(str::parse).collect::<Result<_, _>>()?;
        match (verb, &numbers[..]) {
            ("join", [from, to]) => {
                for peer in *from..*to {
                    sfu.add_peer(PeerId(peer), credentials(peer as usize), Box::new(|_| {}))?;
                    sfu.command(Command::SetRemote { peer: PeerId(peer), fingerprint })?;
                }
                println!("ok");
            }
            ("publish", [peer]) => {
                for uplink in Source::uplinks(*peer) {
                    sfu.command(Command::AddUplink(PeerId(*peer), uplink))?;
                }
                println!("ok");
            }
            ("hear", [peer, publisher, nth]) => {
                for downlink in Source::downlinks(*publisher, *nth as u32) {
                    sfu.command(Command::AddDownlink(PeerId(*peer), downlink))?;
                }
                println!("ok");
            }
            ("count", []) => println!("{} {} {}", process_cpu()?, resident_kib()?, sfu.stats().rtp_out),
            _ => bail!("what is {line:?}"),
        }
        std::io::stdout().flush()?;
    }
    sfu.shutdown();
    Ok(())
}

fn process_cpu() -> Result<u64> {
    let at = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?;
    Ok(at.tv_sec() as u64 * 1_000_000_000 + at.tv_nsec() as u64)
}

fn resident_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}
