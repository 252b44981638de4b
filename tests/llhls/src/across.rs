//! Rules between the renditions of one programme (5, 6, 7, 14, 23).

use std::collections::BTreeMap;
use std::time::Duration;

use super::Violation;
use super::attributes::{NANOS, SLEW};
use super::media::Point;
use super::multivariant::Multivariant;
use super::playlist::{MediaPlaylist, Report, Segment};
use super::rendition::Rendition;

type Renditions = BTreeMap<String, Rendition>;

/// How late a report may be beside a part: the playlist was rendered before it came.
const REPORT_SLACK: Duration = Duration::from_millis(250);

/// Holds the newest version of `rendition`, seen at `at`, against the others.
pub(super) fn judge(
    renditions: &Renditions,
    multivariant: Option<&Multivariant>,
    rendition: &str,
    at: Duration,
) -> Vec<Violation> {
    let Some(this) = renditions.get(rendition).and_then(Rendition::current) else { return Vec::new() };
    let mut found = Vec::new();
    let others = || renditions.iter().filter(|(name, _)| *name != rendition);
    for (name, other) in others().filter_map(|(name, other)| Some((name, other.current()?))) {
        same_constants(this, name, other, &mut found);
        same_discontinuities(this, name, other, &mut found);
        keeps_up(this, name, other, &mut found);
    }
    let ranges = renditions.get(rendition).map(|this| &this.ranges);
    for (name, other) in others() {
        ranges.inspect(|ours| ours.judge_beside(name, &other.ranges, &mut found));
    }
    if multivariant.is_some_and(|multivariant| multivariant.is_sound(rendition)) {
        found.extend(hole_in_the_sound(this));
    }
    if !this.ended {
        let named = multivariant.map(Multivariant::renditions).unwrap_or_default();
        let names: Vec<&str> = if named.is_empty() {
            others().map(|(name, _)| name.as_str()).collect()
        } else {
            named.iter().map(String::as_str).collect()
        };
        for name in names.into_iter().filter(|name| *name != rendition) {
            reports(this, rendition, name, renditions.get(name), at, &mut found);
        }
        found.extend(strange_reports(this, rendition, renditions, &named));
    }
    found.extend(judge_dates(renditions, rendition));
    found
}

fn same_constants(this: &MediaPlaylist, name: &str, other: &MediaPlaylist, found: &mut Vec<Violation>) {
    if this.target_duration != other.target_duration {
        let (ours, theirs) = (this.target_duration, other.target_duration);
        found.push(Violation::new(7, format!("TARGETDURATION is {ours:?} here and {theirs:?} in {name}")));
    }
    if let (Some(ours), Some(theirs)) = (&this.server_control, &other.server_control)
        && !ours.same(theirs)
    {
        found.push(Violation::new(7, format!("EXT-X-SERVER-CONTROL is not that of {name}")));
    }
}

fn interval(segment: &Segment) -> Option<(i64, i64)> {
    let start = segment.placed?.nanos;
    Some((start, start + segment.length()))
}

/// Rule 5: what shows the same moment lies behind the same number of discontinuities.
fn same_discontinuities(this: &MediaPlaylist, name: &str, other: &MediaPlaylist, found: &mut Vec<Violation>) {
    for ours in this.all() {
        for theirs in other.all().filter(|theirs| theirs.discontinuity_number != ours.discontinuity_number) {
            let (Some(a), Some(b)) = (interval(ours), interval(theirs)) else { continue };
            let common = a.1.min(b.1) - a.0.max(b.0);
            if common * 2 > (a.1 - a.0).min(b.1 - b.0) {
                let (here, there) = (ours.discontinuity_number, theirs.discontinuity_number);
                found.push(Violation::new(
                    5,
                    format!("segment {} lies behind discontinuity {here}, the same time in {name} behind {there}", ours.msn),
                ));
                return;
            }
        }
    }
}

/// Rule 14: while the sound stalls there is silence, never a hole.
fn hole_in_the_sound(this: &MediaPlaylist) -> Option<Violation> {
    let segment = this.all().find(|segment| segment.gap || segment.parts.iter().any(|part| part.gap))?;
    Some(Violation::new(14, format!("segment {} is a hole in the sound", segment.msn)))
}

/// Rule 14: one rendition may stall only with GAP parts, so its edge is never a target behind another's.
fn keeps_up(this: &MediaPlaylist, name: &str, other: &MediaPlaylist, found: &mut Vec<Violation>) {
    if this.ended || other.ended {
        return;
    }
    if let (Some(ours), Some(theirs)) = (this.edge_date(), other.edge_date())
        && theirs - ours > this.target_nanos()
    {
        let behind = (theirs - ours) as f64 / NANOS as f64;
        found.push(Violation::new(14, format!("the edge is {behind:.2} s behind that of {name}")));
    }
}

/// `relative` as the playlist `base` means it; the query does not count. `None` when it is not relative.
fn resolve(base: &str, relative: &str) -> Option<String> {
    let path = relative.split('?').next().unwrap_or_default();
    if path.starts_with('/') || path.contains("://") {
        return None;
    }
    let base = base.split('?').next().unwrap_or_default();
    let mut folders: Vec<&str> = base.split('/').collect();
    folders.pop();
    for step in path.split('/') {
        match step {
            "." => {}
            ".." if folders.last().is_some_and(|folder| *folder != "..") => {
                folders.pop();
            }
            step => folders.push(step),
        }
    }
    Some(folders.join("/"))
}

/// Rule 23 for one other rendition.
fn reports(
    this: &MediaPlaylist,
    rendition: &str,
    name: &str,
    other: Option<&Rendition>,
    at: Duration,
    found: &mut Vec<Violation>,
) {
    let mut add = |what: String| found.push(Violation::new(23, what));
    if other.and_then(Rendition::current).is_some_and(|other| other.ended) {
        return;
    }
    let matching = |report: &&Report| resolve(rendition, &report.uri).as_deref() == resolve("", name).as_deref();
    let Some(report) = this.reports.iter().find(matching) else {
        return add(format!("no EXT-X-RENDITION-REPORT for {name}"));
    };
    let Some(msn) = report.msn else {
        return add(format!("the report for {name} has no LAST-MSN"));
    };
    let has_parts = |other: &MediaPlaylist| other.part_target.is_some();
    if other.and_then(Rendition::current).is_some_and(has_parts) && report.part.is_none() {
        return add(format!("the report for {name} has no LAST-PART"));
    }
    let part = report.part.and_then(|part| i64::try_from(part).ok()).unwrap_or(-1);
    let late = Duration::from_nanos(this.part_target.map_or(0, |target| target.nanos.unsigned_abs())) + REPORT_SLACK;
    let due = at.checked_sub(late).and_then(|then| other?.edge_at(then));
    if let Some(due) = due.filter(|due| (msn, part) < *due) {
        add(format!("the report for {name} says ({msn}, {part}), {due:?} was there {} ms before", late.as_millis()));
    }
}

fn strange_reports(this: &MediaPlaylist, rendition: &str, renditions: &Renditions, named: &[String]) -> Vec<Violation> {
    let mut found = Vec::new();
    for report in &this.reports {
        match resolve(rendition, &report.uri) {
            None => found.push(Violation::new(23, format!("the report's URI {} is not relative", report.uri))),
            Some(uri)
                if !named.is_empty()
                    && !renditions.contains_key(&uri)
                    && !named.iter().any(|name| resolve("", name).as_deref() == Some(&uri)) =>
            {
                found.push(Violation::new(23, format!("a report for {uri}, which is no rendition")));
            }
            Some(_) => {}
        }
    }
    found
}

/// Rule 28: what one rendition ever listed all have listed.
pub(super) fn judge_ranges(renditions: &Renditions) -> Vec<Violation> {
    let mut found = Vec::new();
    for (name, this) in renditions {
        for (other_name, other) in renditions.iter().filter(|(other, _)| *other != name) {
            if let Some(id) = this.ranges.lacks(&other.ranges) {
                found.push(Violation::new(28, format!("{name}: date range {id} of {other_name} never came")));
            }
        }
    }
    found
}

/// Points that are compared lie this near to each other: the wall clock may be slewed against media time.
const NEAR: i64 = 3 * NANOS;

/// Rule 6: media time and wall time meet alike in every rendition. Both dates are rounded to their last digit.
pub(super) fn judge_dates(renditions: &Renditions, rendition: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let Some(this) = renditions.get(rendition) else { return found };
    for point in this.media.fresh_points() {
        for (name, other) in renditions.iter().filter(|(name, _)| *name != rendition) {
            let near = |there: &&Point| {
                there.discontinuity_number == point.discontinuity_number && (there.media - point.media).abs() < NEAR
            };
            let alike = other.media.points().filter(near);
            let Some(there) = alike.min_by_key(|there| (there.media - point.media).abs()) else { continue };
            let off = (point.date.nanos - point.media) - (there.date.nanos - there.media);
            let slewed = SLEW.saturating_mul(i64::try_from(there.msn.abs_diff(point.msn)).unwrap_or(i64::MAX));
            if off.abs() > point.date.step.max(there.date.step) + NANOS / 10_000 + slewed {
                let off = off as f64 / 1e6;
                found.push(Violation::new(
                    6,
                    format!(
                        "segment {} is dated {off:.3} ms off segment {} of {name} for the same media time",
                        point.msn, there.msn
                    ),
                ));
            }
        }
    }
    found
}
