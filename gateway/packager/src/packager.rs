//! The packager: access units with programme time in, snapshots of playlists out.

mod sides;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use minamo_media::Timestamp;
use minamo_media::fmp4::Fmp4Error;

use crate::audio::AudioCut;
use crate::body::Body;
use crate::boundary::{Boundary, VIDEO_SCALE, nanos, ticks};
use crate::captions::Cue;
use crate::config::{Limits, PackagerConfig};
use crate::container::{CodecConfig, Format, VideoFormat};
use crate::daterange::{DateRange, DateRangeRefused, DateRanges};
use crate::derived::Derived;
use crate::keyframe::KeyFrameAsker;
use crate::multivariant::{self, Variant};
use crate::rendition::Rendition;
use crate::segment::{Init, SegmentHead};
use crate::snapshot::{Extras, Report, Snapshot};
use crate::timeline::WallMap;
use crate::video::{Cut, Picture};
use sides::{AudioSide, VideoSide};

/// A picture that is so much later than usual does not come: the tap's wait for retransmissions (400 ms) and a little.
const GRACE: Duration = Duration::from_millis(450);
/// An audio segment this far above TARGETDURATION cannot wait for the video's boundary; one more part still rounds to it.
const OVERTIME: Duration = Duration::from_millis(100);
/// How far the dates may move against the durations from one segment to the next: drifting clocks are followed, a better
/// guess at the start is not a jump (rule 6).
const DATE_STEP_MAX: Duration = Duration::from_millis(1);
/// Until so much was measured, BANDWIDTH is not under the configured expectation.
const MEASURED_ENOUGH: Duration = Duration::from_secs(10);

/// One encoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoSample {
    /// Programme time, from [`Timeline::video`](crate::Timeline::video). Rising.
    pub pts: Timestamp,
    /// An IDR, or what is one in another codec.
    pub key: bool,
    /// AVCC with 4-byte lengths, parameter sets included as they came.
    pub data: Bytes,
}

/// One raw AAC-LC frame of 1024 samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFrame {
    /// Programme time, in any scale. Each 1024 samples after the one before; a hole becomes gap parts.
    pub pts: Timestamp,
    /// Without ADTS.
    pub data: Bytes,
}

/// What happened. At most one of each kind waits to be polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackagerEvent {
    /// Ask the publisher for a key frame now. Repeated by the packager itself; no need to retry.
    KeyFrameWanted,
    /// This rendition has a new snapshot: wake who waits. The other's snapshot is fresh too (rendition reports).
    Published(Rendition),
}

/// What was done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Parts with media, both renditions.
    pub parts: u64,
    /// Gap parts.
    pub gap_parts: u64,
    /// Complete segments, both renditions.
    pub segments: u64,
    /// Wishes for key frames.
    pub key_frames_wanted: u64,
    /// Pictures that could not be shown: no key frame before them.
    pub pictures_dropped: u64,
    /// Audio frames before the programme's start, or twice.
    pub audio_frames_dropped: u64,
    /// Key frames whose parameter sets cannot be used.
    pub bad_parameter_sets: u64,
}

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
    video: Option<VideoSide>,
    audio: Option<AudioSide>,
    asker: KeyFrameAsker,
    /// The next segment with pictures begins behind a discontinuity.
    discontinuity: bool,
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
        let video = config.video.first().map(|_| VideoSide::new(&config, limits));
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
            discontinuity: false,
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
        let pts = sample.pts.rescale(VIDEO_SCALE).ticks;
        let Some(video) = self.video.as_mut().filter(|_| rung == 0 && !self.finished) else { return };
        video.note_lag(local, pts);
        if sample.key {
            self.asker.came(local);
            if !video.takes_format(CodecConfig::of_key_frame(&sample.data)) {
                return;
            }
        }
        let discontinuity = self.discontinuity || video.next_format.is_some() && video.format.is_some();
        let data = CodecConfig::stripped(&sample.data);
        video.cutter.push(Picture { pts, key: sample.key, data }, discontinuity);
        self.settle(local);
    }

    /// One AAC frame. Ignored after [`Self::finish`].
    pub fn push_audio(&mut self, now: Instant, frame: &AudioFrame) {
        let local = self.local(now);
        let Some(audio) = self.audio.as_mut().filter(|_| !self.finished) else { return };
        audio.cutter.push(frame.pts.rescale(audio.scale).ticks, frame.data.clone());
        let overtime = Duration::from_secs(self.limits.target_duration_secs) + OVERTIME;
        if audio.out() > overtime
            && let Some(video) = &mut self.video
        {
            video.cutter.force_boundary();
        }
        self.settle(local);
    }

    /// What comes next is another publisher's, or jumps in time: the next segment that begins with a key frame stands behind
    /// one discontinuity, in both renditions.
    pub fn discontinuity(&mut self) {
        self.discontinuity = true;
        if self.video.is_some() {
            self.asker.want_now();
        } else if let Some(audio) = &mut self.audio {
            audio.cutter.discontinuity();
        }
    }

    /// Does what is due: wishes for key frames, gaps for pictures that do not come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let local = self.local(now);
        let Some(video) = self.video.as_mut().filter(|_| !self.finished) else { return };
        if let Some(lag) = video.lag() {
            let due = nanos_of(local) - nanos_of(GRACE) - lag;
            video.cutter.overdue(ticks(due, VIDEO_SCALE));
        }
        self.settle(local);
    }

    /// When [`Self::handle_timeout`] is due. May lie in the past.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let epoch = self.epoch?;
        let video = self.video.as_ref().filter(|_| !self.finished)?;
        let lag = video.lag()?;
        let gap = video.cutter.deadline().map(|at| nanos(at, VIDEO_SCALE) + lag + nanos_of(GRACE) + 1_000_000);
        let gap = gap.map(|at| Duration::from_nanos(at.max(0).unsigned_abs()));
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
        if let Some(video) = &mut self.video {
            video.cutter.end();
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
            Rendition::Video(0) => self.video.as_ref()?.output.snapshot.clone(),
            Rendition::Video(_) => None,
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
        let listed =
            |output: &crate::output::Output| output.store.listed().filter(|segment| segment.head.discontinuity).count() as u64;
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
            pictures_dropped: self.video.as_ref().map_or(0, |video| video.cutter.dropped),
            audio_frames_dropped: self.audio.as_ref().map_or(0, |audio| audio.cutter.dropped),
            bad_parameter_sets: self.video.as_ref().map_or(0, |video| video.bad_parameter_sets),
        }
    }

    fn outputs(&self) -> impl Iterator<Item = &crate::output::Output> {
        let video = self.video.iter().map(|video| &video.output);
        video.chain(self.audio.iter().map(|audio| &audio.output))
    }

    fn local(&mut self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.epoch.get_or_insert(now))
    }

    /// After every input: decisions become bytes, bytes become a new version.
    fn settle(&mut self, local: Duration) {
        self.write_video(local);
        self.write_audio();
        self.publish(local);
        let Some(video) = &self.video else { return };
        if video.cutter.starved() && video.lag().is_some() {
            self.asker.want_now();
        }
        if video.lag().is_some() && self.asker.ask(local) {
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
        let Some(video) = &mut self.video else { return };
        for cut in video.cutter.take_cuts() {
            match cut {
                Cut::Begin { at, discontinuity, gap } => {
                    let first = video.output.store.is_new();
                    self.wall = stepped(self.wall, self.wall_wanted, discontinuity || first);
                    let boundary = video.begin(at, discontinuity, gap, self.wall);
                    if !gap {
                        self.discontinuity = false;
                        self.asker.segment_began(local);
                    }
                    if let Some(audio) = &mut self.audio {
                        audio.cutter.boundary(boundary);
                    }
                }
                Cut::Part { start, duration, samples } => {
                    video.frame_rate.pictures(samples.len());
                    video.output.part(start, duration, &samples);
                }
                Cut::End => {
                    if let Some(duration) = video.output.end() {
                        video.frame_rate.segment(duration);
                    }
                }
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

    fn publish(&mut self, local: Duration) {
        let ready = self.outputs().all(|output| output.store.complete() > 0);
        let grown = |output: Option<&crate::output::Output>| output.is_some_and(|output| output.grown);
        let video_grown = grown(self.video.as_ref().map(|video| &video.output));
        let audio_grown = grown(self.audio.as_ref().map(|audio| &audio.output));
        if !ready || !(video_grown || audio_grown || self.ended) {
            return;
        }
        let first = self.multivariant.is_none();
        // Both lose the same segments at once, so that MEDIA-SEQUENCE and DISCONTINUITY-SEQUENCE stay equal (rule 5).
        let begins = self.outputs().map(|output| output.store.first_msn()).max().unwrap_or(0);
        let list_from = self.outputs().map(|output| output.store.must_list_from()).min().unwrap_or(0).max(begins);
        let extras = self.extras(local, list_from);
        let video_report = self.video.as_ref().and_then(|video| video.output.report());
        let audio_report = self.audio.as_ref().and_then(|audio| audio.output.report());
        if let Some(video) = &mut self.video {
            video.output.store.trim(list_from, local);
        }
        if let Some(audio) = &mut self.audio {
            audio.output.store.trim(list_from, local);
        }
        let leaders = self.outputs().next().map(|leading| leading.store.all().0).unwrap_or_default();
        let captions = self.derived.prepare(&leaders);
        let reports = |other: Option<Report>| other.into_iter().chain(captions.iter().copied()).collect();
        if let Some(video) = &mut self.video {
            let hint = !video.cutter.in_gap() && !self.finished;
            video.output.publish(reports(audio_report), &extras, self.ended, hint);
        }
        if let Some(audio) = &mut self.audio {
            audio.output.publish(reports(video_report), &extras, self.ended, !self.finished);
        }
        let all: Vec<_> = [video_report, audio_report].into_iter().flatten().chain(captions).collect();
        self.publish_derived(&all);
        self.refresh_multivariant();
        for (rendition, grown) in [(Rendition::Video(0), video_grown), (Rendition::Audio, audio_grown)] {
            let exists = self.snapshot(rendition).is_some();
            if exists && (grown || first || self.ended) {
                self.tell(PackagerEvent::Published(rendition));
            }
        }
    }

    /// I-frames and captions, which come with the leading rendition's segments.
    fn publish_derived(&mut self, reports: &[Report]) {
        let rungs: Vec<_> = self.video.iter().filter_map(|video| video.output.snapshot.clone()).collect();
        let leading = rungs.first().cloned().or_else(|| self.audio.as_ref()?.output.snapshot.clone());
        let Some(leading) = leading else { return };
        for rendition in self.derived.update(&leading, &rungs, reports) {
            self.tell(PackagerEvent::Published(rendition));
        }
    }

    /// What all renditions of the next version share; segments before `list_from` are no longer in it.
    fn extras(&mut self, local: Duration, list_from: u64) -> Arc<Extras> {
        let first = |output: &crate::output::Output| {
            output.store.listed().find(|segment| segment.head.msn >= list_from).map(|segment| segment.head.date)
        };
        let from = self.outputs().filter_map(first).min().unwrap_or_default();
        let ranges = self.ranges.version(local, from, self.limits.skip_until());
        Arc::new(Extras { tokens: self.config.tokens, start_offset_ms: self.config.start_offset_ms, ranges })
    }

    fn refresh_multivariant(&mut self) {
        let mut peak = self.outputs().map(|output| output.bitrate.peak_bps()).sum::<u64>();
        let average = self.outputs().map(|output| output.bitrate.average_bps()).sum::<u64>();
        let measured = self.outputs().map(|output| output.bitrate.measured()).max().unwrap_or_default();
        if let Some(hint) = self.config.video.first().and_then(|rung| rung.bps_hint).filter(|_| measured < MEASURED_ENOUGH) {
            peak = peak.max(hint);
        }
        let video = self.video.as_ref().and_then(|video| Some((video.format.as_ref()?, video.frame_rate.per_second())));
        let variant = Variant {
            video,
            audio: self.config.audio.as_ref(),
            captions: &self.config.captions,
            i_frame_bps: self.derived.i_frame_bps(),
            // A player that trusts a number below the truth stalls.
            peak_bps: (peak + peak / 20).max(1),
            average_bps: average.max(1),
        };
        let text = multivariant::render(&variant);
        if self.multivariant.as_ref().is_none_or(|body| body.plain() != text.as_bytes()) {
            self.multivariant = Some(Arc::new(Body::new(Bytes::from(text))));
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
