//! Back from fragments to samples: for those who want the same media in another container.

use bytes::Bytes;
use shiguredo_mp4::boxes::{MoofBox, MoovBox, SampleEntry, TfhdBox, TrafBox, TrunSample};
use shiguredo_mp4::{BoxHeader, BoxSize, Decode, SampleFlags};

use super::{Fmp4Error, Sample};
use crate::aac::AudioSpecificConfig;
use crate::h264::H264Config;

/// A sample at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedSample {
    /// Decoding time in ticks of the track's timescale.
    pub time: u64,
    /// The sample; its data is a slice of the fragment.
    pub sample: Sample,
}

/// What an init segment says of its track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInit {
    /// Ticks per second.
    pub timescale: u32,
    /// How its samples are to be decoded.
    pub format: TrackFormat,
}

/// The codecs that other containers are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackFormat {
    /// `avc1`.
    H264(H264Config),
    /// `mp4a`, AAC-LC.
    Aac(AudioSpecificConfig),
    /// Anything else.
    Other,
}

/// Reads an init segment of one track, as [`super::init_segment_h264`] and [`super::init_segment_aac`] make it.
///
/// # Errors
/// Bytes that are no init segment, or one without a track.
pub fn track_init(init: &[u8]) -> Result<TrackInit, Fmp4Error> {
    let mut rest = init;
    while !rest.is_empty() {
        let (header, _) = BoxHeader::decode(rest)?;
        if header.box_type == MoovBox::TYPE {
            let (moov, _) = MoovBox::decode(rest)?;
            let track = moov.trak_boxes.first().ok_or(Fmp4Error::Unreadable)?;
            let entry = track.mdia_box.minf_box.stbl_box.stsd_box.entries.first().ok_or(Fmp4Error::Unreadable)?;
            return Ok(TrackInit { timescale: track.mdia_box.mdhd_box.timescale.get(), format: format(entry) });
        }
        rest = rest.get(length(&header)?..).ok_or(Fmp4Error::Unreadable)?;
    }
    Err(Fmp4Error::Unreadable)
}

fn format(entry: &SampleEntry) -> TrackFormat {
    match entry {
        SampleEntry::Avc1(avc1) => {
            let Some(sps) = avc1.avcc_box.sps_list.first() else { return TrackFormat::Other };
            let pps = avc1.avcc_box.pps_list.iter().map(|pps| Bytes::copy_from_slice(pps)).collect();
            TrackFormat::H264(H264Config { sps: Bytes::copy_from_slice(sps), pps })
        }
        SampleEntry::Mp4a(mp4a) => {
            let specific = mp4a.esds_box.es.dec_config_descr.dec_specific_info.as_ref();
            let config = specific.and_then(|info| AudioSpecificConfig::parse(&info.payload));
            config.map_or(TrackFormat::Other, TrackFormat::Aac)
        }
        _ => TrackFormat::Other,
    }
}

/// The samples of one or more fragments (a part, a segment), in order. Only fragments of one track whose data lies in the `mdat`
/// behind each `moof`, which is what CMAF allows. No bytes are copied.
///
/// # Errors
/// Bytes that are no such fragments.
pub fn samples(media: &Bytes) -> Result<Vec<TimedSample>, Fmp4Error> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < media.len() {
        let rest = &media[at..];
        let (header, _) = BoxHeader::decode(rest)?;
        let long = length(&header)?;
        if header.box_type == MoofBox::TYPE {
            let (moof, _) = MoofBox::decode(rest)?;
            for traf in &moof.traf_boxes {
                read_traf(traf, at, media, &mut found)?;
            }
        }
        at = at.checked_add(long).filter(|end| *end <= media.len()).ok_or(Fmp4Error::Unreadable)?;
    }
    Ok(found)
}

/// Where the first fragment begins: the decoding time of its first sample, in ticks of the track's timescale.
#[must_use]
pub fn first_time(media: &[u8]) -> Option<u64> {
    let (moof, _) = MoofBox::decode(media).ok()?;
    Some(moof.traf_boxes.first()?.tfdt_box.as_ref()?.base_media_decode_time)
}

/// Of a whole box. One that goes on to the end of the file is not what a fragment is made of.
fn length(header: &BoxHeader) -> Result<usize, Fmp4Error> {
    let size = match header.box_size {
        BoxSize::U32(size) => u64::from(size),
        BoxSize::U64(size) => size,
    };
    usize::try_from(size).ok().filter(|size| *size >= BoxHeader::MIN_SIZE).ok_or(Fmp4Error::Unreadable)
}

fn read_traf(traf: &TrafBox, moof: usize, media: &Bytes, found: &mut Vec<TimedSample>) -> Result<(), Fmp4Error> {
    let mut time = traf.tfdt_box.as_ref().ok_or(Fmp4Error::Unreadable)?.base_media_decode_time;
    for run in &traf.trun_boxes {
        let offset = run.data_offset.and_then(|offset| usize::try_from(offset).ok()).ok_or(Fmp4Error::Unreadable)?;
        let mut start = moof.checked_add(offset).ok_or(Fmp4Error::Unreadable)?;
        for (index, entry) in run.samples.iter().enumerate() {
            let first = run.first_sample_flags.filter(|_| index == 0);
            let (sample, end) = read_sample(entry, first, &traf.tfhd_box, start, media)?;
            start = end;
            let next = time.checked_add(u64::from(sample.duration)).ok_or(Fmp4Error::Unreadable)?;
            found.push(TimedSample { time: std::mem::replace(&mut time, next), sample });
        }
    }
    Ok(())
}

fn read_sample(
    entry: &TrunSample,
    first: Option<SampleFlags>,
    defaults: &TfhdBox,
    start: usize,
    media: &Bytes,
) -> Result<(Sample, usize), Fmp4Error> {
    let size = entry.size.or(defaults.default_sample_size).and_then(|size| usize::try_from(size).ok());
    let end = size.and_then(|size| start.checked_add(size)).filter(|end| *end <= media.len()).ok_or(Fmp4Error::Unreadable)?;
    let flags = first.or(entry.flags).or(defaults.default_sample_flags);
    let sample = Sample {
        duration: entry.duration.or(defaults.default_sample_duration).ok_or(Fmp4Error::Unreadable)?,
        key: flags.is_some_and(|flags| !flags.sample_is_non_sync_sample()),
        composition_offset: i32::try_from(entry.composition_time_offset.unwrap_or(0)).map_err(|_| Fmp4Error::Unreadable)?,
        data: media.slice(start..end),
    };
    Ok((sample, end))
}
