//! A flood: 100,000 datagrams a second from addresses that nobody knows, and peers whose packets come twice, cut off and beside garbage.
//! Those who talk must not lose a packet by it, and nothing of it may stay in memory.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::BytesMut;
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};

use crate::engine::{Scene, credentials};
use crate::light::Kit;
use crate::media::PER_SECOND;
use crate::process::{Load, Server, connect_tracks};

/// Datagrams a second from unknown addresses.
const RATE: u64 = 100_000;
/// They go out in so many parts a second.
const PARTS: u64 = 500;
const SCENE: Scene = Scene::Fanout(8);
/// What memory may grow by, in KiB: an allocator's noise, less than one byte for each datagram.
const GROWTH_MAX: u64 = 1024;

/// Every packet as it is, once more, cut to its first bytes, and after it SCTP that is none in a DTLS record that is none.
pub(crate) fn corrupted(datagrams: &[BytesMut]) -> Vec<BytesMut> {
    let garbage =
        BytesMut::from(&b"\x17\xfe\xfd\x00\x01\x00\x00\x00\x00\x00\x09\x00\x10\x13\x88\x13\x88\x00\x00\x00\x00\x01"[..]);
    let each = datagrams.iter().flat_map(|datagram| {
        let cut = BytesMut::from(&datagram[..datagram.len().min(13)]);
        [datagram.clone(), datagram.clone(), cut, garbage.clone()]
    });
    each.collect()
}

/// A connectivity check: without integrity for a ufrag that nobody has, or with a wrong one for a ufrag that somebody has.
fn check(number: u64) -> Vec<u8> {
    let ufrag = if number.is_multiple_of(4) { credentials(number as usize % 9).ufrag } else { format!("nobody{number}") };
    let name = format!("{ufrag}:x");
    let padded = name.len().next_multiple_of(4);
    let mut message = vec![0, 1, 0, (4 + padded + 24) as u8, 0x21, 0x12, 0xa4, 0x42];
    message.extend_from_slice(&number.to_be_bytes());
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&[0, 6, 0, name.len() as u8]);
    message.extend_from_slice(name.as_bytes());
    message.resize(message.len() + padded - name.len(), 0);
    message.extend_from_slice(&[0, 8, 0, 20]);
    message.extend_from_slice(&[7; 20]);
    message
}

fn datagram(number: u64) -> Vec<u8> {
    match number % 10 {
        0 => vec![0x80, 111, 1],
        1 => [&[0x90, 96][..], &number.to_be_bytes(), &[0xff; 40]].concat(),
        2 => [&[23, 254, 253][..], &number.to_be_bytes(), &[0; 20]].concat(),
        _ => check(number),
    }
}

/// Floods until told to stop. Datagrams that the kernel did not take are not counted.
fn flood(server: SocketAddr, stop: &AtomicBool, sent: &AtomicU64) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    let (start, mut number) = (Instant::now(), 0u64);
    while !stop.load(Ordering::Relaxed) {
        let due = start.elapsed().as_micros() as u64 * RATE / 1_000_000;
        while number < due {
            number += 1;
            let source = IpAddr::V4(Ipv4Addr::new(127, 2 + (number >> 16) as u8 % 8, (number >> 8) as u8, number as u8));
            let contents = datagram(number);
            let transmit =
                Transmit { destination: server, ecn: None, contents: &contents, segment_size: None, src_ip: Some(source) };
            sent.fetch_add(u64::from(state.try_send(UdpSockRef::from(&socket), &transmit).is_ok()), Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_micros(1_000_000 / PARTS));
    }
    Ok(())
}

/// One publisher and eight subscribers, first in peace, then under the flood.
///
/// # Errors
/// When somebody lost a packet or memory has grown.
pub fn run(length: Duration, sabotage: bool) -> Result<()> {
    let kit = Kit::new()?;
    let mut server = Server::start(&kit, 1)?;
    let mut load = Load::new(SCENE, kit, server.address)?;
    server.say(&format!("join 0 {}", SCENE.peers()))?;
    load.join()?;
    connect_tracks(SCENE, &mut server)?;
    load.play(Duration::from_secs(4), true)?;
    let (quiet_lost, quiet) = (load.lost(), server.count()?);
    load.play(length, true)?;
    let (calm_lost, calm) = (load.lost(), server.count()?);
    let due = PER_SECOND * (SCENE.peers() - SCENE.publishers()) as u64 * length.as_secs();
    if calm[2] - quiet[2] < due * 4 / 5 {
        bail!("only {} of {due} packets are forwarded in peace: there is nothing to lose", calm[2] - quiet[2]);
    }
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let flooder = std::thread::spawn({
        let (address, stop, sent) = (server.address, stop.clone(), sent.clone());
        move || flood(address, &stop, &sent)
    });
    load.hostile = true;
    load.leaves_out = sabotage;
    // Tables that grow in the first moments of a flood may keep their size.
    load.play(length / 2, true)?;
    let early = server.count()?;
    load.play(length, true)?;
    stop.store(true, Ordering::Relaxed);
    let _ = flooder.join();
    let late = server.count()?;
    load.hostile = false;
    load.play(Duration::from_secs(1), true)?;
    let lost = load.lost() - calm_lost;
    let rate = sent.load(Ordering::Relaxed) as f64 / (length * 3 / 2).as_secs_f64();
    let share = |from: [u64; 3], to: [u64; 3]| (to[0] - from[0]) as f64 / length.as_nanos() as f64 * 100.0;
    println!("in peace: {} lost, {:.1} % of a core", calm_lost - quiet_lost, share(quiet, calm));
    println!("flooded with {rate:.0} datagrams a second: {lost} lost, {:.1} % of a core", share(early, late));
    println!("memory {} KiB in peace, {} early in the flood, {} at its end", calm[1], early[1], late[1]);
    if lost > 0 {
        bail!("{lost} packets were lost in the flood");
    }
    if late[1] > early[1] + GROWTH_MAX {
        bail!("memory grows with the flood");
    }
    Ok(())
}
