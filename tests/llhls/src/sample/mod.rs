//! A live programme of video and audio, written by hand: parts of 0.32 s, six to a segment, eight segments listed, a
//! discontinuity with a new init section at segment 106, a gap in the pictures of segment 109. For tests of the judgement and of
//! clients around it.

#![allow(clippy::unwrap_used, reason = "nothing but tests plays it")]

pub mod fmp4;

use std::fmt::Write;
use std::time::Duration;

use super::{Checker, Violation};

/// Number of the first segment.
pub const FIRST_MSN: u64 = 100;
/// Parts of a segment.
pub const PARTS: u64 = 6;
/// Number of the segment behind the discontinuity.
pub const DISCONTINUITY: u64 = 106;
const GAP: u64 = 109;
const WINDOW: u64 = 8;

/// The multivariant playlist.
pub const MULTIVARIANT: &str = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"main\",DEFAULT=YES,AUTOSELECT=YES,URI=\"a.m3u8\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=40000,AVERAGE-BANDWIDTH=20000,CODECS=\"avc1.42e01f,mp4a.40.2\",RESOLUTION=640x360,\
    FRAME-RATE=25.000,AUDIO=\"aac\"\nv.m3u8\n";

/// Is this part of the pictures missing?
#[must_use]
pub fn is_gap(letter: char, msn: u64, part: u64) -> bool {
    letter == 'v' && msn == GAP && (2..4).contains(&part)
}

/// When the client has so many parts.
#[must_use]
pub fn time_of(parts: u64) -> Duration {
    Duration::from_millis(320 * parts)
}

fn date(msn: u64) -> String {
    let millis = (msn - FIRST_MSN) * 1920;
    format!("2026-10-01T12:{:02}:{:02}.{:03}Z", millis / 60_000, millis / 1000 % 60, millis % 1000)
}

/// URI of the init section of a segment.
#[must_use]
pub fn init_of(letter: char, msn: u64) -> String {
    format!("{letter}-init-{}.mp4", if msn < DISCONTINUITY { 1 } else { 2 })
}

/// The media playlist after `parts` parts.
#[must_use]
pub fn playlist(letter: char, parts: u64) -> String {
    let next = FIRST_MSN + parts / PARTS;
    let first = next.saturating_sub(WINDOW).max(FIRST_MSN);
    let left = if first > DISCONTINUITY { 8 } else { 7 };
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:4\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24,PART-HOLD-BACK=0.96000,HOLD-BACK=12\n\
        #EXT-X-PART-INF:PART-TARGET=0.32000\n#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-DISCONTINUITY-SEQUENCE:{left}\n\
        #EXT-X-INDEPENDENT-SEGMENTS\n"
    );
    for msn in first..next {
        head(&mut out, letter, msn, first);
        let to_start = (parts - (msn - FIRST_MSN) * PARTS) * 320;
        if to_start <= 12_000 {
            part_tags(&mut out, letter, msn, PARTS);
        }
        let gap = if (0..PARTS).any(|part| is_gap(letter, msn, part)) { "#EXT-X-GAP\n" } else { "" };
        write!(out, "{gap}#EXTINF:1.92000,\n{letter}-{msn}.m4s\n").unwrap();
    }
    if !parts.is_multiple_of(PARTS) {
        head(&mut out, letter, next, first);
        part_tags(&mut out, letter, next, parts % PARTS);
    }
    let other = if letter == 'v' { 'a' } else { 'v' };
    let last = parts - 1;
    let (last_msn, last_part) = (FIRST_MSN + last / PARTS, last % PARTS);
    writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{letter}-{next}.{}.m4s\"", parts % PARTS).unwrap();
    writeln!(out, "#EXT-X-RENDITION-REPORT:URI=\"{other}.m3u8\",LAST-MSN={last_msn},LAST-PART={last_part}").unwrap();
    out
}

fn head(out: &mut String, letter: char, msn: u64, first: u64) {
    if msn == DISCONTINUITY {
        out.push_str("#EXT-X-DISCONTINUITY\n");
    }
    if msn == DISCONTINUITY || msn == first {
        writeln!(out, "#EXT-X-MAP:URI=\"{}\"", init_of(letter, msn)).unwrap();
    }
    writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date(msn)).unwrap();
}

fn part_tags(out: &mut String, letter: char, msn: u64, parts: u64) {
    for part in 0..parts {
        let independent = if letter == 'a' || part == 0 { ",INDEPENDENT=YES" } else { "" };
        let gap = if is_gap(letter, msn, part) { ",GAP=YES" } else { "" };
        writeln!(out, "#EXT-X-PART:DURATION=0.32000,URI=\"{letter}-{msn}.{part}.m4s\"{independent}{gap}").unwrap();
    }
}

/// Media time jumps by 1000 s at the discontinuity.
#[must_use]
pub fn part_bytes(letter: char, msn: u64, part: u64) -> Vec<u8> {
    let millis = (msn - FIRST_MSN) * 1920 + part * 320 + if msn < DISCONTINUITY { 0 } else { 1_000_000 };
    match letter {
        'v' => fmp4::video(millis * 90, part == 0),
        _ => fmp4::audio(millis * 48),
    }
}

/// All parts of a segment, joined.
#[must_use]
pub fn segment_bytes(letter: char, msn: u64) -> Vec<u8> {
    (0..PARTS).flat_map(|part| part_bytes(letter, msn, part)).collect()
}

/// (URI, bytes) → (status, bytes).
pub type Serve<'a> = dyn Fn(&str, Vec<u8>) -> (u16, Vec<u8>) + 'a;

/// A way to play the programme.
pub struct Programme<'a> {
    /// (letter, parts published, text) → text.
    pub edit: &'a dyn Fn(char, u64, String) -> String,
    /// What is answered to requests for media.
    pub serve: &'a Serve<'a>,
    /// Text.
    pub multivariant: &'a str,
}

impl Programme<'_> {
    /// Without a fault.
    #[must_use]
    pub fn good() -> Self {
        Self { edit: &|_, _, body| body, serve: &|_, bytes| (200, bytes), multivariant: MULTIVARIANT }
    }

    fn media(&self, checker: &mut Checker, at: Duration, letter: char, uri: &str, bytes: Vec<u8>) -> Vec<Violation> {
        let (status, bytes) = (self.serve)(uri, bytes);
        checker.observe_media(at, &format!("{letter}.m3u8"), uri, status, bytes.len() as u64, &bytes)
    }
}

/// From the 30th to the 100th part: everything that a client that fetches all would see.
#[must_use]
pub fn play(programme: &Programme<'_>) -> Vec<Violation> {
    let mut checker = Checker::new();
    let mut found = checker.observe_multivariant(programme.multivariant);
    for parts in 30..=100 {
        for letter in ['v', 'a'] {
            found.extend(step(programme, &mut checker, letter, parts));
        }
    }
    found.extend(checker.finish());
    found
}

fn step(programme: &Programme<'_>, checker: &mut Checker, letter: char, parts: u64) -> Vec<Violation> {
    let at = time_of(parts);
    let (msn, part) = (FIRST_MSN + (parts - 1) / PARTS, (parts - 1) % PARTS);
    let body = (programme.edit)(letter, parts, playlist(letter, parts));
    let mut found = checker.observe_playlist(at, &format!("{letter}.m3u8"), &format!("_HLS_msn={msn}&_HLS_part={part}"), &body);
    let mut fetch = |uri: String, bytes| found.extend(programme.media(checker, at, letter, &uri, bytes));
    if parts == 30 || (msn == DISCONTINUITY && part == 0) {
        fetch(init_of(letter, msn), fmp4::init(letter));
    }
    if !is_gap(letter, msn, part) {
        fetch(format!("{letter}-{msn}.{part}.m4s"), part_bytes(letter, msn, part));
    }
    if part + 1 == PARTS && !(letter == 'v' && msn == GAP) {
        fetch(format!("{letter}-{msn}.m4s"), segment_bytes(letter, msn));
    }
    found
}
