//! The judgement of a strict LL-HLS client, as a value.
//!
//! A [`Checker`] is shown what a client gets to see, playlists and media bytes with the time at which they came, and names
//! every rule that they break. It fetches nothing and reads no clock: `minamo-llhls` in `minamo-tests` plays a live programme over
//! HTTP, the packager's tests play one in virtual time. It shares no code with the packager, so that a mistake would have to be made
//! twice to go unseen.
//!
//! The rules carry the numbers of the project's list, gathered from rfc8216bis and Apple's authoring specification:
//! 0 form of a playlist · 1 TARGETDURATION · 2 every version adds · 3 append, remove in order · 4 how long media stays ·
//! 5 discontinuities · 6 dates · 7 alike in all renditions · 8 the end · 9 multivariant · 10 part durations · 11 tags before
//! parts · 12 hold-back · 13 parts joined, IDRs · 14 gaps · 15–19 blocking reload and directives · 21 delta updates ·
//! 22 hints · 23 reports · 24 transport · 25 caching · 26 `Date` · 27 keys · 28 date ranges · 29 I-frames · 30 gaps keep their time.
//!
//! Live playlists with fMP4 are judged, plain or under AES-128 ([`Checker::add_key`]); the bytes of parts that are byte ranges are not.

mod across;
mod attributes;
mod blocking;
mod boxes;
mod change;
mod form;
mod headers;
mod iframes;
mod keys;
mod media;
mod multivariant;
mod parse;
mod playlist;
mod ranges;
mod rendition;
mod sabotage;
pub mod sample;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use attributes::{Attributes, Date, Seconds};
pub use headers::{Kind, judge_headers};
pub use iframes::{IFrame, judge_iframes};
pub use keys::Key;
pub use multivariant::Multivariant;
pub use parse::parse;
pub use playlist::{Hint, MediaPlaylist, Part, Report, Segment};
pub use sabotage::sabotage;

use blocking::Asked;
use rendition::Rendition;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Number of the rule.
    pub rule: u8,
    /// What was seen.
    pub what: String,
}

impl Violation {
    /// `rule` was broken, as `what` says.
    pub fn new(rule: u8, what: impl Into<String>) -> Self {
        Self { rule, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: {}", self.rule, self.what)
    }
}

/// An answer to a request for a media playlist. Times are since the start.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// When the request left.
    pub asked: Duration,
    /// When the whole answer was there.
    pub answered: Duration,
    /// URI of the media playlist as the multivariant playlist has it.
    pub rendition: &'a str,
    /// Without `?`; may be empty.
    pub query: &'a str,
    /// HTTP status.
    pub status: u16,
    /// Unzipped.
    pub body: &'a str,
}

/// What a strict client knows of one programme, and its judgement.
#[derive(Debug, Default)]
pub struct Checker {
    multivariant: Option<Multivariant>,
    renditions: BTreeMap<String, Rendition>,
    keys: BTreeMap<String, [u8; 16]>,
}

impl Checker {
    /// Knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The key behind the URI of an EXT-X-KEY. Media under keys that are not known is not looked into.
    pub fn add_key(&mut self, uri: &str, key: [u8; 16]) {
        self.keys.insert(uri.to_owned(), key);
    }

    /// Does anything wait for the key behind this URI?
    #[must_use]
    pub fn lacks_key(&self, uri: &str) -> bool {
        !self.keys.contains_key(uri)
    }

    /// Rule 9. Names the renditions that the others must report.
    pub fn observe_multivariant(&mut self, body: &str) -> Vec<Violation> {
        let (multivariant, faults) = Multivariant::parse(body);
        let mut found: Vec<_> = faults.into_iter().map(|fault| Violation::new(0, format!("multivariant: {fault}"))).collect();
        found.extend(multivariant.judge());
        self.multivariant = Some(multivariant);
        found
    }

    /// An answer with its status and its time: rules 15–19, and all of [`Self::observe_playlist`] for a 200.
    pub fn observe_answer(&mut self, answer: &Answer<'_>) -> Vec<Violation> {
        let known = self.renditions.get(answer.rendition).and_then(Rendition::current);
        let mut found = named(answer.rendition, Asked::parse(answer.query).judge_answer(answer, known));
        // What a wrong request got is judged by its status alone.
        if answer.status == 200 && found.is_empty() {
            found = self.observe_playlist(answer.answered, answer.rendition, answer.query, answer.body);
        }
        found
    }

    /// A media playlist that was answered (with 200) to `request_query`, complete at `at` since the start. `rendition` is its
    /// URI as the multivariant playlist has it. Versions come in the order in which they were requested.
    pub fn observe_playlist(&mut self, at: Duration, rendition: &str, request_query: &str, body: &str) -> Vec<Violation> {
        let asked = Asked::parse(request_query);
        let (playlist, faults) = parse(body);
        let mut found: Vec<_> = faults.into_iter().map(|fault| Violation::new(0, fault)).collect();
        let of = self.renditions.entry(rendition.to_owned()).or_default();
        let playlist = match of.expand(playlist, asked.skip) {
            Ok(playlist) => playlist,
            Err(violation) => return named(rendition, vec![violation]),
        };
        if body.contains("_HLS_") {
            found.push(Violation::new(19, "the playlist repeats directives"));
        }
        found.extend(asked.judge_body(&playlist));
        found.extend(form::judge(&playlist));
        found.extend(of.advance(at, playlist));
        found.extend(of.settle_media(&self.keys));
        found.extend(across::judge(&self.renditions, self.multivariant.as_ref(), rendition, at));
        named(rendition, found)
    }

    /// An answer to a request for an init section, a segment or a part. `bytes_len` is the length that the answer stated (or
    /// `body.len()` where it stated none), `uri` as the playlist has it.
    pub fn observe_media(
        &mut self,
        at: Duration,
        rendition: &str,
        uri: &str,
        status: u16,
        bytes_len: u64,
        body: &[u8],
    ) -> Vec<Violation> {
        let of = self.renditions.entry(rendition.to_owned()).or_default();
        let mut found = of.receive(at, uri, status, bytes_len, body, &self.keys);
        found.extend(of.settle_media(&self.keys));
        if let (Some(multivariant), Some(init)) = (&self.multivariant, of.new_init()) {
            found.extend(multivariant.judge_init(rendition, &init));
        }
        found.extend(across::judge_dates(&self.renditions, rendition));
        named(rendition, found)
    }

    /// What only a whole run shows: rule 9's BANDWIDTH, and that date ranges are in every rendition (28).
    #[must_use]
    pub fn finish(&self) -> Vec<Violation> {
        let peak = |rendition: &str| self.renditions.get(rendition).and_then(Rendition::peak_bps);
        let mut found = self.multivariant.as_ref().map(|multivariant| multivariant.judge_peak(peak)).unwrap_or_default();
        found.extend(across::judge_ranges(&self.renditions));
        found
    }

    /// The newest version that was seen.
    #[must_use]
    pub fn current(&self, rendition: &str) -> Option<&MediaPlaylist> {
        self.renditions.get(rendition).and_then(Rendition::current)
    }

    /// A segment or part that the playlist no longer lists and that must still be fetchable for at least a second (rule 4).
    #[must_use]
    pub fn removed_but_kept(&self, at: Duration, rendition: &str) -> Option<String> {
        self.renditions.get(rendition)?.removed_but_kept(at + Duration::from_secs(1))
    }
}

fn named(rendition: &str, mut found: Vec<Violation>) -> Vec<Violation> {
    for violation in &mut found {
        violation.what = format!("{rendition}: {}", violation.what);
    }
    found
}
