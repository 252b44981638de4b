//! The synthetic source: paints, beeps, encodes and paces, on a thread of its own, against one wall-clock schedule.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use bytes::Bytes;
use minamo_transcode::{I420, OpenH264Encoder, OpusEncoder, Profile, VideoEncoder, VideoSettings};
use tokio::sync::mpsc;

use crate::pattern::{Painter, beep_sample};

/// Samples of one Opus packet at 48 kHz: 20 ms.
const OPUS_SAMPLES: u64 = 960;

/// The shape of the synthetic programme.
#[derive(Clone, Copy, Debug)]
pub struct SourceOptions {
    /// Pixels across, even, at least 160.
    pub width: u32,
    /// Pixels down, even.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// Video bits per second.
    pub video_bps: u32,
    /// Audio bits per second.
    pub audio_bps: u32,
    /// Lengthens each access unit to its share of `video_bps`, as a load: a test picture takes a fraction of it. Not for decoders.
    pub filled: bool,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self { width: 1280, height: 720, fps: 30, video_bps: 1_500_000, audio_bps: 64_000, filled: false }
    }
}

/// One encoded piece with its place on the source's schedule.
pub enum Encoded {
    /// An access unit in AVCC form; `ticks` of 90 kHz since the source began.
    Video {
        /// Capture time.
        ticks: u64,
        /// The access unit.
        data: Bytes,
    },
    /// An Opus packet; `ticks` of 48 kHz since the source began, at its first sample.
    Audio {
        /// Capture time of the first sample.
        ticks: u64,
        /// The packet.
        data: Bytes,
    },
}

/// When the source began, on both clocks: the base of every timestamp and sender report.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    /// Monotonic.
    pub instant: Instant,
    /// Wall clock since 1970.
    pub unix: Duration,
}

/// A running source; ends when the receiver is dropped.
pub struct Source {
    /// Its schedule's start.
    pub epoch: Epoch,
    /// Encoded pieces, at most about a second of them; when nobody takes them the source waits and drops frames.
    pub encoded: mpsc::Receiver<Encoded>,
    key_frame: Arc<AtomicBool>,
}

impl Source {
    /// Starts the thread.
    ///
    /// # Errors
    /// When an encoder cannot be made or the thread not be started.
    pub fn start(options: SourceOptions) -> Result<Self> {
        let (sender, encoded) = mpsc::channel(90);
        let key_frame = Arc::new(AtomicBool::new(true));
        let unix = SystemTime::now().duration_since(UNIX_EPOCH)?;
        // Begin on a whole millisecond so that the picture's clock and the schedule agree exactly.
        let into_ms = Duration::from_nanos(u64::from(unix.subsec_nanos()) % 1_000_000);
        let epoch = Epoch { instant: Instant::now() - into_ms, unix: unix - into_ms };
        let mut worker = Worker::new(options, epoch, sender, key_frame.clone())?;
        std::thread::Builder::new().name("demo-source".to_owned()).spawn(move || worker.run())?;
        Ok(Self { epoch, encoded, key_frame })
    }

    /// The next frame will be a key frame.
    pub fn request_key_frame(&self) {
        self.key_frame.store(true, Ordering::Relaxed);
    }
}

struct Worker {
    options: SourceOptions,
    epoch: Epoch,
    sender: mpsc::Sender<Encoded>,
    key_frame: Arc<AtomicBool>,
    painter: Painter,
    video: OpenH264Encoder,
    audio: OpusEncoder,
    frame: Vec<u8>,
}

impl Worker {
    fn new(options: SourceOptions, epoch: Epoch, sender: mpsc::Sender<Encoded>, key_frame: Arc<AtomicBool>) -> Result<Self> {
        let painter = Painter::new(options.width as usize, options.height as usize);
        let settings = VideoSettings { bitrate: options.video_bps, fps: options.fps as f32, profile: Profile::Baseline };
        let frame = vec![0; painter.frame_len()];
        Ok(Self {
            video: OpenH264Encoder::new(settings)?,
            audio: OpusEncoder::new(options.audio_bps)?,
            options,
            epoch,
            sender,
            key_frame,
            painter,
            frame,
        })
    }

    /// Alternates between whichever is due first: the next frame at its capture time, the next packet once its sound is over.
    fn run(&mut self) {
        let (mut frames, mut packets) = (0_u64, 0_u64);
        while !self.sender.is_closed() {
            let frame_due = Duration::from_nanos(frames * 1_000_000_000 / u64::from(self.options.fps));
            let packet_due = Duration::from_millis((packets + 1) * 20);
            std::thread::sleep((self.epoch.instant + frame_due.min(packet_due)).saturating_duration_since(Instant::now()));
            let produced = if frame_due <= packet_due {
                frames += 1;
                self.video(frame_due)
            } else {
                packets += 1;
                self.audio((packets - 1) * OPUS_SAMPLES)
            };
            if let Err(error) = produced {
                tracing::error!(%error, "the synthetic source stops");
                return;
            }
        }
    }

    fn video(&mut self, since_epoch: Duration) -> Result<()> {
        let wall = self.epoch.unix + since_epoch;
        self.painter.paint(wall.as_millis() as u64, &mut self.frame);
        if self.key_frame.swap(false, Ordering::Relaxed) {
            self.video.force_key_frame();
        }
        let picture = I420::from_packed(&self.frame, self.options.width as usize, self.options.height as usize)?;
        let Some(mut unit) = self.video.encode(picture)? else { return Ok(()) };
        if self.options.filled {
            unit.data = fill(&unit.data, (self.options.video_bps / 8 / self.options.fps) as usize);
        }
        let ticks = (since_epoch.as_nanos() * 90_000 / 1_000_000_000) as u64;
        if self.sender.try_send(Encoded::Video { ticks, data: unit.data }).is_err() {
            // The frame is lost to everybody: later ones would refer to it.
            self.key_frame.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn audio(&mut self, ticks: u64) -> Result<()> {
        let first = (self.epoch.unix.as_micros() as u64 * 48 / 1000) + ticks;
        let pcm: Vec<i16> = (first..first + OPUS_SAMPLES).flat_map(|index| [(beep_sample(index) * 32_000.0) as i16; 2]).collect();
        let data = self.audio.encode(&pcm)?;
        let _ = self.sender.try_send(Encoded::Audio { ticks, data });
        Ok(())
    }
}

/// The access unit with its last NAL unit, the slice, lengthened until it has `size` bytes.
fn fill(access_unit: &Bytes, size: usize) -> Bytes {
    let more = size.saturating_sub(access_unit.len());
    let mut filled = access_unit.to_vec();
    let mut at = 0;
    while let Some(length) = filled.get(at..at + 4).and_then(|bytes| bytes.first_chunk()).map(|bytes| u32::from_be_bytes(*bytes))
    {
        let next = at + 4 + length as usize;
        if next >= filled.len() {
            filled[at..at + 4].copy_from_slice(&(length + more as u32).to_be_bytes());
            filled.resize(filled.len() + more, 0x55);
            break;
        }
        at = next;
    }
    filled.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_unit_is_filled_at_the_end_of_its_slice() {
        let picture = Bytes::from_static(&[0, 0, 0, 1, 0x67, 0, 0, 0, 2, 0x65, 0x88]);
        let filled = fill(&picture, 20);
        assert_eq!(filled[..], [&[0, 0, 0, 1, 0x67, 0, 0, 0, 11, 0x65, 0x88][..], &[0x55; 9]].concat());
        assert_eq!(fill(&picture, 5), picture, "it is larger already");
        assert_eq!(fill(&Bytes::new(), 5), Bytes::new());
    }
}
