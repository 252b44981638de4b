//! Rules between one version of a media playlist and the next.

use std::time::Duration;

use super::Violation;
use super::playlist::{MediaPlaylist, Part, Segment};

type Found = Vec<Violation>;

/// What the network, and a busy machine under the client, may add to a time that the rules state.
pub(super) const SLACK: Duration = Duration::from_secs(1);

/// Everything that may not change from `old` to `new`, which was seen `elapsed` later.
pub(super) fn judge(old: &MediaPlaylist, new: &MediaPlaylist, elapsed: Duration) -> Found {
    let mut found = Found::new();
    constants(old, new, &mut found);
    ended(old, new, &mut found);
    if new.media_sequence < old.media_sequence {
        found.push(Violation::new(
            3,
            format!("EXT-X-MEDIA-SEQUENCE went from {} back to {}", old.media_sequence, new.media_sequence),
        ));
        return found;
    }
    if new.media_sequence > old.next_msn() {
        if nanos(elapsed) * 2 < old.length() {
            found.push(Violation::new(
                3,
                format!("EXT-X-MEDIA-SEQUENCE jumped from {} to {}", old.media_sequence, new.media_sequence),
            ));
        }
        return found;
    }
    removal(old, new, &mut found);
    if new.edge() < old.edge() {
        found.push(Violation::new(3, format!("the end went from {:?} back to {:?}", old.edge(), new.edge())));
    }
    for before in &old.segments {
        if let Some(after) = new.segments.iter().find(|after| after.msn == before.msn) {
            segment(before, after, &mut found);
        }
    }
    if let Some(open) = &old.open {
        opened(open, new, &mut found);
    }
    addition(old, new, &mut found);
    hinted(old, new, &mut found);
    found
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX / 4)
}

fn constants(old: &MediaPlaylist, new: &MediaPlaylist, found: &mut Found) {
    if old.target_duration != new.target_duration {
        found.push(Violation::new(1, format!("TARGETDURATION went from {:?} to {:?}", old.target_duration, new.target_duration)));
    }
    if old.part_target != new.part_target {
        found.push(Violation::new(10, "PART-TARGET changed"));
    }
    let same = match (&old.server_control, &new.server_control) {
        (Some(old), Some(new)) => old.same(new),
        (old, new) => old.is_none() == new.is_none(),
    };
    if !same {
        found.push(Violation::new(7, "EXT-X-SERVER-CONTROL changed"));
    }
}

fn ended(old: &MediaPlaylist, new: &MediaPlaylist, found: &mut Found) {
    if old.ended && (!new.ended || old.edge() != new.edge() || old.media_sequence != new.media_sequence) {
        found.push(Violation::new(8, "the playlist went on behind EXT-X-ENDLIST"));
    }
}

/// Rule 3: never under 3 × TARGETDURATION, never under six segments.
fn removal(old: &MediaPlaylist, new: &MediaPlaylist, found: &mut Found) {
    if new.media_sequence == old.media_sequence {
        return;
    }
    let kept: i64 = new.segments.iter().map(Segment::length).sum();
    if kept < new.three_targets() {
        found.push(Violation::new(
            3,
            format!("segments were removed and {} s are left, under 3 × TARGETDURATION", kept as f64 / 1e9),
        ));
    }
    if new.segments.len() < 6 {
        found.push(Violation::new(3, format!("segments were removed and {} are left", new.segments.len())));
    }
}

fn head(before: &Segment, after: &Segment, found: &mut Found) {
    let msn = before.msn;
    if before.discontinuity != after.discontinuity || before.map != after.map || before.key != after.key {
        let what = format!("segment {msn} changed its EXT-X-DISCONTINUITY, EXT-X-MAP or EXT-X-KEY");
        found.push(Violation::new(3, what));
    } else if before.discontinuity_number != after.discontinuity_number {
        let (was, is) = (before.discontinuity_number, after.discontinuity_number);
        found.push(Violation::new(
            5,
            format!("segment {msn} was behind discontinuity {was} and is behind {is}: EXT-X-DISCONTINUITY-SEQUENCE"),
        ));
    }
    if let (Some(was), Some(is)) = (before.placed, after.date)
        && (was.nanos - is.nanos).abs() > was.step
    {
        found.push(Violation::new(3, format!("segment {msn} changed its EXT-X-PROGRAM-DATE-TIME")));
    }
}

fn segment(before: &Segment, after: &Segment, found: &mut Found) {
    let msn = before.msn;
    head(before, after, found);
    if before.uri != after.uri || before.duration != after.duration || before.gap != after.gap {
        found.push(Violation::new(3, format!("segment {msn} changed its URI, EXTINF or EXT-X-GAP")));
    }
    if !after.parts.is_empty() && before.parts != after.parts {
        found.push(Violation::new(3, format!("segment {msn} changed its parts: {}", difference(&before.parts, &after.parts))));
    }
}

/// The open segment may only grow.
fn opened(before: &Segment, new: &MediaPlaylist, found: &mut Found) {
    let Some(after) = new.segment(before.msn) else { return };
    head(before, after, found);
    let untagged = after.parts.is_empty() && !after.uri.is_empty();
    if !untagged && !after.parts.starts_with(&before.parts) {
        found.push(Violation::new(
            3,
            format!("segment {} changed its parts: {}", before.msn, difference(&before.parts, &after.parts)),
        ));
    }
}

fn difference(before: &[Part], after: &[Part]) -> String {
    match before.iter().zip(after).find(|(before, after)| before != after) {
        Some((before, after)) => {
            format!("{} for {} s is {} for {} s", before.uri, before.duration.as_f64(), after.uri, after.duration.as_f64())
        }
        None => format!("{} of them, {} before", after.len(), before.len()),
    }
}

/// Rule 2: what is new must be more.
fn addition(old: &MediaPlaylist, new: &MediaPlaylist, found: &mut Found) {
    let mut as_before = new.clone();
    as_before.reports.clone_from(&old.reports);
    // A delta update of the same version is the same version.
    (as_before.skipped, as_before.version) = (old.skipped, old.version);
    let more = new.edge() > old.edge() || new.segments.last().map(|s| s.msn) > old.segments.last().map(|s| s.msn) || new.ended;
    if !more && *old != as_before {
        found.push(Violation::new(2, "a new version of the playlist without a new segment or part"));
    }
}

/// Rule 22: the next part is where the hint said.
fn hinted(old: &MediaPlaylist, new: &MediaPlaylist, found: &mut Found) {
    let (Some(hint), Some(edge)) = (old.part_hint(), old.edge()) else { return };
    let Some((segment, index, part)) = new.parts_after(edge).next() else { return };
    // When pictures stop, their format changes or an open segment ends earlier than foreseen, the hint is abandoned.
    let ended_early = index == 0 && old.open.as_ref().is_some_and(|open| !open.parts.is_empty());
    let abandoned = part.gap || ended_early || (segment.discontinuity && index == 0);
    let next = if index == 0 { segment.msn == edge.0 + 1 } else { index as i64 == edge.1 + 1 && segment.msn == edge.0 };
    if part.uri != hint && !abandoned && next {
        found.push(Violation::new(22, format!("{hint} was hinted and {} came", part.uri)));
    }
}

/// Rule 2 in time: `since` the last addition; parts and segments in this version that were not in that one.
pub(super) fn judge_pace(new: &MediaPlaylist, part: (Duration, usize), segment: (Duration, usize)) -> Found {
    let mut found = Found::new();
    if new.ended {
        return found;
    }
    if let Some(target) = new.part_target {
        let (since, parts) = part;
        let allowed = target.nanos.saturating_mul(parts.max(1) as i64);
        if nanos(since.saturating_sub(SLACK)) > allowed {
            found.push(Violation::new(
                2,
                format!("{parts} new parts in {:.2} s, PART-TARGET is {}", since.as_secs_f64(), target.as_f64()),
            ));
        }
    }
    let (since, segments) = segment;
    let allowed = new.target_nanos().saturating_mul(segments.max(1) as i64) / 2 * 3;
    if nanos(since.saturating_sub(SLACK)) > allowed {
        found.push(Violation::new(
            2,
            format!("{segments} new segments in {:.2} s, above 1.5 × TARGETDURATION", since.as_secs_f64()),
        ));
    }
    found
}
