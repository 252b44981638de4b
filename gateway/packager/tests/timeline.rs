//! The timeline without media: what becomes of losses, mutes, late packets and odd reports.

#![allow(missing_docs, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use minamo_media::{AccessUnit, Codec, ConnectionId, NtpTime, SenderReport, TrackId, TrackInfo};
use minamo_packager::{AudioStep, Timeline, VideoTiming, WallClock};

const AUDIO: TrackId = TrackId(1);
const VIDEO: TrackId = TrackId(2);

struct Clock {
    base: Instant,
    timeline: Timeline,
}

impl Clock {
    fn new() -> Self {
        #[allow(clippy::disallowed_methods, reason = "only differences count")]
        let base = Instant::now();
        let mut timeline = Timeline::new(WallClock { instant: base, unix: Duration::from_secs(1_000_000) });
        for (track, codec) in [(AUDIO, Codec::Opus), (VIDEO, Codec::H264)] {
            timeline.add_track(&TrackInfo { track, publisher: ConnectionId::from("p"), codec, rids: Vec::new() });
        }
        Self { base, timeline }
    }

    fn at(&self, ms: u64) -> Instant {
        self.base + Duration::from_millis(ms)
    }

    fn unit(&self, rtp: i64, ms: u64, data: &'static [u8]) -> AccessUnit {
        AccessUnit { layer: 0, rtp, arrival: self.at(ms), key: true, after_loss: false, data: Bytes::from_static(data) }
    }

    /// A packet of 20 ms.
    fn audio(&mut self, rtp: i64, ms: u64) -> Vec<AudioStep> {
        let unit = self.unit(rtp, ms, &[0xFC, 1, 2]);
        self.timeline.audio(&unit, self.at(ms))
    }

    fn tick(&mut self, ms: u64) -> Vec<AudioStep> {
        self.timeline.audio_tick(self.at(ms))
    }

    /// A packet if there is one, a tick otherwise.
    fn step(&mut self, ms: u64, packet: Option<i64>) -> Vec<AudioStep> {
        match packet {
            Some(rtp) => self.audio(rtp, ms),
            None => self.tick(ms),
        }
    }

    fn video(&mut self, rtp: i64, ms: u64) -> VideoTiming {
        let unit = self.unit(rtp, ms, &[0, 0, 0, 1, 0x65]);
        self.timeline.video(&unit, self.at(ms))
    }

    fn report(&mut self, track: TrackId, rtp: i64, ntp: u64, ms: u64) {
        let report = SenderReport { layer: 0, rtp, ntp: NtpTime(ntp), arrival: self.at(ms) };
        self.timeline.sender_report(track, &report);
    }

    fn position(&self) -> i64 {
        self.timeline.audio_position().unwrap().ticks
    }
}

fn ntp(ms: u64) -> u64 {
    NtpTime::from_unix(Duration::from_millis(500_000_000 + ms)).0
}

#[test]
fn layers_with_clocks_of_their_own_show_one_picture_at_one_time() {
    let mut clock = Clock::new();
    let starts = [1_000_000_i64, -77_000_000, 4_000_000_000];
    let mut last = Vec::new();
    for ms in (0..20_000_u64).step_by(20) {
        clock.audio(5_000 + ms as i64 * 48, ms);
        if ms.is_multiple_of(1_000) {
            clock.report(AUDIO, 5_000 + ms as i64 * 48, ntp(ms), ms);
        }
        last.clear();
        for (layer, start) in (0_u8..).zip(starts) {
            let rtp = start + ms as i64 * 90;
            // The larger, the later.
            let arrival = ms + 30 + u64::from(layer) * 25;
            if ms.is_multiple_of(1_000) {
                let report = SenderReport { layer, rtp, ntp: NtpTime(ntp(ms)), arrival: clock.at(arrival) };
                clock.timeline.sender_report(VIDEO, &report);
            }
            let unit = AccessUnit { layer, ..clock.unit(rtp, arrival, &[0, 0, 0, 1, 0x65]) };
            let timing = clock.timeline.video(&unit, clock.at(arrival));
            assert!(!timing.discontinuity);
            last.push(timing.pts.ticks);
        }
    }
    assert!(last.iter().all(|pts| pts.abs_diff(last[0]) < 90), "{last:?}");
}

fn decodes(steps: &[AudioStep]) -> bool {
    matches!(steps.last(), Some(AudioStep::Decode(_)))
}

#[test]
fn packets_in_a_row_are_only_decoded_across_a_wrap() {
    let mut clock = Clock::new();
    let start = (1 << 32) - 48_000;
    for n in 0..200_i64 {
        let steps = clock.audio(start + n * 960, 100 + 20 * n as u64);
        assert_eq!(steps.len(), 1);
        assert!(decodes(&steps));
    }
    assert_eq!(clock.timeline.audio_start().unwrap().ticks, 48_000 + 4_800, "one second and the arrival");
    assert_eq!(clock.position(), 48_000 + 4_800 + 200 * 960);
}

#[test]
fn up_to_100_ms_are_concealed_and_the_rest_is_silence() {
    let mut clock = Clock::new();
    clock.audio(0, 0);
    assert_eq!(clock.audio(960 * 3, 60)[0], AudioStep::Conceal { samples: 1_920 });
    let steps = clock.audio(960 * 12, 240);
    assert_eq!(steps[..2], [AudioStep::Conceal { samples: 4_800 }, AudioStep::Silence { samples: 2_880 }]);
    assert!(decodes(&steps));
}

#[test]
fn a_mute_without_packets_is_silence_and_late_packets_are_dropped() {
    let mut clock = Clock::new();
    for n in 0..50 {
        clock.audio(960 * n, 20 * n as u64);
    }
    let mut silent = 0;
    for ms in (1_000..5_000).step_by(20) {
        for step in clock.tick(ms) {
            silent += match step {
                AudioStep::Silence { samples } | AudioStep::Conceal { samples } => samples,
                AudioStep::Decode(_) => panic!("nothing to decode"),
            };
        }
        let behind = 48_000 + 48 * ms as i64 - clock.position();
        assert!(behind <= 14_400 + 960, "{behind} samples behind");
    }
    assert!((u32::from(180_u8) * 960..=185 * 960).contains(&silent), "{silent}");
    let end = clock.position();
    assert_eq!(clock.audio(960 * 100, 5_000), [], "of the time that silence stands for");
    assert_eq!(clock.position(), end);
    let steps = clock.audio(960 * 250, 5_001);
    assert!(decodes(&steps), "it goes on at its own place");
    assert_eq!(clock.position(), 48_000 + 960 * 251);
    assert!(!steps.iter().any(|step| matches!(step, AudioStep::Conceal { .. })), "silence is not concealed: {steps:?}");
}

/// A queue on the way grows to `most` ms within a second and drains in two: packets heard of 250, samples that stand for others,
/// and by how much the line is behind the clock in the end.
fn queue_of(most: u64) -> (usize, u32, i64) {
    let mut clock = Clock::new();
    let (mut heard, mut made_up) = (0, 0);
    let mut arrivals: Vec<(u64, Option<i64>)> = (0..500).map(|n| (10 + 20 * n, None)).collect();
    for n in 0..250_u64 {
        let sent = 20 * n;
        let delay = match sent {
            2_000..3_000 => (sent - 2_000) * most / 1_000,
            3_000..5_000 => (5_000 - sent) * most / 2_000,
            _ => 0,
        };
        arrivals.push((sent + delay, Some(960 * n as i64)));
    }
    arrivals.sort_unstable();
    for (ms, packet) in arrivals.into_iter().filter(|(ms, _)| *ms <= 5_000) {
        for step in clock.step(ms, packet) {
            match step {
                AudioStep::Decode(_) => heard += 1,
                AudioStep::Conceal { samples } | AudioStep::Silence { samples } => made_up += samples,
            }
        }
    }
    (heard, made_up, 48_000 + 48 * 5_000 - clock.position())
}

#[test]
fn sound_that_a_queue_delays_is_waited_for() {
    let (heard, made_up, behind) = queue_of(700);
    assert_eq!((heard, made_up), (250, 0));
    assert!(behind.abs() <= 960, "{behind} samples behind");
}

#[test]
fn sound_that_a_queue_delays_beyond_measure_is_not() {
    let (heard, made_up, _) = queue_of(1_500);
    assert!(heard < 250 && made_up > 0, "{heard} heard, {made_up} made up");
}

#[test]
fn a_way_that_became_longer_for_good_is_followed_once() {
    let mut clock = Clock::new();
    let mut heard_at = Vec::new();
    let mut arrivals: Vec<(u64, Option<i64>)> = (0..1_000).map(|n| (10 + 20 * n, None)).collect();
    arrivals.extend((0..900_u64).map(|n| (20 * n + if n < 100 { 0 } else { 1_200 }, Some(960 * n as i64))));
    arrivals.sort_unstable();
    for (ms, packet) in arrivals {
        let steps = clock.step(ms, packet);
        if decodes(&steps) {
            heard_at.push(ms);
        }
    }
    let back = heard_at.iter().position(|ms| *ms >= 3_200).unwrap();
    assert!(heard_at[back] < 3_200 + 600, "heard again after {} ms", heard_at[back] - 3_200);
    assert!(heard_at[back..].windows(2).all(|two| two[1] - two[0] == 20), "and without a break from then on");
}

#[test]
fn a_clock_that_moved_is_followed_after_half_a_second() {
    let mut clock = Clock::new();
    clock.audio(0, 0);
    for ms in (20..3_000).step_by(20) {
        clock.tick(ms);
    }
    // The sender's RTP clock stood still meanwhile.
    let heard = (0..40).filter(|n| decodes(&clock.audio(960 + 960 * n, 3_000 + 20 * *n as u64))).count();
    assert!(heard > 10, "{heard}");
}

#[test]
fn something_that_is_no_packet_says_nothing() {
    let mut clock = Clock::new();
    let empty = clock.unit(0, 0, &[]);
    let now = clock.at(0);
    assert_eq!(clock.timeline.audio(&empty, now), []);
    clock.report(TrackId(99), 0, ntp(0), 0);
}

/// Pictures come 80 ms later than the sound of the same moment; both clocks are one. Yields the last picture's error in ms.
fn error_with(mut reports: impl FnMut(&mut Clock, u64)) -> (f64, u32) {
    let mut clock = Clock::new();
    let mut last = 0.0;
    let mut jumps = 0;
    for ms in (0..60_000).step_by(20) {
        clock.audio(48 * ms as i64, ms);
        if ms >= 80 && ms % 40 == 0 {
            let captured = ms - 80;
            let timing = clock.video(90 * captured as i64, ms);
            jumps += u32::from(timing.discontinuity);
            last = timing.pts.as_secs_f64() * 1_000.0 - 1_000.0 - captured as f64;
        }
        if ms % 1_000 == 500 {
            reports(&mut clock, ms);
        }
    }
    (last, jumps)
}

fn both(clock: &mut Clock, ms: u64, offset_ms: u64) {
    clock.report(AUDIO, 48 * ms as i64, ntp(ms + offset_ms), ms);
    clock.report(VIDEO, 90 * ms as i64, ntp(ms + offset_ms), ms);
}

#[test]
fn without_reports_the_way_of_the_pictures_stays() {
    let (error, jumps) = error_with(|_, _| {});
    assert!((error - 80.0).abs() < 1.0, "{error}");
    assert_eq!(jumps, 0);
}

#[test]
fn reports_put_pictures_to_their_sound() {
    let (error, jumps) = error_with(|clock, ms| both(clock, ms, 0));
    assert!(error.abs() < 1.0, "{error}");
    assert_eq!(jumps, 0);
}

#[test]
fn reports_that_come_late_are_one_discontinuity() {
    let (error, jumps) = error_with(|clock, ms| {
        if ms > 30_000 {
            both(clock, ms, 0);
        }
    });
    assert!(error.abs() < 1.0, "{error}");
    assert_eq!(jumps, 1);
}

#[test]
fn reports_that_say_nothing_are_not_believed() {
    for nonsense in [0, u64::MAX, 0xFFFF_FFFF_0000_0000, 0x0000_0000_FFFF_FFFF] {
        let (error, _) = error_with(|clock, ms| {
            if ms < 3_000 {
                clock.report(AUDIO, 48 * ms as i64, nonsense, ms);
                clock.report(VIDEO, 90 * ms as i64, nonsense, ms);
            } else {
                both(clock, ms, 0);
            }
        });
        assert!(error.abs() < 1.0, "{error}");
    }
}

#[test]
fn a_single_wild_or_old_report_changes_nothing() {
    let (error, jumps) = error_with(|clock, ms| {
        both(clock, ms, 0);
        if ms == 20_500 {
            clock.report(VIDEO, 90 * ms as i64 + 1, ntp(ms + 400), ms);
        }
        if ms == 30_500 {
            clock.report(VIDEO, 90 * 1_000, ntp(900), ms);
        }
    });
    assert!(error.abs() < 1.0, "{error}");
    assert_eq!(jumps, 0);
}

#[test]
fn a_publisher_that_sets_its_wall_clock_stays_in_sync() {
    for step_ms in [300, 5_000, 3_600_000] {
        let (error, jumps) = error_with(|clock, ms| both(clock, ms, if ms > 30_000 { step_ms } else { 0 }));
        assert!(error.abs() < 1.0, "{error}");
        assert_eq!(jumps, 0, "after a step of {step_ms} ms");
    }
}

#[test]
fn reports_of_two_different_wall_clocks_are_not_compared() {
    let (error, jumps) = error_with(|clock, ms| {
        clock.report(AUDIO, 48 * ms as i64, ntp(ms), ms);
        clock.report(VIDEO, 90 * ms as i64, ntp(ms + 7_000), ms);
    });
    assert!((error - 80.0).abs() < 1.0, "{error}");
    assert_eq!(jumps, 0);
}

#[test]
fn pictures_always_go_forward_and_another_track_is_a_discontinuity() {
    let mut clock = Clock::new();
    let mut last = clock.video(9_000, 0);
    assert!(!last.discontinuity);
    for (rtp, ms) in [(12_000, 33), (12_000, 34), (11_000, 35), (15_000, 300), (15_001, 301)] {
        let next = clock.video(rtp, ms);
        assert!(next.pts.ticks > last.pts.ticks);
        last = next;
    }
    clock.timeline.remove_track(VIDEO);
    clock.timeline.add_track(&TrackInfo {
        track: TrackId(7),
        publisher: ConnectionId::from("p"),
        codec: Codec::H264,
        rids: Vec::new(),
    });
    let next = clock.video(-5, 5_000);
    assert!(next.discontinuity);
    assert_eq!(next.pts.ticks, 90_000 * 6, "by the wall, not by the old track");
    assert_eq!(clock.timeline.wall_of(next.pts), Duration::from_secs(1_000_005));
}
