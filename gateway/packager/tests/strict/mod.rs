//! The judgement of a strict LL-HLS client, as a value: it is shown playlists and media, and says what rule was broken.
//! It shares no code with the packager, so that a mistake would have to be made twice to go unseen.

mod boxes;
mod media;
mod multivariant;
mod parse;
mod single;
mod succession;

use std::collections::BTreeMap;
use std::time::Duration;

pub use parse::{Playlist, playlist as parse_playlist};

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its number; 0: cannot be read at all.
    pub rule: u8,
    pub what: String,
}

#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Violation>);

impl Findings {
    fn must(&mut self, rule: u8, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Violation { rule, what: what() });
        }
    }
}

/// What is known of one rendition.
#[derive(Debug, Default)]
struct Seen {
    /// The latest version; delta updates are put back together.
    latest: Option<Playlist>,
    /// When the last segment was seen to be new.
    grown_at: Duration,
    /// (when, msn, part) of its last part as observed.
    edges: Vec<(Duration, u64, u64)>,
    /// The first version's first segment: whether anything was removed since.
    first_msn: u64,
}

/// A client that forgets nothing.
#[derive(Debug, Default)]
pub struct Checker {
    seen: BTreeMap<String, Seen>,
    media: media::Library,
    audio_names: Vec<String>,
}

impl Checker {
    pub fn new() -> Self {
        Self::default()
    }

    /// A media playlist came. `request`: the URL that was asked, with its query.
    pub fn observe_playlist(&mut self, at: Duration, rendition: &str, request: &str, body: &str) -> Vec<Violation> {
        let mut findings = Findings::default();
        let mut playlist = parse::playlist(body);
        for broken in &playlist.broken {
            findings.must(0, false, || format!("{rendition}: {broken}"));
        }
        let before = self.seen.entry(rendition.into()).or_default().latest.take();
        succession::fill_skipped(&mut playlist, before.as_ref(), &mut findings);
        let audio = self.audio_names.iter().any(|name| name == rendition) || rendition.starts_with("audio");
        single::check(&playlist, request, audio, &mut findings);
        if let Some(before) = &before {
            succession::check(before, &playlist, &mut findings);
        }
        self.check_growth(at, rendition, before.as_ref(), &playlist, &mut findings);
        self.check_siblings(at, rendition, &playlist, &mut findings);
        self.media.check_dates(rendition, &playlist, &mut findings);
        if let Some(seen) = self.seen.get_mut(rendition) {
            seen.latest = Some(playlist);
        }
        findings.0
    }

    /// The multivariant playlist came.
    pub fn observe_multivariant(&mut self, body: &str) -> Vec<Violation> {
        let mut findings = Findings::default();
        let found = multivariant::check(body, &mut findings);
        self.audio_names = found.audio;
        if let Some(peak) = self.media.peak_bps() {
            let told = found.bandwidth as f64;
            findings.must(9, told >= peak / 1.25 && told <= peak * 1.25, || format!("BANDWIDTH {told}, measured {peak:.0}"));
        }
        findings.0
    }

    /// An init segment, a part or a segment came. `answer`: its bytes, or `None` for 404.
    pub fn observe_media(&mut self, rendition: &str, uri: &str, answer: Option<&[u8]>) -> Vec<Violation> {
        let mut findings = Findings::default();
        let latest = self.seen.get(rendition).and_then(|seen| seen.latest.as_ref());
        self.media.observe(rendition, uri, answer, latest, &mut findings);
        findings.0
    }

    /// Rules 2 and 3: something new in time, and enough of it.
    fn check_growth(&mut self, at: Duration, name: &str, before: Option<&Playlist>, now: &Playlist, findings: &mut Findings) {
        let Some(seen) = self.seen.get_mut(name) else { return };
        let last = |playlist: &Playlist| playlist.segments.iter().rev().find(|segment| segment.duration.is_some()).map(|s| s.msn);
        if before.is_none() {
            seen.grown_at = at;
            seen.first_msn = now.media_sequence;
        }
        let allowed = now.target_duration.unwrap_or(0) as f64 * 1.5 + 0.5;
        let since = at.saturating_sub(seen.grown_at).as_secs_f64();
        findings.must(2, now.ended || since <= allowed, || format!("{name}: no new segment for {since:.2} s"));
        if before.is_none_or(|before| last(now) > last(before)) {
            seen.grown_at = at;
        }
        let removed = now.media_sequence > seen.first_msn;
        let complete = now.segments.iter().filter(|segment| segment.duration.is_some()).count();
        let content: f64 = now.segments.iter().map(parse::SegmentTags::length).sum();
        let least = 3.0 * now.target_duration.unwrap_or(0) as f64;
        findings.must(3, !removed || (content >= least && complete >= 6), || {
            format!("{name}: {complete} segments, {content:.2} s after a removal")
        });
        if let Some(edge) = single::edge(now) {
            seen.edges.push((at, edge.0, edge.1));
        }
    }

    /// Rules 7, 5 and 23: against the other renditions.
    fn check_siblings(&self, at: Duration, name: &str, now: &Playlist, findings: &mut Findings) {
        for (other, seen) in self.seen.iter().filter(|(other, _)| *other != name) {
            let Some(latest) = &seen.latest else { continue };
            let same = latest.target_duration == now.target_duration && latest.server_control == now.server_control;
            findings.must(7, same, || format!("{name} and {other} differ in TARGETDURATION or SERVER-CONTROL"));
            succession::check_discontinuities(name, now, other, latest, findings);
            if now.ended {
                continue;
            }
            // What was seen of the other before this moment was known when this one was written.
            let known = seen.edges.iter().rev().find(|(when, ..)| *when < at);
            single::check_report(name, now, other, known.map(|(_, msn, part)| (*msn, *part)), findings);
        }
    }
}
