//! Decode once, scale, encode several rungs.

use bytes::Bytes;
use minamo_media::{Codec, PictureSize};

use crate::h264::{OpenH264Decoder, OpenH264Encoder};
use crate::picture::I420;
use crate::scale::{Fit, Scaler};
use crate::video::{DecodeError, EncodedPicture, Profile, VideoDecoder, VideoEncoder, VideoError, VideoSettings};
use crate::vpx::VpxDecoder;

/// Ticks per second of every time in a ladder.
pub const LADDER_SCALE: i64 = 90_000;
/// What a source is taken for until its pictures tell their rate.
const FPS_ASSUMED: f32 = 30.0;

/// One rung that is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RungSettings {
    /// Pixels per row; at most so many with [`Fit::Inside`].
    pub width: usize,
    /// Rows, likewise.
    pub height: usize,
    /// How the source fills that size.
    pub fit: Fit,
    /// At most so many pictures per second; those beyond are left out.
    pub fps: Option<f32>,
    /// Target in bits per second.
    pub bitrate: u32,
    /// What H.264.
    pub profile: Profile,
}

impl RungSettings {
    /// The size that comes out for a source of this size.
    #[must_use]
    pub fn output(&self, source: PictureSize) -> PictureSize {
        let ((width, height), _) = self.fit.sizes((source.width as usize, source.height as usize), (self.width, self.height));
        PictureSize { width: width as u32, height: height as u32 }
    }
}

/// Where the rungs have their key frames. All rungs have them on the same pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFrames {
    /// Where the source has them: for rungs beside a source that is shown as it came.
    OfSource,
    /// Every so many ticks: where every rung is encoded here, and nobody has to ask the publisher.
    Every(i64),
}

/// One unit of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceUnit {
    /// Presentation time in [`LADDER_SCALE`]; passes through unchanged.
    pub pts: i64,
    /// Decodable on its own.
    pub key: bool,
    /// Its picture is to be a key frame in every rung: time jumps here.
    pub boundary: bool,
    /// As the tap gives it.
    pub data: Bytes,
}

/// One picture of one rung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RungPicture {
    /// Index into the rungs that were asked for.
    pub rung: usize,
    /// That of its source picture.
    pub pts: i64,
    /// H.264.
    pub picture: EncodedPicture,
}

/// A unit did not become pictures.
#[derive(Debug, thiserror::Error)]
pub enum LadderError {
    /// Wire input: the ladder waits for the next key frame.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// An encoder failed: the ladder is of no more use.
    #[error(transparent)]
    Encode(#[from] VideoError),
}

/// A decoder of the codec; `None` where there is none here (AV1, H.265, audio).
pub fn decoder_of(codec: Codec) -> Option<Result<Box<dyn VideoDecoder>, DecodeError>> {
    Some(match codec {
        Codec::H264 => OpenH264Decoder::new().map(|decoder| Box::new(decoder) as Box<dyn VideoDecoder>),
        Codec::Vp8 => VpxDecoder::vp8().map(|decoder| Box::new(decoder) as _),
        Codec::Vp9 => VpxDecoder::vp9().map(|decoder| Box::new(decoder) as _),
        _ => return None,
    })
}

/// One source, several rungs. A plain value: works on the caller's thread, reads no clock, keeps one picture per rung.
pub struct Ladder {
    decoder: Box<dyn VideoDecoder>,
    encoding: Encoding,
    /// A key frame was decoded, and nothing was lost since.
    synced: bool,
}

impl Ladder {
    /// A ladder that waits for its source's first key frame.
    pub fn new(decoder: Box<dyn VideoDecoder>, rungs: &[RungSettings], keys: KeyFrames) -> Result<Self, VideoError> {
        let rungs = rungs.iter().map(Rung::new).collect::<Result<_, _>>()?;
        let encoding =
            Encoding { rungs, keys, key_wanted: true, last_key: i64::MIN, size: (0, 0), rate: Rate::default(), failure: None };
        Ok(Self { decoder, encoding, synced: false })
    }

    /// The next picture becomes a key frame in every rung.
    pub fn force_key_frame(&mut self) {
        self.encoding.key_wanted = true;
    }

    /// Something before the next unit was lost: nothing can be decoded before the next key frame.
    pub fn lose(&mut self) {
        self.synced = false;
    }

    /// One unit in decoding order; what it becomes is appended to `out`. Units before a key frame become nothing.
    /// `encode`: false leaves its picture out of every rung, to save time, unless a key frame is due.
    ///
    /// # Errors
    /// See [`LadderError`].
    pub fn push(&mut self, unit: &SourceUnit, encode: bool, out: &mut Vec<RungPicture>) -> Result<(), LadderError> {
        if !self.synced && !unit.key {
            return Ok(());
        }
        self.synced = true;
        let encoding = &mut self.encoding;
        let decoded = self.decoder.decode(&unit.data, &mut |picture| encoding.picture(picture, unit, encode, out));
        if let Err(error) = decoded {
            self.synced = false;
            return Err(error.into());
        }
        self.encoding.failure.take().map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Everything behind the decoder.
struct Encoding {
    rungs: Vec<Rung>,
    keys: KeyFrames,
    key_wanted: bool,
    last_key: i64,
    size: (usize, usize),
    rate: Rate,
    failure: Option<VideoError>,
}

impl Encoding {
    fn picture(&mut self, picture: I420<'_>, unit: &SourceUnit, encode: bool, out: &mut Vec<RungPicture>) {
        self.rate.note(unit.pts);
        let key = self.key_due(picture, unit);
        if !key && !encode {
            return;
        }
        if key {
            (self.key_wanted, self.last_key, self.size) = (false, unit.pts, (picture.width, picture.height));
        }
        for (index, rung) in self.rungs.iter_mut().enumerate() {
            match rung.picture(picture, unit.pts, key, self.rate.fps) {
                Ok(encoded) => out.extend(encoded.map(|picture| RungPicture { rung: index, pts: unit.pts, picture })),
                Err(error) => self.failure = Some(error),
            }
        }
    }

    fn key_due(&self, picture: I420<'_>, unit: &SourceUnit) -> bool {
        let due = match self.keys {
            KeyFrames::OfSource => unit.key,
            // The picture nearest to the time: half a picture early is as good as half a one late.
            KeyFrames::Every(ticks) => unit.pts.saturating_sub(self.last_key) >= ticks - self.rate.ticks() / 2,
        };
        due || unit.boundary || self.key_wanted || self.size != (picture.width, picture.height)
    }
}

/// Pictures per second of the source, smoothed.
struct Rate {
    last: Option<i64>,
    fps: f32,
}

impl Default for Rate {
    fn default() -> Self {
        Self { last: None, fps: FPS_ASSUMED }
    }
}

impl Rate {
    fn note(&mut self, pts: i64) {
        let since = self.last.replace(pts).map_or(0, |last| pts - last);
        // A pause is not a rate.
        if (1..LADDER_SCALE).contains(&since) {
            let ticks = LADDER_SCALE as f32 / self.fps;
            self.fps = LADDER_SCALE as f32 / (ticks + (since as f32 - ticks) / 16.0);
        }
    }

    fn ticks(&self) -> i64 {
        (LADDER_SCALE as f32 / self.fps) as i64
    }
}

struct Rung {
    /// Ticks from one picture to the next, at least.
    interval: Option<i64>,
    due: i64,
    fps_max: f32,
    fps: f32,
    scaler: Scaler,
    encoder: OpenH264Encoder,
}

impl Rung {
    fn new(settings: &RungSettings) -> Result<Self, VideoError> {
        let cap = settings.fps.filter(|fps| *fps >= 1.0);
        let fps = cap.unwrap_or(FPS_ASSUMED).min(FPS_ASSUMED);
        let encoder = VideoSettings { bitrate: settings.bitrate, fps, profile: settings.profile };
        Ok(Self {
            interval: cap.map(|fps| (LADDER_SCALE as f32 / fps) as i64),
            due: i64::MIN,
            fps_max: cap.unwrap_or(f32::INFINITY),
            fps,
            scaler: Scaler::new((settings.width, settings.height), settings.fit),
            encoder: OpenH264Encoder::new(encoder)?,
        })
    }

    fn picture(&mut self, picture: I420<'_>, pts: i64, key: bool, fps: f32) -> Result<Option<EncodedPicture>, VideoError> {
        if !self.is_due(pts, key) {
            return Ok(None);
        }
        if key {
            self.adapt(fps)?;
            self.encoder.force_key_frame();
        }
        self.encoder.encode(self.scaler.scale(picture)?)
    }

    /// Key frames always are: rungs share them.
    fn is_due(&mut self, pts: i64, key: bool) -> bool {
        let Some(interval) = self.interval else { return true };
        // A quarter early is the jitter of a camera, not another rate.
        if !key && pts.saturating_add(interval / 4) < self.due {
            return false;
        }
        let late = pts.saturating_sub(self.due) > interval;
        self.due = if late || key { pts + interval } else { self.due + interval };
        true
    }

    /// Rate control counts pictures, so it has to know how many come.
    fn adapt(&mut self, fps: f32) -> Result<(), VideoError> {
        let fps = fps.min(self.fps_max).clamp(1.0, 60.0);
        if (fps - self.fps).abs() > self.fps * 0.1 {
            self.fps = fps;
            self.encoder.set_fps(fps)?;
        }
        Ok(())
    }
}
