//! The packager: access units with programme time in, snapshots of playlists out.

mod publish;
mod rungs;
mod sides;
mod told;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use minamo_media::Timestamp;
use minamo_media::fmp4::Fmp4Error;

use crate::audio::AudioCut;
use crate::body::Body;
use crate::boundary::{Boundary, VIDEO_SCALE, nanos, ticks};
use crate::captions::Cue;
use crate::config::{Limits, PackagerConfig};
use crate::container::{CodecConfig, Format};
use crate::daterange::{DateRange, DateRangeRefused, DateRanges};
use crate::derived::Derived;
use crate::keyframe::KeyFrameAsker;
use crate::output::Output;
use crate::rendition::Rendition;
use crate::segment::{Init, SegmentHead};
use crate::snapshot::Snapshot;
use crate::timeline::WallMap;
use crate::video::{Jump, Picture};
use rungs::Rungs;
use sides::AudioSide;
pub use told::{AudioFrame, Counters, PackagerEvent, VideoSample};

/// A picture that is so much later than usual does not come: the tap's wait for retransmissions (400 ms) and a little.
const GRACE: Duration = Duration::from_millis(450);
/// An audio segment this far above TARGETDURATION cannot wait for the video's boundary; one more part still rounds to it.
const OVERTIME: Duration = Duration::from_millis(100);
/// How far the dates may move against the durations from one segment to the next: drifting clocks are followed, a better
/// guess at the start is not a jump (rule 6).
const DATE_STEP_MAX: Duration = Duration::from_millis(1);

/// Makes one programme's parts, segments and playlists.
///
/// Call [`Self::handle_timeout`] when [`Self::poll_timeout`] says, then drain [`Self::poll_event`], also after every push.
/// `now` may be any monotonic clock's, and never goes back.
#[derive(Debug)]
pub struct Packager {
    config: PackagerConfig,
    limits: Limits,
    /// What segments are dated by, and what that follows.
    wall: WallMap,
    wall_wanted: WallMap,
    epoch: Option<Instant>,
    video: Option<Rungs>,
    audio: Option<AudioSide>,
    asker: KeyFrameAsker,
    /// What the next segment with pictures begins behind.
    jump: Jump,
    /// No more media is taken.
    finished: bool,
    ended: bool,
    events: VecDeque<PackagerEvent>,
    key_frames_wanted: u64,
    multivariant: Option<Arc<Body>>,
    ranges: DateRanges,
    derived: Derived,
}

impl Packager {
    /// A packager without media. `wall` dates its segments until [`Self::set_wall`].
    ///
    /// # Errors
    /// When no init segment can be made of the audio's configuration.
    pub fn new(config: PackagerConfig, wall: WallMap) -> Result<Self, Fmp4Error> {
        let limits = Limits::of(&config);
        let video = Rungs::new(&config, limits);
        let audio = match &config.audio {
            Some(audio) => Some(AudioSide::new(&config, audio, limits)?),
            None => None,
        };
        Ok(Self {
            asker: KeyFrameAsker::new(config.segment_target),
            derived: Derived::new(&config.captions),
            config,
            limits,
            wall,
            wall_wanted: wall,
            epoch: None,
            video,
            audio,
            jump: Jump::None,
            finished: false,
            ended: false,
            events: VecDeque::new(),
            key_frames_wanted: 0,
            multivariant: None,
            ranges: DateRanges::default(),
        })
    }

    /// Dates the segments that begin from now on. They come to it by at most 1 ms per segment, which is more than clocks drift,
    /// and at once behind a discontinuity.
    pub fn set_wall(&mut self, wall: WallMap) {
        self.wall_wanted = wall;
    }

    /// One picture of a rung (an index into [`PackagerConfig::video`]; others are ignored). Until its first key frame with parameter
    /// sets nothing is kept. Ignored after [`Self::finish`].
    pub fn push_video(&mut self, now: Instant, rung: u8, sample: &VideoSample) {
        let local = self.local(now);
        let (pts, rung) = (sample.pts.rescale(VIDEO_SCALE).ticks, usize::from(rung));
        let Some(rungs) = self.video.as_mut().filter(|_| !self.finished) else { return };
        let Some(side) = rungs.sides.get_mut(rung) else { return };
        side.note_lag(local, pts);
        let init = sample.key.then(|| side.init_of(CodecConfig::of_key_frame(&sample.data)));
        if sample.key {
            rungs.nominate(rung);
            if rungs.leads(rung) {
                self.asker.came(local);
            }
        }
        let Ok(init) = init.map_or(Ok(None), |init| init.map(Some).ok_or(())) else { return };
        let picture = Picture { pts, key: sample.key, init, data: CodecConfig::stripped(&sample.data) };
        let cutter = &mut rungs.sides[rung].cutter;
        if cutter.changes(&picture) && self.jump == Jump::None {
            self.jump = Jump::Format;
            self.asker.want_now();
        }
        cutter.push(picture, self.jump);
        rungs.hurry();
        self.settle(local);
    }

    /// One AAC frame. Ignored after [`Self::finish`].
    pub fn push_audio(&mut self, now: Instant, frame: &AudioFrame) {
        let local = self.local(now);
        let Some(audio) = self.audio.as_mut().filter(|_| !self.finished) else { return };
        audio.cutter.push(frame.pts.rescale(audio.scale).ticks, frame.data.clone());
        let overtime = Duration::from_secs(self.limits.target_duration_secs) + OVERTIME;
        if audio.out() > overtime
            && let Some(rungs) = &mut self.video
        {
            rungs.leader().cutter.force_boundary();
        }
        self.settle(local);
    }

    /// What comes next is another publisher's, or jumps in time: the next segment that begins with a key frame stands behind
    /// one discontinuity, in all renditions.
    pub fn discontinuity(&mut self) {
        self.jump = Jump::Time;
        if self.video.is_some() {
            self.asker.want_now();
        } else if let Some(audio) = &mut self.audio {
            audio.cutter.discontinuity();
        }
    }

    /// Does what is due: wishes for key frames, gaps for pictures that do not come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let local = self.local(now);
        let Some(rungs) = self.video.as_mut().filter(|_| !self.finished) else { return };
        rungs.overdue(nanos_of(local) - nanos_of(GRACE));
        self.settle(local);
    }

    /// When [`Self::handle_timeout`] is due. May lie in the past.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let epoch = self.epoch?;
        let rungs = self.video.as_ref().filter(|_| !self.finished)?;
        rungs.lag(0)?;
        let gap = rungs.deadline().map(|at| at + GRACE + Duration::from_millis(1));
        let due = [gap, self.asker.next()].into_iter().flatten().min()?;
        epoch.checked_add(due)
    }

    /// Timed metadata, in every rendition with the next part.
    ///
    /// # Errors
    /// When rule 28 forbids it, or there is no room.
    pub fn add_date_range(&mut self, range: &DateRange) -> Result<(), DateRangeRefused> {
        self.ranges.add(range)
    }

    /// A caption for track number `track`, in its next segment. False when there is no such track.
    pub fn add_caption(&mut self, track: usize, cue: &Cue) -> bool {
        self.derived.caption(track, cue, self.wall)
    }

    /// The programme is over: everything that is there goes out as complete parts and segments, without ENDLIST yet. Players
    /// (hls.js) do not fetch a part that they first see together with ENDLIST, so let them see it before [`Self::end`].
    pub fn finish(&mut self, now: Instant) {
        if self.finished {
            return;
        }
        let local = self.local(now);
        if let Some(rungs) = &mut self.video {
            rungs.end();
        }
        self.write_video(local);
        if let Some(audio) = &mut self.audio {
            audio.cutter.end();
        }
        self.write_audio();
        self.finished = true;
        self.publish(local);
    }

    /// The playlists get ENDLIST, behind all that is there.
    pub fn end(&mut self, now: Instant) {
        self.finish(now);
        if !self.ended {
            self.ended = true;
            let local = self.local(now);
            self.publish(local);
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<PackagerEvent> {
        self.events.pop_front()
    }

    /// The latest version of a media playlist. `None` until every rendition has a complete segment: players (hls.js) refuse
    /// a playlist with parts only.
    #[must_use]
    pub fn snapshot(&self, rendition: Rendition) -> Option<Arc<Snapshot>> {
        match rendition {
            Rendition::Video(rung) => self.video.as_ref()?.sides.get(usize::from(rung))?.output.snapshot.clone(),
            Rendition::Audio => self.audio.as_ref()?.output.snapshot.clone(),
            Rendition::IFrames(_) | Rendition::Captions(_) => self.derived.snapshot(rendition),
        }
    }

    /// The multivariant playlist; there as soon as the snapshots are. The same `Arc` until something in it changes.
    #[must_use]
    pub fn multivariant(&self) -> Option<Arc<Body>> {
        self.multivariant.clone()
    }

    /// A media sequence number that this programme has not used: where a later one under the same URL may start.
    #[must_use]
    pub fn next_msn(&self) -> u64 {
        self.outputs().map(|output| output.store.next_msn).max().unwrap_or(self.config.first_msn)
    }

    /// A discontinuity sequence number above all of this programme.
    #[must_use]
    pub fn next_discontinuity(&self) -> u64 {
        let listed = |output: &Output| output.store.listed().filter(|segment| segment.head.discontinuity).count() as u64;
        self.outputs().map(|output| output.store.discontinuity_sequence + listed(output) + 1).max().unwrap_or(0)
    }

    /// What was done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            parts: self.outputs().map(|output| output.parts).sum(),
            gap_parts: self.outputs().map(|output| output.gaps).sum(),
            segments: self.outputs().map(|output| output.segments).sum(),
            key_frames_wanted: self.key_frames_wanted,
            pictures_dropped: self.rungs().map(|side| side.cutter.dropped).sum(),
            audio_frames_dropped: self.audio.as_ref().map_or(0, |audio| audio.cutter.dropped),
            bad_parameter_sets: self.rungs().map(|side| side.bad_parameter_sets).sum(),
        }
    }

    fn rungs(&self) -> impl Iterator<Item = &sides::VideoSide> {
        self.video.iter().flat_map(|rungs| &rungs.sides)
    }

    fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.rungs().map(|side| &side.output).chain(self.audio.iter().map(|audio| &audio.output))
    }

    fn local(&mut self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.epoch.get_or_insert(now))
    }

    /// After every input: decisions become bytes, bytes become a new version.
    fn settle(&mut self, local: Duration) {
        self.write_video(local);
        self.write_audio();
        self.publish(local);
        let Some(rungs) = &self.video else { return };
        if rungs.starved() || rungs.sides.iter().any(|side| side.cutter.misses_key()) {
            self.asker.want_now();
        }
        if rungs.lag(0).is_some() && self.asker.ask(local) {
            self.key_frames_wanted += 1;
            self.tell(PackagerEvent::KeyFrameWanted);
        }
    }

    fn tell(&mut self, event: PackagerEvent) {
        if !self.events.contains(&event) {
            self.events.push_back(event);
        }
    }

    fn write_video(&mut self, local: Duration) {
        let Some(rungs) = &mut self.video else { return };
        let mut first = rungs.is_new();
        let (wall, wanted) = (&mut self.wall, self.wall_wanted);
        let begun = rungs.write(|discontinuity| {
            *wall = stepped(*wall, wanted, discontinuity || std::mem::take(&mut first));
            *wall
        });
        for begun in begun {
            if !begun.gap {
                self.jump = Jump::None;
                self.asker.segment_began(local);
            }
            if let Some(audio) = &mut self.audio {
                audio.cutter.boundary(begun.boundary);
            }
        }
    }

    fn write_audio(&mut self) {
        let Some(audio) = &mut self.audio else { return };
        for cut in audio.cutter.take_cuts() {
            match cut {
                AudioCut::Begin { at, boundary } => {
                    if boundary.wall.is_none() {
                        let first = audio.output.store.is_new();
                        self.wall = stepped(self.wall, self.wall_wanted, boundary.discontinuity || first);
                    }
                    audio.begin(at, &boundary, self.wall);
                }
                AudioCut::Part { start, duration, samples } => audio.output.part(start, duration, &samples),
                AudioCut::End => {
                    audio.output.end();
                }
            }
        }
    }
}

fn stepped(from: WallMap, to: WallMap, at_once: bool) -> WallMap {
    let low = from.unix_at_zero.saturating_sub(DATE_STEP_MAX);
    let near = to.unix_at_zero.clamp(low, from.unix_at_zero + DATE_STEP_MAX);
    WallMap { unix_at_zero: if at_once { to.unix_at_zero } else { near } }
}

fn nanos_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
