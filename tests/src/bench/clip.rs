//! Two seconds of a real programme, encoded once: what every publisher of the channel bench sends round and round.

use anyhow::{Context, Result};
use bytes::Bytes;
use minamo_client::pattern::{Painter, beep_sample};
use minamo_media::rtp::h264::Packetizer;
use minamo_transcode::{I420, OpenH264Encoder, OpusEncoder, Profile, VideoEncoder, VideoSettings};

/// Pictures a second.
pub const FPS: u64 = 30;
/// Packets of sound a second.
pub const SOUNDS: u64 = 50;
/// The clip's length, and the distance of its key frames.
const SECONDS: u64 = 2;
const WIDTH: usize = 1280;
const HEIGHT: usize = 720;
const VIDEO_BPS: u32 = 2_500_000;
const AUDIO_BPS: u32 = 64_000;
/// RTP payloads as Chromium cuts them.
const PAYLOAD: usize = 1170;

/// RTP payloads of pictures and sounds; the first picture is a key frame with its parameter sets.
pub struct Clip {
    /// Payloads of each picture, the marker on the last.
    pub pictures: Vec<Vec<Bytes>>,
    /// Opus packets of 20 ms.
    pub sounds: Vec<Bytes>,
}

impl Clip {
    /// Paints, adds the noise of a camera, and encodes.
    ///
    /// # Errors
    /// When an encoder cannot be made or fails.
    pub fn encode() -> Result<Self> {
        Ok(Self { pictures: pictures()?, sounds: sounds()? })
    }

    /// Bits per second of the pictures.
    #[must_use]
    pub fn video_bps(&self) -> u64 {
        self.pictures.iter().flatten().map(|payload| payload.len() as u64).sum::<u64>() * 8 / SECONDS
    }
}

fn pictures() -> Result<Vec<Vec<Bytes>>> {
    let painter = Painter::new(WIDTH, HEIGHT);
    let mut encoder = OpenH264Encoder::new(VideoSettings { bitrate: VIDEO_BPS, fps: FPS as f32, profile: Profile::Baseline })?;
    let packetizer = Packetizer::new(PAYLOAD);
    let mut frame = vec![0; painter.frame_len()];
    let mut noise = Noise(1);
    let mut pictures = Vec::new();
    for index in 0..FPS * SECONDS {
        painter.paint(index * 1000 / FPS, &mut frame);
        frame[..WIDTH * HEIGHT].iter_mut().for_each(|luma| *luma = luma.saturating_add_signed(noise.next(2)));
        if index == 0 {
            encoder.force_key_frame();
        }
        let unit = encoder.encode(I420::from_packed(&frame, WIDTH, HEIGHT)?)?.context("the encoder left a picture out")?;
        pictures.push(packetizer.packetize(&unit.data));
    }
    Ok(pictures)
}

/// A beep each second over a chord and hiss: something to do for the codecs.
fn sounds() -> Result<Vec<Bytes>> {
    let mut encoder = OpusEncoder::new(AUDIO_BPS)?;
    let mut noise = Noise(2);
    let mut sound = |index: u64| {
        let tones = [220.0, 277.2, 329.6, 1318.5];
        let chord: f64 = tones.iter().map(|hertz| (index as f64 * hertz * std::f64::consts::TAU / 48_000.0).sin()).sum();
        let mixed = chord * 2500.0 + f64::from(beep_sample(index)) * 8000.0;
        [mixed as i16 + i16::from(noise.next(100)), mixed as i16 + i16::from(noise.next(100))]
    };
    let packet = |at: u64| (at * 960..(at + 1) * 960).flat_map(&mut sound).collect::<Vec<i16>>();
    let pcm: Vec<Vec<i16>> = (0..SOUNDS * SECONDS).map(packet).collect();
    pcm.iter().map(|pcm| Ok(encoder.encode(pcm)?)).collect()
}

/// The same in every run.
struct Noise(u32);

impl Noise {
    /// Between `-most` and `most`.
    fn next(&mut self, most: i8) -> i8 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((self.0 >> 16) as i32 % (2 * i32::from(most) + 1) - i32::from(most)) as i8
    }
}
