use bytes::Bytes;
use minamo_media::aac::AudioSpecificConfig;
use minamo_media::fmp4::{Fmp4Error, Sample, TRACK_ID, fragment, init_segment_aac, init_segment_h264};
use minamo_media::h264::{H264Config, SpsError};
use proptest::prelude::*;

use shiguredo_mp4::boxes::{FtypBox, MoofBox, MoovBox, SampleEntry};
use shiguredo_mp4::demux::Fmp4SegmentDemuxer;
use shiguredo_mp4::{Decode, Uint};

use crate::h264::{BASELINE, BASELINE_PPS, HIGH};
use crate::support::runner;

fn video_init(sps: &'static [u8]) -> Bytes {
    let config = H264Config { sps: sps.into(), pps: vec![BASELINE_PPS.into()] };
    init_segment_h264(&config, 90_000).unwrap()
}

fn audio_init() -> Bytes {
    let asc = AudioSpecificConfig { sample_rate: 48_000, channels: 2 }.to_bytes();
    init_segment_aac(&asc, 48_000, 2, 48_000).unwrap()
}

fn sample(duration: u32, key: bool, composition_offset: i32, data: &[u8]) -> Sample {
    Sample { duration, key, composition_offset, data: Bytes::copy_from_slice(data) }
}

fn moov(init: &[u8]) -> MoovBox {
    let (_, ftyp_len) = FtypBox::decode(init).unwrap();
    let (moov, moov_len) = MoovBox::decode(&init[ftyp_len..]).unwrap();
    assert_eq!(ftyp_len + moov_len, init.len());
    moov
}

fn entry(moov: &MoovBox) -> &SampleEntry {
    &moov.trak_boxes[0].mdia_box.minf_box.stbl_box.stsd_box.entries[0]
}

/// Types and sizes of the boxes at the top, read by hand.
fn top_boxes(mut bytes: &[u8]) -> Vec<(&[u8], usize)> {
    let mut boxes = Vec::new();
    while let Some((size, rest)) = bytes.split_first_chunk::<4>() {
        let size = u32::from_be_bytes(*size) as usize;
        boxes.push((&rest[..4], size));
        bytes = &bytes[size..];
    }
    boxes
}

/// What a player makes of it: decoding times and samples. `None` if it refuses a part.
fn demux(init: &[u8], media: &[u8]) -> Option<Vec<(u64, Sample)>> {
    let mut demuxer = Fmp4SegmentDemuxer::new();
    demuxer.handle_init_segment(init).unwrap();
    let mut samples = Vec::new();
    let mut rest = media;
    for pair in top_boxes(media).chunks(2) {
        let (part, after) = rest.split_at(pair.iter().map(|(_, size)| size).sum());
        rest = after;
        for found in demuxer.handle_media_segment(part).ok()? {
            let start = found.data_offset as usize;
            let data = part.get(start..start + found.data_size)?;
            let offset = found.composition_time_offset.unwrap_or(0) as i32;
            samples.push((found.timestamp, sample(found.duration, found.keyframe, offset, data)));
        }
    }
    Some(samples)
}

fn with_times(base: u64, samples: &[Sample]) -> Option<Vec<(u64, Sample)>> {
    let mut time = base;
    let stamp = |sample: &Sample| {
        let at = time;
        time += u64::from(sample.duration);
        (at, sample.clone())
    };
    Some(samples.iter().map(stamp).collect())
}

#[test]
fn the_video_init_segment_describes_its_track() {
    let init = video_init(HIGH);
    assert_eq!(&init[4..12], b"ftypiso6");
    assert!(init[..40].windows(4).any(|brand| brand == b"cmfc"));
    let moov = moov(&init);
    let track = &moov.trak_boxes[0];
    assert_eq!((track.tkhd_box.width.integer, track.tkhd_box.height.integer), (1920, 1080));
    assert_eq!(track.mdia_box.mdhd_box.timescale.get(), 90_000);
    assert_eq!(track.tkhd_box.track_id, TRACK_ID);
    assert_eq!(moov.mvex_box.as_ref().unwrap().trex_boxes[0].track_id, TRACK_ID);
    let SampleEntry::Avc1(avc1) = entry(&moov) else {
        panic!("not avc1");
    };
    assert_eq!((avc1.avcc_box.avc_profile_indication, avc1.avcc_box.length_size_minus_one.get()), (100, 3));
    assert_eq!((&avc1.avcc_box.sps_list[0][..], &avc1.avcc_box.pps_list[0][..]), (HIGH, BASELINE_PPS));
    assert_eq!(avc1.avcc_box.chroma_format.map(Uint::get), Some(1));
}

#[test]
fn the_audio_init_segment_describes_its_track() {
    let moov = moov(&audio_init());
    let SampleEntry::Mp4a(mp4a) = entry(&moov) else {
        panic!("not mp4a");
    };
    assert_eq!((mp4a.audio.channelcount, mp4a.audio.samplerate.integer), (2, 48_000));
    let asc = mp4a.esds_box.es.dec_config_descr.dec_specific_info.as_ref().map(|info| info.payload.as_slice());
    assert_eq!(asc, Some(&[0x11, 0x90][..]));
}

#[test]
fn refuses_a_track_that_cannot_be_described() {
    let config = H264Config { sps: BASELINE_PPS.into(), pps: vec![] };
    assert!(matches!(init_segment_h264(&config, 90_000), Err(Fmp4Error::Sps(SpsError::NotSps))));
    assert!(matches!(init_segment_aac(&[0x11, 0x90], 48_000, 2, 0), Err(Fmp4Error::Timescale)));
}

#[test]
fn a_fragment_is_one_moof_and_one_mdat() {
    let samples = [sample(3_000, true, 0, b"first"), sample(3_001, false, 0, b"second")];
    let part = fragment(7, TRACK_ID, 1 << 33, &samples).unwrap();
    let boxes = top_boxes(&part);
    assert_eq!(boxes.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [b"moof", b"mdat"]);
    assert_eq!(boxes[1].1, 8 + 11);
    let (moof, moof_len) = MoofBox::decode(&part).unwrap();
    assert_eq!(moof.mfhd_box.sequence_number, 7);
    let traf = &moof.traf_boxes[0];
    let tfdt = traf.tfdt_box.as_ref().unwrap();
    assert_eq!((tfdt.version, tfdt.base_media_decode_time), (1, 1 << 33));
    assert!(traf.tfhd_box.default_base_is_moof);
    assert_eq!(traf.trun_boxes[0].data_offset, Some(moof_len as i32 + 8));
}

#[test]
fn what_all_samples_share_is_said_once() {
    let frames: Vec<_> = (0..16).map(|index| sample(1_024, true, 0, &[index; 20])).collect();
    let part = fragment(1, TRACK_ID, 0, &frames).unwrap();
    let (moof, moof_len) = MoofBox::decode(&part).unwrap();
    assert_eq!(moof.traf_boxes[0].tfhd_box.default_sample_duration, Some(1_024));
    assert!(moof_len < 108 + 16 * 4, "{moof_len}");
    assert_eq!(demux(&audio_init(), &part), with_times(0, &frames));
}

#[test]
fn parts_joined_are_a_segment() {
    let first = [sample(3_000, true, 0, b"one"), sample(3_000, false, 0, b"two")];
    let second = [sample(2_950, false, 0, b"three")];
    let joined = [fragment(1, TRACK_ID, 500, &first).unwrap(), fragment(2, TRACK_ID, 6_500, &second).unwrap()].concat();
    assert_eq!(demux(&video_init(BASELINE), &joined), with_times(500, &[&first[..], &second].concat()));
}

fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    let fields = (prop_oneof![Just(3_000), 1u32..200_000], any::<bool>(), prop_oneof![3 => Just(0), 1 => -9_000..9_000]);
    let one = (fields, prop::collection::vec(any::<u8>(), 0..300));
    let one = one.prop_map(|((duration, key, offset), data)| sample(duration, key, offset, &data));
    prop::collection::vec(one, 1..70)
}

#[test]
fn what_is_muxed_is_demuxed() {
    runner(300)
        .run(&(any::<u32>(), 0u64..1 << 40, any_samples()), |(sequence, base, samples)| {
            let part = fragment(sequence, TRACK_ID, base, &samples).unwrap();
            prop_assert_eq!(demux(&video_init(BASELINE), &part), with_times(base, &samples));
            Ok(())
        })
        .unwrap();
}

/// The comparison above must be able to fail: another base time, or media bytes that are one off.
#[test]
fn negative_control_a_wrong_time_or_offset_is_noticed() {
    let samples = [sample(3_000, true, 0, b"first"), sample(3_000, false, 0, b"second")];
    let part = fragment(1, TRACK_ID, 100, &samples).unwrap();
    assert_ne!(demux(&video_init(BASELINE), &part), with_times(101, &samples));
    let (moof, moof_len) = MoofBox::decode(&part).unwrap();
    let offset = moof.traf_boxes[0].trun_boxes[0].data_offset.unwrap().to_be_bytes();
    let at = part[..moof_len].windows(4).rposition(|window| window == offset).unwrap();
    let mut shifted = part.to_vec();
    shifted[at + 3] -= 1;
    assert_ne!(demux(&video_init(BASELINE), &shifted), with_times(100, &samples));
}

#[test]
fn no_samples_are_a_fragment_too() {
    let part = fragment(1, TRACK_ID, 100, &[]).unwrap();
    assert_eq!(top_boxes(&part).last(), Some(&(&b"mdat"[..], 8)));
}
