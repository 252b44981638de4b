//! Bytes held against the playlist: durations, continuity, IDRs, parts joined (1, 5, 10, 13, 25).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Violation;
use super::attributes::{Date, NANOS, Seconds};
use super::boxes::{self, Fragment, Init};
use super::keys::Key;
use super::playlist::{MediaPlaylist, Part, Segment};
use super::rendition::Keys;

type Found = Vec<Violation>;

/// Starts of segments that are compared with the other renditions.
const POINTS_MAX: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Media {
    /// By URI, as long as the segment is known.
    bytes: BTreeMap<String, Vec<u8>>,
    inits: BTreeMap<String, Init>,
    pub(super) new_init: Option<Init>,
    /// Parts that were judged: where they start and end, in ticks. `None`: their bytes could not be read.
    parts: BTreeMap<(u64, usize), Option<(i64, i64)>>,
    joints: BTreeSet<(u64, usize)>,
    segments: BTreeSet<u64>,
    /// (msn, nanoseconds, bytes) of the last segments.
    sizes: VecDeque<(u64, i64, u64)>,
    peak_bps: Option<u64>,
    points: VecDeque<Point>,
    /// How many of `points` are new since the last call of `settle`.
    fresh: usize,
}

/// Where media time and wall time meet: the start of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub msn: u64,
    pub discontinuity_number: u64,
    /// Presentation time of its first sample in nanoseconds.
    pub media: i64,
    pub date: Date,
}

impl Media {
    /// Bytes of a segment or part. Rule 25: the same URI never has other bytes.
    pub(super) fn take(&mut self, uri: &str, body: &[u8]) -> Found {
        match self.bytes.get(uri) {
            Some(before) if before != body => vec![Violation::new(25, format!("{uri} changed its bytes"))],
            Some(_) => Found::new(),
            None => {
                self.bytes.insert(uri.to_owned(), body.to_vec());
                Found::new()
            }
        }
    }

    pub(super) fn take_init(&mut self, uri: &str, body: &[u8], key: Option<&Key>, msn: u64, keys: &Keys) -> Found {
        let found = self.take(uri, body);
        if self.inits.contains_key(uri) {
            return found;
        }
        let plain = match plain(body, key, msn, keys) {
            Plain::Here(plain) => plain,
            Plain::NoKey => return found,
            Plain::NotOfKey => return vec![Violation::new(27, format!("{uri} is not under its EXT-X-KEY"))],
        };
        match boxes::init(&plain) {
            Ok(init) => {
                self.new_init = Some(init.clone());
                self.inits.insert(uri.to_owned(), init);
                found
            }
            Err(fault) => vec![Violation::new(11, format!("{uri} is no init section: {fault}"))],
        }
    }

    pub(super) fn forget(&mut self, msn: u64, segment: &Segment) {
        self.bytes.remove(&segment.uri);
        for (index, part) in segment.parts.iter().enumerate() {
            self.bytes.remove(&part.uri);
            self.parts.remove(&(msn, index));
            self.joints.remove(&(msn, index));
        }
        self.segments.remove(&msn);
    }

    /// Judges everything whose bytes and tags are both there by now, once.
    pub(super) fn settle<'a>(
        &mut self,
        playlist: &MediaPlaylist,
        known: impl Iterator<Item = &'a Segment>,
        keys: &Keys,
    ) -> Found {
        let mut found = Found::new();
        self.fresh = 0;
        let mut before: Option<(&Segment, usize)> = None;
        let mut previous: Option<&Segment> = None;
        for segment in known {
            self.same_init(previous.replace(segment), segment, &mut found);
            let init = segment.map.as_ref().and_then(|map| self.inits.get(map)).cloned();
            for (index, part) in segment.parts.iter().enumerate() {
                if let Some(init) = init.as_ref().filter(|_| !part.gap && !part.ranged) {
                    self.part(playlist, segment, index, (part, keys), init, &mut found);
                }
                self.joint(before, segment, index, &mut found);
                before = Some((segment, index));
            }
            if segment.parts.is_empty() {
                before = None;
            }
            if let Some(init) = init.as_ref().filter(|_| !segment.uri.is_empty() && !segment.gap) {
                self.whole(playlist, segment, (init, keys), &mut found);
            }
        }
        found
    }

    /// Rule 5: where nothing but the key changes, the init section says the same as before.
    fn same_init(&self, previous: Option<&Segment>, segment: &Segment, found: &mut Found) {
        let Some(previous) = previous.filter(|previous| previous.msn + 1 == segment.msn && !segment.discontinuity) else {
            return;
        };
        let of = |segment: &Segment| segment.map.as_ref().and_then(|map| self.inits.get(map));
        if let (Some(before), Some(after)) = (of(previous), of(segment))
            && before != after
        {
            let what = format!("segment {} has another init section and no EXT-X-DISCONTINUITY", segment.msn);
            found.push(Violation::new(5, what));
        }
    }

    fn part(
        &mut self,
        playlist: &MediaPlaylist,
        segment: &Segment,
        index: usize,
        (part, keys): (&Part, &Keys),
        init: &Init,
        found: &mut Found,
    ) {
        let key = (segment.msn, index);
        let Some(bytes) = self.bytes.get(&part.uri).filter(|_| !self.parts.contains_key(&key)) else { return };
        let bytes = match plain(bytes, segment.key.as_ref(), segment.msn, keys) {
            Plain::Here(bytes) => bytes,
            Plain::NoKey => return,
            Plain::NotOfKey => {
                found.push(Violation::new(27, format!("{} is not under its EXT-X-KEY", part.uri)));
                self.parts.insert(key, None);
                return;
            }
        };
        match boxes::fragments(&bytes, init) {
            Err(fault) => {
                found.push(Violation::new(13, format!("{} cannot be read: {fault}", part.uri)));
                self.parts.insert(key, None);
            }
            Ok(fragments) => {
                found.extend(judge_part(playlist, segment, index, &fragments, init));
                self.parts.insert(key, Some(span(&fragments)));
                self.point(segment, index, &fragments[0], init);
            }
        }
    }

    fn point(&mut self, segment: &Segment, index: usize, first: &Fragment, init: &Init) {
        let (0, Some(date)) = (index, segment.placed) else { return };
        let ticks = first.start as i64 + first.composition - init.edit;
        let media = i128::from(ticks) * i128::from(NANOS) / i128::from(init.timescale);
        let number = segment.discontinuity_number;
        self.points.push_back(Point { msn: segment.msn, discontinuity_number: number, media: media as i64, date });
        self.points.drain(..self.points.len().saturating_sub(POINTS_MAX));
        self.fresh = (self.fresh + 1).min(self.points.len());
    }

    /// Rule 5: a part begins where the one before it ends, unless a discontinuity lies between.
    fn joint(&mut self, before: Option<(&Segment, usize)>, segment: &Segment, index: usize, found: &mut Found) {
        let Some((previous, previous_index)) = before else { return };
        let adjacent = previous.msn == segment.msn || (previous.msn + 1 == segment.msn && index == 0);
        let key = (segment.msn, index);
        let ends = (self.parts.get(&(previous.msn, previous_index)), self.parts.get(&key));
        let (Some(Some((_, end))), Some(Some((start, _)))) = ends else { return };
        if !adjacent || !self.joints.insert(key) || (segment.discontinuity && index == 0) {
            return;
        }
        if start != end {
            let uri = &segment.parts[index].uri;
            found.push(Violation::new(
                5,
                format!("{uri} starts at {start}, the part before it ends at {end}, and there is no EXT-X-DISCONTINUITY"),
            ));
        }
    }

    /// Rule 13 for a whole segment, and its real duration (rule 1). Under a key it is what parts and segment decrypt to that is joined:
    /// each is encrypted by itself (rfc8216bis §6.2.3).
    fn whole(&mut self, playlist: &MediaPlaylist, segment: &Segment, (init, keys): (&Init, &Keys), found: &mut Found) {
        let Some(bytes) = self.bytes.get(&segment.uri) else { return };
        if self.segments.contains(&segment.msn) || segment.parts.iter().any(|part| part.gap || part.ranged) {
            return;
        }
        let key = segment.key.as_ref();
        let of = |part: &Part| self.bytes.get(&part.uri).map(|bytes| plain(bytes, key, segment.msn, keys));
        let Some(parts) = segment.parts.iter().map(of).collect::<Option<Vec<_>>>() else { return };
        let bytes = match plain(bytes, key, segment.msn, keys) {
            Plain::Here(bytes) => bytes,
            Plain::NoKey => return,
            Plain::NotOfKey => {
                self.segments.insert(segment.msn);
                return found.push(Violation::new(27, format!("{} is not under its EXT-X-KEY", segment.uri)));
            }
        };
        self.segments.insert(segment.msn);
        let joined = parts.iter().flat_map(|part| if let Plain::Here(bytes) = part { &bytes[..] } else { &[] });
        if !parts.is_empty() && joined.ne(bytes.iter()) {
            found.push(Violation::new(13, format!("{} is not its parts joined", segment.uri)));
        }
        let size = bytes.len() as u64;
        match boxes::fragments(&bytes, init) {
            Err(fault) => found.push(Violation::new(13, format!("{} cannot be read: {fault}", segment.uri))),
            Ok(fragments) => {
                let real = seconds(&fragments, init);
                if differs(real, segment.duration, init) {
                    let (real, stated) = (real as f64 / NANOS as f64, segment.duration.as_f64());
                    found.push(Violation::new(1, format!("{} lasts {real:.6} s, EXTINF says {stated}", segment.uri)));
                }
                if playlist.independent_segments && fragments[0].idr == Some(false) {
                    found.push(Violation::new(
                        13,
                        format!("{} does not start with an IDR under EXT-X-INDEPENDENT-SEGMENTS", segment.uri),
                    ));
                }
            }
        }
        self.measure(playlist, segment, size);
    }

    /// Peak bit rate as rfc8216bis §4.4.6.2 has it: of contiguous segments that last 0.5 to 1.5 × TARGETDURATION.
    fn measure(&mut self, playlist: &MediaPlaylist, segment: &Segment, size: u64) {
        self.sizes.push_back((segment.msn, segment.duration.nanos, size));
        self.sizes.drain(..self.sizes.len().saturating_sub(POINTS_MAX));
        let (mut nanos, mut bytes, mut msn) = (0_i64, 0_u64, segment.msn + 1);
        for (of, length, size) in self.sizes.iter().rev() {
            if of + 1 != msn || (nanos + length) * 2 > playlist.target_nanos() * 3 {
                break;
            }
            (nanos, bytes, msn) = (nanos + length, bytes + size, *of);
            if nanos * 2 >= playlist.target_nanos() {
                let bps = u128::from(bytes) * 8 * NANOS as u128 / nanos.max(1) as u128;
                self.peak_bps = self.peak_bps.max(u64::try_from(bps).ok());
            }
        }
    }

    pub(super) fn peak_bps(&self) -> Option<u64> {
        self.peak_bps
    }

    /// Points that the last call of `settle` found.
    pub(super) fn fresh_points(&self) -> impl Iterator<Item = &Point> {
        self.points.iter().rev().take(self.fresh)
    }

    pub(super) fn points(&self) -> impl Iterator<Item = &Point> {
        self.points.iter()
    }
}

/// A resource without its encryption.
enum Plain<'a> {
    Here(Cow<'a, [u8]>),
    /// Nobody said what the key is.
    NoKey,
    /// The padding is wrong: other bytes, or another key.
    NotOfKey,
}

fn plain<'a>(bytes: &'a [u8], key: Option<&Key>, msn: u64, keys: &Keys) -> Plain<'a> {
    let Some(key) = key else { return Plain::Here(bytes.into()) };
    match keys.get(&key.uri) {
        None => Plain::NoKey,
        Some(secret) => key.decrypt(secret, msn, bytes).map_or(Plain::NotOfKey, |plain| Plain::Here(plain.into())),
    }
}

/// Start of the first fragment and end of the last one, in ticks.
fn span(fragments: &[Fragment]) -> (i64, i64) {
    let ends = (fragments.first(), fragments.last());
    let (Some(first), Some(last)) = ends else { return (0, 0) };
    (first.start as i64, last.start as i64 + last.duration as i64)
}

/// Nanoseconds that the samples last.
fn seconds(fragments: &[Fragment], init: &Init) -> i64 {
    let ticks: u128 = fragments.iter().map(|fragment| u128::from(fragment.duration)).sum();
    i64::try_from(ticks * NANOS as u128 / u128::from(init.timescale)).unwrap_or(i64::MAX)
}

/// By more than the last written digit and a tick.
fn differs(real: i64, stated: Seconds, init: &Init) -> bool {
    (real - stated.nanos).abs() > stated.step + NANOS / i64::from(init.timescale)
}

fn judge_part(playlist: &MediaPlaylist, segment: &Segment, index: usize, fragments: &[Fragment], init: &Init) -> Found {
    let part = &segment.parts[index];
    let uri = &part.uri;
    let mut found = Found::new();
    let real = seconds(fragments, init);
    let shown = real as f64 / NANOS as f64;
    if differs(real, part.duration, init) {
        found.push(Violation::new(10, format!("{uri} lasts {shown:.6} s, DURATION says {}", part.duration.as_f64())));
    }
    if let Some(target) = playlist.part_target
        && real > target.nanos + NANOS / i64::from(init.timescale)
    {
        found.push(Violation::new(10, format!("{uri} lasts {shown:.6} s, above PART-TARGET {}", target.as_f64())));
    }
    for (before, after) in fragments.iter().zip(fragments.iter().skip(1)) {
        if before.start + before.duration != after.start {
            found.push(Violation::new(
                5,
                format!(
                    "{uri}: a fragment starts at {} and the one before it ends at {}",
                    after.start,
                    before.start + before.duration
                ),
            ));
        }
    }
    let Some(idr) = fragments[0].idr else { return found };
    if part.independent && !idr {
        found.push(Violation::new(13, format!("{uri} is INDEPENDENT and does not start with an IDR")));
    }
    if idr && !part.independent {
        found.push(Violation::new(13, format!("{uri} starts with an IDR and is not INDEPENDENT")));
    }
    if idr != fragments[0].sync {
        found.push(Violation::new(13, format!("{uri}: its first sample's flags and its NAL units disagree about an IDR")));
    }
    if playlist.independent_segments && index == 0 && !idr {
        found.push(Violation::new(
            13,
            format!("segment {} does not start with an IDR under EXT-X-INDEPENDENT-SEGMENTS", segment.msn),
        ));
    }
    found
}
