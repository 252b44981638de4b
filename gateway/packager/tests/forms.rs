//! DASH and HLS with MPEG-TS over a programme's life: every version of the MPD is read back and compared with the media and with the
//! versions before it.

#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
mod publisher;

use std::collections::BTreeMap;
use std::sync::Arc;

use minamo_media::fmp4::first_time;
use minamo_packager::{Follower, FormName, Forms, Media, Rendition, Snapshot};
use publisher::{Script, World};
use quick_xml::Reader;
use quick_xml::events::Event;

type Attributes = BTreeMap<String, String>;

#[derive(Default, Debug, Clone)]
struct Representation {
    of: Attributes,
    template: Attributes,
    timeline: Vec<(u64, u64)>,
}

#[derive(Default, Debug, Clone)]
struct Period {
    of: Attributes,
    representations: Vec<Representation>,
}

#[derive(Default, Debug)]
struct Mpd {
    of: Attributes,
    periods: Vec<Period>,
    elements: Vec<String>,
}

fn parse(text: &[u8]) -> Mpd {
    let mut mpd = Mpd::default();
    let mut reader = Reader::from_reader(text);
    loop {
        let start = match reader.read_event().unwrap() {
            Event::Eof => return mpd,
            Event::Start(start) | Event::Empty(start) => start,
            _ => continue,
        };
        let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
        let attribute = |attribute: quick_xml::events::attributes::Attribute<'_>| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            (text(attribute.key.as_ref()), text(&attribute.value))
        };
        let of: Attributes = start.attributes().map(|one| attribute(one.unwrap())).collect();
        match name.as_str() {
            "MPD" => mpd.of = of,
            "Period" => mpd.periods.push(Period { of, ..Period::default() }),
            "Representation" => {
                mpd.periods.last_mut().unwrap().representations.push(Representation { of, ..Representation::default() });
            }
            "SegmentTemplate" => mpd.periods.last_mut().unwrap().representations.last_mut().unwrap().template = of,
            "S" => {
                let entry = (of["t"].parse().unwrap(), of["d"].parse().unwrap());
                mpd.periods.last_mut().unwrap().representations.last_mut().unwrap().timeline.push(entry);
            }
            _ => {}
        }
        mpd.elements.push(name);
    }
}

fn seconds(text: &str) -> f64 {
    text.strip_prefix("PT").unwrap().strip_suffix('S').unwrap().parse().unwrap()
}

/// A player that remembers.
#[derive(Default)]
struct Player {
    versions: u32,
    mpd: Attributes,
    period_starts: BTreeMap<String, String>,
    /// Start of every segment by its name, and its length once another followed it.
    segments: BTreeMap<String, (u64, Option<u64>)>,
    periods: BTreeMap<String, Period>,
}

impl Player {
    fn look(&mut self, forms: &Forms, snapshots: &[Arc<Snapshot>]) {
        let mpd = parse(forms.mpd().plain());
        self.versions += 1;
        if let Some(known) = self.mpd.get("availabilityStartTime") {
            assert_eq!(&mpd.of["availabilityStartTime"], known);
            assert!(mpd.of["publishTime"] >= self.mpd["publishTime"]);
        }
        for (period, next) in mpd.periods.iter().zip(mpd.periods.iter().skip(1)) {
            let end = seconds(&period.of["start"]) + seconds(&period.of["duration"]);
            assert!(end <= seconds(&next.of["start"]) + 0.002, "{period:?} {next:?}");
        }
        for period in &mpd.periods {
            let known = self.period_starts.entry(period.of["id"].clone()).or_insert_with(|| period.of["start"].clone());
            assert_eq!(&period.of["start"], known);
            for representation in &period.representations {
                self.representation(representation, snapshots);
            }
            self.periods.insert(period.of["id"].clone(), period.clone());
        }
        self.mpd = mpd.of;
    }

    fn representation(&mut self, one: &Representation, snapshots: &[Arc<Snapshot>]) {
        let snapshot =
            snapshots.iter().find(|snapshot| one.template["media"].starts_with(&snapshot.rendition().segment_name(0)[..1]));
        let snapshot = snapshot.unwrap();
        assert!(matches!(snapshot.media(&one.template["initialization"]), Media::Ready(..)), "{one:?}");
        let first: u64 = one.template["startNumber"].parse().unwrap();
        for (number, (index, (start, duration))) in (first..).zip(one.timeline.iter().enumerate()) {
            let name = one.template["media"].replace("$Number$", &number.to_string());
            let next = one.timeline.get(index + 1);
            assert!(next.is_none_or(|(next, _)| start + duration == *next), "no holes: {one:?}");
            let known = self.segments.entry(name.clone()).or_insert((*start, None));
            assert_eq!(known.0, *start, "{name} stays where it is");
            if next.is_some() {
                assert_eq!(known.1.get_or_insert(*duration), duration, "{name} stays as long as it is");
            }
            match snapshot.media(&name) {
                Media::Ready(bytes, _) => assert_eq!(first_time(&bytes), Some(*start), "{name}"),
                _ => assert_eq!(snapshot.open().unwrap().head().msn(), number, "only the open segment is not there yet"),
            }
            let init = one.template["initialization"].clone();
            let head = snapshot
                .segments()
                .iter()
                .map(|segment| segment.head())
                .chain(snapshot.open().map(minamo_packager::OpenSegment::head));
            let head = head.into_iter().find(|head| head.msn() == number).unwrap();
            assert_eq!(snapshot.rendition().init_name(head.init().unwrap().number()), init);
        }
    }
}

fn snapshots(world: &mut World) -> Option<Vec<Arc<Snapshot>>> {
    [Rendition::Video(0), Rendition::Audio].map(|rendition| world.packager().snapshot(rendition)).into_iter().collect()
}

/// Runs a programme and reads every version; calls `each` with it.
fn run(script: Script, mut each: impl FnMut(u64, &Forms, &[Arc<Snapshot>])) -> (Player, World, Follower) {
    let length = script.length_ms;
    let mut world = World::new(script);
    let (mut player, mut follower) = (Player::default(), Follower::new());
    for ms in (0..length).step_by(20) {
        world.advance(ms);
        let Some(seen) = snapshots(&mut world) else { continue };
        if let Some(forms) = follower.follow(seen.clone()) {
            player.look(&forms, &seen);
            each(ms, &forms, &seen);
        }
    }
    (player, world, follower)
}

fn eventful() -> Script {
    Script {
        length_ms: 120_000,
        width: |ms| if ms < 40_000 { 40 } else { 60 },
        away: |ms| (60_000..68_000).contains(&ms),
        ..Script::default()
    }
}

#[test]
fn every_version_of_the_mpd_is_true_and_agrees_with_the_ones_before() {
    let (player, ..) = run(eventful(), |_, _, _| {});
    assert!(player.versions > 50, "{}", player.versions);
    assert!(player.segments.len() > 90, "{}", player.segments.len());
    // A new size; the publisher was away.
    assert!(player.period_starts.len() >= 3, "{:?}", player.period_starts);
    let widths: Vec<_> = player.periods.values().map(|period| period.representations[0].of["width"].as_str()).collect();
    assert!(widths.contains(&"640") && widths.contains(&"960"), "{widths:?}");
    assert!(player.periods.values().all(|period| period.representations.len() == 2), "pictures and sound in every Period");
    assert_eq!(player.mpd["type"], "dynamic");
    assert!(seconds(&player.mpd["timeShiftBufferDepth"]) >= 12.0);
}

#[test]
fn a_quiet_programme_is_one_period() {
    let (player, ..) = run(Script { video_ppm: 100.0, audio_ppm: -100.0, ..Script::default() }, |_, _, _| {});
    assert_eq!(player.period_starts.len(), 1);
    assert_eq!(player.period_starts.values().next().unwrap(), "PT0.000S");
}

#[test]
fn segments_are_announced_when_they_begin() {
    let mut early = 0;
    run(Script::default(), |_, forms, seen| {
        let mpd = parse(forms.mpd().plain());
        let period = mpd.periods.last().unwrap();
        let pictures = &period.representations[0];
        let last: u64 = pictures.template["startNumber"].parse::<u64>().unwrap() + pictures.timeline.len() as u64 - 1;
        early += u32::from(seen[0].open().is_some_and(|open| open.head().msn() == last));
        assert_eq!(pictures.template["availabilityTimeComplete"], "false");
        let offset: f64 = pictures.template["availabilityTimeOffset"].parse().unwrap();
        let said = pictures.timeline.last().unwrap().1 as f64 / 90_000.0;
        assert!(offset < said, "{offset} of {said}");
    });
    assert!(early > 20, "{early}");
}

#[test]
fn the_end_is_a_static_mpd() {
    let (mut player, mut world, mut follower) = run(Script::default(), |_, _, _| {});
    let now = world.now();
    world.packager().end(now);
    let seen = snapshots(&mut world).unwrap();
    let forms = follower.follow(seen.clone()).unwrap();
    player.look(&forms, &seen);
    assert_eq!(player.mpd["type"], "static");
    assert!(!player.mpd.contains_key("minimumUpdatePeriod"));
    assert!(seconds(&player.mpd["mediaPresentationDuration"]) > 55.0);
    assert!(!parse(forms.mpd().plain()).elements.contains(&"UTCTiming".to_owned()));
    assert!(follower.follow(seen).is_none(), "nothing new, nothing rendered");
}

fn lines<'a>(text: &'a str, start: &'a str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(start)).collect()
}

fn text(body: &minamo_packager::Body) -> String {
    String::from_utf8(body.plain().to_vec()).unwrap()
}

#[test]
fn mpeg_ts_has_the_numbers_and_dates_of_cmaf_and_no_new_words() {
    let mut compared = 0;
    let mut gaps = 0;
    run(eventful(), |_, forms, seen| {
        let playlist = text(&forms.ts_playlist(0).unwrap());
        let minamo_packager::Response::Ready(cmaf) = seen[0].respond(&minamo_packager::Directives::default()) else { panic!() };
        let cmaf = text(&cmaf);
        for tag in ["#EXT-X-TARGETDURATION:", "#EXT-X-MEDIA-SEQUENCE:", "#EXT-X-DISCONTINUITY-SEQUENCE:"] {
            assert_eq!(lines(&playlist, tag), lines(&cmaf, tag));
        }
        assert_eq!(lines(&playlist, "#EXT-X-VERSION:"), ["#EXT-X-VERSION:3"]);
        for tag in ["#EXTINF:", "#EXT-X-PROGRAM-DATE-TIME:"] {
            let ours = lines(&playlist, tag);
            assert_eq!(ours, lines(&cmaf, tag)[..ours.len()]);
            compared += ours.len();
        }
        assert_eq!(lines(&playlist, "#EXT-X-DISCONTINUITY\n"), lines(&cmaf, "#EXT-X-DISCONTINUITY\n"));
        assert!(!playlist.contains("PART") && !playlist.contains("MAP") && !playlist.contains("SERVER"));
        gaps += lines(&playlist, "#EXT-X-GAP").len();
        let multivariant = text(&forms.ts_multivariant().unwrap());
        assert!(
            multivariant.contains("CODECS=\"avc1.42e01f,mp4a.40.2\"") && multivariant.ends_with("\nts-0.m3u8\n"),
            "{multivariant}"
        );
    });
    assert!(compared > 200 && gaps > 0, "{compared} {gaps}");
}

#[test]
fn every_listed_ts_segment_can_be_had_and_no_other() {
    let mut muxed = 0;
    run(eventful(), |ms, forms, seen| {
        let playlist = text(&forms.ts_playlist(0).unwrap());
        // Gaps too: what an old player asks for in spite of the tag is sound.
        for name in playlist.lines().filter(|line| line.ends_with(".ts")) {
            let Some(FormName::TsSegment(rung, msn)) = FormName::parse(name) else { panic!("{name}") };
            let bytes = forms.ts_segment(rung, msn).unwrap().unwrap();
            assert!(bytes.len().is_multiple_of(188) && bytes.chunks(188).all(|packet| packet[0] == 0x47));
            muxed += 1;
        }
        let next = seen[0].listed().last().unwrap().head().msn() + 1;
        assert!(forms.ts_segment(0, next).is_none() && forms.ts_segment(1, next - 1).is_none(), "{ms}");
        assert!(forms.ts_playlist(1).is_none());
    });
    assert!(muxed > 300);
}
