use std::collections::BTreeMap;

use bytes::Bytes;
use minamo_media::aac::AudioSpecificConfig;
use minamo_media::fmp4::{Sample, TRACK_ID, fragment, init_segment_aac, init_segment_h264};
use minamo_media::h264::{H264Config, annex_b_nal_units, annex_b_to_avcc};
use minamo_media::mpegts::{AUDIO_PID, Audio, Fragments, Frame, PACKET, Picture, TsError, VIDEO_PID, Video, from_fmp4, segment};
use proptest::prelude::*;

use crate::h264::{BASELINE, BASELINE_PPS};
use crate::support::{runner, survives_mutations};

const CONFIG: AudioSpecificConfig = AudioSpecificConfig { sample_rate: 48_000, channels: 2 };
const WRAP: i64 = 1 << 33;

fn h264() -> H264Config {
    H264Config { sps: BASELINE.into(), pps: vec![BASELINE_PPS.into()] }
}

/// A picture of one slice of `len` bytes.
fn picture(dts: i64, key: bool, len: usize) -> Picture {
    let mut slice = vec![0x55; len.max(2)];
    slice[0] = if key { 0x65 } else { 0x41 };
    Picture { pts: dts, dts, key, data: annex_b_to_avcc(&[&[0, 0, 1][..], &slice].concat()) }
}

fn frames(start: i64, count: usize, len: usize) -> Audio {
    let frame = |index| Frame { pts: start + index as i64 * 1_920, data: vec![0xA5; len].into() };
    Audio { config: CONFIG, frames: (0..count).map(frame).collect() }
}

/// A reader of transport streams that shares nothing with the writer.
#[derive(Default)]
struct Reader {
    counters: BTreeMap<u16, u8>,
    /// Every PCR's base, unwrapped by nobody.
    clocks: Vec<i64>,
    /// Whole PES packets: PID and bytes.
    packets: Vec<(u16, Vec<u8>)>,
    tables: Vec<Vec<u8>>,
    wrong: Vec<String>,
}

impl Reader {
    fn read(&mut self, stream: &[u8]) {
        if !stream.len().is_multiple_of(PACKET) {
            self.wrong.push(format!("{} bytes", stream.len()));
        }
        for packet in stream.chunks(PACKET) {
            self.packet(packet);
        }
    }

    fn packet(&mut self, packet: &[u8]) {
        let pid = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
        let (adaptation, payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let counter = packet[3] & 0x0F;
        let expected = self.counters.get(&pid).map(|last| (last + u8::from(payload)) & 0x0F);
        if packet[0] != 0x47 || expected.is_some_and(|expected| expected != counter) {
            self.wrong.push(format!("PID {pid}: counter {counter} where {expected:?} was due"));
        }
        self.counters.insert(pid, counter);
        let mut rest = &packet[4..];
        if adaptation {
            let (field, after) = rest[1..].split_at(usize::from(rest[0]));
            rest = after;
            if field.first().is_some_and(|flags| flags & 0x10 != 0) {
                let base = field[1..6].iter().fold(0, |base, byte| base << 8 | i64::from(*byte)) >> 7;
                self.clocks.push(base);
            }
        }
        if payload == rest.is_empty() {
            self.wrong.push(format!("PID {pid}: payload announced {payload}, there are {} bytes", rest.len()));
        }
        self.payload(pid, packet[1] & 0x40 != 0, rest);
    }

    fn payload(&mut self, pid: u16, start: bool, payload: &[u8]) {
        match pid {
            _ if payload.is_empty() => {}
            0 | 0x1000 => self.tables.push(payload[1..].to_vec()),
            _ if start => self.packets.push((pid, payload.to_vec())),
            _ => {
                let open = self.packets.iter_mut().rev().find(|(known, _)| *known == pid);
                open.unwrap().1.extend_from_slice(payload);
            }
        }
    }

    /// PTS and payload of the PES packets of one stream.
    fn units(&self, pid: u16) -> Vec<(i64, &[u8])> {
        let ours = self.packets.iter().filter(|(known, _)| *known == pid);
        let read = |(_, pes): &'_ (u16, Vec<u8>)| {
            assert_eq!(pes[..3], [0, 0, 1]);
            assert_eq!(pes[7] & 0x80, 0x80, "no PTS");
            let byte = |at: usize| i64::from(pes[at]);
            byte(9) >> 1 << 30 & 0x1_C000_0000 | byte(10) << 22 | byte(11) >> 1 << 15 | byte(12) << 7 | byte(13) >> 1
        };
        ours.map(|packet| (read(packet), &packet.1[9 + usize::from(packet.1[8])..])).collect()
    }
}

fn reader(segments: &[Bytes]) -> Reader {
    let mut reader = Reader::default();
    for segment in segments {
        reader.read(segment);
    }
    reader
}

fn both(number: u64, start: i64) -> Bytes {
    let config = h264();
    let pictures = (0..60).map(|index| picture(start + index * 3_000, index == 0, 900 + index as usize * 7)).collect();
    let video = Video { config: &config, pictures, end: start + 180_000 };
    segment(number, Some(&video), Some(&frames(start + 500, 94, 341))).unwrap()
}

#[test]
fn pictures_come_with_delimiters_and_parameter_sets() {
    let config = h264();
    let pictures = vec![picture(0, true, 700), picture(3_000, false, 300), picture(6_000, true, 20)];
    let video = Video { config: &config, pictures: pictures.clone(), end: 9_000 };
    let reader = reader(&[segment(0, Some(&video), None).unwrap()]);
    assert_eq!(reader.wrong, [] as [String; 0]);
    let units = reader.units(VIDEO_PID);
    assert_eq!(units.len(), 3);
    for ((_, unit), picture) in units.iter().zip(&pictures) {
        let nals: Vec<_> = annex_b_nal_units(unit).collect();
        let sets: &[&[u8]] = if picture.key { &[BASELINE, BASELINE_PPS] } else { &[] };
        assert_eq!(nals[0], [9, 0xF0]);
        assert_eq!(nals[1..nals.len() - 1], *sets);
        assert_eq!(nals.last().unwrap(), &&picture.data[4..]);
    }
    assert_eq!(units[1].0 - units[0].0, 3_000);
}

#[test]
fn sound_comes_in_adts() {
    let audio = frames(0, 10, 200);
    let reader = reader(&[segment(0, None, Some(&audio)).unwrap()]);
    assert_eq!(reader.wrong, [] as [String; 0]);
    let units = reader.units(AUDIO_PID);
    assert_eq!(units.iter().map(|(_, unit)| unit.len()).collect::<Vec<_>>(), [4 * 207, 4 * 207, 2 * 207]);
    // AAC-LC, 48 kHz, two channels, 207 bytes.
    assert_eq!(units[0].1[..7], [0xFF, 0xF1, 0x4C, 0x80, 0x19, 0xFF, 0xFC]);
    assert_eq!(units[1].0 - units[0].0, 4 * 1_920);
    assert!(reader.clocks.windows(2).all(|pair| pair[1] - pair[0] <= 9_000));
    assert!(matches!(segment(0, None, Some(&frames(0, 1, 8_185))), Err(TsError::Adts)));
}

#[test]
fn counters_and_clocks_go_on_over_segments() {
    let segments: Vec<_> = (0..20).map(|number| both(number, number as i64 * 180_000)).collect();
    let reader = reader(&segments);
    assert_eq!(reader.wrong, [] as [String; 0]);
    assert_eq!(reader.tables.len(), 40);
    assert!(reader.clocks.windows(2).all(|pair| pair[0] < pair[1] && pair[1] - pair[0] <= 9_000));
    assert_eq!(reader.units(VIDEO_PID).len(), 1_200);
    // Stateless: the same again, whatever was made in between.
    assert_eq!(both(7, 7 * 180_000), segments[7]);
}

#[test]
fn negative_control_a_segment_that_is_left_out_or_broken_is_noticed() {
    let config = h264();
    let tail = Video { config: &config, pictures: vec![picture(0, true, 5_000)], end: 3_000 };
    let whole = segment(0, Some(&tail), None).unwrap();
    assert!(!reader(&[both(0, 0), both(2, 360_000)]).wrong.is_empty(), "PAT and PMT count segments");
    assert!(!reader(&[whole.slice(..3 * PACKET), whole.slice(4 * PACKET..)]).wrong.is_empty());
}

#[test]
fn times_wrap_at_33_bits() {
    for at in [WRAP - 90_000, WRAP * 3 - 90_000, -90_000 - 126_000] {
        let reader = reader(&[both(0, at)]);
        assert_eq!(reader.wrong, [] as [String; 0]);
        let units = reader.units(VIDEO_PID);
        for (index, (pts, _)) in units.iter().enumerate() {
            assert_eq!(*pts, (at + 126_000 + index as i64 * 3_000).rem_euclid(WRAP));
        }
        assert!(units.windows(2).any(|pair| pair[1].0 < pair[0].0) || at % WRAP == WRAP - 90_000);
        // The clock is behind what it belongs to, by less than a second.
        let lead = (units[0].0 - reader.clocks[0]).rem_euclid(WRAP);
        assert!((9_000..90_000).contains(&lead), "{lead}");
    }
}

#[test]
fn a_slow_camera_has_a_quick_clock() {
    let config = h264();
    let pictures = vec![picture(0, true, 9_000), picture(90_000, false, 100)];
    let video = Video { config: &config, pictures, end: 180_000 };
    let reader = reader(&[segment(0, Some(&video), Some(&frames(0, 94, 20))).unwrap()]);
    assert_eq!(reader.wrong, [] as [String; 0]);
    assert!(reader.clocks.len() >= 20);
    assert!(reader.clocks.windows(2).all(|pair| pair[0] < pair[1] && pair[1] - pair[0] <= 9_000), "{:?}", reader.clocks);
}

#[test]
fn without_pictures_the_sound_goes_on() {
    let config = h264();
    let none = Video { config: &config, pictures: Vec::new(), end: i64::MIN };
    let gap = segment(1, Some(&none), Some(&frames(180_500, 94, 341))).unwrap();
    let reader = reader(&[both(0, 0), gap, both(2, 360_000)]);
    assert_eq!(reader.wrong, [] as [String; 0]);
    assert!(reader.clocks.windows(2).all(|pair| pair[0] < pair[1] && pair[1] - pair[0] <= 9_000));
    assert_eq!(reader.units(AUDIO_PID).len(), 3 * 24);
    // The same PMT: the pictures will come back.
    assert_eq!(reader.tables[1], reader.tables[3]);
}

fn cmaf_video(start: u64, samples: &[Sample]) -> (Bytes, Bytes) {
    (init_segment_h264(&h264(), 90_000).unwrap(), fragment(1, TRACK_ID, start, samples).unwrap())
}

#[test]
fn cmaf_becomes_the_same_stream() {
    let key = picture(0, true, 400);
    let delta = picture(0, false, 100);
    let sample = |picture: &Picture, offset| Sample {
        duration: 3_000,
        key: picture.key,
        composition_offset: offset,
        data: picture.data.clone(),
    };
    let (video_init, video) = cmaf_video(900_000, &[sample(&key, 0), sample(&delta, 6_000)]);
    let sound = |data: &[u8]| Sample { duration: 1_024, key: true, composition_offset: 0, data: Bytes::copy_from_slice(data) };
    let audio_init = init_segment_aac(&CONFIG.to_bytes(), 48_000, 2, 48_000).unwrap();
    let audio =
        [fragment(1, TRACK_ID, 480_000, &[sound(b"one")]).unwrap(), fragment(2, TRACK_ID, 481_024, &[sound(b"two")]).unwrap()];
    let tracks = [Fragments { init: &video_init, media: &[video] }, Fragments { init: &audio_init, media: &audio }];
    let made = from_fmp4(3, &tracks).unwrap();
    let reader = reader(&[made]);
    assert_eq!(reader.wrong, [] as [String; 0]);
    assert_eq!(reader.units(VIDEO_PID).iter().map(|(pts, _)| pts - 126_000).collect::<Vec<_>>(), [900_000, 909_000]);
    let (pts, unit) = reader.units(AUDIO_PID)[0];
    assert_eq!((pts - 126_000, unit.len(), &unit[7..10]), (900_000, 20, &b"one"[..]));
    assert!(matches!(from_fmp4(3, &[tracks[0], tracks[0]]), Err(TsError::Codec)));
}

#[test]
fn survives_any_cmaf() {
    let (init, media) =
        cmaf_video(0, &[Sample { duration: 1, key: true, composition_offset: 0, data: Bytes::from_static(b"abc") }]);
    assert!(survives_mutations(&[&media], |bytes| {
        let media = [Bytes::copy_from_slice(bytes)];
        let _ = from_fmp4(0, &[Fragments { init: &init, media: &media }]);
    }));
    assert!(survives_mutations(&[&init], |bytes| {
        let media = [media.clone()];
        let _ = from_fmp4(0, &[Fragments { init: bytes, media: &media }]);
    }));
}

type Shape = (bool, Vec<(i64, usize)>, usize, usize);

fn any_segment() -> impl Strategy<Value = Shape> {
    let size = prop_oneof![1 => 0usize..40, 2 => 0usize..400, 1 => 0usize..9_000];
    let pictures = prop::collection::vec((1i64..60_000, size), 0..20);
    (any::<bool>(), pictures, 0usize..30, 0usize..800)
}

fn made(number: u64, at: i64, (has_video, pictures, sounds, sound): &Shape) -> (Bytes, i64) {
    let config = h264();
    let mut end = at;
    let one = |(index, (duration, len)): (usize, &(i64, usize))| {
        let picture = picture(end, index == 0, *len);
        end += duration;
        picture
    };
    let pictures: Vec<_> = pictures.iter().enumerate().map(one).collect();
    let video = Video { config: &config, end: if pictures.is_empty() { i64::MIN } else { end }, pictures };
    let bytes = segment(number, has_video.then_some(&video), Some(&frames(at, *sounds, *sound))).unwrap();
    (bytes, end.max(at + *sounds as i64 * 1_920))
}

#[test]
fn any_media_is_a_stream_that_goes_on() {
    let shapes = prop::collection::vec(any_segment(), 1..4);
    let run = runner(250).run(&(shapes, any::<u32>()), |(shapes, start)| {
        let mut at = i64::from(start);
        let mut segments = Vec::new();
        for (number, shape) in (0..).zip(&shapes) {
            let (bytes, end) = made(number, at, shape);
            segments.push(bytes);
            at = end;
        }
        let reader = reader(&segments);
        prop_assert_eq!(&reader.wrong, &[] as &[String]);
        let pictures: usize = shapes.iter().filter(|shape| shape.0).map(|shape| shape.1.len()).sum();
        prop_assert_eq!(reader.units(VIDEO_PID).len(), pictures);
        let sound: usize = reader.units(AUDIO_PID).iter().map(|(_, unit)| unit.len()).sum();
        let expected: usize = shapes.iter().map(|shape| shape.2 * (shape.3 + 7)).sum();
        prop_assert_eq!(sound, expected);
        Ok(())
    });
    run.unwrap();
}
