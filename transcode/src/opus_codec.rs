//! Opus (RFC 6716) at 48 kHz stereo, both ways.

use bytes::Bytes;
use opus::{Application, Bitrate, Channels, Decoder, Encoder};

use crate::{CHANNELS, SAMPLE_RATE};

/// The longest packet: 120 ms (RFC 6716 §2.1.4).
const PACKET_SAMPLES_MAX: usize = 5760;
/// libopus conceals in multiples of 2.5 ms.
const GRAIN_SAMPLES: usize = 120;
/// libopus' own advice for the size of an output buffer.
const PACKET_BYTES_MAX: usize = 4000;

/// libopus refused.
#[derive(Debug, thiserror::Error)]
#[error("opus: {0}")]
pub struct OpusError(#[from] opus::Error);

/// Decodes one flow of Opus packets, mono or stereo, to stereo PCM at 48 kHz.
pub struct OpusDecoder {
    decoder: Decoder,
    /// Reused between calls: one packet, or one step of concealment.
    scratch: Vec<i16>,
}

impl OpusDecoder {
    /// A decoder at rest.
    pub fn new() -> Result<Self, OpusError> {
        let decoder = Decoder::new(SAMPLE_RATE, Channels::Stereo)?;
        Ok(Self { decoder, scratch: vec![0; PACKET_SAMPLES_MAX * CHANNELS] })
    }

    /// Samples per channel that a packet says it holds, without decoding it. `None` when it is not an Opus packet.
    #[must_use]
    pub fn samples_in(packet: &[u8]) -> Option<usize> {
        if packet.is_empty() {
            return None;
        }
        opus::packet::get_nb_samples(packet, SAMPLE_RATE).ok().filter(|&samples| samples > 0)
    }

    /// Appends a packet's PCM to `out`; returns the samples per channel.
    ///
    /// A packet whose first byte says a duration but whose inside is broken is concealed at that duration, so that the
    /// count of samples does not depend on what is in the packets. What says no duration adds nothing and returns 0.
    pub fn decode(&mut self, packet: &[u8], out: &mut Vec<i16>) -> usize {
        let Some(samples) = Self::samples_in(packet) else { return 0 };
        match self.decoder.decode(packet, &mut self.scratch, false) {
            Ok(decoded) => {
                out.extend_from_slice(&self.scratch[..decoded * CHANNELS]);
                decoded
            }
            Err(_) => {
                self.conceal(samples, out);
                samples
            }
        }
    }

    /// Appends exactly `samples` per channel of concealment (RFC 6716 §4.4), which fades out by itself.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        self.fill(samples, out, |decoder, pcm| decoder.decode(&[], pcm, false));
    }

    /// Appends exactly `samples` per channel for what was lost just before `next`, the end of it out of the redundancy
    /// that `next` may carry (in-band FEC, RFC 6716 §2.1.7). `next` itself is still to be decoded.
    pub fn conceal_before(&mut self, samples: usize, next: &[u8], out: &mut Vec<i16>) {
        let Some(carried) = Self::samples_in(next) else { return self.conceal(samples, out) };
        // Redundancy describes the last frame before the packet; libopus wants whole 2.5 ms.
        let redundant = samples.min(carried).min(PACKET_SAMPLES_MAX) / GRAIN_SAMPLES * GRAIN_SAMPLES;
        self.conceal(samples - redundant, out);
        let mut remaining = redundant;
        if remaining > 0 {
            let pcm = &mut self.scratch[..remaining * CHANNELS];
            if let Ok(decoded) = self.decoder.decode(next, pcm, true) {
                out.extend_from_slice(&pcm[..decoded * CHANNELS]);
                remaining -= decoded.min(remaining);
            }
        }
        self.conceal(remaining, out);
    }

    fn fill(
        &mut self,
        samples: usize,
        out: &mut Vec<i16>,
        mut decode: impl FnMut(&mut Decoder, &mut [i16]) -> opus::Result<usize>,
    ) {
        let mut remaining = samples;
        while remaining > 0 {
            let wanted = remaining.next_multiple_of(GRAIN_SAMPLES).min(PACKET_SAMPLES_MAX);
            let pcm = &mut self.scratch[..wanted * CHANNELS];
            let decoded = decode(&mut self.decoder, pcm).unwrap_or(0).min(remaining);
            if decoded == 0 {
                out.resize(out.len() + remaining * CHANNELS, 0);
                return;
            }
            out.extend_from_slice(&pcm[..decoded * CHANNELS]);
            remaining -= decoded;
        }
    }
}

/// Encodes stereo PCM at 48 kHz, with in-band FEC against 5 % of loss.
pub struct OpusEncoder {
    encoder: Encoder,
}

impl OpusEncoder {
    /// An encoder at `bitrate` bits per second.
    pub fn new(bitrate: u32) -> Result<Self, OpusError> {
        let mut encoder = Encoder::new(SAMPLE_RATE, Channels::Stereo, Application::Audio)?;
        encoder.set_bitrate(Bitrate::Bits(bitrate.min(510_000) as i32))?;
        encoder.set_inband_fec(true)?;
        encoder.set_packet_loss_perc(5)?;
        Ok(Self { encoder })
    }

    /// One packet out of 2.5, 5, 10, 20, 40 or 60 ms of interleaved PCM; other lengths are an error.
    pub fn encode(&mut self, pcm: &[i16]) -> Result<Bytes, OpusError> {
        Ok(self.encoder.encode_vec(pcm, PACKET_BYTES_MAX)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(start: usize, samples: usize) -> Vec<i16> {
        (start..start + samples)
            .flat_map(|n| {
                let value = (f64::sin(n as f64 * 440.0 * std::f64::consts::TAU / 48_000.0) * 12_000.0) as i16;
                [value, value]
            })
            .collect()
    }

    fn energy(pcm: &[i16]) -> f64 {
        pcm.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / pcm.len().max(1) as f64
    }

    #[test]
    fn every_packet_length_decodes_to_what_it_says() {
        let mut encoder = OpusEncoder::new(64_000).unwrap();
        let mut decoder = OpusDecoder::new().unwrap();
        for samples in [120, 240, 480, 960, 1920, 2880] {
            let packet = encoder.encode(&sine(0, samples)).unwrap();
            let mut out = Vec::new();
            assert_eq!(OpusDecoder::samples_in(&packet), Some(samples));
            assert_eq!(decoder.decode(&packet, &mut out), samples);
            assert_eq!(out.len(), samples * 2);
        }
        assert!(encoder.encode(&sine(0, 961)).is_err());
    }

    #[test]
    fn mono_comes_out_on_both_sides() {
        let mut mono = Encoder::new(48_000, Channels::Mono, Application::Voip).unwrap();
        let mut decoder = OpusDecoder::new().unwrap();
        let mut out = Vec::new();
        for frame in 0..10 {
            let pcm: Vec<i16> = sine(frame * 960, 960).chunks(2).map(|pair| pair[0]).collect();
            decoder.decode(&mono.encode_vec(&pcm, 4000).unwrap(), &mut out);
        }
        assert_eq!(out.len(), 9600 * 2);
        assert!(out.chunks(2).all(|pair| pair[0] == pair[1]));
        assert!(energy(&out[9600..]) > 1e6);
    }

    #[test]
    fn concealment_is_exact_in_samples_and_fades() {
        let mut encoder = OpusEncoder::new(64_000).unwrap();
        let mut decoder = OpusDecoder::new().unwrap();
        let mut out = Vec::new();
        for frame in 0..10 {
            decoder.decode(&encoder.encode(&sine(frame * 960, 960)).unwrap(), &mut out);
        }
        for samples in [0, 1, 119, 120, 961, 48_000] {
            let mut concealed = Vec::new();
            decoder.conceal(samples, &mut concealed);
            assert_eq!(concealed.len(), samples * 2);
        }
        let mut late = Vec::new();
        decoder.conceal(4800, &mut late);
        assert!(energy(&late) < 10.0, "a second of concealment is silent at its end");
    }

    #[test]
    fn redundancy_counts_like_loss() {
        let mut encoder = OpusEncoder::new(24_000).unwrap();
        let mut decoder = OpusDecoder::new().unwrap();
        let mut out = Vec::new();
        let packets: Vec<_> = (0..20).map(|n| encoder.encode(&sine(n * 960, 960)).unwrap()).collect();
        for packet in &packets[..10] {
            decoder.decode(packet, &mut out);
        }
        for lost in [1, 480, 960, 1000, 1920] {
            let mut concealed = Vec::new();
            decoder.conceal_before(lost, &packets[12], &mut concealed);
            assert_eq!(concealed.len(), lost * 2);
        }
    }

    #[test]
    fn garbage_never_panics_and_keeps_the_count() {
        let mut decoder = OpusDecoder::new().unwrap();
        let mut out = Vec::new();
        for first in 0..=255_u8 {
            for length in [0_usize, 1, 2, 3, 50] {
                let packet: Vec<u8> = (0..length).map(|i| first.wrapping_mul(31).wrapping_add((i * 17) as u8)).collect();
                out.clear();
                let samples = decoder.decode(&packet, &mut out);
                assert_eq!(out.len(), samples * 2);
                assert_eq!(samples, OpusDecoder::samples_in(&packet).unwrap_or(0));
            }
        }
    }
}
