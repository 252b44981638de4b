//! The bare limit of forwarding one packet: rewrite its header, seal it with AES-128-GCM, hand it to the kernel. No stack,
//! no bookkeeping, nothing that an SFU needs besides. Every figure of ours is a ratio against this one, from the same run.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// RTP header with a one-byte extension block of three words.
const HEADER: usize = 28;
/// A full media packet's payload.
const PAYLOAD: usize = 1172;

struct Subscriber {
    key: LessSafeKey,
    address: SocketAddr,
    sequence: u16,
}

/// Sockets on loopback and the keys to send to them with.
fn peers(count: usize) -> Result<(Vec<UdpSocket>, Vec<Subscriber>)> {
    let sinks: Vec<UdpSocket> = (0..count).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let mut peers = Vec::with_capacity(count);
    for (index, sink) in sinks.iter().enumerate() {
        let key = UnboundKey::new(&AES_128_GCM, &[index as u8; 16]).map_err(|_| anyhow::anyhow!("AES-128-GCM is not there"))?;
        peers.push(Subscriber { key: LessSafeKey::new(key), address: sink.local_addr()?, sequence: 0 });
    }
    Ok((sinks, peers))
}

/// Nanoseconds per packet to `subscribers` sockets that nobody reads, without a pause: the median of several rounds.
///
/// # Errors
/// When loopback sockets cannot be made.
pub fn without_a_pause(subscribers: usize) -> Result<f64> {
    let (_sinks, mut peers) = peers(subscribers)?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let source = vec![0x5A; HEADER + PAYLOAD];
    let mut rounds: Vec<f64> = (0..9).map(|_| round(&socket, &source, &mut peers)).collect::<Result<_>>()?;
    rounds.sort_by(f64::total_cmp);
    Ok(rounds[rounds.len() / 2])
}

/// Nanoseconds of CPU time of the sending thread per packet, at the pace of a programme and to sockets that somebody waits for: 30
/// pictures of nine packets and 50 small packets of sound a second, for five seconds. What a loop of `sendto` costs in the place of
/// the server.
///
/// # Errors
/// When loopback sockets cannot be made.
pub fn at_a_programmes_pace(subscribers: usize) -> Result<f64> {
    let (sinks, mut peers) = peers(subscribers)?;
    let over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = sinks.into_iter().map(|sink| read_until(sink, over.clone())).collect::<Result<_>>()?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let (picture, sound) = (vec![0x5A; HEADER + PAYLOAD], vec![0x5A; HEADER + 160]);
    let (began, before) = (Instant::now(), thread_cpu()?);
    let (mut pictures, mut sounds, mut sent) = (0_u64, 0_u64, 0_u64);
    while began.elapsed() < Duration::from_secs(5) {
        let (picture_due, sound_due) = (Duration::from_millis(pictures * 1000 / 30), Duration::from_millis(sounds * 20));
        std::thread::sleep((began + picture_due.min(sound_due)).saturating_duration_since(Instant::now()));
        let (source, packets) = if picture_due <= sound_due { (&picture, 9) } else { (&sound, 1) };
        *(if packets > 1 { &mut pictures } else { &mut sounds }) += 1;
        for _ in 0..packets {
            sent += send_to_all(&socket, source, &mut peers)?;
        }
    }
    let spent = thread_cpu()? - before;
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        let _ = reader.join();
    }
    Ok(spent as f64 / sent as f64)
}

fn read_until(sink: UdpSocket, over: Arc<AtomicBool>) -> Result<std::thread::JoinHandle<()>> {
    sink.set_read_timeout(Some(Duration::from_millis(200)))?;
    Ok(std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while !over.load(Ordering::Relaxed) {
            let _ = sink.recv(&mut buffer);
        }
    }))
}

/// Nanoseconds that this thread has run, by the scheduler's count.
fn thread_cpu() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

/// One round of 200 ms.
fn round(socket: &UdpSocket, source: &[u8], peers: &mut [Subscriber]) -> Result<f64> {
    let (began, mut sent) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(200) {
        sent += send_to_all(socket, source, peers)?;
    }
    Ok(began.elapsed().as_nanos() as f64 / sent as f64)
}

fn send_to_all(socket: &UdpSocket, source: &[u8], peers: &mut [Subscriber]) -> Result<u64> {
    let mut packet = Vec::with_capacity(source.len() + 16);
    for peer in peers.iter_mut() {
        packet.clear();
        packet.extend_from_slice(source);
        peer.sequence = peer.sequence.wrapping_add(1);
        packet[2..4].copy_from_slice(&peer.sequence.to_be_bytes());
        packet[8..12].copy_from_slice(&u32::from(peer.address.port()).to_be_bytes());
        seal(&peer.key, peer.sequence, &mut packet)?;
        socket.send_to(&packet, peer.address)?;
    }
    Ok(peers.len() as u64)
}

fn seal(key: &LessSafeKey, sequence: u16, packet: &mut Vec<u8>) -> Result<()> {
    let mut nonce = [0; 12];
    nonce[10..].copy_from_slice(&sequence.to_be_bytes());
    let (header, payload) = packet.split_at_mut(HEADER);
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&*header), payload)
        .map_err(|_| anyhow::anyhow!("sealing failed"))?;
    packet.extend_from_slice(tag.as_ref());
    Ok(())
}
