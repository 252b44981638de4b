//! What is remembered of one rendition: its newest version, segments and parts that still must be fetchable, hints.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::boxes::Init;
use super::media::Media;
use super::playlist::{MediaPlaylist, Segment};
use super::ranges::Ranges;
use super::{Violation, change};

/// Keys by the URIs of their EXT-X-KEY.
pub(super) type Keys = BTreeMap<String, [u8; 16]>;

/// Edges that reports are compared with; a report is late by less than a second, a part comes every third of one.
const EDGES_MAX: usize = 64;
/// Hints that can still be answered.
const HINTS_MAX: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Rendition {
    current: Option<(Duration, MediaPlaylist)>,
    /// When the newest part and the newest segment were first seen.
    added: (Duration, Duration),
    known: BTreeMap<u64, Known>,
    /// Nanoseconds of the longest version so far.
    longest: i64,
    edges: VecDeque<(Duration, (u64, i64))>,
    hints: VecDeque<Hinted>,
    pub(super) media: Media,
    pub(super) ranges: Ranges,
}

/// A segment that is listed, or was and must still be fetchable. Left out once nothing is due any more.
#[derive(Debug)]
pub(super) struct Known {
    /// As last listed, with its parts even when their tags are gone.
    pub segment: Segment,
    gone: Option<Duration>,
    parts_gone: Option<Duration>,
}

#[derive(Debug)]
struct Hinted {
    uri: String,
    state: HintState,
    answered: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
enum HintState {
    Offered,
    Listed,
    Abandoned,
}

#[derive(Clone, Copy, Debug)]
enum Role {
    Init,
    Segment(u64),
    Part(u64),
    Hint,
    Unknown,
}

fn time(nanos: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

impl Rendition {
    pub(super) fn current(&self) -> Option<&MediaPlaylist> {
        self.current.as_ref().map(|(_, playlist)| playlist)
    }

    /// Rule 21: puts known segments where a delta update left them out.
    pub(super) fn expand(&self, mut playlist: MediaPlaylist, asked: bool) -> Result<MediaPlaylist, Violation> {
        let Some(skipped) = playlist.skipped else { return Ok(playlist) };
        if !asked {
            return Err(Violation::new(21, "EXT-X-SKIP and nobody asked for it"));
        }
        let first = playlist.media_sequence;
        let range = first..first.saturating_add(skipped);
        let mut segments: Vec<Segment> = self.known.range(range).map(|(_, known)| known.segment.clone()).collect();
        if segments.len() as u64 != skipped || segments.iter().any(|segment| segment.uri.is_empty()) {
            return Err(Violation::new(
                21,
                format!("{skipped} segments from {first} on are skipped, the last versions had {} of them", segments.len()),
            ));
        }
        let until = playlist.server_control.as_ref().and_then(|control| control.seconds("CAN-SKIP-UNTIL"));
        if until.is_none_or(|until| playlist.length() < until.nanos) {
            return Err(Violation::new(21, "segments are skipped that are nearer to the edge than CAN-SKIP-UNTIL"));
        }
        segments.iter_mut().for_each(|segment| segment.parts.clear());
        segments.append(&mut playlist.segments);
        playlist.segments = segments;
        playlist.settle();
        Ok(playlist)
    }

    /// Takes the next version.
    pub(super) fn advance(&mut self, at: Duration, playlist: MediaPlaylist) -> Vec<Violation> {
        let mut found = Vec::new();
        match &self.current {
            Some((before, old)) => {
                found.extend(change::judge(old, &playlist, at.saturating_sub(*before)));
                let parts = old.edge().map_or(0, |edge| playlist.parts_after(edge).count());
                let segments = usize::try_from(playlist.next_msn().saturating_sub(old.next_msn())).unwrap_or(usize::MAX);
                let since = (at.saturating_sub(self.added.0), at.saturating_sub(self.added.1));
                if !old.ended {
                    found.extend(change::judge_pace(&playlist, (since.0, parts), (since.1, segments)));
                }
                self.added.0 = if parts > 0 { at } else { self.added.0 };
                self.added.1 = if segments > 0 { at } else { self.added.1 };
            }
            None => self.added = (at, at),
        }
        self.remember(at, &playlist);
        self.ranges.advance(&playlist, &mut found);
        found.extend(self.follow_hints(&playlist));
        self.longest = self.longest.max(playlist.length());
        if let Some(edge) = playlist.edge() {
            self.edges.push_back((at, edge));
            self.edges.drain(..self.edges.len().saturating_sub(EDGES_MAX));
        }
        self.current = Some((at, playlist));
        found
    }

    fn remember(&mut self, at: Duration, playlist: &MediaPlaylist) {
        for segment in playlist.all() {
            let known =
                self.known.entry(segment.msn).or_insert_with(|| Known { segment: segment.clone(), gone: None, parts_gone: None });
            let parts = std::mem::take(&mut known.segment.parts);
            known.segment = segment.clone();
            if segment.parts.len() < parts.len() {
                known.segment.parts = parts;
                known.parts_gone = known.parts_gone.or(Some(at));
            }
        }
        for (_, known) in self.known.range_mut(..playlist.media_sequence) {
            known.gone = known.gone.or(Some(at));
            known.parts_gone = known.parts_gone.or(Some(at));
        }
        let (longest, margin) = (time(self.longest), Duration::from_secs(10));
        let media = &mut self.media;
        self.known.retain(|msn, known| {
            let due = known.gone.is_none_or(|gone| at < gone + time(known.segment.length()) + longest + margin);
            if !due {
                media.forget(*msn, &known.segment);
            }
            due
        });
    }

    /// Rule 22: what was hinted is listed, or was abandoned and ends in 404.
    fn follow_hints(&mut self, playlist: &MediaPlaylist) -> Vec<Violation> {
        let mut found = Vec::new();
        let listed = |uri: &str| playlist.all().any(|segment| segment.parts.iter().any(|part| part.uri == uri));
        for hint in self.hints.iter_mut().filter(|hint| hint.state == HintState::Offered) {
            if listed(&hint.uri) {
                hint.state = HintState::Listed;
                if hint.answered.is_some_and(|status| status != 200) {
                    found.push(Violation::new(22, format!("{} was hinted, refused and then listed", hint.uri)));
                }
            } else if playlist.part_hint() != Some(&hint.uri) {
                hint.state = HintState::Abandoned;
                if hint.answered == Some(200) {
                    found.push(Violation::new(22, format!("{} was hinted and sent, but never listed", hint.uri)));
                }
            }
        }
        if let Some(uri) = playlist.part_hint().filter(|uri| !self.hints.iter().any(|hint| hint.uri == *uri)) {
            self.hints.push_back(Hinted { uri: uri.to_owned(), state: HintState::Offered, answered: None });
            self.hints.drain(..self.hints.len().saturating_sub(HINTS_MAX));
        }
        found
    }

    fn role(&self, uri: &str) -> Role {
        for (msn, known) in &self.known {
            if known.segment.uri == uri {
                return Role::Segment(*msn);
            }
            if known.segment.parts.iter().any(|part| part.uri == uri) {
                return Role::Part(*msn);
            }
            if known.segment.map.as_deref() == Some(uri) {
                return Role::Init;
            }
        }
        if self.hints.iter().any(|hint| hint.uri == uri) { Role::Hint } else { Role::Unknown }
    }

    /// Until when it must be there (rule 4); `None`: it is listed.
    fn kept_until(&self, known: &Known, is_part: bool) -> Option<Duration> {
        let targets = self.current().map_or(0, MediaPlaylist::three_targets);
        let segment = known.gone.map(|gone| gone + time(known.segment.length()) + time(self.longest));
        if is_part { known.parts_gone.map(|gone| gone + time(targets)) } else { segment }
    }

    fn must_be_there(&self, at: Duration, role: Role) -> bool {
        let known = |msn| self.known.get(&msn);
        match role {
            Role::Init => true,
            Role::Segment(msn) => {
                known(msn).is_some_and(|known| !known.segment.gap && self.kept_until(known, false).is_none_or(|until| at < until))
            }
            Role::Part(msn) => known(msn).is_some_and(|known| self.kept_until(known, true).is_none_or(|until| at < until)),
            Role::Hint | Role::Unknown => false,
        }
    }

    /// An answer to a request for media.
    pub(super) fn receive(
        &mut self,
        at: Duration,
        uri: &str,
        status: u16,
        stated: u64,
        body: &[u8],
        keys: &Keys,
    ) -> Vec<Violation> {
        let role = self.role(uri);
        let hint = self.hints.iter_mut().find(|hint| hint.uri == uri);
        let mut found = Vec::new();
        let was_hinted = hint.is_some();
        if let Some(hint) = hint {
            hint.answered = Some(status);
            if hint.state == HintState::Abandoned && status != 404 {
                found.push(Violation::new(
                    22,
                    format!("{uri} was hinted and abandoned, and is answered with {status} instead of 404"),
                ));
            }
        }
        match (role, status) {
            (Role::Unknown, 404) | (Role::Hint, 404) => {}
            (Role::Unknown, _) => found
                .push(Violation::new(22, format!("{uri} is not in any playlist and is answered with {status} instead of 404"))),
            (_, 200) if stated != body.len() as u64 => {
                found.push(Violation::new(13, format!("{uri}: {} of {stated} bytes came", body.len())));
            }
            (Role::Init, 200) => {
                let known = self.known.values().find(|known| known.segment.map.as_deref() == Some(uri));
                let (key, msn) = known.map_or((None, 0), |known| (known.segment.map_key.clone(), known.segment.msn));
                found.extend(self.media.take_init(uri, body, key.as_ref(), msn, keys));
            }
            (_, 200) => found.extend(self.media.take(uri, body)),
            _ if self.must_be_there(at, role) && !self.is_gap(uri) => {
                let rule = if was_hinted { 22 } else { 4 };
                found.push(Violation::new(rule, format!("{uri} must be fetchable and is answered with {status}")));
            }
            _ => {}
        }
        found
    }

    fn is_gap(&self, uri: &str) -> bool {
        self.known.values().any(|known| known.segment.parts.iter().any(|part| part.uri == uri && part.gap))
    }

    pub(super) fn settle_media(&mut self, keys: &Keys) -> Vec<Violation> {
        let Some((_, playlist)) = &self.current else { return Vec::new() };
        self.media.settle(playlist, self.known.values().map(|known| &known.segment), keys)
    }

    pub(super) fn new_init(&mut self) -> Option<Init> {
        self.media.new_init.take()
    }

    pub(super) fn peak_bps(&self) -> Option<u64> {
        self.media.peak_bps()
    }

    /// The newest edge that was seen at `at` or before.
    pub(super) fn edge_at(&self, at: Duration) -> Option<(u64, i64)> {
        self.edges.iter().rev().find(|(seen, _)| *seen <= at).map(|(_, edge)| *edge)
    }

    pub(super) fn removed_but_kept(&self, at: Duration) -> Option<String> {
        let due = |known: &Known, is_part| self.kept_until(known, is_part).is_some_and(|until| at < until);
        let segment =
            self.known.values().find(|known| due(known, false) && !known.segment.gap).map(|known| known.segment.uri.clone());
        let part = || {
            let known = self.known.values().find(|known| due(known, true))?;
            known.segment.parts.iter().find(|part| !part.gap && !part.ranged).map(|part| part.uri.clone())
        };
        segment.or_else(part).filter(|uri| !uri.is_empty())
    }
}
