//! A media playlist at one moment, and the media that it lists or listed.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use crate::body::Body;
use crate::config::Limits;
use crate::daterange::Ranges;
use crate::directives::{Directives, Skip};
use crate::playlist;
use crate::rendition::Rendition;
use crate::segment::{OpenSegment, Segment};
use crate::store::Store;
use crate::token::MediaTokens;

/// The answer to a request for a media playlist.
#[derive(Clone, Debug)]
pub enum Response {
    /// Answer with these bytes.
    Ready(Arc<Body>),
    /// Ask the next snapshots, for at most [`Snapshot::wait_limit`]; then answer 503 (rule 18).
    Wait,
    /// Answer with this status.
    Reject(Reject),
}

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// HTTP status.
    pub status: u16,
    /// For the answer's body.
    pub why: &'static str,
}

/// The answer to a request for an init segment, a segment or a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// The bytes and their `Content-Type`. Immutable.
    Ready(Bytes, &'static str),
    /// It was hinted and is not there yet: ask the next snapshots (rule 22). Ends in `Ready` or `Missing`.
    Hinted,
    /// 404: never was, was a gap, was an abandoned hint, or left memory.
    Missing,
}

/// What EXT-X-RENDITION-REPORT says of another rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub rendition: Rendition,
    pub msn: u64,
    /// `None`: it has no parts.
    pub part: Option<u64>,
}

/// What is the same in all renditions of a programme.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    pub tokens: Option<MediaTokens>,
    /// EXT-X-START.
    pub start_offset_ms: Option<i64>,
    /// EXT-X-DATERANGE.
    pub ranges: Ranges,
}

/// What a playlist is rendered from.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub rendition: Rendition,
    pub limits: Limits,
    pub discontinuity_sequence: u64,
    /// In order, without holes in their numbers.
    pub segments: Vec<Arc<Segment>>,
    /// Index of the first listed one.
    pub listed: usize,
    pub open: Option<OpenSegment>,
    pub next_msn: u64,
    pub ended: bool,
    /// No part will come under the next name while pictures are away.
    pub hint: bool,
    /// Of every other rendition.
    pub reports: Vec<Report>,
    pub extras: Arc<Extras>,
}

impl View {
    /// What stands behind the names of media of segment `number`.
    pub(crate) fn token(&self, number: u64) -> String {
        self.extras.tokens.as_ref().map(|tokens| tokens.query(number)).unwrap_or_default()
    }

    pub(crate) fn listed_segments(&self) -> &[Arc<Segment>] {
        &self.segments[self.listed..]
    }

    /// Name parts of the next part, when it may be hinted: (msn, index).
    pub(crate) fn hinted(&self) -> Option<(u64, usize)> {
        if self.ended || !self.hint {
            return None;
        }
        Some(self.open.as_ref().map_or((self.next_msn, 0), |open| (open.head.msn, open.parts.len())))
    }

    fn last_complete(&self) -> Option<&Arc<Segment>> {
        self.segments.last()
    }
}

/// One version of a media playlist. Immutable; each of its bodies is rendered at most once, by whoever asks first.
#[derive(Debug)]
pub struct Snapshot {
    view: View,
    full: OnceLock<Arc<Body>>,
    delta: OnceLock<Arc<Body>>,
    delta_v2: OnceLock<Arc<Body>>,
}

impl Snapshot {
    pub(crate) fn new(store: &Store, limits: Limits, reports: Vec<Report>, extras: Arc<Extras>, ended: bool, hint: bool) -> Self {
        let (segments, listed) = store.all();
        let view = View {
            rendition: store.rendition,
            limits,
            discontinuity_sequence: store.discontinuity_sequence,
            segments,
            listed,
            open: store.open.clone(),
            next_msn: store.next_msn,
            ended,
            hint,
            reports,
            extras,
        };
        Self::of(view)
    }

    pub(crate) fn of(view: View) -> Self {
        Self { view, full: OnceLock::new(), delta: OnceLock::new(), delta_v2: OnceLock::new() }
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    pub(crate) fn limits(&self) -> Limits {
        self.view.limits
    }

    /// EXT-X-ENDLIST stands behind everything.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.view.ended
    }

    /// Which playlist this is.
    #[must_use]
    pub fn rendition(&self) -> Rendition {
        self.view.rendition
    }

    /// The playlist has ENDLIST: no other snapshot follows.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.view.ended
    }

    /// The longest that a request may wait (rule 18).
    #[must_use]
    pub fn wait_limit(&self) -> Duration {
        self.view.limits.three_targets()
    }

    /// TARGETDURATION, for cache lifetimes.
    #[must_use]
    pub fn target_duration(&self) -> Duration {
        Duration::from_secs(self.view.limits.target_duration_secs)
    }

    /// Media sequence number and index of the last part in the playlist; `None` while it is empty.
    #[must_use]
    pub fn last_part(&self) -> Option<(u64, u64)> {
        match &self.view.open {
            Some(open) if !open.parts.is_empty() => Some((open.head.msn, open.parts.len() as u64 - 1)),
            _ => self.view.last_complete().map(|last| (last.head.msn, (last.parts.len() as u64).saturating_sub(1))),
        }
    }

    /// Wall time (since the Unix epoch) of the end of the last part: the live edge, for latency metrics.
    #[must_use]
    pub fn edge_date(&self) -> Option<Duration> {
        let open = self.view.open.as_ref().filter(|open| !open.parts.is_empty());
        match (open, self.view.last_complete()) {
            (Some(open), _) => Some(open.head.date + open.parts.iter().map(|part| part.duration).sum::<Duration>()),
            (None, Some(last)) => Some(last.head.date + last.duration),
            (None, None) => None,
        }
    }

    /// Answers a request for the playlist (rules 15–18).
    #[must_use]
    pub fn respond(&self, directives: &Directives) -> Response {
        if self.view.ended {
            return Response::Ready(self.body(None));
        }
        match directives.msn {
            Some(msn) if self.too_far(msn, directives.part) => {
                Response::Reject(Reject { status: 400, why: "_HLS_msn or _HLS_part is too far in the future" })
            }
            Some(msn) if !self.has(msn, directives.part) => Response::Wait,
            _ => Response::Ready(self.body(directives.skip)),
        }
    }

    /// Is what these directives wait for the newest thing in this version? Only then does every answer to them say the same, give
    /// or take a part; a version that is far ahead of its request says something else with each new part (rule 25).
    #[must_use]
    pub fn is_bound_to(&self, directives: &Directives) -> bool {
        let Some(msn) = directives.msn.filter(|_| !self.view.ended) else { return false };
        let Some(part) = directives.part else { return self.last_complete_msn() == Some(msn) };
        let last = self.last_part();
        // Rule 15: past the last part of M means part 0 of M + 1.
        let parts = self.view.last_complete().filter(|segment| segment.head.msn == msn).map(|segment| segment.parts.len() as u64);
        last == Some((msn, part)) || (last == Some((msn + 1, 0)) && parts.is_some_and(|parts| part >= parts))
    }

    fn last_complete_msn(&self) -> Option<u64> {
        self.view.last_complete().map(|segment| segment.head.msn)
    }

    /// Rule 17: two past the last segment, or three seconds of parts.
    fn too_far(&self, msn: u64, part: Option<u64>) -> bool {
        let edge = self.last_complete_msn().map_or(self.view.next_msn, |last| last + 1);
        if msn > edge + 1 {
            return true;
        }
        let here = self.view.open.as_ref().map_or(0, |open| open.parts.len() as u64);
        let allowed = self.view.limits.advance_part_limit();
        // Parts are counted from the first one that is not there yet; those of the segment after the open one come later still.
        match part {
            Some(part) if msn == edge => part >= here + allowed,
            Some(part) if msn > edge => part >= allowed,
            _ => false,
        }
    }

    fn has(&self, msn: u64, part: Option<u64>) -> bool {
        let complete = self.last_complete_msn();
        let Some(part) = part else {
            return complete.is_some_and(|last| msn <= last);
        };
        let open_parts = |of: u64| match &self.view.open {
            Some(open) if open.head.msn == of => open.parts.len() as u64,
            _ => 0,
        };
        match complete {
            Some(last) if msn < last => true,
            // Rule 15: past the last part of M means part 0 of M + 1.
            Some(last) if msn == last => {
                let parts = self.view.last_complete().map_or(0, |segment| segment.parts.len() as u64);
                part < parts || open_parts(last + 1) > 0
            }
            _ => part < open_parts(msn),
        }
    }

    fn body(&self, skip: Option<Skip>) -> Arc<Body> {
        let render = |skip| Arc::new(Body::new(Bytes::from(playlist::render(&self.view, skip))));
        let full = || Arc::clone(self.full.get_or_init(|| render(None)));
        if playlist::skippable(&self.view) == 0 {
            return full();
        }
        match skip {
            None => full(),
            Some(Skip::Yes) => Arc::clone(self.delta.get_or_init(|| render(skip))),
            Some(Skip::V2) => Arc::clone(self.delta_v2.get_or_init(|| render(skip))),
        }
    }

    /// Answers a request for media of this rendition by its name (`v-7.m4s`, `v-7.0.m4s`, `v-init-1.mp4`). Other renditions'
    /// names are `Missing`.
    #[must_use]
    pub fn media(&self, name: &str) -> Media {
        let found = match Name::parse(self.view.rendition, name) {
            None => None,
            Some(Name::Init(number)) => self.init(number),
            Some(Name::Segment(msn)) => self.segment(msn).and_then(|segment| segment.bytes.clone()),
            Some(Name::Part(msn, part)) => {
                if self.view.hinted().is_some_and(|hinted| hinted == (msn, part)) {
                    return Media::Hinted;
                }
                self.part(msn, part)
            }
        };
        found.map_or(Media::Missing, |bytes| Media::Ready(bytes, self.view.rendition.content_type()))
    }

    fn segment(&self, msn: u64) -> Option<&Arc<Segment>> {
        let first = self.view.segments.first()?.head.msn;
        let index = usize::try_from(msn.checked_sub(first)?).ok()?;
        self.view.segments.get(index)
    }

    fn part(&self, msn: u64, part: usize) -> Option<Bytes> {
        let parts = match &self.view.open {
            Some(open) if open.head.msn == msn => &open.parts,
            _ => &self.segment(msn)?.parts,
        };
        parts.get(part)?.bytes.clone()
    }

    fn init(&self, number: u64) -> Option<Bytes> {
        let heads = self.view.segments.iter().map(|segment| &segment.head).chain(self.view.open.iter().map(|open| &open.head));
        heads.filter_map(|head| head.init.as_ref()).find(|init| init.number == number).map(|init| init.bytes.clone())
    }
}

enum Name {
    Init(u64),
    Segment(u64),
    Part(u64, usize),
}

impl Name {
    fn parse(rendition: Rendition, name: &str) -> Option<Self> {
        let rest = name.strip_prefix(&*rendition.prefix())?.strip_prefix('-')?;
        if let Some(number) = rest.strip_prefix("init-") {
            return Some(Self::Init(decimal(number.strip_suffix(".mp4")?)?));
        }
        let stem = rest.strip_suffix(rendition.extension())?;
        match stem.split_once('.') {
            None => Some(Self::Segment(decimal(stem)?)),
            Some((msn, part)) => Some(Self::Part(decimal(msn)?, usize::try_from(decimal(part)?).ok()?)),
        }
    }
}

/// Only as we write them: one name, one cache entry.
fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}
