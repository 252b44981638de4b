//! A publisher made of numbers: openh264 pictures and Opus beeps on a clock of the test's own.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use minamo_media::{AccessUnit, Codec, ConnectionId, TapEvent, TrackId, TrackInfo};
use minamo_transcode::{I420, OpenH264Encoder, OpusEncoder, Profile, VideoEncoder, VideoSettings};

use crate::clock::Clock;

/// 2026-11-20T00:00:00Z.
pub(super) const UNIX_AT_START: Duration = Duration::from_secs(1_795_132_800);

/// Time that passes only when told to.
pub(super) struct ManualClock {
    start: Instant,
    passed: Mutex<Duration>,
}

impl ManualClock {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), passed: Mutex::new(Duration::ZERO) }
    }

    pub(super) fn advance(&self, by: Duration) {
        *self.passed.lock().unwrap() += by;
    }

    fn passed(&self) -> Duration {
        *self.passed.lock().unwrap()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start + self.passed()
    }

    fn unix(&self) -> Duration {
        UNIX_AT_START + self.passed()
    }
}

/// One publisher with a picture each 33.3 ms and a packet of sound each 20 ms.
pub(super) struct Source {
    pub(super) id: ConnectionId,
    video: Option<(TrackId, OpenH264Encoder)>,
    audio: Option<(TrackId, OpusEncoder)>,
    pictures: u64,
    packets: u64,
    size: (usize, usize),
}

impl Source {
    pub(super) fn new(id: &str, first_track: u64, video: bool, audio: bool) -> Self {
        let settings = VideoSettings { bitrate: 200_000, fps: 30.0, profile: Profile::Baseline };
        Self {
            id: id.into(),
            video: video.then(|| (TrackId(first_track), OpenH264Encoder::new(settings).unwrap())),
            audio: audio.then(|| (TrackId(first_track + 1), OpusEncoder::new(48_000).unwrap())),
            pictures: 0,
            packets: 0,
            size: (160, 96),
        }
    }

    pub(super) fn tracks(&self) -> Vec<TapEvent> {
        let info = |track, codec| TapEvent::TrackAdded(TrackInfo { track, publisher: self.id.clone(), codec, rids: Vec::new() });
        let video = self.video.as_ref().map(|(track, _)| info(*track, Codec::H264));
        let audio = self.audio.as_ref().map(|(track, _)| info(*track, Codec::Opus));
        video.into_iter().chain(audio).collect()
    }

    pub(super) fn video_track(&self) -> Option<TrackId> {
        self.video.as_ref().map(|(track, _)| *track)
    }

    pub(super) fn resize(&mut self, width: usize, height: usize) {
        self.size = (width, height);
    }

    pub(super) fn force_key_frame(&mut self) {
        if let Some((_, encoder)) = &mut self.video {
            encoder.force_key_frame();
        }
    }

    /// All that is due in the 20 ms that begin now.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<TapEvent> {
        let mut events = Vec::new();
        let due = (self.packets + 1) * 20;
        if self.video.is_some() && self.pictures * 1000 / 30 < due {
            events.extend(self.picture(now));
        }
        events.extend(self.sound(now));
        self.packets += 1;
        events
    }

    fn picture(&mut self, arrival: Instant) -> Option<TapEvent> {
        let (width, height) = self.size;
        let n = self.pictures;
        self.pictures += 1;
        let (track, encoder) = self.video.as_mut()?;
        let shade = |i: usize| ((i % width / 16 * 7 + i / width / 16 * 13 + n as usize) * 5) as u8;
        let data: Vec<u8> = (0..width * height * 3 / 2).map(shade).collect();
        let picture = encoder.encode(I420::from_packed(&data, width, height).unwrap()).unwrap()?;
        // 90 kHz from an odd start, as senders do.
        let rtp = 4_000_000_123 + (n * 3000) as i64;
        let unit = AccessUnit { layer: 0, rtp, arrival, key: picture.key, after_loss: false, data: picture.data };
        Some(TapEvent::AccessUnit(*track, unit))
    }

    fn sound(&mut self, arrival: Instant) -> Option<TapEvent> {
        let start = self.packets * 960;
        let (track, encoder) = self.audio.as_mut()?;
        let beep = |n: u64| (f64::sin(n as f64 * 0.13) * 9000.0) as i16;
        let pcm: Vec<i16> = (start..start + 960).flat_map(|n| [beep(n); 2]).collect();
        let data: Bytes = encoder.encode(&pcm).unwrap();
        let unit = AccessUnit { layer: 0, rtp: 77_000 + start as i64, arrival, key: true, after_loss: false, data };
        Some(TapEvent::AccessUnit(*track, unit))
    }
}
