//! Pictures that cannot be shown as they come: through the transcoding pool and back.
//!
//! The pool's threads put what they made into an outbox; the programme's worker looks into it whenever something happens, and at
//! least every [`LOOK_EVERY`] while a job runs. It is not woken: a way back into its queue would keep a worker alive that nobody
//! else knows any more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use minamo_media::{AccessUnit, Codec, PictureSize, Timestamp, TrackId};
use minamo_packager::VideoSample;
use minamo_transcode::{
    Fit, Job, JobCounts, JobEvent, JobSpec, KeyFrames, LADDER_SCALE, Pool, Profile, Refused, RungPicture, RungSettings,
    SourceUnit,
};

use crate::config::{ProgrammeSettings, TranscodePolicy};
use crate::telemetry;

/// How long a picture may lie in the outbox.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(8);
/// Events that may lie there: some seconds of pictures. A worker that takes none for so long has lost its programmes anyway: what
/// comes then is dropped, and a key frame is made when there is room again.
const OUTBOX_MAX: usize = 256;
/// Discontinuities that may wait for their pictures; of more, the oldest are one.
const BREAKS_MAX: usize = 16;
/// What the source is taken for until a job has seen it.
const FPS_ASSUMED: f32 = 30.0;

/// Whether pictures of this codec can be shown at all, as they come or transcoded.
pub(crate) fn may_be_shown(codec: Codec) -> bool {
    matches!(codec, Codec::H264 | Codec::Vp8 | Codec::Vp9)
}

/// Whether pictures of this codec go through the pool in such a channel.
pub(crate) fn is_transcoded(codec: Codec, settings: &ProgrammeSettings) -> bool {
    match (codec, settings.transcode.policy) {
        (Codec::H264, policy) => policy == TranscodePolicy::Normalise,
        _ => true,
    }
}

/// One picture back from the pool.
pub(crate) struct Made {
    pub(crate) sample: VideoSample,
    /// What the timeline said of it, or of one before it that did not come back.
    pub(crate) discontinuity: bool,
}

/// What happened in the pool.
pub(crate) enum Happened {
    Made(Made),
    /// Nothing goes on without a key frame of the source.
    KeyFrameWanted,
    /// The source has outgrown its room.
    NoRoom(Refused),
    /// The job is over.
    Failed(String),
}

/// One track's job.
pub(crate) struct Transcoder {
    pub(crate) track: TrackId,
    job: Job,
    outbox: Arc<Mutex<Outbox>>,
    /// Programme times from which on a discontinuity is due.
    breaks: VecDeque<i64>,
    /// Nothing comes before a key frame of the source.
    source_needed: bool,
    /// As the metrics have it.
    counted: JobCounts,
}

#[derive(Default)]
struct Outbox {
    events: VecDeque<JobEvent>,
    overflown: bool,
}

impl Transcoder {
    /// A job for this track, whose key frame this is.
    ///
    /// # Errors
    /// There is no room for it, or nothing here decodes it.
    pub(crate) fn admit(
        pool: &Pool,
        track: TrackId,
        codec: Codec,
        key_frame: &AccessUnit,
        settings: &ProgrammeSettings,
    ) -> Result<Self, Refused> {
        let source = key_frame.picture_size(codec).ok_or(Refused::Size)?;
        let outbox = Arc::new(Mutex::new(Outbox::default()));
        let filled = outbox.clone();
        let sink = move |event| {
            let mut outbox = filled.lock().unwrap_or_else(PoisonError::into_inner);
            if outbox.events.len() < OUTBOX_MAX {
                outbox.events.push_back(event);
            } else {
                outbox.overflown = true;
            }
        };
        let job = pool.admit(spec(codec, source, settings), Box::new(sink))?;
        Ok(Self { track, job, outbox, breaks: VecDeque::new(), source_needed: false, counted: JobCounts::default() })
    }

    /// One unit of the track, placed on the timeline.
    pub(crate) fn push(&mut self, unit: &AccessUnit, pts: Timestamp, discontinuity: bool) {
        let pts = pts.rescale(LADDER_SCALE as u32).ticks;
        if discontinuity {
            if self.breaks.len() >= BREAKS_MAX {
                self.breaks.pop_front();
            }
            self.breaks.push_back(pts);
        }
        self.job.push(SourceUnit { pts, key: unit.key, boundary: discontinuity, data: unit.data.clone() });
    }

    /// The next picture shall be a key frame. False when that takes a key frame of the source.
    pub(crate) fn force_key_frame(&self) -> bool {
        self.job.force_key_frame();
        !self.source_needed && !self.job.starved()
    }

    /// Units were dropped because the pool is behind: only a key frame of the source helps.
    pub(crate) fn starved(&self) -> bool {
        self.job.starved()
    }

    /// What has happened since the last look.
    pub(crate) fn take(&mut self) -> Vec<Happened> {
        let (events, overflown) = {
            let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
            (std::mem::take(&mut outbox.events), std::mem::take(&mut outbox.overflown))
        };
        if overflown {
            self.job.force_key_frame();
        }
        events.into_iter().flat_map(|event| self.happened(event)).collect()
    }

    fn happened(&mut self, event: JobEvent) -> Vec<Happened> {
        match event {
            JobEvent::Pictures(pictures) => {
                self.source_needed = false;
                pictures.into_iter().map(|picture| Happened::Made(self.made(picture))).collect()
            }
            JobEvent::KeyFrameWanted => {
                self.source_needed = true;
                vec![Happened::KeyFrameWanted]
            }
            JobEvent::NoRoom(refused) => vec![Happened::NoRoom(refused)],
            JobEvent::Failed(failure) => vec![Happened::Failed(failure)],
        }
    }

    fn made(&mut self, made: RungPicture) -> Made {
        let discontinuity = self.pass_breaks(made.pts);
        let pts = Timestamp::new(made.pts, LADDER_SCALE as u32);
        Made { sample: VideoSample { pts, key: made.picture.key, data: made.picture.data }, discontinuity }
    }

    fn pass_breaks(&mut self, pts: i64) -> bool {
        let passed = self.breaks.iter().take_while(|at| **at <= pts).count();
        self.breaks.drain(..passed).count() > 0
    }

    /// Tells the metrics what was done since the last time.
    pub(crate) fn measure(&mut self) {
        let now = self.job.counts();
        telemetry::transcoded(&now, &self.counted);
        self.counted = now;
    }
}

fn spec(codec: Codec, source: PictureSize, settings: &ProgrammeSettings) -> JobSpec {
    let ticks = settings.segment_target.as_nanos() * LADDER_SCALE as u128 / 1_000_000_000;
    let rungs = vec![settings.transcode.rung.unwrap_or(fallback(source))];
    JobSpec { codec, source, fps: FPS_ASSUMED, rungs, keys: KeyFrames::Every(ticks as i64) }
}

/// For a channel that does not say what it wants: the source's own size, up to 720p, at a bit rate that suits it.
fn fallback(source: PictureSize) -> RungSettings {
    let pixels = source.pixels().min(1280 * 720);
    let bitrate = (pixels * 27 / 10).clamp(200_000, 2_500_000) as u32;
    RungSettings { width: 1280, height: 1280, fit: Fit::Inside, fps: Some(30.0), bitrate, profile: Profile::High }
}
