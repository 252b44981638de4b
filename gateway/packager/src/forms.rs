//! The same media in other forms than LL-HLS: DASH, and HLS with MPEG-TS.
//!
//! [`Follower`] watches a programme's snapshots and keeps what an MPD must remember beyond them: where its Periods begin.
//! [`Forms`] is one state of that; each of its bodies is rendered at most once, by whoever asks first, so that a programme that
//! nobody watches in these forms pays nothing for them.

mod mpd;
mod periods;
mod ts;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use minamo_media::mpegts::TsError;

use crate::body::Body;
use crate::container::{CodecConfig, Format};
use crate::rendition::Rendition;
use crate::segment::{Init, Segment};
use crate::snapshot::Snapshot;
use periods::{Period, Periods};

/// Makes [`Forms`] of a programme's snapshots, for one life of the programme.
#[derive(Debug, Default)]
pub struct Follower {
    periods: Periods,
    state: Vec<State>,
}

/// What of a snapshot other forms than LL-HLS can see: not its parts.
#[derive(Debug, PartialEq, Eq)]
struct State {
    first: Option<u64>,
    last: Option<u64>,
    open: Option<u64>,
    ended: bool,
}

impl Follower {
    /// A follower of a programme that has shown nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The newest snapshots of all renditions, the leading one first; none may be left out between two calls by more than the
    /// segments that a snapshot lists. `None` when nothing has changed that these forms can show.
    pub fn follow(&mut self, snapshots: Vec<Arc<Snapshot>>) -> Option<Arc<Forms>> {
        let leading = snapshots.first()?;
        let state: Vec<State> = snapshots.iter().map(|snapshot| State::of(snapshot)).collect();
        if state == self.state {
            return None;
        }
        self.state = state;
        self.periods.follow(leading);
        Some(Arc::new(Forms {
            anchor: self.periods.anchor(),
            periods: self.periods.all().cloned().collect(),
            ts_media: snapshots.iter().map(|_| OnceLock::new()).collect(),
            snapshots,
            mpd: OnceLock::new(),
            ts: OnceLock::new(),
        }))
    }
}

impl State {
    fn of(snapshot: &Snapshot) -> Self {
        let listed = snapshot.listed();
        let msn = |segment: Option<&Arc<Segment>>| segment.map(|segment| segment.head().msn());
        Self {
            first: msn(listed.first()),
            last: msn(listed.last()),
            open: snapshot.open().filter(|open| is_live(open.parts())).map(|open| open.head().msn()),
            ended: snapshot.is_ended(),
        }
    }
}

/// The segment that is being written is no gap, as far as can be seen.
fn is_live(parts: &[crate::segment::Part]) -> bool {
    parts.iter().all(|part| !part.is_gap())
}

/// A programme at one moment, as DASH and as HLS with MPEG-TS. Immutable.
#[derive(Debug)]
pub struct Forms {
    /// Wall time (since the Unix epoch) of the programme's begin, `availabilityStartTime`.
    anchor: std::time::Duration,
    periods: Vec<Period>,
    /// The leading one first.
    snapshots: Vec<Arc<Snapshot>>,
    mpd: OnceLock<Arc<Body>>,
    ts: OnceLock<Option<Arc<Body>>>,
    ts_media: Vec<OnceLock<Arc<Body>>>,
}

impl Forms {
    /// The MPD.
    #[must_use]
    pub fn mpd(&self) -> Arc<Body> {
        Arc::clone(self.mpd.get_or_init(|| body(mpd::render(self))))
    }

    /// The multivariant playlist of the programme in MPEG-TS. `None`: its codecs have no place there.
    #[must_use]
    pub fn ts_multivariant(&self) -> Option<Arc<Body>> {
        self.ts.get_or_init(|| ts::multivariant(self).map(body)).clone()
    }

    /// The media playlist of one rung with sound, or (rung 0 of a programme without video) of the sound.
    #[must_use]
    pub fn ts_playlist(&self, rung: u8) -> Option<Arc<Body>> {
        self.ts_multivariant()?;
        let place = self.snapshots.iter().position(|snapshot| snapshot.rendition() == self.ts_rendition(rung))?;
        let rendered = || body(ts::playlist(self, &self.snapshots[place], rung));
        Some(Arc::clone(self.ts_media.get(place)?.get_or_init(rendered)))
    }

    /// Segment `msn` of a rung in MPEG-TS, muxed now; `None` when there is no such segment. Give the result to all who ask.
    ///
    /// # Errors
    /// Never for media of this packager in codecs of MPEG-TS.
    pub fn ts_segment(&self, rung: u8, msn: u64) -> Option<Result<Bytes, TsError>> {
        self.ts_multivariant()?;
        ts::segment(self, rung, msn)
    }

    /// The least number of a segment that can be asked for.
    #[must_use]
    pub fn first_msn(&self) -> Option<u64> {
        self.snapshots.iter().filter_map(|snapshot| snapshot.segments().first()).map(|segment| segment.head().msn()).max()
    }

    fn leading(&self) -> &Snapshot {
        // Never made of none.
        &self.snapshots[0]
    }

    fn sound(&self) -> Option<&Arc<Snapshot>> {
        self.snapshots.iter().find(|snapshot| snapshot.rendition() == Rendition::Audio)
    }

    fn pictures(&self) -> impl Iterator<Item = &Arc<Snapshot>> {
        self.snapshots.iter().filter(|snapshot| matches!(snapshot.rendition(), Rendition::Video(_)))
    }

    fn ts_rendition(&self, rung: u8) -> Rendition {
        if rung == 0 && self.pictures().next().is_none() { Rendition::Audio } else { Rendition::Video(rung) }
    }
}

fn body(text: String) -> Arc<Body> {
    Arc::new(Body::new(Bytes::from(text)))
}

/// What a file in one of these forms is called; nothing else is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormName {
    /// `manifest.mpd`
    Mpd,
    /// `ts.m3u8`
    TsMultivariant,
    /// `ts-0.m3u8` of a rung.
    TsPlaylist(u8),
    /// `ts0-17.ts`: rung and media sequence number.
    TsSegment(u8, u64),
}

impl FormName {
    /// Only as playlists write it: one name, one cache entry.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "manifest.mpd" => Some(Self::Mpd),
            "ts.m3u8" => Some(Self::TsMultivariant),
            _ => {
                let segment = ts::parse(name).map(|(rung, msn)| Self::TsSegment(rung, msn));
                segment.or_else(|| ts::parse_playlist(name).map(Self::TsPlaylist))
            }
        }
    }
}

/// The newest init segment of a rendition.
fn newest_init(snapshot: &Snapshot) -> Option<&Init> {
    let open = snapshot.open().and_then(|open| open.head().init());
    open.or_else(|| snapshot.listed().iter().rev().find_map(|segment| segment.head().init()))
}

/// Whether MPEG-TS can carry it.
fn fits_ts(format: &Format) -> bool {
    match format {
        Format::Audio(_) => true,
        #[allow(unreachable_patterns)] // while there is one codec
        Format::Video(video) => matches!(video.config, CodecConfig::H264(_)),
    }
}

/// Bits per second of the dearest segment, not counting crumbs, with a little room.
fn peak_bps(snapshot: &Snapshot) -> u64 {
    let rate = |segment: &Arc<Segment>| {
        let bits = segment.bytes().map_or(0, Bytes::len) as f64 * 8.0;
        let seconds = segment.duration().as_secs_f64();
        if seconds >= 0.5 { bits / seconds } else { 0.0 }
    };
    let peak = snapshot.listed().iter().map(rate).fold(0.0, f64::max) * 1.05;
    // In steps, so that it does not change with every version.
    ((peak as u64).div_ceil(8_000) * 8_000).max(8_000)
}
