//! One programme time out of many clocks.
//!
//! Every track counts on a clock of its own, the publisher has a wall clock that may be wrong by years, and packets
//! arrive with jitter. The programme's time is the audio line: the count of samples that were handed to the encoder.
//! It starts where the local clock is when the first sound (or its absence) is due, follows the publisher's audio clock
//! while packets come, and the local clock while they do not. Video is mapped onto it through the sender reports of both
//! tracks, or through arrival times as long as there are none.
//!
//! Programme time 1 s is [`WallClock::instant`], so that an encoder's delay never leads below zero.

mod clock;
mod line;
mod picture;

use std::time::{Duration, Instant};

use bytes::Bytes;
use minamo_media::{AccessUnit, Kind, SenderReport, Timestamp, TrackId, TrackInfo};

use clock::TrackClock;
use line::AudioLine;
use picture::Pictures;

/// Scale of [`VideoTiming::pts`].
pub const VIDEO_SCALE: u32 = 90_000;
/// Scale of the audio line.
pub const AUDIO_SCALE: u32 = 48_000;
/// Layers of a picture track; those beyond count as the last.
const LAYERS_MAX: usize = 4;
/// Jumps of different layers within this time are one.
const SAME_JUMP_SECS: f64 = 3.0;
/// Programme time at the timeline's start, in seconds.
const START_SECS: f64 = 1.0;

/// One moment on both clocks of this machine: the only place where wall time enters.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    /// Monotonic.
    pub instant: Instant,
    /// The same moment as time since the Unix epoch.
    pub unix: Duration,
}

/// Programme time to wall time. A plain value: a packager keeps the one that it was given until it is given another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallMap {
    /// Time since the Unix epoch at programme time zero.
    pub unix_at_zero: Duration,
}

impl WallMap {
    /// Wall time of a programme time that is not negative.
    #[must_use]
    pub fn wall_of(&self, at: Timestamp) -> Duration {
        let nanos = Timestamp::new(at.ticks.max(0), at.scale).rescale(1_000_000_000).ticks;
        self.unix_at_zero + Duration::from_nanos(nanos.unsigned_abs())
    }
}

/// What to append to the programme's sound, in order. Every step advances the line by its samples (48 kHz, per channel).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioStep {
    /// Decode this Opus packet: as many samples as the packet says.
    Decode(Bytes),
    /// Lost sound, short enough to conceal.
    Conceal {
        /// Samples per channel.
        samples: u32,
    },
    /// Nothing was sent or too much was lost: digital silence.
    Silence {
        /// Samples per channel.
        samples: u32,
    },
}

/// Where a picture stands in the programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoTiming {
    /// Programme time at [`VIDEO_SCALE`]; greater than that of every picture before.
    pub pts: Timestamp,
    /// The pictures' time jumped here, or another track begins: one discontinuity.
    pub discontinuity: bool,
}

/// The clocks of one programme.
#[derive(Debug)]
pub struct Timeline {
    wall: WallClock,
    audio: Option<(TrackId, TrackClock)>,
    video: Option<(TrackId, Layers)>,
    line: AudioLine,
    pictures: [Pictures; LAYERS_MAX],
    /// Programme seconds at which pictures of another layer said last that time jumped.
    jumped_at: Option<(usize, f64)>,
    /// Other tracks' units and reports that came after their removal.
    strays: u64,
}

impl Timeline {
    /// A programme that starts at this moment.
    #[must_use]
    pub fn new(wall: WallClock) -> Self {
        Self {
            wall,
            audio: None,
            video: None,
            line: AudioLine::default(),
            pictures: Default::default(),
            jumped_at: None,
            strays: 0,
        }
    }

    /// A track that belongs to the programme from now on. It takes the place of an earlier one of its kind: a publisher
    /// that came back. The programme's time goes on.
    pub fn add_track(&mut self, info: &TrackInfo) {
        let rate = info.codec.clock_rate();
        match info.codec.kind() {
            Kind::Audio => {
                self.line.new_track();
                self.audio = Some((info.track, TrackClock::new(rate)));
            }
            Kind::Video => {
                self.pictures.iter_mut().for_each(Pictures::new_track);
                self.jumped_at = None;
                self.video = Some((info.track, std::array::from_fn(|_| TrackClock::new(rate))));
            }
        }
    }

    /// Nothing more comes of this track; unknown ones are ignored.
    pub fn remove_track(&mut self, track: TrackId) {
        self.audio.take_if(|(id, _)| *id == track);
        self.video.take_if(|(id, _)| *id == track);
    }

    /// A sender report of one of the programme's tracks; others are ignored.
    pub fn sender_report(&mut self, track: TrackId, report: &SenderReport) {
        let Some((own, others)) = clocks_of(&mut self.audio, &mut self.video, track, report.layer) else {
            self.strays += 1;
            return;
        };
        if own.report(report) {
            // The publisher's wall clock was set: what the others said on the old one no longer compares.
            others.into_iter().for_each(TrackClock::adopt_step);
        }
    }

    /// One Opus packet of the audio track. Empty when it came too late, is no packet, or no track was added.
    pub fn audio(&mut self, unit: &AccessUnit, now: Instant) -> Vec<AudioStep> {
        let local = self.local(unit.arrival.min(now));
        let Some((_, clock)) = &mut self.audio else {
            self.strays += 1;
            return Vec::new();
        };
        if clock.observe(unit.rtp, local) {
            self.line.new_track();
        }
        self.line.packet(unit, local, clock)
    }

    /// Silence that is due because no packet came. Call it at least every 100 ms while the programme has an audio
    /// rendition, whether or not there is an audio track: the line is then never more than about 300 ms
    /// behind, and by up to 800 ms more while a queue on the way delays packets.
    pub fn audio_tick(&mut self, now: Instant) -> Vec<AudioStep> {
        let local = self.local(now);
        self.line.tick(local)
    }

    /// Programme time of the line's first sample at [`AUDIO_SCALE`]: where the encoder starts. `None` until the first step.
    #[must_use]
    pub fn audio_start(&self) -> Option<Timestamp> {
        self.line.start().map(|ticks| Timestamp::new(ticks, AUDIO_SCALE))
    }

    /// Programme time of the line's end at [`AUDIO_SCALE`].
    #[must_use]
    pub fn audio_position(&self) -> Option<Timestamp> {
        self.line.position().map(|ticks| Timestamp::new(ticks, AUDIO_SCALE))
    }

    /// One picture. Units of no known track are put by their arrival.
    pub fn video(&mut self, unit: &AccessUnit, now: Instant) -> VideoTiming {
        let local = self.local(unit.arrival.min(now));
        let layer = usize::from(unit.layer).min(LAYERS_MAX - 1);
        let pictures = &mut self.pictures[layer];
        let Some((_, clocks)) = &mut self.video else {
            self.strays += 1;
            return pictures.by_arrival(local);
        };
        let clock = &mut clocks[layer];
        if clock.observe(unit.rtp, local) {
            pictures.new_track();
        }
        let seconds = clock.seconds(unit.rtp);
        let by_reports = self.audio.as_ref().and_then(|(_, audio)| self.line.video_target(seconds, clock, audio));
        let by_arrival = seconds + clock.arrival_offset() - self.line.lag();
        let timing = pictures.place(seconds, by_reports, by_arrival);
        VideoTiming { discontinuity: timing.discontinuity && self.is_news(layer, timing.pts.as_secs_f64()), ..timing }
    }

    /// All layers of a track jump alike, within moments of each other: that is one discontinuity.
    fn is_news(&mut self, layer: usize, at: f64) -> bool {
        let told = self.jumped_at.is_some_and(|(by, before)| by != layer && (at - before).abs() < SAME_JUMP_SECS);
        if !told {
            self.jumped_at = Some((layer, at));
        }
        !told
    }

    /// Programme time to wall time as it is now. It moves only as far as the publisher's clock drifts from ours.
    #[must_use]
    pub fn wall(&self) -> WallMap {
        let shift = self.line.lag() - START_SECS;
        let unix_at_zero = if shift < 0.0 {
            self.wall.unix.saturating_sub(Duration::from_secs_f64(-shift))
        } else {
            self.wall.unix + Duration::from_secs_f64(shift)
        };
        WallMap { unix_at_zero }
    }

    /// Wall time of a programme time.
    #[must_use]
    pub fn wall_of(&self, at: Timestamp) -> Duration {
        self.wall().wall_of(at)
    }

    /// Seconds on the line's scale before any drift.
    fn local(&self, at: Instant) -> f64 {
        START_SECS + at.saturating_duration_since(self.wall.instant).as_secs_f64()
    }
}

/// Each layer counts on a clock of its own.
type Layers = [TrackClock; LAYERS_MAX];

/// The named track's clock, and all others.
fn clocks_of<'a>(
    audio: &'a mut Option<(TrackId, TrackClock)>,
    video: &'a mut Option<(TrackId, Layers)>,
    track: TrackId,
    layer: u8,
) -> Option<(&'a mut TrackClock, Vec<&'a mut TrackClock>)> {
    let heard = audio.as_mut().map(|(id, clock)| (*id == track, clock));
    let seen = video.iter_mut().flat_map(|(id, clocks)| {
        let named = *id == track;
        clocks.iter_mut().enumerate().map(move |(index, clock)| (named && index == usize::from(layer), clock))
    });
    let (mut own, others): (Vec<_>, Vec<_>) = heard.into_iter().chain(seen).partition(|(named, _)| *named);
    Some((own.pop()?.1, others.into_iter().map(|(_, clock)| clock).collect()))
}
