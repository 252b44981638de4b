//! `minamo-fanout`: what one forwarded packet costs with everything on, beside the bare limit of the same run.
//!
//! Without arguments everything is measured. `engine N` and `engine R S` drive the engine alone with 1 publisher and N subscribers, or R
//! rooms of S; `process` and `threads T` (media threads) with the same numbers the whole process. `flood SECONDS` floods the server and counts what those who talk lose.

mod bare;
mod clock;
mod engine;
mod flood;
mod media;
mod process;
mod serve;
mod sink;
#[cfg(feature = "stacks")]
mod stacks;

use std::time::Duration;

use anyhow::{Result, bail};
use minamo_fanout::light;

use self::bare::Limits;
use self::engine::Scene;

const SCENES: [Scene; 7] = [
    Scene::Fanout(1),
    Scene::Fanout(10),
    Scene::Fanout(64),
    Scene::Fanout(100),
    Scene::Fanout(500),
    Scene::Fanout(1000),
    Scene::Rooms(50, 4),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => all(),
        ["engine", subscribers] => engine(Scene::Fanout(subscribers.parse()?)),
        ["engine", rooms, size] => engine(Scene::Rooms(rooms.parse()?, size.parse()?)),
        ["process", subscribers] => process(Scene::Fanout(subscribers.parse()?), 1),
        ["process", rooms, size] => process(Scene::Rooms(rooms.parse()?, size.parse()?), 1),
        ["threads", threads, subscribers] => process(Scene::Fanout(subscribers.parse()?), threads.parse()?),
        ["threads", threads, rooms, size] => process(Scene::Rooms(rooms.parse()?, size.parse()?), threads.parse()?),
        ["flood"] => flood::run(Duration::from_secs(10), false),
        ["flood", seconds] => flood::run(Duration::from_secs(seconds.parse()?), false),
        // The negative control: the publisher leaves packets out.
        ["flood", seconds, "sabotage"] => flood::run(Duration::from_secs(seconds.parse()?), true),
        ["serve", fingerprint, threads] => serve::run(fingerprint, threads.parse()?),
        #[cfg(feature = "stacks")]
        ["str0m", subscribers] => stack::<stacks::Str0m>("str0m in RTP mode", subscribers.parse()?),
        #[cfg(feature = "stacks")]
        ["rtc", subscribers] => stack::<stacks::PeerConnection>("rtc", subscribers.parse()?),
        // Without the kernel, for callgrind and perf.
        ["dry", subscribers] => dry(Scene::Fanout(subscribers.parse()?)),
        ["dry", rooms, size] => dry(Scene::Rooms(rooms.parse()?, size.parse()?)),
        _ => bail!("arguments: none, or engine N, or engine R S, or process N, or threads T N, or dry N, or dry R S"),
    }
}

/// Everything, on a machine that may be shared: what fails says so and the rest is still measured.
fn all() -> Result<()> {
    let tell = |outcome: Result<()>| outcome.unwrap_or_else(|error| println!("not measured: {error}"));
    println!("the engine alone, in virtual time, sending to loopback sockets that nobody reads");
    SCENES.into_iter().for_each(|scene| tell(engine(scene)));
    println!("the whole process, its peers in another one; receiving, wake-ups and timers included");
    SCENES.into_iter().for_each(|scene| tell(process(scene, 1)));
    println!("the same with two media threads");
    SCENES.into_iter().skip(4).for_each(|scene| tell(process(scene, 2)));
    #[cfg(feature = "stacks")]
    {
        println!("other stacks in the engine's place, video only, the publisher's side left out");
        for subscribers in [64, 500] {
            tell(stack::<stacks::Str0m>("str0m in RTP mode", subscribers));
            tell(stack::<stacks::PeerConnection>("rtc", subscribers));
        }
    }
    Ok(())
}

/// So much virtual time that about as many packets are counted in each scene.
fn length(scene: Scene) -> Duration {
    let packets_a_second: usize = (0..scene.peers()).map(|peer| scene.heard_by(peer).len() * 320).sum();
    Duration::from_millis((400_000_000 / packets_a_second as u64).clamp(2000, 20_000))
}

fn engine(scene: Scene) -> Result<()> {
    let before = Limits::measure(scene.peers().min(1000))?;
    let dry = engine::run(scene, length(scene), false)?;
    let outcome = engine::run(scene, length(scene), true)?;
    let after = Limits::measure(scene.peers().min(1000))?;
    let (sendto, gso) = (f64::midpoint(before.sendto, after.sendto), f64::midpoint(before.gso, after.gso));
    println!(
        "{scene}: {:.0} ns a packet, {:.0} of them before the kernel; bare sendto {sendto:.0}, GSO x4 {gso:.0}; {:.2} and {:.2} of them; {:.2} packets a call; {:.2} ms a join",
        outcome.per_packet,
        dry.per_packet,
        outcome.per_packet / sendto,
        outcome.per_packet / gso,
        outcome.packets as f64 / outcome.calls as f64,
        outcome.per_join / 1e6,
    );
    Ok(())
}

fn process(scene: Scene, threads: usize) -> Result<()> {
    let outcome = process::run(scene, threads, Duration::from_secs(10))?;
    println!(
        "{scene}: {:.0} ns a packet, {:.2} ms a join, {:.1} KiB idle, {:.1} KiB active, the load saw {:.1} % and kept {:.0} % of its pace",
        outcome.per_packet,
        outcome.per_join / 1e6,
        outcome.idle_kib,
        outcome.active_kib,
        outcome.seen * 100.0,
        outcome.pace * 100.0,
    );
    Ok(())
}

#[cfg(feature = "stacks")]
fn stack<S: stacks::Stack>(name: &str, subscribers: usize) -> Result<()> {
    let limits = Limits::measure(subscribers)?;
    let seconds = Duration::from_millis((100_000_000 / (subscribers as u64 * 270)).clamp(500, 5000));
    let outcome = stacks::run::<S>(subscribers, seconds)?;
    println!(
        "{name}, 1 to {subscribers}: {:.0} ns a packet; bare sendto {:.0}: {:.2} of it; {:.2} ms a join",
        outcome.per_packet,
        limits.sendto,
        outcome.per_packet / limits.sendto,
        outcome.per_join / 1e6,
    );
    Ok(())
}

fn dry(scene: Scene) -> Result<()> {
    let outcome = engine::run(scene, length(scene), false)?;
    println!("{scene}: {:.0} ns a packet, {:.2} ms a join", outcome.per_packet, outcome.per_join / 1e6);
    Ok(())
}
