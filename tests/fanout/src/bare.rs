//! The bare limit: rewrite a header, seal with AES-128-GCM, hand to the kernel. No stack, no bookkeeping.

use std::net::SocketAddr;

use anyhow::Result;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::clock::{median, thread_cpu};
use crate::media::{AUDIO_BYTES, PICTURE, VIDEO_BYTES};
use crate::sink::Sink;

/// RTP header with a one-byte extension block.
const HEADER: usize = 24;

/// Sends to everybody; answers how many packets that were.
type Work<'a> = &'a dyn Fn(&mut Sink, &mut [Subscriber], &mut Vec<u8>) -> usize;

struct Subscriber {
    key: LessSafeKey,
    address: SocketAddr,
    index: u64,
}

/// Nanoseconds of CPU per packet: one `sendto` for each, pictures and sound as the publisher sends them; and four packets of a picture in
/// one segmented send.
pub struct Limits {
    /// One `sendto` for each packet.
    pub sendto: f64,
    /// Four packets to a segmented send.
    pub gso: f64,
}

impl Limits {
    /// Measures with so many subscribers.
    ///
    /// # Errors
    /// When loopback sockets cannot be made.
    pub fn measure(subscribers: usize) -> Result<Self> {
        let mut sink = Sink::new(subscribers)?;
        let mut peers = Vec::with_capacity(subscribers);
        for (index, address) in sink.addresses()?.into_iter().enumerate() {
            let key =
                UnboundKey::new(&AES_128_GCM, &[index as u8; 16]).map_err(|_| anyhow::anyhow!("AES-128-GCM is not there"))?;
            peers.push(Subscriber { key: LessSafeKey::new(key), address, index: 0 });
        }
        let (picture, sound) = (vec![0x5A; HEADER + VIDEO_BYTES], vec![0x5A; HEADER + AUDIO_BYTES]);
        let mut buffer = Vec::with_capacity(65_536);
        let rounds = (1_000_000 / (subscribers * 95)).clamp(2, 300);
        let sendto = |sink: &mut Sink, peers: &mut [Subscriber], buffer: &mut Vec<u8>| {
            for at in 0..3 * PICTURE + 5 {
                let source = if at < 3 * PICTURE { &picture } else { &sound };
                for peer in &mut *peers {
                    buffer.clear();
                    peer.write(source, buffer);
                    sink.send(peer.address, buffer);
                }
            }
            peers.len() * (3 * PICTURE + 5)
        };
        let gso = |sink: &mut Sink, peers: &mut [Subscriber], buffer: &mut Vec<u8>| {
            for _ in 0..8 {
                for peer in &mut *peers {
                    buffer.clear();
                    for _ in 0..4 {
                        peer.write(&picture, buffer);
                    }
                    sink.send_segments(peer.address, buffer, picture.len() + 16);
                }
            }
            peers.len() * 32
        };
        let mut measure = |work: Work<'_>| {
            let round = |_| {
                let (before, mut packets) = (thread_cpu(), 0);
                for _ in 0..rounds {
                    packets += work(&mut sink, &mut peers, &mut buffer);
                }
                (thread_cpu() - before) as f64 / packets as f64
            };
            median((0..7).map(round).collect())
        };
        Ok(Self { sendto: measure(&sendto), gso: measure(&gso) })
    }
}

impl Subscriber {
    fn write(&mut self, source: &[u8], out: &mut Vec<u8>) {
        self.index += 1;
        let start = out.len();
        out.extend_from_slice(source);
        out[start + 2..start + 4].copy_from_slice(&(self.index as u16).to_be_bytes());
        out[start + 8..start + 12].copy_from_slice(&u32::from(self.address.port()).to_be_bytes());
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.index.to_be_bytes());
        let (header, payload) = out[start..].split_at_mut(HEADER);
        let nonce = Nonce::assume_unique_for_key(nonce);
        if let Ok(tag) = self.key.seal_in_place_separate_tag(nonce, Aad::from(&*header), payload) {
            out.extend_from_slice(tag.as_ref());
        }
    }
}
