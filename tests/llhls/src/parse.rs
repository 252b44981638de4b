//! Text to [`MediaPlaylist`]. Goes on behind a fault, so that one fault does not hide another.

use std::collections::BTreeSet;

use super::attributes::{Attributes, Date, Seconds};
use super::keys::Key;
use super::playlist::{Hint, MediaPlaylist, Part, Report, Segment};

/// Reads a media playlist. The second value names what is not as rfc8216bis §4 writes it.
#[must_use]
pub fn parse(body: &str) -> (MediaPlaylist, Vec<String>) {
    let mut reader = Reader::default();
    let mut lines = body.lines();
    if lines.next() != Some("#EXTM3U") {
        reader.faults.push("the first line is not #EXTM3U".into());
        return (reader.playlist, reader.faults);
    }
    for line in lines.filter(|line| !line.is_empty()) {
        match line.strip_prefix('#') {
            None => reader.uri(line),
            Some(tag) if tag.starts_with("EXT") => reader.tag(tag),
            Some(_) => {}
        }
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    playlist: MediaPlaylist,
    /// Of the segment that is being read.
    pending: Pending,
    map: Option<(String, Option<Key>)>,
    key: Option<Key>,
    seen: BTreeSet<String>,
    faults: Vec<String>,
}

#[derive(Default)]
struct Pending {
    duration: Option<Seconds>,
    discontinuity: bool,
    gap: bool,
    date: Option<Date>,
    parts: Vec<Part>,
}

/// Tags that stand at most once in a playlist.
const ONCE: [&str; 10] = [
    "EXT-X-VERSION",
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-SERVER-CONTROL",
    "EXT-X-PART-INF",
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-INDEPENDENT-SEGMENTS",
    "EXT-X-SKIP",
    "EXT-X-ENDLIST",
];

/// Tags that hold for a whole segment and so come before its first part (rule 11).
const BEFORE_PARTS: [&str; 4] = ["EXT-X-MAP", "EXT-X-KEY", "EXT-X-DISCONTINUITY", "EXT-X-PROGRAM-DATE-TIME"];

impl Reader {
    fn tag(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if ONCE.contains(&name) && !self.seen.insert(name.to_owned()) {
            self.faults.push(format!("{name} twice"));
        }
        if BEFORE_PARTS.contains(&name) && !self.pending.parts.is_empty() {
            let msn = self.msn();
            self.playlist.misplaced.push(format!("{name} behind the first part of segment {msn}"));
        }
        if let Err(fault) = self.header(name, value) {
            self.faults.push(format!("{name}: {fault}"));
        }
    }

    fn header(&mut self, name: &str, value: &str) -> Result<(), String> {
        let playlist = &mut self.playlist;
        match name {
            "EXT-X-VERSION" => playlist.version = Some(integer(value)?),
            "EXT-X-TARGETDURATION" => playlist.target_duration = Some(integer(value)?),
            "EXT-X-MEDIA-SEQUENCE" => {
                playlist.media_sequence = integer(value)?;
                self.only_before_segments()?;
            }
            "EXT-X-DISCONTINUITY-SEQUENCE" => {
                playlist.discontinuity_sequence = Some(integer(value)?);
                self.only_before_segments()?;
            }
            "EXT-X-SERVER-CONTROL" => playlist.server_control = Some(Attributes::parse(value)?),
            "EXT-X-PART-INF" => {
                let target = Attributes::parse(value)?.seconds("PART-TARGET");
                playlist.part_target = Some(target.ok_or("no PART-TARGET")?);
            }
            "EXT-X-PLAYLIST-TYPE" => playlist.playlist_type = Some(value.to_owned()),
            "EXT-X-INDEPENDENT-SEGMENTS" => playlist.independent_segments = true,
            "EXT-X-SKIP" => {
                let skipped = Attributes::parse(value)?.integer("SKIPPED-SEGMENTS");
                playlist.skipped = Some(skipped.ok_or("no SKIPPED-SEGMENTS")?);
            }
            "EXT-X-ENDLIST" => playlist.ended = true,
            "EXT-X-DATERANGE" => playlist.date_ranges.push(Attributes::parse(value)?),
            "EXT-X-PRELOAD-HINT" => playlist.hints.push(hint(&Attributes::parse(value)?)?),
            "EXT-X-RENDITION-REPORT" => playlist.reports.push(report(&Attributes::parse(value)?)?),
            _ => return self.of_segment(name, value),
        }
        Ok(())
    }

    fn of_segment(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "EXTINF" => {
                let number = value.split_once(',').ok_or("no comma")?.0;
                self.pending.duration = Some(Seconds::parse(number).ok_or_else(|| format!("{number:?} is no duration"))?);
            }
            "EXT-X-DISCONTINUITY" => self.pending.discontinuity = true,
            "EXT-X-GAP" => self.pending.gap = true,
            "EXT-X-PROGRAM-DATE-TIME" => {
                self.pending.date = Some(Date::parse(value).ok_or_else(|| format!("{value:?} is no date with a zone"))?);
            }
            "EXT-X-MAP" => {
                let list = Attributes::parse(value)?;
                self.map = Some((list.quoted("URI").ok_or("no URI")?.to_owned(), self.key.clone()));
            }
            "EXT-X-KEY" => self.key = Key::parse(&Attributes::parse(value)?)?,
            "EXT-X-PART" => self.pending.parts.push(part(&Attributes::parse(value)?)?),
            _ => {}
        }
        Ok(())
    }

    fn only_before_segments(&self) -> Result<(), String> {
        let first = self.playlist.segments.is_empty() && self.pending.parts.is_empty() && !self.pending.discontinuity;
        if first { Ok(()) } else { Err("behind the first segment".into()) }
    }

    fn msn(&self) -> u64 {
        self.playlist.next_msn()
    }

    fn uri(&mut self, uri: &str) {
        if self.pending.duration.is_none() {
            self.faults.push(format!("{uri} without EXTINF"));
        }
        let segment = self.take(uri.to_owned());
        self.playlist.segments.push(segment);
    }

    fn take(&mut self, uri: String) -> Segment {
        let msn = self.msn();
        let pending = std::mem::take(&mut self.pending);
        Segment {
            msn,
            uri,
            duration: pending.duration.unwrap_or(Seconds::ZERO),
            discontinuity: pending.discontinuity,
            discontinuity_number: 0,
            gap: pending.gap,
            date: pending.date,
            placed: None,
            map: self.map.as_ref().map(|(uri, _)| uri.clone()),
            map_key: self.map.as_ref().and_then(|(_, key)| key.clone()),
            key: self.key.clone(),
            parts: pending.parts,
        }
    }

    fn finish(mut self) -> (MediaPlaylist, Vec<String>) {
        if self.pending.duration.is_some() {
            self.faults.push("EXTINF without a URI at the end".into());
        }
        if !self.pending.parts.is_empty() {
            self.playlist.open = Some(self.take(String::new()));
        }
        self.playlist.settle();
        (self.playlist, self.faults)
    }
}

fn integer(text: &str) -> Result<u64, String> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| plain).ok_or_else(|| format!("{text:?} is no integer"))
}

fn part(list: &Attributes) -> Result<Part, String> {
    Ok(Part {
        uri: list.quoted("URI").ok_or("no URI")?.to_owned(),
        duration: list.seconds("DURATION").ok_or("no DURATION")?,
        independent: list.yes("INDEPENDENT"),
        gap: list.yes("GAP"),
        ranged: list.quoted("BYTERANGE").is_some(),
    })
}

fn hint(list: &Attributes) -> Result<Hint, String> {
    let kind = list.plain("TYPE").ok_or("no TYPE")?;
    let uri = list.quoted("URI").ok_or("no URI")?;
    Ok(Hint { kind: kind.to_owned(), uri: uri.to_owned() })
}

fn report(list: &Attributes) -> Result<Report, String> {
    let uri = list.quoted("URI").ok_or("no URI")?;
    Ok(Report { uri: uri.to_owned(), msn: list.integer("LAST-MSN"), part: list.integer("LAST-PART") })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n\
        #EXT-X-DISCONTINUITY-SEQUENCE:3\n#EXT-X-MAP:URI=\"i.mp4\"\n\
        #EXT-X-PROGRAM-DATE-TIME:2026-10-01T12:00:00.000Z\n#EXTINF:2.00000,\ns7.m4s\n#EXT-X-DISCONTINUITY\n\
        #EXT-X-PART:DURATION=0.32,URI=\"p8.0.m4s\",INDEPENDENT=YES\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p8.1.m4s\"\n";

    #[test]
    fn a_live_playlist_is_understood() {
        let (playlist, faults) = parse(GOOD);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(playlist.edge(), Some((8, 0)));
        assert_eq!(playlist.segments[0].discontinuity_number, 3);
        let open = playlist.open.as_ref().unwrap();
        assert_eq!((open.discontinuity_number, open.map.as_deref()), (4, Some("i.mp4")));
        assert_eq!(playlist.part_hint(), Some("p8.1.m4s"));
        let start = playlist.segments[0].placed.unwrap().nanos;
        assert_eq!(playlist.edge_date(), Some(start + 2_320_000_000));
    }

    #[test]
    fn what_is_not_written_as_the_draft_says_is_a_fault() {
        for (from, to) in [
            ("#EXTM3U", "#EXTM3"),
            ("#EXTINF:2.00000,", "#EXTINF:two,"),
            ("#EXTINF:2.00000,\n", ""),
            ("VERSION:9", "VERSION:9\n#EXT-X-VERSION:9"),
            ("TARGETDURATION:4", "TARGETDURATION:4.0"),
            ("URI=\"p8.0.m4s\"", "URI=p8.0.m4s"),
            ("12:00:00.000Z", "12:00:00.000"),
            ("TYPE=PART,", ""),
        ] {
            assert!(!parse(&GOOD.replacen(from, to, 1)).1.is_empty(), "{to}");
        }
    }

    #[test]
    fn no_text_breaks_the_parser() {
        for end in 0..GOOD.len() {
            let _ = parse(&GOOD[..end]);
            let _ = parse(&GOOD.replacen(&GOOD[end..=end], "\u{fffd}\"=,:", 1));
        }
    }
}
