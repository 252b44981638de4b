//! Rules between two versions of one playlist, and between two playlists of one programme.

use super::Findings;
use super::parse::{Playlist, SegmentTags};

/// Rule 21: puts the skipped segments back, from the version before.
pub(super) fn fill_skipped(now: &mut Playlist, before: Option<&Playlist>, findings: &mut Findings) {
    let Some(skipped) = now.skipped else { return };
    let Some(before) = before else {
        return findings.must(21, false, || "SKIP in the first version that was seen".into());
    };
    let until: f64 = now.server_control.get("CAN-SKIP-UNTIL").and_then(|value| value.parse().ok()).unwrap_or(0.0);
    let left: f64 = now.segments.iter().map(SegmentTags::length).sum();
    findings.must(21, left >= until, || format!("only {left:.2} s are not skipped, CAN-SKIP-UNTIL is {until}"));
    let map_again = now.segments.first().is_none_or(|segment| segment.map_here);
    findings.must(21, map_again, || "MAP is not repeated after SKIP".into());
    let wanted = now.media_sequence..now.media_sequence + skipped;
    let mut known: Vec<_> = before.segments.iter().filter(|segment| wanted.contains(&segment.msn)).cloned().collect();
    findings.must(21, known.len() as u64 == skipped, || format!("{skipped} skipped, {} of them known", known.len()));
    for segment in &mut known {
        // Their parts are too old to be tagged.
        segment.parts.clear();
    }
    known.append(&mut now.segments);
    now.segments = known;
}

pub(super) fn check(before: &Playlist, now: &Playlist, findings: &mut Findings) {
    let constant = before.target_duration == now.target_duration && before.part_target == now.part_target;
    findings.must(1, constant, || "TARGETDURATION or PART-TARGET changed".into());
    findings.must(7, before.server_control == now.server_control, || "SERVER-CONTROL changed".into());
    findings.must(3, now.media_sequence >= before.media_sequence, || "MEDIA-SEQUENCE went back".into());
    findings.must(8, !before.ended || now.ended, || "went on after ENDLIST".into());
    let end = |playlist: &Playlist| playlist.segments.last().map(|segment| (segment.msn, segment.parts.len()));
    let last_before = end(before).map(|(msn, _)| msn);
    let kept = last_before.is_none_or(|msn| now.segments.last().is_some_and(|segment| segment.msn >= msn));
    findings.must(3, kept, || "a segment at the end is gone".into());
    for old in &before.segments {
        if let Some(new) = now.segments.iter().find(|segment| segment.msn == old.msn) {
            check_same(old, new, findings);
        }
    }
    check_sequence(before, now, findings);
    check_hint(before, now, findings);
}

/// Rule 3: what was written stays.
fn check_same(old: &SegmentTags, new: &SegmentTags, findings: &mut Findings) {
    let msn = old.msn;
    let head = old.discontinuity == new.discontinuity && old.date_ms == new.date_ms && old.map == new.map;
    findings.must(3, head, || format!("segment {msn}: its tags changed"));
    if old.duration.is_some() {
        let same = old.duration == new.duration && old.uri == new.uri && old.gap == new.gap;
        findings.must(3, same, || format!("segment {msn} changed after it was complete"));
        let parts = new.parts.is_empty() || new.parts == old.parts;
        findings.must(3, parts, || format!("segment {msn}: its parts changed after it was complete"));
    } else {
        findings.must(3, new.parts.starts_with(&old.parts), || format!("segment {msn}: a part changed"));
    }
}

/// Rule 5: +1 for every discontinuity that left.
fn check_sequence(before: &Playlist, now: &Playlist, findings: &mut Findings) {
    let gone = before.segments.iter().filter(|segment| segment.msn < now.media_sequence && segment.discontinuity).count() as u64;
    let seen_all = before.segments.last().is_some_and(|segment| segment.msn + 1 >= now.media_sequence);
    if let (Some(was), Some(is), true) = (before.discontinuity_sequence, now.discontinuity_sequence, seen_all) {
        findings.must(5, is == was + gone, || format!("DISCONTINUITY-SEQUENCE {was} to {is}, {gone} left"));
    }
}

/// Rule 22: the hinted part is the next one, unless it was given up with its segment.
fn check_hint(before: &Playlist, now: &Playlist, findings: &mut Findings) {
    let Some((_, hint)) = before.hints.iter().find(|(kind, _)| kind == "PART") else { return };
    let Some(last) = before.segments.last() else { return };
    let (msn, index) = if last.duration.is_some() { (last.msn + 1, 0) } else { (last.msn, last.parts.len()) };
    let Some(part) = now.segments.iter().find(|segment| segment.msn == msn).and_then(|segment| segment.parts.get(index)) else {
        return;
    };
    findings.must(22, part.uri == *hint, || format!("{hint} was hinted, {} came", part.uri));
}

/// Rule 5: discontinuities stand at the same segments in every rendition.
pub(super) fn check_discontinuities(name: &str, now: &Playlist, other: &str, latest: &Playlist, findings: &mut Findings) {
    for segment in &now.segments {
        let Some(twin) = latest.segments.iter().find(|twin| twin.msn == segment.msn) else { continue };
        let same = number(now, segment) == number(latest, twin);
        findings.must(5, same, || format!("segment {}: {name} and {other} count its discontinuities differently", segment.msn));
    }
}

/// The discontinuity sequence number of a segment.
fn number(playlist: &Playlist, of: &SegmentTags) -> u64 {
    let up_to = playlist.segments.iter().take_while(|segment| segment.msn <= of.msn);
    playlist.discontinuity_sequence.unwrap_or(0) + up_to.filter(|segment| segment.discontinuity).count() as u64
}
