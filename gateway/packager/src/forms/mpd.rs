//! The MPD (ISO/IEC 23009-1): numbered segments under the names that they have in HLS, with a SegmentTimeline.
//!
//! Low latency (DASH-IF, part 8 of the guidelines): the segment that is being written is listed when it begins, with a length that it
//! will not exceed as a rule, and is sent as it is made.

use std::io;
use std::time::Duration;

use minamo_media::Timestamp;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, Event};

use super::periods::Period;
use super::{Forms, is_live, peak_bps};
use crate::boundary::ticks;
use crate::container::Format;
use crate::playlist::iso_date;
use crate::rendition::Rendition;
use crate::segment::{Init, SegmentHead};
use crate::snapshot::Snapshot;

type Xml = Writer<Vec<u8>>;

/// How often players may ask for the MPD again. dash.js does not ask more often than this.
const UPDATE: &str = "PT1S";
/// What a player that follows the MPD keeps between the camera and the picture: the longest time until it hears of a segment, its
/// first part, and as much again for the way.
const LATENCY_REST: Duration = Duration::from_millis(1_000);

/// A segment of a Representation.
struct Entry<'a> {
    msn: u64,
    start: i64,
    duration: i64,
    init: &'a Init,
}

/// One Representation in one Period.
struct Representation<'a> {
    snapshot: &'a Snapshot,
    /// Without holes, of one init segment; not empty.
    entries: Vec<Entry<'a>>,
    scale: u32,
    /// Of the Period's begin, in ticks.
    offset: i64,
}

pub(super) fn render(forms: &Forms) -> String {
    let mut xml = Writer::new_with_indent(Vec::with_capacity(8 * 1024), b' ', 1);
    // Writing to a Vec cannot fail.
    let _ = xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
    let _ = write_mpd(&mut xml, forms);
    String::from_utf8(xml.into_inner()).unwrap_or_default()
}

fn write_mpd(xml: &mut Xml, forms: &Forms) -> io::Result<()> {
    let leading = forms.leading();
    let limits = leading.limits();
    let ended = leading.is_ended();
    let shown: Vec<_> = forms.periods.iter().filter_map(|period| Some((period, representations(forms, period)?))).collect();
    let edge = leading.edge_date().unwrap_or(forms.anchor);
    let mut attributes = vec![
        ("xmlns", "urn:mpeg:dash:schema:mpd:2011".to_owned()),
        ("profiles", "urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019".to_owned()),
        ("type", if ended { "static" } else { "dynamic" }.to_owned()),
        ("availabilityStartTime", iso_date(forms.anchor)),
        ("publishTime", iso_date(edge)),
        ("minBufferTime", "PT1S".to_owned()),
        ("maxSegmentDuration", format!("PT{}S", limits.target_duration_secs)),
    ];
    if ended {
        attributes.push(("mediaPresentationDuration", seconds(edge.saturating_sub(forms.anchor))));
    } else {
        let listed: Duration = leading.listed().iter().map(|segment| segment.duration()).sum();
        attributes.extend([
            ("minimumUpdatePeriod", UPDATE.to_owned()),
            ("timeShiftBufferDepth", format!("PT{}S", listed.as_secs())),
            // Three segments, as HLS players without parts hold back.
            ("suggestedPresentationDelay", format!("PT{}S", limits.target_duration_secs * 3 / 2)),
        ]);
    }
    let attributes = attributes.iter().map(|(name, value)| (*name, value.as_str()));
    xml.create_element("MPD").with_attributes(attributes).write_inner_content(|xml| {
        if !ended {
            write_service(xml, limits.part_target)?;
        }
        for (index, (period, representations)) in shown.iter().enumerate() {
            let next = shown.get(index + 1).map(|(next, _)| *next);
            write_period(xml, forms, period, next, representations)?;
        }
        if !ended {
            let clock = [("schemeIdUri", "urn:mpeg:dash:utc:http-iso:2014"), ("value", "time")];
            xml.create_element("UTCTiming").with_attributes(clock).write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

fn write_service(xml: &mut Xml, part: Duration) -> io::Result<()> {
    let target = LATENCY_REST + part * 3;
    let latency =
        [("target", target), ("min", target / 2), ("max", target * 3)].map(|(name, time)| (name, time.as_millis().to_string()));
    xml.create_element("ServiceDescription").with_attribute(("id", "0")).write_inner_content(|xml| {
        let latency = latency.iter().map(|(name, value)| (*name, value.as_str()));
        xml.create_element("Latency").with_attributes(latency).write_empty()?;
        xml.create_element("PlaybackRate").with_attributes([("min", "0.96"), ("max", "1.04")]).write_empty()?;
        Ok(())
    })?;
    Ok(())
}

/// What can be shown of a Period. `None` while it is too young: players take what they first see in it for all there is, so it waits
/// until every rendition has begun in it, or is known not to.
fn representations<'a>(forms: &'a Forms, period: &Period) -> Option<Vec<Representation<'a>>> {
    let all: Vec<_> = forms.snapshots.iter().map(|snapshot| representation(snapshot, period)).collect();
    let settled = all.first()?.as_ref()?.entries.len() > 1 || forms.leading().is_ended();
    (settled || all.iter().all(Option::is_some)).then(|| all.into_iter().flatten().collect())
}

/// The last run of segments in the Period without a hole: numbers are counted through.
fn representation<'a>(snapshot: &'a Snapshot, period: &Period) -> Option<Representation<'a>> {
    let inside = |head: &SegmentHead| head.msn() >= period.first && period.end.is_none_or(|end| head.msn() < end);
    let mut entries: Vec<Entry<'a>> = Vec::new();
    for segment in snapshot.listed() {
        match segment.head().init().filter(|_| inside(segment.head()) && !segment.is_gap()) {
            Some(init) => push(&mut entries, segment.head(), init, segment.duration()),
            None => entries.clear(),
        }
    }
    let open = snapshot.open().filter(|open| inside(open.head()) && is_live(open.parts()) && !snapshot.is_ended());
    if let Some((open, init)) = open.and_then(|open| Some((open, open.head().init()?))) {
        let written: Duration = open.parts().iter().map(crate::segment::Part::duration).sum();
        let limits = snapshot.limits();
        push(&mut entries, open.head(), init, usual(snapshot).max(written + limits.part_target));
    }
    let scale = entries.first()?.init.format().scale();
    Some(Representation { snapshot, entries, scale, offset: ticks(period.at_nanos, scale) })
}

fn push<'a>(entries: &mut Vec<Entry<'a>>, head: &SegmentHead, init: &'a Init, duration: Duration) {
    let start = head.start();
    let nanos = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    if entries.last().is_some_and(|last| last.msn + 1 != head.msn() || last.init.number() != init.number()) {
        entries.clear();
    }
    if let Some(last) = entries.last_mut() {
        // As it turned out: no rounding, no hole.
        last.duration = (start.ticks - last.start).max(1);
    }
    entries.push(Entry { msn: head.msn(), start: start.ticks, duration: ticks(nanos, start.scale).max(1), init });
}

/// What the open segment is said to last: a quarter more than its aim. dash.js looks for the next one behind that end, and would
/// find the same one again if it were short.
fn usual(snapshot: &Snapshot) -> Duration {
    Duration::from_secs(snapshot.limits().target_duration_secs) * 5 / 8
}

fn write_period(
    xml: &mut Xml,
    forms: &Forms,
    period: &Period,
    next: Option<&Period>,
    representations: &[Representation<'_>],
) -> io::Result<()> {
    let start = seconds(period.date.saturating_sub(forms.anchor));
    let mut attributes = vec![("id", period.first.to_string()), ("start", start)];
    if let Some(next) = next {
        attributes.push(("duration", seconds(next.date.saturating_sub(period.date).min(length(representations)))));
    }
    let attributes = attributes.iter().map(|(name, value)| (*name, value.as_str()));
    let is_video = |one: &&Representation<'_>| matches!(one.snapshot.rendition(), Rendition::Video(_));
    xml.create_element("Period").with_attributes(attributes).write_inner_content(|xml| {
        for (id, kind) in [("0", "video"), ("1", "audio")] {
            let set: Vec<_> = representations.iter().filter(|one| is_video(one) == (id == "0")).collect();
            if !set.is_empty() {
                write_set(xml, id, kind, &set)?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

/// How long the leading rendition goes on in it.
fn length(representations: &[Representation<'_>]) -> Duration {
    let end = representations.first().and_then(|one| Some((one.entries.last()?, one)));
    let ticks = end.map_or(0, |(last, one)| last.start + last.duration - one.offset);
    let scale = representations.first().map_or(1, |one| one.scale);
    Duration::from_nanos(Timestamp::new(ticks, scale).rescale(1_000_000_000).ticks.max(0).unsigned_abs())
}

fn write_set(xml: &mut Xml, id: &str, kind: &str, set: &[&Representation<'_>]) -> io::Result<()> {
    let mime = format!("{kind}/mp4");
    let attributes =
        [("id", id), ("contentType", kind), ("mimeType", &mime), ("segmentAlignment", "true"), ("startWithSAP", "1")];
    xml.create_element("AdaptationSet").with_attributes(attributes).write_inner_content(|xml| {
        xml.create_element("Role")
            .with_attributes([("schemeIdUri", "urn:mpeg:dash:role:2011"), ("value", "main")])
            .write_empty()?;
        for representation in set {
            write_representation(xml, representation)?;
        }
        Ok(())
    })?;
    Ok(())
}

fn write_representation(xml: &mut Xml, one: &Representation<'_>) -> io::Result<()> {
    let Some(format) = one.entries.last().map(|entry| &**entry.init.format()) else { return Ok(()) };
    let mut attributes = vec![
        ("id", one.snapshot.rendition().prefix().into_owned()),
        ("codecs", format.codec().to_owned()),
        ("bandwidth", peak_bps(one.snapshot).to_string()),
    ];
    match format {
        Format::Video(video) => attributes.extend([("width", video.width.to_string()), ("height", video.height.to_string())]),
        Format::Audio(audio) => attributes.push(("audioSamplingRate", audio.sample_rate.to_string())),
    }
    let attributes = attributes.iter().map(|(name, value)| (*name, value.as_str()));
    xml.create_element("Representation").with_attributes(attributes).write_inner_content(|xml| {
        if let Format::Audio(audio) = format {
            let channels = audio.channels.to_string();
            let scheme = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
            let configuration = [("schemeIdUri", scheme), ("value", &channels)];
            xml.create_element("AudioChannelConfiguration").with_attributes(configuration).write_empty()?;
        }
        write_template(xml, one)
    })?;
    Ok(())
}

fn write_template(xml: &mut Xml, one: &Representation<'_>) -> io::Result<()> {
    let (Some(first), rendition) = (one.entries.first(), one.snapshot.rendition()) else { return Ok(()) };
    let mut attributes = vec![
        ("timescale", one.scale.to_string()),
        ("presentationTimeOffset", one.offset.to_string()),
        ("initialization", rendition.init_name(first.init.number())),
        ("media", format!("{}-$Number$.m4s", rendition.prefix())),
        ("startNumber", first.msn.to_string()),
    ];
    if !one.snapshot.is_ended() {
        // Of the open segment: it can be asked for as soon as its first part is there.
        let early = usual(one.snapshot).saturating_sub(one.snapshot.limits().part_target);
        attributes.push(("availabilityTimeOffset", format!("{:.3}", early.as_secs_f64())));
        attributes.push(("availabilityTimeComplete", "false".to_owned()));
    }
    let attributes = attributes.iter().map(|(name, value)| (*name, value.as_str()));
    xml.create_element("SegmentTemplate").with_attributes(attributes).write_inner_content(|xml| {
        xml.create_element("SegmentTimeline").write_inner_content(|xml| {
            one.entries.iter().try_for_each(|entry| {
                let (start, duration) = (entry.start.to_string(), entry.duration.to_string());
                xml.create_element("S").with_attributes([("t", &*start), ("d", &*duration)]).write_empty().map(|_| ())
            })
        })?;
        Ok(())
    })?;
    Ok(())
}

/// `xs:duration` with milliseconds.
fn seconds(duration: Duration) -> String {
    format!("PT{:.3}S", duration.as_secs_f64())
}
