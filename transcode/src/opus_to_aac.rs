//! One programme's sound: Opus in, AAC-LC out, no sample invented or lost.

use bytes::Bytes;

use crate::aac::{AAC_FRAME_SAMPLES, AacEncoder, AacError};
use crate::opus_codec::{OpusDecoder, OpusError};
use crate::{CHANNELS, SAMPLE_RATE};

/// Silence is written in blocks of this many samples, so that a long gap needs no long buffer.
const SILENCE_BLOCK_SAMPLES: usize = 4800;

/// What to append to the programme's sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// One Opus packet: advances by as many samples as it decodes to.
    Decode(Bytes),
    /// Lost sound, to be concealed out of what was before it and, when a `Decode` follows in the same call, out of the
    /// redundancy of that packet.
    Conceal {
        /// Samples per channel at 48 kHz.
        samples: u32,
    },
    /// Nothing was sent: digital silence.
    Silence {
        /// Samples per channel at 48 kHz.
        samples: u32,
    },
}

/// One raw AAC-LC frame of 1024 samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AacFrame {
    /// When its first sample is to be heard: 48 kHz samples of programme time, the encoder's delay already taken off.
    pub pts: i64,
    /// The frame, without ADTS.
    pub data: Bytes,
}

/// A codec could not be made or failed inside.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// The decoder.
    #[error(transparent)]
    Opus(#[from] OpusError),
    /// The encoder.
    #[error(transparent)]
    Aac(#[from] AacError),
}

/// Opus to AAC-LC for one programme. One encoder lives across losses, mutes, reconnects and discontinuities.
///
/// The frames come out gapless: each `pts` is 1024 after the one before, except behind [`OpusToAac::seek`].
/// At most one frame of PCM waits inside, and the encoder holds 1600 samples: about 55 ms of sound.
pub struct OpusToAac {
    decoder: OpusDecoder,
    encoder: AacEncoder,
    /// PCM that does not fill a frame yet: under one frame between calls.
    pcm: Vec<i16>,
    /// Programme time of the next sample that is appended.
    position: i64,
    /// Programme time of the next frame's first sample, the delay not yet taken off.
    frame_start: i64,
    /// Frames still to come that decode to what was before the last start or seek.
    priming: usize,
}

impl OpusToAac {
    /// Starts at programme time `start` (48 kHz samples); `bitrate` in bits per second.
    pub fn new(bitrate: u32, start: i64) -> Result<Self, AudioError> {
        let encoder = AacEncoder::new(bitrate)?;
        let priming = encoder.delay_samples().div_ceil(AAC_FRAME_SAMPLES);
        Ok(Self {
            decoder: OpusDecoder::new()?,
            encoder,
            pcm: Vec::with_capacity(AAC_FRAME_SAMPLES * CHANNELS),
            position: start,
            frame_start: start,
            priming,
        })
    }

    /// The AudioSpecificConfig of all frames.
    #[must_use]
    pub fn audio_specific_config(&self) -> &Bytes {
        self.encoder.audio_specific_config()
    }

    /// Samples per second.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        SAMPLE_RATE
    }

    /// Programme time of the next sample that will be appended.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Another publisher's packets follow, or the same one's after a restart: the decoder forgets what was before.
    pub fn new_source(&mut self) -> Result<(), AudioError> {
        self.decoder = OpusDecoder::new()?;
        Ok(())
    }

    /// Goes on at another programme time. What waits inside is dropped (under 64 ms of sound); the encoder lives on, and
    /// the frames that decode to what was before the jump are not yielded, so that no pts comes before `position`.
    pub fn seek(&mut self, position: i64) {
        self.pcm.clear();
        self.position = position;
        self.frame_start = position;
        self.priming = self.encoder.delay_samples().div_ceil(AAC_FRAME_SAMPLES);
    }

    /// Appends the steps in order; yields every frame that became complete.
    pub fn push(&mut self, steps: &[Step]) -> Result<Vec<AacFrame>, AudioError> {
        let mut frames = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            match step {
                Step::Decode(packet) => self.append(&mut frames, |decoder, pcm| {
                    decoder.decode(packet, pcm);
                })?,
                Step::Conceal { samples } => {
                    let samples = *samples as usize;
                    let next = steps.get(index + 1);
                    self.append(&mut frames, |decoder, pcm| match next {
                        Some(Step::Decode(packet)) => decoder.conceal_before(samples, packet, pcm),
                        _ => decoder.conceal(samples, pcm),
                    })?;
                }
                Step::Silence { samples } => self.silence(*samples as usize, &mut frames)?,
            }
        }
        Ok(frames)
    }

    fn silence(&mut self, samples: usize, frames: &mut Vec<AacFrame>) -> Result<(), AudioError> {
        let mut remaining = samples;
        while remaining > 0 {
            let block = remaining.min(SILENCE_BLOCK_SAMPLES);
            self.append(frames, |_, pcm| pcm.resize(pcm.len() + block * CHANNELS, 0))?;
            remaining -= block;
        }
        Ok(())
    }

    fn append(
        &mut self,
        frames: &mut Vec<AacFrame>,
        write: impl FnOnce(&mut OpusDecoder, &mut Vec<i16>),
    ) -> Result<(), AudioError> {
        let before = self.pcm.len();
        write(&mut self.decoder, &mut self.pcm);
        self.position += ((self.pcm.len() - before) / CHANNELS) as i64;
        self.encode_whole_frames(frames)
    }

    fn encode_whole_frames(&mut self, frames: &mut Vec<AacFrame>) -> Result<(), AudioError> {
        let frame_len = AAC_FRAME_SAMPLES * CHANNELS;
        let whole = self.pcm.len() / frame_len;
        for frame in self.pcm.chunks_exact(frame_len) {
            let data = self.encoder.encode(frame)?;
            let pts = self.frame_start - self.encoder.delay_samples() as i64;
            self.frame_start += AAC_FRAME_SAMPLES as i64;
            if self.priming > 0 {
                self.priming -= 1;
            } else {
                frames.push(AacFrame { pts, data });
            }
        }
        self.pcm.drain(..whole * frame_len);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpusEncoder;
    use crate::aac::decoder::AacDecoder;

    /// A beep of 100 ms at 1 kHz at the start of each second, as 20 ms Opus packets. libopus looks ahead 312 samples, so
    /// decoded sound is that much late; WebRTC senders have the same delay and nobody takes it off.
    const OPUS_LOOKAHEAD: i64 = 312;

    fn beep_at(sample: i64) -> i16 {
        let phase = sample.rem_euclid(48_000);
        if phase < 4800 { (f64::sin(phase as f64 * 1000.0 * std::f64::consts::TAU / 48_000.0) * 20_000.0) as i16 } else { 0 }
    }

    fn packets(count: i64) -> Vec<Bytes> {
        let mut encoder = OpusEncoder::new(96_000).unwrap();
        (0..count)
            .map(|n| {
                let pcm: Vec<i16> = (n * 960..(n + 1) * 960).flat_map(|s| [beep_at(s); 2]).collect();
                encoder.encode(&pcm).unwrap()
            })
            .collect()
    }

    /// Decodes and returns programme time → left sample.
    fn hear(config: &[u8], frames: &[AacFrame]) -> Vec<(i64, i16)> {
        let mut decoder = AacDecoder::new(config);
        frames
            .iter()
            .flat_map(|frame| {
                let pcm = decoder.decode(&frame.data).unwrap();
                let times = frame.pts..;
                times.zip(pcm.into_iter().step_by(2)).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Programme times at which sound begins after at least 100 ms of quiet.
    fn onsets(heard: &[(i64, i16)]) -> Vec<i64> {
        let mut quiet_since = None;
        let mut found = Vec::new();
        for &(time, sample) in heard {
            if sample.unsigned_abs() > 2000 {
                if quiet_since.is_some_and(|since| time - since > 4800) {
                    found.push(time);
                }
                quiet_since = Some(time);
            }
        }
        found
    }

    fn assert_gapless(frames: &[AacFrame]) {
        assert!(frames.windows(2).all(|pair| pair[1].pts - pair[0].pts == 1024));
    }

    #[test]
    fn counts_samples_and_frames_exactly() {
        let mut audio = OpusToAac::new(64_000, 5_000).unwrap();
        let steps: Vec<Step> = packets(100).into_iter().map(Step::Decode).collect();
        let frames = audio.push(&steps).unwrap();
        assert_eq!(audio.position(), 5_000 + 96_000);
        // 96,000 samples are 93 whole frames; the two that begin before the start are not yielded: 2 × 1024 − 1600.
        assert_eq!(frames.len(), 91);
        assert_eq!(frames[0].pts, 5_000 + 448);
        assert_gapless(&frames);
    }

    #[test]
    fn sound_is_heard_when_it_was_made() {
        let mut audio = OpusToAac::new(128_000, 0).unwrap();
        let steps: Vec<Step> = packets(200).into_iter().map(Step::Decode).collect();
        let frames = audio.push(&steps).unwrap();
        let onsets = onsets(&hear(audio.audio_specific_config(), &frames));
        assert_eq!(onsets.len(), 3, "{onsets:?}");
        for (second, onset) in (1..).zip(&onsets) {
            let late = onset - second * 48_000 - OPUS_LOOKAHEAD;
            // Codecs smear an onset forward by a few ms; 5 ms is a sixth of a picture.
            assert!((-240..240).contains(&late), "second {second}: {late} samples late");
        }
    }

    #[test]
    fn losses_and_mutes_move_nothing() {
        let mut audio = OpusToAac::new(128_000, 0).unwrap();
        let mut frames = Vec::new();
        for (index, packet) in packets(250).into_iter().enumerate() {
            let step = match index {
                // Three packets lost, and a quarter of a second in which nothing was sent.
                20..=22 | 120 => Step::Conceal { samples: 960 },
                60..=72 => Step::Silence { samples: 960 },
                _ => Step::Decode(packet),
            };
            frames.extend(audio.push(&[step]).unwrap());
        }
        assert_eq!(audio.position(), 250 * 960);
        assert_gapless(&frames);
        let onsets = onsets(&hear(audio.audio_specific_config(), &frames));
        assert_eq!(onsets.len(), 4, "{onsets:?}");
        assert!((1..).zip(&onsets).all(|(second, onset)| (onset - second * 48_000 - OPUS_LOOKAHEAD).abs() < 240));
    }

    #[test]
    fn a_packet_that_is_left_out_is_noticed() {
        // The negative control of the two tests above: 20 ms less must show as 20 ms.
        let mut audio = OpusToAac::new(128_000, 0).unwrap();
        let steps: Vec<Step> = packets(200)
            .into_iter()
            .enumerate()
            .filter(|(index, _)| *index != 30)
            .map(|(_, packet)| Step::Decode(packet))
            .collect();
        let frames = audio.push(&steps).unwrap();
        let onsets = onsets(&hear(audio.audio_specific_config(), &frames));
        assert!(onsets[0] - 48_000 < -500, "{onsets:?}");
    }

    #[test]
    fn odd_counts_add_up() {
        let mut audio = OpusToAac::new(64_000, -7).unwrap();
        let mut frames = Vec::new();
        for samples in [1, 119, 121, 1023, 7, 48_001, 0] {
            frames.extend(audio.push(&[Step::Silence { samples }, Step::Conceal { samples }]).unwrap());
        }
        assert_eq!(audio.position(), -7 + 2 * 49_272);
        assert_gapless(&frames);
        assert_eq!(frames.len(), 2 * 49_272 / 1024 - 2);
    }

    #[test]
    fn a_seek_begins_there() {
        let mut audio = OpusToAac::new(64_000, 0).unwrap();
        audio.push(&[Step::Silence { samples: 10_000 }]).unwrap();
        audio.seek(480_000);
        let frames = audio.push(&[Step::Silence { samples: 10_000 }]).unwrap();
        assert_eq!(frames[0].pts, 480_000 + 448);
        assert_gapless(&frames);
        assert_eq!(audio.position(), 490_000);
    }

    #[test]
    fn broken_packets_keep_the_line_going() {
        let mut audio = OpusToAac::new(64_000, 0).unwrap();
        // A TOC of 20 ms CELT, code 3 (RFC 6716 §3.2.5) with two CBR frames and an odd rest: a broken 40 ms packet.
        let broken = Bytes::from_static(&[0xfb, 0x02, 0x01, 0x02, 0x03]);
        audio.push(&[Step::Decode(broken), Step::Decode(Bytes::new())]).unwrap();
        assert_eq!(audio.position(), 1920);
    }
}
