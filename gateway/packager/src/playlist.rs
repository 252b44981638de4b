//! The live media playlist as text (rfc8216bis §4.4), written by hand.

use std::fmt::Write;
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::format_description;

use crate::derived::i_frame_bytes;
use crate::directives::Skip;
use crate::rendition::Rendition;
use crate::segment::{Part, Segment, SegmentHead};
use crate::snapshot::View;

/// Delta updates need 9 (§8); the same number in every playlist, so that a player never sees it change.
const VERSION: u32 = 9;
const VERSION_SKIP_V2: u32 = 10;

/// How many listed segments a delta update leaves out: those that end before CAN-SKIP-UNTIL from the live edge (rule 21).
pub(crate) fn skippable(view: &View) -> usize {
    let until = view.limits.skip_until();
    let mut after: Duration = view.open.iter().flat_map(|open| &open.parts).map(|part| part.duration).sum();
    let listed = view.listed_segments();
    for (index, segment) in listed.iter().enumerate().rev() {
        if after >= until {
            return index + 1;
        }
        after += segment.duration;
    }
    0
}

/// Renders the playlist, or its delta update.
pub(crate) fn render(view: &View, skip: Option<Skip>) -> String {
    let mut out = String::with_capacity(8 * 1024);
    // Writing to a String cannot fail.
    let _ = write_playlist(&mut out, view, skip);
    out
}

fn write_playlist(out: &mut String, view: &View, skip: Option<Skip>) -> std::fmt::Result {
    let skipped = if skip.is_some() { skippable(view) } else { 0 };
    let v2 = skipped > 0 && skip == Some(Skip::V2);
    write_header(out, view, if v2 { VERSION_SKIP_V2 } else { VERSION })?;
    write_skip(out, view, skipped, v2)?;
    view.extras.ranges.write(out, v2.then(|| view.limits.skip_until()));
    let listed = &view.listed_segments()[skipped..];
    let tagged = first_with_parts(view, listed);
    let mut in_force = InForce::default();
    for (index, segment) in listed.iter().enumerate() {
        write_head(out, view, &segment.head, &mut in_force)?;
        if index >= tagged && view.rendition.has_parts() {
            write_parts(out, view, segment.head.msn, &segment.parts)?;
        }
        write_segment(out, view, segment)?;
    }
    if let Some(open) = view.open.as_ref().filter(|open| !open.parts.is_empty()) {
        write_head(out, view, &open.head, &mut in_force)?;
        write_parts(out, view, open.head.msn, &open.parts)?;
    }
    write_end(out, view)
}

/// Rule 21. `v2` leaves out date ranges, too, and so names those that have gone.
fn write_skip(out: &mut String, view: &View, skipped: usize, v2: bool) -> std::fmt::Result {
    if skipped == 0 {
        return Ok(());
    }
    write!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")?;
    if v2 {
        view.extras.ranges.write_removed(out, view.limits.skip_until());
    }
    writeln!(out)
}

fn write_header(out: &mut String, view: &View, version: u32) -> std::fmt::Result {
    let part_target = part_target(view);
    let hold_back = view.limits.three_targets().as_secs();
    let first = view.listed_segments().first().map(|segment| segment.head.msn);
    let first = first.or(view.open.as_ref().map(|open| open.head.msn)).unwrap_or(view.next_msn);
    writeln!(out, "#EXTM3U\n#EXT-X-VERSION:{version}")?;
    writeln!(out, "#EXT-X-TARGETDURATION:{}", view.limits.target_duration_secs)?;
    write!(out, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={}", view.limits.skip_until().as_secs())?;
    writeln!(out, ",CAN-SKIP-DATERANGES=YES,PART-HOLD-BACK={:.5},HOLD-BACK={hold_back}", part_target * 3.0)?;
    if view.rendition.has_parts() {
        writeln!(out, "#EXT-X-PART-INF:PART-TARGET={part_target:.5}")?;
    }
    writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{first}")?;
    writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", view.discontinuity_sequence)?;
    if matches!(view.rendition, Rendition::IFrames(_)) {
        writeln!(out, "#EXT-X-I-FRAMES-ONLY")?;
    }
    writeln!(out, "#EXT-X-INDEPENDENT-SEGMENTS")?;
    match view.extras.start_offset_ms {
        Some(offset) => writeln!(out, "#EXT-X-START:TIME-OFFSET={}", offset as f64 / 1000.0),
        None => Ok(()),
    }
}

/// Rounded up to five places, so that no part's rounded duration is above it.
fn part_target(view: &View) -> f64 {
    (view.limits.part_target.as_secs_f64() * 1e5).ceil() / 1e5
}

/// Rule 4: parts are tagged only as far back as 3 × TARGETDURATION from the live edge.
fn first_with_parts(view: &View, listed: &[std::sync::Arc<Segment>]) -> usize {
    let mut after: Duration = view.open.iter().flat_map(|open| &open.parts).map(|part| part.duration).sum();
    for (index, segment) in listed.iter().enumerate().rev() {
        after += segment.duration;
        if after > view.limits.three_targets() {
            return index + 1;
        }
    }
    0
}

/// Tags that hold until another one comes: what was written last.
#[derive(Default)]
struct InForce {
    init: Option<u64>,
    kid: Option<String>,
}

/// Rule 11: all that holds for the segment stands before its first part. The key comes first, because it holds for the init section.
fn write_head(out: &mut String, view: &View, head: &SegmentHead, in_force: &mut InForce) -> std::fmt::Result {
    if head.discontinuity {
        writeln!(out, "#EXT-X-DISCONTINUITY")?;
    }
    if let Some(key) = head.key.as_ref().filter(|key| in_force.kid.as_deref() != Some(key.kid())) {
        writeln!(out, "{}", key.tag())?;
        in_force.kid = Some(key.kid().to_owned());
    }
    if let Some(init) = head.init.as_ref().filter(|init| head.discontinuity || in_force.init != Some(init.number)) {
        let name = view.rendition.init_name(init.number);
        writeln!(out, "#EXT-X-MAP:URI=\"{name}{}\"", view.token(init.number))?;
        in_force.init = Some(init.number);
    }
    writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", iso_date(head.date))
}

fn write_parts(out: &mut String, view: &View, msn: u64, parts: &[Part]) -> std::fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        let name = view.rendition.part_name(msn, index);
        write!(out, "#EXT-X-PART:DURATION={:.5},URI=\"{name}{}\"", part.duration.as_secs_f64(), view.token(msn))?;
        if part.independent {
            out.push_str(",INDEPENDENT=YES");
        }
        if part.bytes.is_none() {
            out.push_str(",GAP=YES");
        }
        out.push('\n');
    }
    Ok(())
}

fn write_segment(out: &mut String, view: &View, segment: &Segment) -> std::fmt::Result {
    let i_frames = matches!(view.rendition, Rendition::IFrames(_));
    let range = i_frame_bytes(segment).filter(|_| i_frames);
    if segment.bytes.is_none() || (i_frames && range.is_none()) {
        writeln!(out, "#EXT-X-GAP")?;
    }
    writeln!(out, "#EXTINF:{:.5},", segment.duration.as_secs_f64())?;
    if let Some(length) = range {
        writeln!(out, "#EXT-X-BYTERANGE:{length}@0")?;
    }
    writeln!(out, "{}{}", view.rendition.segment_name(segment.head.msn), view.token(segment.head.msn))
}

fn write_end(out: &mut String, view: &View) -> std::fmt::Result {
    if view.ended {
        return writeln!(out, "#EXT-X-ENDLIST");
    }
    if let Some((msn, part)) = view.hinted() {
        let name = view.rendition.part_name(msn, part);
        writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{name}{}\"", view.token(msn))?;
    }
    for report in &view.reports {
        let uri = report.rendition.playlist_name();
        write!(out, "#EXT-X-RENDITION-REPORT:URI=\"{uri}\",LAST-MSN={}", report.msn)?;
        match report.part {
            Some(part) => writeln!(out, ",LAST-PART={part}")?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

/// Time since the Unix epoch as ISO 8601 with milliseconds, UTC.
#[must_use]
pub fn iso_date(since_epoch: Duration) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let millis = (since_epoch.as_nanos() + 500_000) / 1_000_000;
    let nanos = i128::try_from(millis).unwrap_or(0) * 1_000_000;
    let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(&format).unwrap_or_default()
}
