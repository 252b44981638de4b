//! A publisher, a network and a strict player around the packager, in virtual time: milliseconds, seeded, no clock.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use minamo_llhls_checker::{Checker, Violation, parse};
use minamo_media::{AccessUnit, Codec, ConnectionId, NtpTime, SenderReport, TrackId, TrackInfo};
use minamo_packager::{
    AudioConfig, AudioFrame, AudioStep, DateRange, Directives, Media, Packager, PackagerConfig, PackagerEvent, Rendition,
    Response, RungConfig, Timeline, VideoSample, WallClock,
};

pub const FRAME: i64 = 1024;
/// A channel's secret, of which the strict player learns a key when a playlist names it, as key servers tell it.
pub const SECRET: [u8; 32] = [0x5e; 32];
pub const UNIX: Duration = Duration::from_secs(1_795_000_000);

/// xorshift64*
pub struct Rng(u64);

impl Rng {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound.max(1)
    }
}

/// How the publisher behaves; times in ms of virtual time.
pub struct Script {
    pub seed: u64,
    pub length_ms: u64,
    /// Milliseconds between pictures at a time; 0: none now.
    pub picture_every_ms: fn(u64, &mut Rng) -> u64,
    /// No audio packet is sent at this time.
    pub muted: fn(u64) -> bool,
    /// From a wish for a key frame to its capture.
    pub key_after_ms: fn(u64, &mut Rng) -> u64,
    /// Width in macroblocks, at a time.
    pub width: fn(u64) -> u32,
    /// Simulcast layers; each of half the size of the next.
    pub layers: u8,
    /// A layer is not sent at this time.
    pub layer_off: fn(u64, u8) -> bool,
    /// A layer's picture is lost at this time, for good.
    pub lost: fn(u64, u8, &mut Rng) -> bool,
    /// Width of a layer in macroblocks instead.
    pub layer_width: Option<fn(u64, u8) -> u32>,
    /// The whole publisher is away.
    pub away: fn(u64) -> bool,
    pub audio_ppm: f64,
    pub video_ppm: f64,
    pub audio_rtp: i64,
    pub video_rtp: i64,
    pub jitter_ms: u64,
    /// How much later pictures arrive than sound of the same moment.
    pub video_late_ms: u64,
    pub reports: bool,
    pub video: bool,
    pub audio: bool,
    pub window: usize,
    /// Changes the packager's settings.
    pub settings: fn(PackagerConfig) -> PackagerConfig,
    /// Timed metadata that the application pushes at a time.
    pub metadata: fn(u64) -> Option<DateRange>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            seed: 1,
            length_ms: 60_000,
            picture_every_ms: |_, _| 33,
            muted: |_| false,
            key_after_ms: |_, _| 80,
            width: |_| 40,
            layers: 1,
            layer_off: |_, _| false,
            lost: |_, _, _| false,
            layer_width: None,
            away: |_| false,
            audio_ppm: 0.0,
            video_ppm: 0.0,
            audio_rtp: 1_000_000,
            video_rtp: 77_000_000,
            jitter_ms: 10,
            video_late_ms: 30,
            reports: true,
            video: true,
            audio: true,
            window: 8,
            settings: |config| config,
            metadata: |_| None,
        }
    }
}

enum Arrival {
    Video(AccessUnit, u64),
    Audio(AccessUnit, u64),
    Report(TrackId, SenderReport),
}

/// What came of a run.
#[derive(Default)]
pub struct Outcome {
    pub violations: Vec<Violation>,
    pub playlists: u32,
    /// Bodies of the last versions by name.
    pub last: BTreeMap<&'static str, String>,
    pub multivariant: String,
    /// (ms, |audio/video error| in ms) at every picture.
    pub skew: Vec<(u64, f64)>,
    pub discontinuities: u32,
    pub key_frames_wanted: u32,
    /// The last versions but the end's, for negative controls.
    pub history: Vec<(Duration, &'static str, String)>,
}

impl Outcome {
    #[track_caller]
    pub fn clean(&self) -> &Self {
        let shown: Vec<_> = self.violations.iter().take(12).collect();
        assert!(self.violations.is_empty(), "{} violations: {shown:#?}\n{}", self.violations.len(), self.last_video());
        assert!(self.playlists > 20, "only {} playlists", self.playlists);
        self
    }

    pub fn last_video(&self) -> &str {
        self.last.get("video.m3u8").map_or("", String::as_str)
    }

    pub fn max_skew_after(&self, ms: u64) -> f64 {
        self.skew.iter().filter(|(at, _)| *at >= ms).map(|(_, error)| *error).fold(0.0, f64::max)
    }
}

pub struct World {
    script: Script,
    rng: Rng,
    base: Instant,
    ms: u64,
    timeline: Timeline,
    packager: Packager,
    checker: Checker,
    flight: VecDeque<(u64, Arrival)>,
    next_picture: u64,
    key_due: Option<u64>,
    /// Layers whose next picture is a key frame, and those whose pictures are useless before one.
    needs_key: [bool; 4],
    useless: [bool; 4],
    generation: u64,
    was_away: bool,
    encoder: Option<(i64, i64)>,
    /// Programme minus capture time of the latest sound, in ms.
    sound: Option<f64>,
    /// When each name was listed last, in ms.
    fetched: BTreeMap<&'static str, BTreeMap<String, u64>>,
    outcome: Outcome,
}

pub fn run(script: Script) -> Outcome {
    World::new(script).run()
}

/// The playlists of every programme here.
const NAMES: [&str; 9] = [
    "video.m3u8",
    "video-1.m3u8",
    "video-2.m3u8",
    "audio.m3u8",
    "iframes.m3u8",
    "captions.m3u8",
    "captions-1.m3u8",
    "iframes-1.m3u8",
    "iframes-2.m3u8",
];

impl World {
    pub fn new(script: Script) -> Self {
        #[allow(clippy::disallowed_methods, reason = "an Instant cannot be made otherwise; only differences count")]
        let base = Instant::now();
        let timeline = Timeline::new(WallClock { instant: base, unix: UNIX });
        let audio = AudioConfig { asc: Bytes::from_static(&[0x11, 0x90]), sample_rate: 48_000, channels: 2 };
        let config = PackagerConfig {
            video: if script.video { vec![RungConfig::default(); usize::from(script.layers)] } else { Vec::new() },
            audio: script.audio.then_some(audio),
            first_msn: 1_795_000_000,
            first_discontinuity: 7,
            window: script.window,
            ..PackagerConfig::default()
        };
        let packager = Packager::new((script.settings)(config), timeline.wall()).unwrap();
        let mut world = Self {
            rng: Rng(script.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            script,
            base,
            ms: 0,
            timeline,
            packager,
            checker: Checker::new(),
            flight: VecDeque::new(),
            next_picture: 40,
            key_due: None,
            needs_key: [true; 4],
            useless: [true; 4],
            generation: 0,
            was_away: false,
            encoder: None,
            sound: None,
            fetched: BTreeMap::new(),
            outcome: Outcome::default(),
        };
        world.add_tracks();
        world
    }

    /// Lives until this time.
    pub fn advance(&mut self, to_ms: u64) {
        while self.ms < to_ms {
            self.step();
        }
    }

    /// Virtual time.
    pub fn ms(&self) -> u64 {
        self.ms
    }

    pub fn packager(&mut self) -> &mut Packager {
        &mut self.packager
    }

    fn run(mut self) -> Outcome {
        self.advance(self.script.length_ms);
        self.packager.end(self.now());
        self.drain();
        if self.script.video && self.script.audio {
            assert!(self.outcome.last.len() >= 2 && self.outcome.last.values().all(|text| text.ends_with("#EXT-X-ENDLIST\n")));
        }
        self.outcome
    }

    pub fn now(&self) -> Instant {
        self.base + Duration::from_millis(self.ms)
    }

    fn tracks(&self) -> (TrackId, TrackId) {
        (TrackId(self.generation * 2), TrackId(self.generation * 2 + 1))
    }

    fn add_tracks(&mut self) {
        let (audio, video) = self.tracks();
        let publisher = ConnectionId::from("p");
        if self.script.audio {
            self.timeline.add_track(&TrackInfo {
                track: audio,
                publisher: publisher.clone(),
                codec: Codec::Opus,
                rids: Vec::new(),
            });
        }
        self.timeline.add_track(&TrackInfo { track: video, publisher, codec: Codec::H264, rids: Vec::new() });
    }

    fn step(&mut self) {
        self.ms += 1;
        self.come_and_go();
        if !(self.script.away)(self.ms) {
            self.capture();
        }
        while let Some(index) = self.flight.iter().position(|(at, _)| *at <= self.ms) {
            let Some((_, arrival)) = self.flight.remove(index) else { break };
            self.arrive(arrival);
        }
        if self.script.audio && self.ms.is_multiple_of(20) {
            let steps = self.timeline.audio_tick(self.now());
            self.sound_steps(&steps);
        }
        if let Some(range) = (self.script.metadata)(self.ms) {
            self.packager.add_date_range(&range).unwrap();
        }
        if self.ms.is_multiple_of(500) {
            self.packager.set_wall(self.timeline.wall());
        }
        if self.packager.poll_timeout().is_some_and(|at| at <= self.now()) {
            self.packager.handle_timeout(self.now());
        }
        self.drain();
    }

    /// A publisher that returns has new tracks on new clocks.
    fn come_and_go(&mut self) {
        let away = (self.script.away)(self.ms);
        if self.was_away && !away {
            let (audio, video) = self.tracks();
            self.timeline.remove_track(audio);
            self.timeline.remove_track(video);
            self.generation += 1;
            self.script.audio_rtp += 999_777;
            self.script.video_rtp -= 123_456_789;
            self.add_tracks();
            self.packager.discontinuity();
            self.needs_key = [true; 4];
            self.next_picture = self.ms;
            self.key_due = None;
            self.sound = None;
        }
        self.was_away = away;
    }

    fn capture(&mut self) {
        let (audio, video) = self.tracks();
        let late = self.script.video_late_ms;
        if self.script.video && self.ms >= self.next_picture {
            let every = (self.script.picture_every_ms)(self.ms, &mut self.rng);
            if every == 0 {
                self.next_picture = self.ms + 5;
            } else {
                self.next_picture = self.ms + every;
                self.picture(late);
            }
        }
        if self.script.audio && self.ms.is_multiple_of(20) && !(self.script.muted)(self.ms) {
            let mut packet = BytesMut::from(&[0xFC_u8][..]);
            packet.put_slice(&[7; 60]);
            let unit = self.unit(rtp(self.script.audio_rtp, self.ms, self.script.audio_ppm, 48_000.0), true, packet.freeze());
            let at = self.ms + self.rng.below(self.script.jitter_ms + 1);
            let at = self.after_its_kind(at, None);
            self.flight.push_back((at, Arrival::Audio(unit, self.ms)));
        }
        if self.script.reports && self.ms.is_multiple_of(1_000) && self.script.video {
            for layer in 0..self.script.layers {
                let rtp = rtp(self.layer_rtp(layer), self.ms, self.script.video_ppm, 90_000.0);
                self.report(video, layer, rtp);
            }
        }
        if self.script.reports && (self.ms + 2_500).is_multiple_of(5_000) && self.script.audio {
            let rtp = rtp(self.script.audio_rtp, self.ms, self.script.audio_ppm, 48_000.0);
            self.report(audio, 0, rtp);
        }
    }

    fn picture(&mut self, late: u64) {
        let asked = self.key_due.is_some_and(|at| at <= self.ms);
        if asked {
            self.key_due = None;
        }
        for layer in 0..self.script.layers {
            self.layer_picture(late, layer, asked);
        }
    }

    fn layer_picture(&mut self, late: u64, layer: u8, asked: bool) {
        let index = usize::from(layer);
        if (self.script.layer_off)(self.ms, layer) {
            self.needs_key[index] = true;
            return;
        }
        let key = std::mem::take(&mut self.needs_key[index]) || asked;
        let full = (self.script.width)(self.ms) >> (self.script.layers - 1 - layer);
        let width = self.script.layer_width.map_or(full, |width| width(self.ms, layer));
        let size = if key { 12_000 } else { 2_000 + self.rng.below(1_500) as usize } >> (self.script.layers - 1 - layer);
        let data = access_unit(key.then_some(width), size);
        let unit = self.unit(rtp(self.layer_rtp(layer), self.ms, self.script.video_ppm, 90_000.0), key, data);
        let unit = AccessUnit { layer, ..unit };
        // What the tap does: after a loss nothing before the next key frame.
        self.useless[index] = !key && self.useless[index];
        if (self.script.lost)(self.ms, layer, &mut self.rng) {
            self.useless[index] = true;
            let at = self.ms + (self.script.key_after_ms)(self.ms, &mut self.rng);
            self.key_due.get_or_insert(at);
        }
        if self.useless[index] {
            return;
        }
        // Smaller layers are encoded and sent first.
        let at = self.ms + late + u64::from(layer) * 3 + self.rng.below(self.script.jitter_ms + 1);
        let at = self.after_its_kind(at, Some(layer));
        self.flight.push_back((at, Arrival::Video(unit, self.ms)));
    }

    /// Every layer's clock starts somewhere else.
    fn layer_rtp(&self, layer: u8) -> i64 {
        self.script.video_rtp + i64::from(layer) * 1_234_567_891
    }

    /// Units of one track come in order.
    fn after_its_kind(&self, at: u64, video: Option<u8>) -> u64 {
        let same = |arrival: &Arrival| match arrival {
            Arrival::Video(unit, _) => video == Some(unit.layer),
            Arrival::Audio(..) => video.is_none(),
            Arrival::Report(..) => false,
        };
        self.flight.iter().filter(|(_, arrival)| same(arrival)).map(|(when, _)| *when).max().unwrap_or(0).max(at)
    }

    fn unit(&self, rtp: i64, key: bool, data: Bytes) -> AccessUnit {
        AccessUnit { layer: 0, rtp, arrival: self.base, key, after_loss: false, data }
    }

    fn report(&mut self, track: TrackId, layer: u8, rtp: i64) {
        // A publisher whose wall clock is years off.
        let ntp = NtpTime::from_unix(Duration::from_millis(86_400_000_000 + self.ms));
        let report = SenderReport { layer, rtp, ntp, arrival: self.now() };
        let at = self.ms + self.rng.below(self.script.jitter_ms + 1);
        self.flight.push_back((at, Arrival::Report(track, report)));
    }

    fn arrive(&mut self, arrival: Arrival) {
        let now = self.now();
        match arrival {
            Arrival::Report(track, report) => self.timeline.sender_report(track, &report),
            Arrival::Audio(mut unit, captured) => {
                unit.arrival = now;
                let steps = self.timeline.audio(&unit, now);
                let heard = steps.iter().any(|step| matches!(step, AudioStep::Decode(_)));
                self.sound_steps(&steps);
                if heard && let Some(end) = self.timeline.audio_position() {
                    self.sound = Some((end.as_secs_f64() - 0.02) * 1000.0 - captured as f64);
                }
            }
            Arrival::Video(mut unit, captured) => {
                unit.arrival = now;
                let timing = self.timeline.video(&unit, now);
                if timing.discontinuity {
                    self.outcome.discontinuities += 1;
                    self.packager.discontinuity();
                }
                if let Some(sound) = self.sound {
                    let seen = timing.pts.as_secs_f64() * 1000.0 - captured as f64;
                    self.outcome.skew.push((self.ms, (seen - sound).abs()));
                }
                let sample = VideoSample { pts: timing.pts, key: unit.key, data: unit.data.clone() };
                self.packager.push_video(now, self.script.layers - 1 - unit.layer, &sample);
            }
        }
    }

    /// An AAC encoder without the sound: frames of 1024 samples, as many as the line has.
    fn sound_steps(&mut self, steps: &[AudioStep]) {
        let Some(start) = self.timeline.audio_start() else { return };
        let (mut next, mut line) = self.encoder.unwrap_or((start.ticks, start.ticks));
        for step in steps {
            line += match step {
                AudioStep::Decode(packet) => i64::from(minamo_media::opus::packet_samples(packet).unwrap()),
                AudioStep::Conceal { samples } | AudioStep::Silence { samples } => i64::from(*samples),
            };
        }
        assert_eq!(Some(line), self.timeline.audio_position().map(|at| at.ticks), "the steps are the line");
        while next + FRAME <= line {
            let pts = minamo_media::Timestamp::new(next, 48_000);
            let frame = AudioFrame { pts, data: Bytes::from(vec![0x21; 170]) };
            self.packager.push_audio(self.now(), &frame);
            next += FRAME;
        }
        self.encoder = Some((next, line));
    }

    fn drain(&mut self) {
        while let Some(event) = self.packager.poll_event() {
            match event {
                PackagerEvent::KeyFrameWanted => {
                    self.outcome.key_frames_wanted += 1;
                    let at = self.ms + (self.script.key_after_ms)(self.ms, &mut self.rng);
                    self.key_due = Some(self.key_due.map_or(at, |due| due.min(at)));
                }
                PackagerEvent::Published(rendition) => self.look(rendition),
            }
        }
    }

    fn look(&mut self, rendition: Rendition) {
        let at = Duration::from_millis(self.ms);
        let name = NAMES.into_iter().find(|name| Rendition::of_playlist(name) == Some(rendition)).unwrap();
        let snapshot = self.packager.snapshot(rendition).unwrap();
        if let Rendition::IFrames(_) = rendition {
            let Response::Ready(body) = snapshot.respond(&Directives::default()) else { panic!("ready") };
            let text = String::from_utf8(body.plain().to_vec()).unwrap();
            return self.outcome.violations.extend(minamo_llhls_checker::judge_iframes(&text).1);
        }
        let (msn, part) = snapshot.last_part().unwrap();
        let part = if rendition.has_parts() { format!("&_HLS_part={part}") } else { String::new() };
        let skip =
            if self.outcome.playlists.is_multiple_of(2) && self.outcome.last.contains_key(name) { "&_HLS_skip=YES" } else { "" };
        let query = format!("_HLS_msn={msn}{part}{skip}");
        let Response::Ready(body) = snapshot.respond(&Directives::parse(&query).unwrap()) else {
            panic!("{query} must be there")
        };
        let text = String::from_utf8(body.plain().to_vec()).unwrap();
        self.learn_keys(&text);
        let multivariant = String::from_utf8(self.packager.multivariant().unwrap().plain().to_vec()).unwrap();
        self.outcome.violations.extend(self.checker.observe_multivariant(&multivariant));
        self.outcome.multivariant = multivariant;
        self.outcome.violations.extend(self.checker.observe_playlist(at, name, &query, &text));
        self.outcome.playlists += 1;
        self.fetch(rendition, name, &text);
        self.outcome.history.push((at, name, text.clone()));
        self.outcome.last.insert(name, text);
    }

    fn learn_keys(&mut self, text: &str) {
        for uri in text.lines().filter_map(|line| line.strip_prefix("#EXT-X-KEY:")?.split("URI=\"").nth(1)?.split('"').next()) {
            let (_, kid) = uri.split_once("kid=").unwrap();
            self.checker.add_key(uri, minamo_packager::key_of(&SECRET, kid).unwrap());
        }
    }

    /// Everything that is listed can be fetched, and is fetched once.
    fn fetch(&mut self, rendition: Rendition, name: &'static str, text: &str) {
        let at = Duration::from_millis(self.ms);
        let snapshot = self.packager.snapshot(rendition).unwrap();
        let (listed, _) = parse(text);
        let mut uris: Vec<String> = listed.all().filter_map(|segment| segment.map.clone()).collect();
        for segment in listed.all() {
            uris.extend(segment.parts.iter().filter(|part| !part.gap).map(|part| part.uri.clone()));
            if !segment.uri.is_empty() && !segment.gap {
                uris.push(segment.uri.clone());
            }
        }
        for uri in uris {
            let known = self.fetched.entry(name).or_default().insert(uri.clone(), self.ms).is_some();
            if known {
                continue;
            }
            let Media::Ready(bytes, _) = snapshot.media(plain_name(&uri)) else { panic!("{uri} is listed and not there") };
            self.outcome.violations.extend(self.checker.observe_media(at, name, &uri, 200, bytes.len() as u64, &bytes));
        }
        // Rule 4: still there for a while after it was listed last, then not even in memory.
        for (uri, listed_at) in self.fetched.entry(name).or_default() {
            let gone = snapshot.media(plain_name(uri)) == Media::Missing;
            let since = self.ms - *listed_at;
            assert!(since > 12_000 || !gone, "{uri} is gone {since} ms after it was listed");
            let bound = 90_000.max(self.script.window as u64 * 5_000);
            assert!(since < bound || gone || uri.contains("init"), "{uri} is still there {since} ms after it was listed");
        }
        for hint in &listed.hints {
            assert_eq!(snapshot.media(plain_name(&hint.uri)), Media::Hinted);
        }
        assert_eq!(snapshot.media("v-1.m4s"), Media::Missing);
    }
}

/// Without the token.
pub fn plain_name(uri: &str) -> &str {
    uri.split('?').next().unwrap()
}

fn rtp(start: i64, ms: u64, ppm: f64, rate: f64) -> i64 {
    start + (ms as f64 / 1000.0 * (1.0 + ppm * 1e-6) * rate).round() as i64
}

/// AVCC; an IDR carries its parameter sets, as browsers send them.
pub fn access_unit(key_width: Option<u32>, size: usize) -> Bytes {
    let mut out = BytesMut::new();
    let mut nal = |bytes: &[u8]| {
        out.put_u32(bytes.len() as u32);
        out.put_slice(bytes);
    };
    if let Some(width) = key_width {
        nal(&sps(width, 22));
        nal(&[0x68, 0xCE, 0x3C, 0x80]);
        nal(&[&[0x65, 0x88][..], &vec![0xAB; size]].concat());
    } else {
        nal(&[&[0x41, 0x9A][..], &vec![0xCD; size]].concat());
    }
    out.freeze()
}

/// Constrained baseline, level 3.1, of so many macroblocks.
fn sps(width: u32, height: u32) -> Vec<u8> {
    let mut bits = String::new();
    let mut ue = |value: u32| {
        let code = format!("{:b}", value + 1);
        bits += &"0".repeat(code.len() - 1);
        bits += &code;
    };
    for value in [0, 0, 2, 1] {
        ue(value);
    }
    bits.push('0');
    let mut ue = |value: u32| {
        let code = format!("{:b}", value + 1);
        bits += &"0".repeat(code.len() - 1);
        bits += &code;
    };
    ue(width - 1);
    ue(height - 1);
    bits += "11001";
    while !bits.len().is_multiple_of(8) {
        bits.push('0');
    }
    let payload = bits.as_bytes().chunks(8).map(|byte| byte.iter().fold(0_u8, |all, bit| all << 1 | (bit - b'0')));
    [0x67, 0x42, 0xE0, 0x1F].into_iter().chain(payload).collect()
}
