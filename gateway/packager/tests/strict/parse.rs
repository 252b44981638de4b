//! A reader of media playlists of its own: shares nothing with the one that writes them.

use std::collections::BTreeMap;

/// Attributes of a tag, quotes taken off.
pub type Attributes = BTreeMap<String, String>;

/// One EXT-X-PART.
#[derive(Clone, Debug, PartialEq)]
pub struct PartTag {
    /// Seconds.
    pub duration: f64,
    pub uri: String,
    pub independent: bool,
    pub gap: bool,
}

/// A segment; the last one may have parts only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SegmentTags {
    pub msn: u64,
    pub discontinuity: bool,
    /// EXT-X-PROGRAM-DATE-TIME in milliseconds since the epoch.
    pub date_ms: Option<i64>,
    /// URI of the EXT-X-MAP that applies.
    pub map: Option<String>,
    pub gap: bool,
    /// EXTINF in seconds; `None`: not complete.
    pub duration: Option<f64>,
    /// Empty while not complete.
    pub uri: String,
    pub parts: Vec<PartTag>,
    /// A tag that applies to the whole segment came after its first part.
    pub late_tag: Option<String>,
    /// A MAP stands at this very segment.
    pub map_here: bool,
}

impl SegmentTags {
    /// EXTINF, or what the parts add up to.
    pub fn length(&self) -> f64 {
        self.duration.unwrap_or_else(|| self.parts.iter().map(|part| part.duration).sum())
    }
}

/// A media playlist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Playlist {
    pub version: u32,
    pub target_duration: Option<u64>,
    pub server_control: Attributes,
    pub part_target: Option<f64>,
    pub media_sequence: u64,
    pub discontinuity_sequence: Option<u64>,
    pub playlist_type: Option<String>,
    /// SKIPPED-SEGMENTS
    pub skipped: Option<u64>,
    pub segments: Vec<SegmentTags>,
    /// EXT-X-PRELOAD-HINT: (TYPE, URI).
    pub hints: Vec<(String, String)>,
    pub reports: Vec<Attributes>,
    pub ended: bool,
    /// What could not be read.
    pub broken: Vec<String>,
}

/// Reads a playlist; what cannot be read is in `broken`.
pub fn playlist(text: &str) -> Playlist {
    let mut reader = Reader::default();
    let mut lines = text.lines();
    if lines.next() != Some("#EXTM3U") {
        reader.out.broken.push("does not start with #EXTM3U".into());
    }
    for line in lines.filter(|line| !line.is_empty()) {
        reader.line(line);
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    out: Playlist,
    next: SegmentTags,
    count: u64,
    map: Option<String>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let Some(tag) = line.strip_prefix('#') else {
            return self.uri(line);
        };
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        match name {
            "EXT-X-VERSION" => self.out.version = self.number(name, value),
            "EXT-X-TARGETDURATION" => self.out.target_duration = Some(self.number(name, value)),
            "EXT-X-SERVER-CONTROL" => self.out.server_control = attributes(value),
            "EXT-X-PART-INF" => self.out.part_target = Some(self.float(name, attributes(value).get("PART-TARGET"))),
            "EXT-X-MEDIA-SEQUENCE" => self.out.media_sequence = self.number(name, value),
            "EXT-X-DISCONTINUITY-SEQUENCE" => self.out.discontinuity_sequence = Some(self.number(name, value)),
            "EXT-X-PLAYLIST-TYPE" => self.out.playlist_type = Some(value.into()),
            "EXT-X-SKIP" => {
                let skipped = self.number(name, &text(&attributes(value), "SKIPPED-SEGMENTS"));
                self.out.skipped = Some(skipped);
                self.count += skipped;
            }
            "EXT-X-PRELOAD-HINT" => {
                let hint = attributes(value);
                self.out.hints.push((text(&hint, "TYPE"), text(&hint, "URI")));
            }
            "EXT-X-RENDITION-REPORT" => self.out.reports.push(attributes(value)),
            "EXT-X-ENDLIST" => self.out.ended = true,
            "EXT-X-INDEPENDENT-SEGMENTS" => {}
            _ => self.segment_tag(name, value),
        }
    }

    fn segment_tag(&mut self, name: &str, value: &str) {
        let whole = matches!(name, "EXT-X-DISCONTINUITY" | "EXT-X-PROGRAM-DATE-TIME" | "EXT-X-MAP" | "EXT-X-KEY");
        if whole && !self.next.parts.is_empty() {
            self.next.late_tag = Some(name.into());
        }
        match name {
            "EXT-X-DISCONTINUITY" => self.next.discontinuity = true,
            "EXT-X-PROGRAM-DATE-TIME" => match date_ms(value) {
                Some(date) => self.next.date_ms = Some(date),
                None => self.out.broken.push(format!("date {value}")),
            },
            "EXT-X-MAP" => {
                self.map = Some(text(&attributes(value), "URI"));
                self.next.map_here = true;
            }
            "EXT-X-GAP" => self.next.gap = true,
            "EXTINF" => {
                let seconds = value.split(',').next().map(str::to_owned);
                self.next.duration = Some(self.float(name, seconds.as_ref()));
            }
            "EXT-X-PART" => self.part(value),
            _ => self.out.broken.push(format!("unknown tag {name}")),
        }
    }

    fn part(&mut self, value: &str) {
        let found = attributes(value);
        let duration = self.float("EXT-X-PART", found.get("DURATION"));
        let yes = |name| found.get(name).is_some_and(|value| value == "YES");
        self.next.parts.push(PartTag { duration, uri: text(&found, "URI"), independent: yes("INDEPENDENT"), gap: yes("GAP") });
    }

    fn uri(&mut self, line: &str) {
        self.next.uri = line.into();
        if self.next.duration.is_none() {
            self.out.broken.push(format!("{line} has no EXTINF"));
        }
        self.push();
    }

    fn push(&mut self) {
        self.next.msn = self.out.media_sequence + self.count;
        self.next.map = self.map.clone();
        self.count += 1;
        self.out.segments.push(std::mem::take(&mut self.next));
    }

    fn finish(mut self) -> Playlist {
        if !self.next.parts.is_empty() {
            self.push();
        } else if self.next != SegmentTags::default() {
            self.out.broken.push("tags of a segment at the end, and no segment".into());
        }
        self.out
    }

    fn number<T: std::str::FromStr + Default>(&mut self, name: &str, value: &str) -> T {
        value.parse().unwrap_or_else(|_| {
            self.out.broken.push(format!("{name}: not a number: {value}"));
            T::default()
        })
    }

    fn float(&mut self, name: &str, value: Option<&String>) -> f64 {
        let read = value.and_then(|value| value.parse::<f64>().ok()).filter(|value| value.is_finite() && *value >= 0.0);
        read.unwrap_or_else(|| {
            self.out.broken.push(format!("{name}: not a duration: {value:?}"));
            0.0
        })
    }
}

fn text(found: &Attributes, name: &str) -> String {
    found.get(name).cloned().unwrap_or_default()
}

/// NAME=value,NAME="quoted, value"
pub fn attributes(list: &str) -> Attributes {
    let mut out = Attributes::new();
    let mut rest = list;
    while let Some((name, after)) = rest.split_once('=') {
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').map_or((quoted, ""), |(value, left)| (value, left.trim_start_matches(','))),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        out.insert(name.trim().into(), value.into());
        rest = left;
    }
    out
}

/// `2026-11-20T11:00:00.123Z` in milliseconds since the epoch; only UTC, which is all we write.
fn date_ms(date: &str) -> Option<i64> {
    let digits = |range: std::ops::Range<usize>| date.get(range)?.parse::<i64>().ok();
    if date.len() != 24 || !date.ends_with('Z') || date.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let time = (digits(11..13)? * 60 + digits(14..16)?) * 60 + digits(17..19)?;
    // Days from the civil calendar, years counted from March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some((days * 86_400 + time) * 1_000 + digits(20..23)?)
}

#[test]
fn dates() {
    assert_eq!(date_ms("1970-01-01T00:00:00.000Z"), Some(0));
    assert_eq!(date_ms("2026-11-20T11:00:00.123Z"), Some(1_795_172_400_123));
    assert_eq!(date_ms("2026-11-20 11:00:00.123Z"), None);
}
