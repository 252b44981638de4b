//! Opus packets from outside (RFC 6716 §3): how long they are, never what they sound like.

/// Samples per second of Opus in RTP, whatever was encoded.
pub const SAMPLE_RATE: u32 = 48_000;
/// The longest packet: 120 ms.
pub const PACKET_SAMPLES_MAX: u32 = 5_760;

/// How many samples per channel at 48 kHz the packet decodes to; `None` if it is no valid packet.
#[must_use]
pub fn packet_samples(packet: &[u8]) -> Option<u32> {
    let (&toc, rest) = packet.split_first()?;
    let frames = match toc & 0x03 {
        0 => 1,
        // Two frames of one size: the rest is even (R3).
        1 if rest.len() % 2 == 0 => 2,
        1 => return None,
        2 => 2,
        _ => u32::from(rest.first()? & 0x3F),
    };
    let samples = frames * frame_samples(toc >> 3);
    (1..=PACKET_SAMPLES_MAX).contains(&samples).then_some(samples)
}

/// Whether the packet says that it is stereo (RFC 6716 §3.1, bit s).
#[must_use]
pub fn is_stereo(packet: &[u8]) -> bool {
    packet.first().is_some_and(|toc| toc & 0x04 != 0)
}

/// Samples of one frame by the configuration number, 0–31 (RFC 6716 table 2).
fn frame_samples(config: u8) -> u32 {
    let step = u32::from(config & 0x03);
    match config {
        // SILK: 10, 20, 40, 60 ms
        0..=11 if step == 3 => 2_880,
        0..=11 => 480 << step,
        // Hybrid: 10, 20 ms
        12..=15 => 480 << (step & 1),
        // CELT: 2.5, 5, 10, 20 ms
        _ => 120 << step,
    }
}
