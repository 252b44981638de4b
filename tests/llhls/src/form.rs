//! Rules that one version of a media playlist shows on its own.

use super::Violation;
use super::attributes::{NANOS, SLEW};
use super::playlist::{MediaPlaylist, Segment};

type Found = Vec<Violation>;

/// Everything that is wrong with this version.
pub(super) fn judge(playlist: &MediaPlaylist) -> Found {
    let mut found = Found::new();
    durations(playlist, &mut found);
    version(playlist, &mut found);
    discontinuities(playlist, &mut found);
    dates(playlist, &mut found);
    end(playlist, &mut found);
    for segment in playlist.all() {
        parts(playlist, segment, &mut found);
        gaps(segment, &mut found);
    }
    retention(playlist, &mut found);
    heads(playlist, &mut found);
    server_control(playlist, &mut found);
    hints(playlist, &mut found);
    super::keys::judge(playlist, &mut found);
    found
}

fn durations(playlist: &MediaPlaylist, found: &mut Found) {
    let Some(target) = playlist.target_duration else {
        found.push(Violation::new(1, "no TARGETDURATION"));
        return;
    };
    for segment in &playlist.segments {
        if segment.duration.nanos == 0 {
            found.push(Violation::new(1, format!("segment {}: EXTINF 0", segment.msn)));
        }
        let rounded = (segment.duration.nanos + NANOS / 2) / NANOS;
        if rounded > i64::try_from(target).unwrap_or(i64::MAX) {
            found.push(Violation::new(
                1,
                format!("segment {}: EXTINF {} above TARGETDURATION {target}", segment.msn, segment.duration.as_f64()),
            ));
        }
    }
}

/// rfc8216bis §8. Not in the list of rules, so it counts as form.
fn version(playlist: &MediaPlaylist, found: &mut Found) {
    let needed = match playlist.skipped {
        Some(_) => 9,
        None if playlist.all().any(|segment| segment.gap) => 8,
        None if playlist.all().any(|segment| segment.map.is_some()) => 6,
        None => 3,
    };
    let stated = playlist.version.unwrap_or(1);
    if stated < needed {
        let rule = if playlist.skipped.is_some() { 21 } else { 0 };
        found.push(Violation::new(rule, format!("EXT-X-VERSION {stated}, its tags need {needed}")));
    }
}

fn discontinuities(playlist: &MediaPlaylist, found: &mut Found) {
    if playlist.discontinuity_sequence.is_none() {
        found.push(Violation::new(5, "no EXT-X-DISCONTINUITY-SEQUENCE"));
    }
    for (before, after) in playlist.all().zip(playlist.all().skip(1)) {
        // A new key has an init section of its own; whether it says the same is seen in its bytes.
        if before.map != after.map && before.key == after.key && !after.discontinuity {
            found.push(Violation::new(5, format!("segment {} has another EXT-X-MAP and no EXT-X-DISCONTINUITY", after.msn)));
        }
    }
}

fn dates(playlist: &MediaPlaylist, found: &mut Found) {
    if playlist.all().next().is_some_and(|first| first.date.is_none()) {
        found.push(Violation::new(6, "no EXT-X-PROGRAM-DATE-TIME at the first segment"));
    }
    for segment in playlist.all().filter(|segment| segment.discontinuity && segment.date.is_none()) {
        found.push(Violation::new(6, format!("segment {}: no EXT-X-PROGRAM-DATE-TIME behind EXT-X-DISCONTINUITY", segment.msn)));
    }
    for (before, after) in playlist.all().zip(playlist.all().skip(1)).filter(|(_, after)| !after.discontinuity) {
        if let (Some(placed), Some(stated)) = (before.placed, after.date) {
            let off = stated.nanos - placed.plus(before.length()).nanos;
            if off.abs() > stated.step + before.duration.step + SLEW {
                let off = off as f64 / 1e6;
                found.push(Violation::new(
                    6,
                    format!("segment {}: EXT-X-PROGRAM-DATE-TIME is {off} ms off the sum of EXTINF", after.msn),
                ));
            }
        }
    }
}

fn end(playlist: &MediaPlaylist, found: &mut Found) {
    if let (Some(kind), false) = (&playlist.playlist_type, playlist.ended) {
        found.push(Violation::new(8, format!("EXT-X-PLAYLIST-TYPE {kind} in a live playlist")));
    }
    if playlist.ended && !playlist.hints.is_empty() {
        found.push(Violation::new(8, "EXT-X-PRELOAD-HINT beside EXT-X-ENDLIST"));
    }
}

fn parts(playlist: &MediaPlaylist, segment: &Segment, found: &mut Found) {
    if segment.parts.is_empty() {
        return;
    }
    let Some(target) = playlist.part_target else {
        found.push(Violation::new(10, "EXT-X-PART without EXT-X-PART-INF"));
        return;
    };
    for (index, part) in segment.parts.iter().enumerate() {
        let name = &part.uri;
        if part.duration.nanos > target.nanos {
            let (long, target) = (part.duration.as_f64(), target.as_f64());
            found.push(Violation::new(10, format!("{name}: DURATION {long} above PART-TARGET {target}")));
        }
        let next_is_gap = segment.parts.get(index + 1).is_some_and(|next| next.gap);
        let may_be_short = part.independent || part.gap || next_is_gap || index + 1 == segment.parts.len();
        if part.duration.nanos * 100 < target.nanos * 85 && !may_be_short {
            found.push(Violation::new(10, format!("{name}: DURATION {} under 85 % of PART-TARGET", part.duration.as_f64())));
        }
    }
    let sum: i64 = segment.parts.iter().map(|part| part.duration.nanos).sum();
    let step: i64 = segment.duration.step + segment.parts.iter().map(|part| part.duration.step).sum::<i64>();
    if !segment.uri.is_empty() && (sum - segment.duration.nanos).abs() > step {
        let (sum, whole) = (sum as f64 / NANOS as f64, segment.duration.as_f64());
        found.push(Violation::new(13, format!("segment {}: its parts last {sum} s, EXTINF says {whole}", segment.msn)));
    }
}

fn gaps(segment: &Segment, found: &mut Found) {
    let missing = segment.parts.iter().filter(|part| part.gap).count();
    if !segment.uri.is_empty() && missing > 0 && !segment.gap {
        found.push(Violation::new(14, format!("segment {} has a GAP part and no EXT-X-GAP", segment.msn)));
    }
    if segment.gap && missing == 0 && !segment.parts.is_empty() {
        found.push(Violation::new(14, format!("segment {} has EXT-X-GAP and not one part with GAP=YES", segment.msn)));
    }
}

/// Rule 4: parts are tagged as far back as 3 × TARGETDURATION, and no farther.
fn retention(playlist: &MediaPlaylist, found: &mut Found) {
    if playlist.part_target.is_none() || playlist.ended {
        return;
    }
    let mut to_end = playlist.open.as_ref().map_or(0, Segment::length);
    for segment in playlist.segments.iter().rev() {
        let to_start = to_end + segment.length();
        if to_end > playlist.three_targets() && !segment.parts.is_empty() {
            found.push(Violation::new(
                4,
                format!("segment {} still has EXT-X-PART, more than 3 × TARGETDURATION from the edge", segment.msn),
            ));
        }
        if to_start + NANOS / 1000 < playlist.three_targets() && segment.parts.is_empty() && !segment.gap {
            found.push(Violation::new(
                4,
                format!("segment {} has no EXT-X-PART, less than 3 × TARGETDURATION from the edge", segment.msn),
            ));
        }
        to_end = to_start;
    }
}

/// Rule 11.
fn heads(playlist: &MediaPlaylist, found: &mut Found) {
    found.extend(playlist.misplaced.iter().map(|what| Violation::new(11, what.clone())));
    let text = |segment: &Segment| segment.uri.split('?').next().is_some_and(|path| path.ends_with(".vtt"));
    if let Some(segment) = playlist.all().find(|segment| segment.map.is_none() && !text(segment)) {
        found.push(Violation::new(11, format!("segment {} has no EXT-X-MAP before it", segment.msn)));
    }
}

/// Rule 12.
fn server_control(playlist: &MediaPlaylist, found: &mut Found) {
    let mut add = |what: String| found.push(Violation::new(12, what));
    let Some(control) = &playlist.server_control else {
        return add("no EXT-X-SERVER-CONTROL".into());
    };
    if !control.yes("CAN-BLOCK-RELOAD") {
        add("no CAN-BLOCK-RELOAD=YES".into());
    }
    if let Some(target) = playlist.part_target {
        match control.seconds("PART-HOLD-BACK") {
            Some(back) if back.nanos >= 3 * target.nanos => {}
            back => {
                add(format!("PART-HOLD-BACK {:?} under 3 × PART-TARGET {}", back.map(super::Seconds::as_f64), target.as_f64()));
            }
        }
    }
    for (name, times) in [("HOLD-BACK", 3), ("CAN-SKIP-UNTIL", 6)] {
        let stated = control.seconds(name);
        if control.plain(name).is_some() && stated.is_none_or(|stated| stated.nanos < times * playlist.target_nanos()) {
            add(format!("{name} {:?} under {times} × TARGETDURATION", stated.map(super::Seconds::as_f64)));
        }
    }
}

/// Rule 22.
fn hints(playlist: &MediaPlaylist, found: &mut Found) {
    for (index, hint) in playlist.hints.iter().enumerate() {
        if playlist.hints[..index].iter().any(|other| other.kind == hint.kind) {
            found.push(Violation::new(22, format!("more than one EXT-X-PRELOAD-HINT of type {}", hint.kind)));
        }
        if playlist.all().any(|segment| segment.parts.iter().any(|part| part.uri == hint.uri && !part.ranged)) {
            found.push(Violation::new(22, format!("{} is hinted and already there", hint.uri)));
        }
    }
}
