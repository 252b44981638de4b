//! EXT-X-DATERANGE (rfc8216bis §4.4.5.1): timed metadata of a programme, the same in every rendition.
//!
//! Rule 28: an id is never used again and its attributes never change. What is said later of the same id stands in a further tag,
//! which may only add.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::playlist::iso_date;

/// Ranges that are listed at most; one more is refused until others have left the playlist.
pub const DATE_RANGES_MAX: usize = 200;
/// Tags of one range at most: what begins it, what ends it, and a few words between.
const TAGS_MAX: usize = 8;
/// Ids that are remembered as used, in the order in which they came. The oldest are forgotten beyond, after days.
const USED_MAX: usize = 50_000;
/// A range of unknown length leaves with what stands this long behind its start.
const OPEN_MAX: Duration = Duration::from_secs(3600);

/// What is said of a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateRange {
    /// Names the range; never used again in the programme. No quotation marks, no line ends, no tabs.
    pub id: String,
    /// When it begins, since the Unix epoch.
    pub start: Duration,
    /// How long it lasts, when that is known: `Duration::ZERO` for a moment.
    pub duration: Option<Duration>,
    /// How long it is expected to last.
    pub planned: Option<Duration>,
    /// Further attributes as they are written behind `NAME=`: `CLASS`, `SCTE35-OUT`, `SCTE35-IN`, `SCTE35-CMD`, `X-…`.
    pub attributes: BTreeMap<String, String>,
}

/// Why a range is not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DateRangeRefused {
    /// The id has left the playlist, or its range has as many tags as it may have.
    #[error("the id was used before")]
    Used,
    /// The id is listed with another value of this attribute.
    #[error("{0} is another than before: attributes of an id never change")]
    Changed(String),
    /// There are [`DATE_RANGES_MAX`] in the playlist.
    #[error("there are {DATE_RANGES_MAX} in the playlist already")]
    Full,
}

impl DateRange {
    fn written(&self) -> BTreeMap<String, String> {
        let mut all = self.attributes.clone();
        all.insert("START-DATE".into(), format!("\"{}\"", iso_date(self.start)));
        let seconds = |duration: Duration| format!("{:.3}", duration.as_secs_f64());
        all.extend(self.duration.map(|duration| ("DURATION".into(), seconds(duration))));
        all.extend(self.planned.map(|duration| ("PLANNED-DURATION".into(), seconds(duration))));
        all
    }
}

/// One range in the playlist.
#[derive(Clone, Debug)]
struct Listed {
    id: String,
    start: Duration,
    /// When it is over, as far as is known.
    end: Duration,
    /// Attributes of all tags together.
    known: BTreeMap<String, String>,
    tags: Vec<String>,
    /// Local time since which the playlist has had it as it is; `None`: from the next version on.
    since: Option<Duration>,
}

/// What a version of the playlist lists, and what has left it lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges {
    listed: Vec<Arc<Listed>>,
    removed: Vec<(String, Duration)>,
    /// Local time of the version.
    now: Duration,
}

impl Ranges {
    /// All tags; `newer_than`: only of those that came into the playlist within this time, for a delta update that skips the others.
    pub(crate) fn write(&self, out: &mut String, newer_than: Option<Duration>) {
        let is_new = |range: &Listed| newer_than.is_none_or(|span| range.since.is_none_or(|since| since + span > self.now));
        for tag in self.listed.iter().filter(|range| is_new(range)).flat_map(|range| &range.tags) {
            out.push_str(tag);
        }
    }

    /// RECENTLY-REMOVED-DATERANGES, with a comma before it; nothing where none was.
    pub(crate) fn write_removed(&self, out: &mut String, span: Duration) {
        let recent: Vec<&str> = self.removed.iter().filter(|(_, at)| *at + span > self.now).map(|(id, _)| id.as_str()).collect();
        if !recent.is_empty() {
            let _ = write!(out, ",RECENTLY-REMOVED-DATERANGES=\"{}\"", recent.join("\t"));
        }
    }
}

/// All ranges of a programme. What is added is listed from the next version of the playlists on: a version of its own would be one
/// without a new part (rule 2).
#[derive(Debug, Default)]
pub(crate) struct DateRanges {
    current: Ranges,
    used: std::collections::VecDeque<String>,
}

impl DateRanges {
    pub(crate) fn add(&mut self, range: &DateRange) -> Result<(), DateRangeRefused> {
        let written = range.written();
        let end = range.start + range.duration.or(range.planned).unwrap_or(OPEN_MAX);
        if let Some(known) = self.current.listed.iter_mut().find(|known| known.id == range.id) {
            return Arc::make_mut(known).extend(&written, end);
        }
        if self.used.contains(&range.id) {
            return Err(DateRangeRefused::Used);
        }
        if self.current.listed.len() >= DATE_RANGES_MAX {
            return Err(DateRangeRefused::Full);
        }
        let tags = vec![tag(&range.id, &written)];
        let listed = Listed { id: range.id.clone(), start: range.start, end, known: written, tags, since: None };
        // In the order of time, as players meet them.
        let at = self.current.listed.partition_point(|before| before.start <= range.start);
        self.current.listed.insert(at, Arc::new(listed));
        self.used.push_back(range.id.clone());
        self.used.drain(..self.used.len().saturating_sub(USED_MAX));
        Ok(())
    }

    /// What the version of `now` lists, whose first segment is dated `from`: all that is not over before it.
    pub(crate) fn version(&mut self, now: Duration, from: Duration, skip_until: Duration) -> Ranges {
        let Ranges { listed, removed, now: at } = &mut self.current;
        *at = now;
        listed.retain(|range| {
            let stays = range.end >= from;
            if !stays {
                removed.push((range.id.clone(), now));
            }
            stays
        });
        removed.retain(|(_, at)| *at + skip_until > now);
        for range in listed.iter_mut().filter(|range| range.since.is_none()) {
            Arc::make_mut(range).since = Some(now);
        }
        self.current.clone()
    }
}

impl Listed {
    fn extend(&mut self, written: &BTreeMap<String, String>, end: Duration) -> Result<(), DateRangeRefused> {
        if let Some((name, _)) = written.iter().find(|(name, value)| self.known.get(*name).is_some_and(|known| known != *value)) {
            return Err(DateRangeRefused::Changed(name.clone()));
        }
        let mut more: BTreeMap<_, _> = written.clone().into_iter().filter(|(name, _)| !self.known.contains_key(name)).collect();
        if more.is_empty() {
            return Ok(());
        }
        if self.tags.len() >= TAGS_MAX {
            return Err(DateRangeRefused::Used);
        }
        self.known.extend(more.clone());
        if more.contains_key("DURATION") {
            self.end = end;
        }
        more.extend(self.known.get("START-DATE").map(|date| ("START-DATE".to_owned(), date.clone())));
        self.tags.push(tag(&self.id, &more));
        self.since = None;
        Ok(())
    }
}

fn tag(id: &str, attributes: &BTreeMap<String, String>) -> String {
    let mut out = format!("#EXT-X-DATERANGE:ID=\"{id}\"");
    for (name, value) in attributes {
        let _ = write!(out, ",{name}={value}");
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Duration = Duration::from_secs(1_795_000_000);
    const UNTIL: Duration = Duration::from_secs(24);

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn range(id: &str, start: u64, duration: Option<u64>, attributes: &[(&str, &str)]) -> DateRange {
        DateRange {
            id: id.into(),
            start: T0 + secs(start),
            duration: duration.map(secs),
            planned: None,
            attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    fn text(ranges: &Ranges, newer_than: Option<Duration>) -> String {
        let mut out = String::new();
        ranges.write(&mut out, newer_than);
        out
    }

    #[test]
    fn a_splice_begins_and_ends_under_one_id() {
        let mut ranges = DateRanges::default();
        ranges.add(&range("ad-1", 10, None, &[("SCTE35-OUT", "0xFC01")])).unwrap();
        ranges.add(&range("ad-1", 10, Some(30), &[("SCTE35-IN", "0xFC02")])).unwrap();
        let shown = text(&ranges.version(secs(1), T0, UNTIL), None);
        let expected = "#EXT-X-DATERANGE:ID=\"ad-1\",SCTE35-OUT=0xFC01,START-DATE=\"2026-11-18T11:06:50.000Z\"\n\
            #EXT-X-DATERANGE:ID=\"ad-1\",DURATION=30.000,SCTE35-IN=0xFC02,START-DATE=\"2026-11-18T11:06:50.000Z\"\n";
        assert_eq!(shown, expected);
        let changed = ranges.add(&range("ad-1", 10, Some(31), &[]));
        assert_eq!(changed, Err(DateRangeRefused::Changed("DURATION".into())));
        assert_eq!(ranges.add(&range("ad-1", 11, None, &[])), Err(DateRangeRefused::Changed("START-DATE".into())));
        assert_eq!(ranges.add(&range("ad-1", 10, Some(30), &[])), Ok(()), "the same again is nothing");
        assert_eq!(text(&ranges.version(secs(2), T0, UNTIL), None), expected);
    }

    #[test]
    fn what_is_over_leaves_and_its_id_never_returns() {
        let mut ranges = DateRanges::default();
        ranges.add(&range("b", 5, Some(1), &[])).unwrap();
        ranges.add(&range("a", 2, Some(1), &[])).unwrap();
        assert!(text(&ranges.version(secs(1), T0, UNTIL), None).find("\"a\"") < Some(60), "in the order of time");
        let version = ranges.version(secs(8), T0 + secs(4), UNTIL);
        assert!(!text(&version, None).contains("\"a\"") && text(&version, None).contains("\"b\""));
        let mut removed = String::new();
        version.write_removed(&mut removed, UNTIL);
        assert_eq!(removed, ",RECENTLY-REMOVED-DATERANGES=\"a\"");
        assert_eq!(ranges.add(&range("a", 20, Some(1), &[])), Err(DateRangeRefused::Used));
        removed.clear();
        ranges.version(secs(40), T0 + secs(4), UNTIL).write_removed(&mut removed, UNTIL);
        assert_eq!(removed, "");
    }

    #[test]
    fn a_delta_update_leaves_out_what_has_been_there_for_long() {
        let mut ranges = DateRanges::default();
        ranges.add(&range("old", 0, None, &[])).unwrap();
        ranges.version(secs(1), T0, UNTIL);
        ranges.add(&range("new", 1, None, &[])).unwrap();
        let version = ranges.version(secs(30), T0, UNTIL);
        assert!(!text(&version, Some(UNTIL)).contains("old") && text(&version, Some(UNTIL)).contains("new"));
        assert!(text(&version, None).contains("old"));
    }

    #[test]
    fn ranges_are_bounded() {
        let mut ranges = DateRanges::default();
        for number in 0..DATE_RANGES_MAX {
            ranges.add(&range(&number.to_string(), 0, Some(1), &[])).unwrap();
        }
        assert_eq!(ranges.add(&range("more", 0, Some(1), &[])), Err(DateRangeRefused::Full));
        ranges.version(secs(1), T0 + secs(100), UNTIL);
        assert_eq!(ranges.add(&range("more", 0, Some(1), &[])), Ok(()));
    }
}
