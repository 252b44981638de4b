//! One programme's machinery: timeline, Opus to AAC, packager, and the stage on which snapshots are shown.

use std::time::{Duration, Instant};

use minamo_media::fmp4::Fmp4Error;
use minamo_media::{AccessUnit, Codec, ConnectionId, Kind, SenderReport, Timestamp, TrackId};
use minamo_packager::{
    AudioConfig, AudioFrame, AudioStep, Counters, Cue, DateRange, DateRangeRefused, Directives, Follower, Packager,
    PackagerConfig, PackagerEvent, Rendition, Response, RungConfig, Skip, Snapshot, Timeline, VideoSample, WallClock, WallMap,
};
use minamo_transcode::{AudioError, CHANNELS, OpusToAac, Refused, SAMPLE_RATE, Step};
use tracing::info;

use crate::config::{ProgrammeSettings, TranscodeState};
use crate::ladder::{self, Happened, Made, Transcoder};
use crate::origin::{ProgrammeKey, Stage};
use crate::plan::LadderPlan;
use crate::programme::Surroundings;
use crate::publishers::Publisher;
use crate::telemetry;

/// How often silence is written for a publisher that sends no sound. The timeline asks for 100 ms at most.
const SILENCE_EVERY: Duration = Duration::from_millis(90);

/// Segments are dated anew when the publisher's clock has drifted so far from ours: half of what a viewer could notice.
const REDATE: Duration = Duration::from_millis(50);

/// A programme cannot go on: a codec or a container refused. Never caused by what a publisher sends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssemblyError {
    #[error(transparent)]
    Audio(#[from] AudioError),
    #[error(transparent)]
    Container(#[from] Fmp4Error),
}

/// Where a programme's numbers start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct First {
    pub(crate) msn: u64,
    pub(crate) discontinuity: u64,
}

/// From tap to snapshots, for one life of a programme: from its first track to its ENDLIST.
pub(crate) struct Assembly {
    key: ProgrammeKey,
    first: First,
    timeline: Timeline,
    video_track: Option<(TrackId, Codec)>,
    audio_track: Option<TrackId>,
    /// Layers of the track that have had a key frame, one bit each: their pictures are useless before.
    keyed: u8,
    /// For pictures that cannot be shown as they come.
    transcoder: Option<Transcoder>,
    /// There was no room for it.
    refused: bool,
    /// When to look for what it has made.
    made_at: Instant,
    line: Option<Line>,
}

/// What exists once the programme has begun.
struct Line {
    packager: Packager,
    /// What comes as which video rendition.
    plan: LadderPlan,
    /// As the packager has it.
    wall: WallMap,
    /// What the metrics know of.
    counted: Counters,
    /// Every media playlist.
    renditions: Vec<Rendition>,
    has_video: bool,
    has_audio: bool,
    audio_bps: u32,
    /// Made with the first sound, because the timeline knows only then where it starts.
    audio: Option<OpusToAac>,
    silence_at: Instant,
    /// DASH and MPEG-TS. `None`: they are refused, because they would not be protected as the playlists are.
    follower: Option<Follower>,
    stage: Stage,
    shown: bool,
}

/// 2026-01-01T00:00:00Z.
const UNIX_2026: u64 = 1_767_225_600;

impl Assembly {
    /// `at_least`: numbers that an earlier programme under the same URL has not used.
    pub(crate) fn new(key: ProgrammeKey, wall: WallClock, at_least: First) -> Self {
        // Seconds since 1970: a restarted server never goes backwards, as segments are longer than a second on the whole.
        let msn = wall.unix.as_secs().max(at_least.msn);
        // Hours since 2026, because hls.js 1.7 indexes an array by this number: a large one freezes its page.
        let hours = wall.unix.as_secs().saturating_sub(UNIX_2026) / 3600;
        let first = First { msn, discontinuity: hours.max(at_least.discontinuity) };
        Self {
            key,
            first,
            timeline: Timeline::new(wall),
            video_track: None,
            audio_track: None,
            keyed: 0,
            transcoder: None,
            refused: false,
            made_at: wall.instant,
            line: None,
        }
    }

    /// The tracks of this publisher are the programme's from now on. Idempotent.
    pub(crate) fn set_publisher(&mut self, owner: &Publisher, around: &Surroundings) -> Result<(), AssemblyError> {
        if let Some(line) = &self.line {
            line.stage.set_publisher(owner.id.clone());
        }
        if let Some(video) = owner.track(Kind::Video).filter(|info| self.video_track != Some((info.track, info.codec))) {
            self.timeline.add_track(video);
            self.stop_transcoding(around);
            self.video_track = Some((video.track, video.codec));
            self.keyed = 0;
            around.wish_key_frame(video.track);
        }
        if let Some(audio) = owner.track(Kind::Audio).filter(|info| self.audio_track != Some(info.track)) {
            self.timeline.add_track(audio);
            self.audio_track = Some(audio.track);
            if let Some(encoder) = self.line.as_mut().and_then(|line| line.audio.as_mut()) {
                encoder.new_source()?;
            }
        }
        Ok(())
    }

    pub(crate) fn remove_track(&mut self, track: TrackId) {
        self.timeline.remove_track(track);
        if self.video_track.take_if(|(shown, _)| *shown == track).is_some() {
            self.transcoder = None;
        }
        self.audio_track.take_if(|shown| *shown == track);
    }

    pub(crate) fn remove_all_tracks(&mut self) {
        for track in [self.video_track.map(|(track, _)| track), self.audio_track].into_iter().flatten() {
            self.remove_track(track);
        }
    }

    pub(crate) fn sender_report(&mut self, track: TrackId, report: &SenderReport) {
        self.timeline.sender_report(track, report);
    }

    /// What the track is to this programme; `None` when it is not shown.
    pub(crate) fn kind_of(&self, track: TrackId) -> Option<Kind> {
        match track {
            _ if self.video_track.is_some_and(|(shown, _)| shown == track) => Some(Kind::Video),
            _ if self.audio_track == Some(track) => Some(Kind::Audio),
            _ => None,
        }
    }

    /// There is a rendition for this kind of media, or there may still be one.
    pub(crate) fn covers(&self, kind: Kind) -> bool {
        self.line.as_ref().is_none_or(|line| match kind {
            Kind::Video => line.has_video,
            Kind::Audio => line.has_audio,
        })
    }

    /// Fixes the renditions for the rest of this life.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        settings: &ProgrammeSettings,
        publisher: &Publisher,
        video: bool,
    ) -> Result<(), AssemblyError> {
        let has_audio = publisher.track(Kind::Audio).is_some();
        let audio = if has_audio {
            let asc = OpusToAac::new(settings.audio_bps, 0)?.audio_specific_config().clone();
            Some(AudioConfig { asc, sample_rate: SAMPLE_RATE, channels: CHANNELS as u8 })
        } else {
            None
        };
        let publisher_id = self.key.publisher.as_ref().map(ConnectionId::as_str);
        let layers = publisher.track(Kind::Video).filter(|_| video).map(|track| track.rids.len());
        let plan = LadderPlan::new(&settings.ladder, layers);
        for missing in plan.missing() {
            info!(channel = %self.key.channel, rung = missing.rung, "nobody fills this rung of the ladder");
        }
        let config = PackagerConfig {
            video: plan.flowing().map(|_| RungConfig::default()).collect(),
            audio,
            segment_target: settings.segment_target,
            part_target: settings.part_target,
            first_msn: self.first.msn,
            first_discontinuity: self.first.discontinuity,
            cipher: settings.cipher.clone().map(|cipher| publisher_id.map_or(cipher.clone(), |id| cipher.of_publisher(id))),
            tokens: settings.access.as_ref().map(|access| access.tokens(publisher_id)),
            start_offset_ms: settings.start_offset_ms,
            captions: settings.captions.clone(),
            ..PackagerConfig::default()
        };
        let renditions: Vec<_> = renditions(plan.rungs(), has_audio).chain(config.derived_renditions()).collect();
        let wall = self.timeline.wall();
        self.line = Some(Line {
            packager: Packager::new(config, wall)?,
            wall,
            counted: Counters::default(),
            has_video: video,
            has_audio,
            audio_bps: settings.audio_bps,
            audio: None,
            silence_at: now,
            // What stands in a form is neither encrypted nor under tokens: rather no form than one that undoes the protection.
            follower: (settings.cipher.is_none() && settings.access.is_none()).then(Follower::new),
            stage: Stage::new(publisher.id.clone(), renditions.iter().copied()),
            renditions,
            plan,
            shown: false,
        });
        Ok(())
    }

    /// Whether pictures of the video track can be shown. Where they have to be transcoded, room is asked for at each key frame
    /// until there is some.
    pub(crate) fn admits(&mut self, unit: &AccessUnit, settings: &ProgrammeSettings, around: &Surroundings) -> bool {
        let Some((track, codec)) = self.video_track else { return false };
        if !ladder::is_transcoded(codec, settings) || self.transcoder.is_some() {
            return true;
        }
        // A programme that is shown as it came stays so: what its publisher sends is H.264.
        if !unit.key || self.refused && codec == Codec::H264 {
            return codec == Codec::H264;
        }
        match Transcoder::admit(&around.pool, track, codec, unit, settings) {
            Ok(transcoder) => {
                (self.transcoder, self.refused) = (Some(transcoder), false);
                around.origin.set_transcoding(&self.key, Some(TranscodeState::Running));
                true
            }
            Err(refused) => {
                self.note_refusal(refused, around);
                codec == Codec::H264
            }
        }
    }

    fn note_refusal(&mut self, refused: Refused, around: &Surroundings) {
        if !std::mem::replace(&mut self.refused, true) {
            tracing::warn!(channel = %self.key.channel, %refused, "pictures are not transcoded: the channel goes on without");
            telemetry::transcode_refused(refused.reason());
        }
        around.origin.set_transcoding(&self.key, Some(TranscodeState::Refused(refused)));
    }

    /// Video was refused: sound need not wait for it.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    fn stop_transcoding(&mut self, around: &Surroundings) {
        (self.transcoder, self.refused) = (None, false);
        around.origin.set_transcoding(&self.key, None);
    }

    pub(crate) fn video(&mut self, now: Instant, unit: &AccessUnit, around: &Surroundings) -> Result<(), AssemblyError> {
        let Some(line) = &mut self.line else { return Ok(()) };
        let layer = 1_u8 << unit.layer.min(7);
        if self.transcoder.is_some() && unit.after_loss {
            self.keyed &= !layer;
        }
        if self.keyed & layer == 0 && !unit.key {
            return Ok(());
        }
        self.keyed |= layer;
        let Some(rung) = line.plan.rung_of(unit.layer) else { return Ok(()) };
        let timing = self.timeline.video(unit, now);
        if let Some(transcoder) = &mut self.transcoder {
            transcoder.push(unit, timing.pts, timing.discontinuity);
            if transcoder.starved() {
                around.wish_key_frame(transcoder.track);
            }
            self.take_made(now, around);
            return Ok(());
        }
        if timing.discontinuity {
            line.date(self.timeline.wall());
            line.packager.discontinuity();
        }
        line.packager.push_video(now, rung, &VideoSample { pts: timing.pts, key: unit.key, data: unit.data.clone() });
        self.after(around);
        Ok(())
    }

    /// What came back from the pool goes into the packager.
    fn take_made(&mut self, now: Instant, around: &Surroundings) {
        let Some(transcoder) = &mut self.transcoder else { return };
        let (track, happened) = (transcoder.track, transcoder.take());
        for event in happened {
            match event {
                Happened::Made(made) => {
                    if std::mem::take(&mut self.refused) {
                        around.origin.set_transcoding(&self.key, Some(TranscodeState::Running));
                    }
                    self.show_made(now, &made);
                }
                Happened::KeyFrameWanted => around.wish_key_frame(track),
                Happened::NoRoom(refused) => self.note_refusal(refused, around),
                Happened::Failed(failure) => {
                    tracing::warn!(channel = %self.key.channel, failure, "transcoding failed: it begins anew with a key frame");
                    telemetry::transcode_refused("failed");
                    self.stop_transcoding(around);
                    self.keyed = 0;
                    around.wish_key_frame(track);
                }
            }
        }
        self.after(around);
    }

    fn show_made(&mut self, now: Instant, made: &Made) {
        let Some(line) = &mut self.line else { return };
        if made.discontinuity {
            line.date(self.timeline.wall());
            line.packager.discontinuity();
        }
        line.packager.push_video(now, 0, &made.sample);
    }

    pub(crate) fn audio(&mut self, now: Instant, unit: &AccessUnit, around: &Surroundings) -> Result<(), AssemblyError> {
        if self.line.is_some() {
            let steps = self.timeline.audio(unit, now);
            self.sound(now, steps)?;
            self.after(around);
        }
        Ok(())
    }

    /// Silence that is due, parts that are due, wishes that are due.
    pub(crate) fn handle_timeout(&mut self, now: Instant, around: &Surroundings) -> Result<(), AssemblyError> {
        let Some(line) = &mut self.line else { return Ok(()) };
        if line.has_audio && now >= line.silence_at {
            line.silence_at = now + SILENCE_EVERY;
            let steps = self.timeline.audio_tick(now);
            self.sound(now, steps)?;
        }
        self.take_made(now, around);
        if let Some(line) = &mut self.line {
            line.packager.handle_timeout(now);
        }
        self.made_at = now + ladder::LOOK_EVERY;
        self.after(around);
        Ok(())
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let line = self.line.as_ref()?;
        let silence = line.has_audio.then_some(line.silence_at);
        let made = self.transcoder.as_ref().map(|_| self.made_at);
        [silence, line.packager.poll_timeout(), made].into_iter().flatten().min()
    }

    fn sound(&mut self, now: Instant, steps: Vec<AudioStep>) -> Result<(), AssemblyError> {
        let Some(line) = self.line.as_mut().filter(|_| !steps.is_empty()) else { return Ok(()) };
        let start = self.timeline.audio_start().map_or(0, |start| start.ticks);
        let encoder = match &mut line.audio {
            Some(encoder) => encoder,
            none => none.insert(OpusToAac::new(line.audio_bps, start)?),
        };
        let steps: Vec<Step> = steps.into_iter().map(step).collect();
        let mut frames = encoder.push(&steps)?;
        // The line's count is the clock: what a broken packet did not give is silence.
        let due = self.timeline.audio_position().map_or(0, |position| position.ticks) - encoder.position();
        debug_assert!(due >= 0, "libopus gave more than the packet says");
        if due > 0 {
            frames.extend(encoder.push(&[Step::Silence { samples: due as u32 }])?);
        }
        for frame in frames {
            let pts = Timestamp::new(frame.pts, SAMPLE_RATE);
            line.packager.push_audio(now, &AudioFrame { pts, data: frame.data });
        }
        Ok(())
    }

    /// Shows what is new and passes wishes on.
    fn after(&mut self, around: &Surroundings) {
        let Some(line) = &mut self.line else { return };
        let mut grown = Vec::new();
        while let Some(event) = line.packager.poll_event() {
            match event {
                PackagerEvent::KeyFrameWanted => match (&self.transcoder, self.video_track) {
                    (Some(transcoder), _) if transcoder.force_key_frame() => {}
                    (Some(transcoder), _) => around.wish_key_frame(transcoder.track),
                    (None, Some((track, _))) => around.wish_key_frame(track),
                    (None, None) => {}
                },
                PackagerEvent::Published(rendition) => grown.push(rendition),
            }
        }
        if !grown.is_empty() {
            line.publish(&grown);
            line.show(&self.key, around);
        }
    }

    /// Timed metadata. `None`: the programme has not begun.
    pub(crate) fn add_date_range(&mut self, range: &DateRange) -> Option<Result<(), DateRangeRefused>> {
        self.line.as_mut().map(|line| line.packager.add_date_range(range))
    }

    /// Captions for one track. `None`: the programme has not begun. False: there is no such track.
    pub(crate) fn add_captions(&mut self, track: usize, cues: &[Cue]) -> Option<bool> {
        let line = self.line.as_mut()?;
        Some(cues.iter().all(|cue| line.packager.add_caption(track, cue)))
    }

    /// Numbers that a later programme under the same URL may start with.
    pub(crate) fn next(&self) -> First {
        self.line
            .as_ref()
            .map_or(self.first, |line| First { msn: line.packager.next_msn(), discontinuity: line.packager.next_discontinuity() })
    }

    /// How far the newest complete part is behind now, and whether the publisher's clock still runs with ours.
    pub(crate) fn measure(&mut self, unix: Duration, around: &Surroundings) {
        if let Some(transcoder) = &mut self.transcoder {
            transcoder.measure();
            telemetry::pool(&around.pool.load());
        }
        let Some(line) = &mut self.line else { return };
        let wall = self.timeline.wall();
        if wall.unix_at_zero.abs_diff(line.wall.unix_at_zero) > REDATE {
            line.date(wall);
        }
        let edge = |rendition| line.packager.snapshot(rendition).and_then(|snapshot| snapshot.edge_date());
        let newest = renditions(line.plan.rungs(), !line.has_video).filter_map(edge).max();
        if let Some(edge) = newest {
            telemetry::live_latency(&self.key.channel, unix.saturating_sub(edge).as_secs_f64());
        }
    }

    /// Everything that is there goes out; ENDLIST comes with [`Self::end`].
    pub(crate) fn finish(&mut self, now: Instant, around: &Surroundings) {
        if let Some(line) = &mut self.line {
            line.packager.finish(now);
        }
        self.after(around);
    }

    /// ENDLIST.
    pub(crate) fn end(&mut self, now: Instant, around: &Surroundings) {
        self.stop_transcoding(around);
        if let Some(line) = &mut self.line {
            line.packager.end(now);
        }
        self.after(around);
        telemetry::live_latency(&self.key.channel, 0.0);
        if let Some(line) = &self.line {
            line.stage.set_ended();
            if line.shown {
                around.origin.ended(&self.key);
            }
        }
    }

    /// Out of the origin, out of memory.
    pub(crate) fn withdraw(self, around: &Surroundings) {
        if let Some(line) = self.line {
            around.origin.withdraw(&self.key, &line.stage.showing);
        }
    }
}

impl Line {
    /// Shows both snapshots, because each reports on the other; wakes only those who wait for what has grown.
    fn publish(&mut self, grown: &[Rendition]) {
        for rendition in self.renditions.iter().copied() {
            let Some(snapshot) = self.packager.snapshot(rendition) else { continue };
            let wake = grown.contains(&rendition);
            render(&snapshot, wake);
            self.stage.publish(rendition, snapshot, wake);
        }
        let snapshots = renditions(self.plan.rungs(), self.has_audio).filter_map(|rendition| self.packager.snapshot(rendition));
        if let Some(forms) = self.follower.as_mut().and_then(|follower| follower.follow(snapshots.collect())) {
            self.stage.publish_forms(forms);
        }
        let now = self.packager.counters();
        telemetry::parts(now.parts - self.counted.parts);
        telemetry::segments(now.segments - self.counted.segments);
        self.counted = now;
    }

    fn date(&mut self, wall: WallMap) {
        self.wall = wall;
        self.packager.set_wall(wall);
    }

    /// The programme gets its URL with its first multivariant playlist.
    fn show(&mut self, key: &ProgrammeKey, around: &Surroundings) {
        let Some(body) = self.packager.multivariant() else { return };
        self.stage.publish_multivariant(body);
        if !self.shown {
            self.shown = around.origin.show(key, self.stage.showing.clone());
        }
    }
}

/// The media playlists of a programme.
fn renditions(rungs: u8, audio: bool) -> impl Iterator<Item = Rendition> {
    (0..rungs).map(Rendition::Video).chain(audio.then_some(Rendition::Audio))
}

fn step(step: AudioStep) -> Step {
    match step {
        AudioStep::Decode(packet) => Step::Decode(packet),
        AudioStep::Conceal { samples } => Step::Conceal { samples },
        AudioStep::Silence { samples } => Step::Silence { samples },
    }
}

/// Renders here what requests will ask for, so that none of them has to. Compressing is worth it only for a crowd that is
/// about to be woken.
fn render(snapshot: &Snapshot, wake: bool) {
    for skip in [None, Some(Skip::Yes)] {
        if let Response::Ready(body) = snapshot.respond(&Directives { skip, ..Directives::default() })
            && wake
        {
            let _ = body.gzip();
        }
    }
}
