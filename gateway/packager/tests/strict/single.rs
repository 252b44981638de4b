//! Rules that one version of a playlist shows by itself, and what its request says of it.

use super::Findings;
use super::parse::{Playlist, SegmentTags, attributes};

/// Rounding of five decimals.
const EPSILON: f64 = 0.000_011;

pub(super) fn check(playlist: &Playlist, request: &str, audio: bool, findings: &mut Findings) {
    check_header(playlist, findings);
    for segment in &playlist.segments {
        check_segment(playlist, segment, audio, findings);
    }
    check_parts(playlist, findings);
    check_part_age(playlist, findings);
    check_dates(playlist, findings);
    check_end(playlist, findings);
    check_request(playlist, request, findings);
}

/// (msn, part) of the last part.
pub(super) fn edge(playlist: &Playlist) -> Option<(u64, u64)> {
    let last = playlist.segments.last()?;
    Some((last.msn, (last.parts.len() as u64).checked_sub(1)?))
}

fn control(playlist: &Playlist, name: &str) -> f64 {
    playlist.server_control.get(name).and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

fn check_header(playlist: &Playlist, findings: &mut Findings) {
    let target = playlist.target_duration.unwrap_or(0) as f64;
    let part_target = playlist.part_target.unwrap_or(0.0);
    findings.must(1, target > 0.0, || "no TARGETDURATION".into());
    findings.must(10, part_target > 0.0, || "no PART-TARGET".into());
    findings.must(5, playlist.discontinuity_sequence.is_some(), || "no DISCONTINUITY-SEQUENCE".into());
    findings.must(8, playlist.playlist_type.is_none(), || "PLAYLIST-TYPE in a sliding playlist".into());
    let blocks = playlist.server_control.get("CAN-BLOCK-RELOAD").is_some_and(|value| value == "YES");
    findings.must(15, blocks, || "no CAN-BLOCK-RELOAD=YES".into());
    let hold = control(playlist, "PART-HOLD-BACK");
    findings.must(12, hold + EPSILON >= 3.0 * part_target, || format!("PART-HOLD-BACK {hold}"));
    let hold = control(playlist, "HOLD-BACK");
    findings.must(12, hold >= 3.0 * target, || format!("HOLD-BACK {hold}"));
    let skip = playlist.server_control.get("CAN-SKIP-UNTIL").map_or(f64::INFINITY, |value| value.parse().unwrap_or(0.0));
    findings.must(12, skip >= 6.0 * target, || format!("CAN-SKIP-UNTIL {skip}"));
    findings.must(21, playlist.skipped.is_none() || playlist.version >= 9, || format!("SKIP in version {}", playlist.version));
    let gaps = playlist.segments.iter().any(|segment| segment.gap);
    findings.must(30, !gaps || playlist.version >= 8, || format!("GAP in version {}", playlist.version));
    let maps = playlist.segments.iter().all(|segment| segment.map.is_some());
    findings.must(11, maps, || "a segment without MAP".into());
    findings.must(11, playlist.version >= 6, || format!("MAP in version {}", playlist.version));
}

fn check_segment(playlist: &Playlist, segment: &SegmentTags, audio: bool, findings: &mut Findings) {
    let msn = segment.msn;
    let target = playlist.target_duration.unwrap_or(0) as f64;
    if let Some(duration) = segment.duration {
        findings.must(1, duration.round() <= target, || format!("segment {msn}: EXTINF {duration} over {target}"));
        findings.must(30, duration > 0.0, || format!("segment {msn}: EXTINF 0"));
        let parts: f64 = segment.parts.iter().map(|part| part.duration).sum();
        let adds_up = segment.parts.is_empty() || (parts - duration).abs() < 0.001;
        findings.must(13, adds_up, || format!("segment {msn}: EXTINF {duration}, parts {parts}"));
    }
    if let Some(tag) = &segment.late_tag {
        findings.must(11, false, || format!("segment {msn}: {tag} after a part"));
    }
    let gap_parts = segment.parts.iter().any(|part| part.gap);
    let marked = segment.duration.is_none() || segment.gap == gap_parts || segment.parts.is_empty();
    findings.must(30, marked, || format!("segment {msn}: GAP and its parts disagree"));
    findings.must(14, !audio || (!segment.gap && !gap_parts), || format!("segment {msn}: a hole in the audio"));
}

fn check_parts(playlist: &Playlist, findings: &mut Findings) {
    let target = playlist.part_target.unwrap_or(0.0);
    for segment in &playlist.segments {
        for (index, part) in segment.parts.iter().enumerate() {
            let name = &part.uri;
            findings.must(10, part.duration <= target + EPSILON, || format!("{name}: {} over {target}", part.duration));
            findings.must(0, !name.is_empty() && !name.starts_with('/'), || format!("part URI {name:?}"));
            let last = segment.duration.is_some() && index + 1 == segment.parts.len();
            let before_gap = segment.parts.get(index + 1).is_some_and(|next| next.gap);
            // The newest part may turn out to be the last of its segment.
            let newest = segment.duration.is_none() && index + 1 == segment.parts.len();
            let excused = part.independent || part.gap || last || newest || before_gap;
            let long_enough = part.duration + EPSILON >= 0.85 * target;
            findings.must(10, excused || long_enough, || format!("{name}: {} under 85 % of {target}", part.duration));
        }
    }
}

/// Rule 4: parts only near the live edge, and there all of them.
fn check_part_age(playlist: &Playlist, findings: &mut Findings) {
    let limit = 3.0 * playlist.target_duration.unwrap_or(0) as f64;
    let mut after = 0.0;
    for segment in playlist.segments.iter().rev() {
        let msn = segment.msn;
        findings.must(4, segment.parts.is_empty() || after <= limit + 0.01, || {
            format!("segment {msn}: parts {after:.2} s behind the edge")
        });
        let reach = after + segment.length();
        findings.must(4, !segment.parts.is_empty() || reach + 0.01 > limit, || {
            format!("segment {msn}: no parts {after:.2} s behind the edge")
        });
        after = reach;
    }
}

/// Rule 6: a date, again after each discontinuity, that goes with the durations.
fn check_dates(playlist: &Playlist, findings: &mut Findings) {
    let first = playlist.segments.first().is_none_or(|segment| segment.date_ms.is_some());
    findings.must(6, first, || "no PROGRAM-DATE-TIME at the first segment".into());
    for pair in playlist.segments.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        findings.must(6, !b.discontinuity || b.date_ms.is_some(), || format!("segment {}: discontinuity without a date", b.msn));
        if let (Some(from), Some(to), false) = (a.date_ms, b.date_ms, b.discontinuity) {
            let apart = (to - from) as f64 / 1000.0 - a.length();
            findings.must(6, apart.abs() < 0.05, || format!("segment {}: the date is {apart:.3} s off", b.msn));
        }
    }
}

fn check_end(playlist: &Playlist, findings: &mut Findings) {
    findings.must(8, !playlist.ended || playlist.hints.is_empty(), || "PRELOAD-HINT after ENDLIST".into());
    for kind in ["PART", "MAP"] {
        let count = playlist.hints.iter().filter(|(found, _)| found == kind).count();
        findings.must(22, count <= 1, || format!("{count} hints of TYPE={kind}"));
    }
    let here = playlist.segments.iter().flat_map(|segment| &segment.parts).map(|part| &part.uri);
    for uri in here {
        findings.must(22, playlist.hints.iter().all(|(_, hint)| hint != uri), || format!("{uri} is there and hinted"));
    }
}

/// The value of a directive in a request's query.
fn directive(request: &str, name: &str) -> Option<String> {
    let query = request.split_once('?')?.1.replace('&', ",");
    attributes(&query).get(name).cloned()
}

/// Rule 15: what was waited for is there.
fn check_request(playlist: &Playlist, request: &str, findings: &mut Findings) {
    let number = |name| directive(request, name).and_then(|value| value.parse::<u64>().ok());
    let Some(msn) = number("_HLS_msn").filter(|_| !playlist.ended) else { return };
    let complete = playlist.segments.iter().rev().find(|segment| segment.duration.is_some());
    let whole = complete.is_some_and(|segment| segment.msn >= msn);
    let Some(part) = number("_HLS_part") else {
        return findings.must(15, whole, || format!("{request}: the segment is not there"));
    };
    let reached = playlist.segments.iter().any(|segment| {
        let enough = segment.msn == msn && segment.parts.len() as u64 > part;
        enough || (segment.msn > msn && !segment.parts.is_empty())
    });
    let past = complete.is_some_and(|segment| segment.msn > msn);
    findings.must(15, reached || past, || format!("{request}: the part is not there"));
    let skip = directive(request, "_HLS_skip");
    findings.must(21, skip.is_some() || playlist.skipped.is_none(), || "SKIP was not asked for".into());
}

/// Rule 23.
pub(super) fn check_report(name: &str, now: &Playlist, other: &str, known: Option<(u64, u64)>, findings: &mut Findings) {
    let report = now.reports.iter().find(|report| report.get("URI").is_some_and(|uri| uri == other));
    let Some(report) = report else {
        return findings.must(23, false, || format!("{name}: no report of {other} by a relative URI"));
    };
    let number = |key: &str| report.get(key).and_then(|value| value.parse::<u64>().ok());
    let (Some(msn), Some(part)) = (number("LAST-MSN"), number("LAST-PART")) else {
        return findings.must(23, false, || format!("{name}: the report of {other} is not complete"));
    };
    findings.must(23, known.is_none_or(|known| (msn, part) >= known), || {
        format!("{name}: the report of {other} says {msn}.{part}, {known:?} was there a second ago")
    });
}
