//! The bare limit of forwarding one packet: rewrite its header, seal it with AES-128-GCM, hand it to the kernel. No stack,
//! no bookkeeping, nothing that an SFU needs besides. Every figure of ours is a ratio against this one, from the same run.

use std::net::{SocketAddr, UdpSocket};
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

/// Nanoseconds per packet to `subscribers` sockets on loopback, the median of several rounds.
///
/// # Errors
/// When loopback sockets cannot be made.
pub fn nanoseconds_per_packet(subscribers: usize) -> Result<f64> {
    let sinks: Vec<UdpSocket> = (0..subscribers).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let mut peers = Vec::with_capacity(subscribers);
    for (index, sink) in sinks.iter().enumerate() {
        let key = UnboundKey::new(&AES_128_GCM, &[index as u8; 16]).map_err(|_| anyhow::anyhow!("AES-128-GCM is not there"))?;
        peers.push(Subscriber { key: LessSafeKey::new(key), address: sink.local_addr()?, sequence: 0 });
    }
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let source = vec![0x5A; HEADER + PAYLOAD];
    let mut rounds: Vec<f64> = (0..9).map(|_| round(&socket, &source, &mut peers)).collect::<Result<_>>()?;
    rounds.sort_by(f64::total_cmp);
    Ok(rounds[rounds.len() / 2])
}

/// One round of 200 ms.
fn round(socket: &UdpSocket, source: &[u8], peers: &mut [Subscriber]) -> Result<f64> {
    let mut packet = Vec::with_capacity(source.len() + 16);
    let (began, mut sent) = (Instant::now(), 0_u32);
    while began.elapsed() < Duration::from_millis(200) {
        for peer in peers.iter_mut() {
            packet.clear();
            packet.extend_from_slice(source);
            peer.sequence = peer.sequence.wrapping_add(1);
            packet[2..4].copy_from_slice(&peer.sequence.to_be_bytes());
            packet[8..12].copy_from_slice(&u32::from(peer.address.port()).to_be_bytes());
            seal(&peer.key, peer.sequence, &mut packet)?;
            socket.send_to(&packet, peer.address)?;
            sent += 1;
        }
    }
    Ok(began.elapsed().as_nanos() as f64 / f64::from(sent))
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
