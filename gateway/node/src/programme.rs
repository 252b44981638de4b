//! One programme: who owns it, when it begins, waits, goes on and ends.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use minamo_media::{AccessUnit, ConnectionId, Kind, TapEvent, TrackId, TrackInfo, Upstream};
use minamo_packager::{Cue, DateRange, DateRangeRefused, WallClock};
use minamo_transcode::Pool;
use tracing::{info, warn};

use crate::assembly::{Assembly, First};
use crate::config::ProgrammeSettings;
use crate::ladder;
use crate::origin::{Origin, ProgrammeKey};
use crate::publishers::Publishers;
use crate::telemetry::{self, LiveProgramme};

/// Without a picture for this long a publisher that negotiated video is shown as sound alone.
const VIDEO_GRACE: Duration = Duration::from_secs(10);
/// A first key frame is asked for again after this.
const WISH_AGAIN: Duration = Duration::from_millis(400);
/// The same when the publisher has not answered for its whole grace.
const WISH_SELDOM: Duration = Duration::from_secs(3);
/// How often the live latency is measured, and how long an idle programme is left alone at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What all programmes of a worker share.
pub(crate) struct Surroundings {
    pub(crate) origin: Arc<Origin>,
    pub(crate) upstream: Arc<OnceLock<Arc<dyn Upstream>>>,
    pub(crate) pool: Pool,
    pub(crate) reconnect_window: Duration,
    pub(crate) ended_retention: Duration,
}

impl Surroundings {
    pub(crate) fn wish_key_frame(&self, track: TrackId) {
        if let Some(upstream) = self.upstream.get() {
            upstream.request_key_frame(track);
        }
    }
}

/// From the last parts to ENDLIST: time for a player to see the one before the other.
pub(crate) const LAST_LOOK: Duration = Duration::from_millis(900);

/// What a programme is in.
enum Phase {
    /// A publisher is there, nothing that could be shown has come.
    Waiting { since: Instant, wish_at: Instant },
    /// Playlists grow.
    Live,
    /// The publisher vanished; playlists go on with silence and gaps until then.
    Away { until: Instant },
    /// The last parts went out; ENDLIST comes then.
    Ending { until: Instant },
    /// ENDLIST was written; served until then.
    Ended { until: Instant },
    /// Nothing to serve: it may leave memory.
    Over,
}

/// One programme of one worker.
pub(crate) struct Programme {
    key: ProgrammeKey,
    settings: ProgrammeSettings,
    publishers: Publishers,
    phase: Phase,
    assembly: Option<Assembly>,
    /// The programme that ended before, and until when its last viewers may fetch it.
    before: Option<(Instant, Assembly)>,
    counted: Option<LiveProgramme>,
    /// Numbers that no programme under this URL has used.
    first: First,
    look_at: Option<Instant>,
}

impl Programme {
    pub(crate) fn new(key: ProgrammeKey, settings: ProgrammeSettings) -> Self {
        Self {
            key,
            settings,
            publishers: Publishers::default(),
            phase: Phase::Over,
            assembly: None,
            before: None,
            counted: None,
            first: First::default(),
            look_at: None,
        }
    }

    /// One event of one of the programme's publishers. Only the owner's media counts.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        unix: Duration,
        publisher: &ConnectionId,
        event: TapEvent,
        around: &Surroundings,
    ) {
        match event {
            TapEvent::TrackAdded(info) => self.track_added(now, unix, publisher, info, around),
            TapEvent::PublisherGone { clean } => self.publisher_gone(now, unix, publisher, clean, around),
            TapEvent::TrackRemoved(track) => {
                self.publishers.remove_track(publisher, track);
                if let Some(assembly) = self.owned_by(publisher) {
                    assembly.remove_track(track);
                    // Another track of that kind takes its place.
                    self.adopt_owner(now, around);
                }
            }
            TapEvent::SenderReport(track, report) => {
                if let Some(assembly) = self.owned_by(publisher) {
                    assembly.sender_report(track, &report);
                }
            }
            TapEvent::AccessUnit(track, unit) => {
                if self.publishers.is_owner(publisher) {
                    self.unit(now, unix, track, &unit, around);
                }
            }
        }
    }

    /// Timed metadata. `None`: nothing is live.
    pub(crate) fn add_date_range(&mut self, range: &DateRange) -> Option<Result<(), DateRangeRefused>> {
        let live = matches!(self.phase, Phase::Live | Phase::Away { .. });
        self.assembly.as_mut().filter(|_| live)?.add_date_range(range)
    }

    /// Captions for one track. `None`: nothing is live.
    pub(crate) fn add_captions(&mut self, track: usize, cues: &[Cue]) -> Option<bool> {
        let live = matches!(self.phase, Phase::Live | Phase::Away { .. });
        self.assembly.as_mut().filter(|_| live)?.add_captions(track, cues)
    }

    fn owned_by(&mut self, publisher: &ConnectionId) -> Option<&mut Assembly> {
        if self.publishers.is_owner(publisher) { self.assembly.as_mut() } else { None }
    }

    fn track_added(&mut self, now: Instant, unix: Duration, publisher: &ConnectionId, info: TrackInfo, around: &Surroundings) {
        if info.codec.kind() == Kind::Video && !ladder::may_be_shown(info.codec) {
            warn!(channel = %self.key.channel, codec = ?info.codec, "HLS cannot show this codec: the track is left out");
            return;
        }
        self.publishers.add_track(publisher, info);
        if self.publishers.is_owner(publisher) {
            self.take_over(now, unix, around);
        }
    }

    /// The owner, perhaps a new one, has tracks: it goes on with what is live, or begins anew.
    fn take_over(&mut self, now: Instant, unix: Duration, around: &Surroundings) {
        if let Phase::Ending { .. } = self.phase {
            self.end(now, around);
        }
        match self.phase {
            Phase::Ending { .. } | Phase::Ended { .. } | Phase::Over => {
                self.retire(around);
                if let Some(settings) = around.origin.settings(&self.key.channel) {
                    self.settings = settings;
                }
                let wall = WallClock { instant: now, unix };
                self.assembly = Some(Assembly::new(self.key.clone(), wall, self.first));
                self.phase = Phase::Waiting { since: now, wish_at: now };
            }
            Phase::Away { .. } => self.phase = Phase::Live,
            Phase::Waiting { .. } | Phase::Live => {}
        }
        self.look_at = Some(now);
        self.adopt_owner(now, around);
    }

    fn adopt_owner(&mut self, now: Instant, around: &Surroundings) {
        let (Some(owner), Some(assembly)) = (self.publishers.owner(), &mut self.assembly) else { return };
        if let Err(failure) = assembly.set_publisher(owner, around) {
            self.failed(now, around, &failure);
        }
    }

    /// An ended programme steps back for a new one under the same URL, and leaves memory in its time. One is kept.
    fn retire(&mut self, around: &Surroundings) {
        if let (Phase::Ended { until }, Some(ended)) = (&self.phase, self.assembly.take())
            && let Some((_, older)) = self.before.replace((*until, ended))
        {
            older.withdraw(around);
        }
    }

    fn publisher_gone(&mut self, now: Instant, unix: Duration, publisher: &ConnectionId, clean: bool, around: &Surroundings) {
        if !self.publishers.remove(publisher) {
            return;
        }
        if self.publishers.owner().is_some() {
            return self.take_over(now, unix, around);
        }
        if let Some(assembly) = &mut self.assembly {
            assembly.remove_all_tracks();
        }
        match self.phase {
            Phase::Live if !clean => {
                info!(channel = %self.key.channel, "publisher vanished: the programme waits");
                self.phase = Phase::Away { until: now + around.reconnect_window };
            }
            _ => self.finish(now, around),
        }
    }

    fn unit(&mut self, now: Instant, unix: Duration, track: TrackId, unit: &AccessUnit, around: &Surroundings) {
        let Some(kind) = self.assembly.as_ref().and_then(|assembly| assembly.kind_of(track)) else { return };
        if kind == Kind::Video && !self.assembly.as_mut().is_some_and(|assembly| assembly.admits(unit, &self.settings, around)) {
            return;
        }
        if let Phase::Waiting { since, .. } = self.phase {
            if !self.may_begin(now, since, kind, unit) {
                return;
            }
            self.begin(now, kind, around);
        } else if unit.key && self.assembly.as_ref().is_some_and(|assembly| !assembly.covers(kind)) {
            self.begin_anew(now, unix, around);
            return self.unit(now, unix, track, unit, around);
        }
        let Some(assembly) = &mut self.assembly else { return };
        let done = match kind {
            Kind::Video => assembly.video(now, unit, around),
            Kind::Audio => assembly.audio(now, unit, around),
        };
        if let Err(failure) = done {
            self.failed(now, around, &failure);
        }
    }

    /// With video negotiated nothing begins before a key frame, except that sound need not wait for ever.
    fn may_begin(&self, now: Instant, since: Instant, kind: Kind, unit: &AccessUnit) -> bool {
        let has_video = self.publishers.owner().is_some_and(|owner| owner.track(Kind::Video).is_some());
        match kind {
            Kind::Video => unit.key,
            Kind::Audio => {
                let refused = self.assembly.as_ref().is_some_and(Assembly::is_refused);
                !has_video || refused || now.saturating_duration_since(since) >= VIDEO_GRACE
            }
        }
    }

    /// Sound begins a programme only when there is no video, or none came in its grace: it is left out then.
    fn begin(&mut self, now: Instant, by: Kind, around: &Surroundings) {
        let Some(owner) = self.publishers.owner() else { return };
        let Some(assembly) = &mut self.assembly else { return };
        let video = by == Kind::Video;
        info!(channel = %self.key.channel, publisher = %owner.id, video, "programme begins");
        self.counted = Some(LiveProgramme::new());
        self.phase = Phase::Live;
        if let Err(failure) = assembly.begin(now, &self.settings, owner, video) {
            self.failed(now, around, &failure);
        }
    }

    /// A kind of media came that the renditions do not have: the old programme ends, a new one begins under its URL.
    fn begin_anew(&mut self, now: Instant, unix: Duration, around: &Surroundings) {
        self.end(now, around);
        self.take_over(now, unix, around);
    }

    fn failed(&mut self, now: Instant, around: &Surroundings, failure: &dyn std::error::Error) {
        warn!(channel = %self.key.channel, %failure, "the programme cannot go on");
        telemetry::programme_failure();
        self.end(now, around);
    }

    /// The last parts go out now, ENDLIST a moment later: hls.js does not fetch parts that it first sees together with ENDLIST,
    /// and its viewers would miss the end.
    pub(crate) fn finish(&mut self, now: Instant, around: &Surroundings) {
        match &mut self.assembly {
            Some(assembly) if matches!(self.phase, Phase::Live | Phase::Away { .. }) => {
                assembly.finish(now, around);
                self.phase = Phase::Ending { until: now + LAST_LOOK };
            }
            _ => self.end(now, around),
        }
    }

    /// Whether ENDLIST is still to come.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. })
    }

    /// ENDLIST, at once. What was made is served for a while.
    fn end(&mut self, now: Instant, around: &Surroundings) {
        match self.phase {
            Phase::Live | Phase::Away { .. } | Phase::Ending { .. } => {
                info!(channel = %self.key.channel, "programme ends");
                self.counted = None;
                if let Some(assembly) = &mut self.assembly {
                    assembly.end(now, around);
                    self.first = assembly.next();
                }
                self.phase = Phase::Ended { until: now + around.ended_retention };
            }
            Phase::Waiting { .. } => self.phase = Phase::Over,
            Phase::Ended { .. } | Phase::Over => {}
        }
    }

    /// Timers: silence, parts that are due, key-frame wishes, the reconnect window, the end of retention.
    pub(crate) fn handle_timeout(&mut self, now: Instant, unix: Duration, around: &Surroundings) {
        if let Some((_, ended)) = self.before.take_if(|(until, _)| now >= *until) {
            ended.withdraw(around);
        }
        match self.phase {
            Phase::Waiting { since, wish_at } if now >= wish_at => {
                if let Some(track) = self.publishers.owner().and_then(|owner| owner.track(Kind::Video)) {
                    around.wish_key_frame(track.track);
                }
                let pause = if now.saturating_duration_since(since) < VIDEO_GRACE { WISH_AGAIN } else { WISH_SELDOM };
                self.phase = Phase::Waiting { since, wish_at: now + pause };
            }
            Phase::Away { until } if now >= until => self.finish(now, around),
            Phase::Ending { until } if now >= until => self.end(now, around),
            Phase::Ended { until } if now >= until => {
                if let Some(assembly) = self.assembly.take() {
                    assembly.withdraw(around);
                }
                self.phase = Phase::Over;
            }
            _ => {}
        }
        if matches!(self.phase, Phase::Live | Phase::Away { .. }) {
            self.keep_alive(now, unix, around);
        }
    }

    fn keep_alive(&mut self, now: Instant, unix: Duration, around: &Surroundings) {
        let Some(assembly) = &mut self.assembly else { return };
        if let Err(failure) = assembly.handle_timeout(now, around) {
            return self.failed(now, around, &failure);
        }
        if self.look_at.is_none_or(|at| now >= at) {
            self.look_at = Some(now + LOOK_EVERY);
            assembly.measure(unix, around);
        }
    }

    /// When [`Self::handle_timeout`] is next needed.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let own = match self.phase {
            Phase::Waiting { wish_at, .. } => Some(wish_at),
            Phase::Live => self.look_at,
            Phase::Away { until } | Phase::Ending { until } | Phase::Ended { until } => Some(until),
            Phase::Over => None,
        };
        let growing = matches!(self.phase, Phase::Live | Phase::Away { .. });
        let assembly = self.assembly.as_ref().filter(|_| growing).and_then(Assembly::poll_timeout);
        let before = self.before.as_ref().map(|(until, _)| *until);
        [own, assembly, before].into_iter().flatten().min()
    }

    /// Nobody publishes and nothing is served.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over) && self.publishers.owner().is_none() && self.before.is_none()
    }

    /// Leaves the origin without another word, after a failure inside.
    pub(crate) fn abandon(self, around: &Surroundings) {
        for assembly in self.assembly.into_iter().chain(self.before.map(|(_, ended)| ended)) {
            assembly.withdraw(around);
        }
    }
}
