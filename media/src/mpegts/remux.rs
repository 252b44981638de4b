//! From the CMAF store to MPEG-TS: the same access units in another container.

use bytes::Bytes;

use super::pes::SCALE;
use super::{Audio, Frame, Picture, TsError, Video, segment};
use crate::Timestamp;
use crate::aac::AudioSpecificConfig;
use crate::fmp4::{TimedSample, TrackFormat, samples, track_init};
use crate::h264::H264Config;

/// One track's part in a segment.
#[derive(Clone, Copy, Debug)]
pub struct Fragments<'a> {
    /// Its init segment.
    pub init: &'a [u8],
    /// `moof` + `mdat` pairs in order, joined or one by one. None of them: a gap; the track is announced all the same.
    pub media: &'a [Bytes],
}

enum Track {
    Video(H264Config, Vec<Picture>, i64),
    Audio(Audio),
}

/// One MPEG-TS segment of the fMP4 segments that have the same number: a track of H.264, a track of AAC-LC, or both. Times are those
/// of the fragments, so that segments made of one CMAF timeline follow each other.
///
/// # Errors
/// Other codecs, and bytes that are no CMAF.
pub fn from_fmp4(number: u64, tracks: &[Fragments<'_>]) -> Result<Bytes, TsError> {
    let (mut video, mut audio) = (None, None);
    for fragments in tracks {
        let twice = match read(fragments)? {
            Track::Video(config, pictures, end) => video.replace((config, pictures, end)).is_some(),
            Track::Audio(sound) => audio.replace(sound).is_some(),
        };
        if twice {
            return Err(TsError::Codec);
        }
    }
    let video = video.as_mut().map(|(config, pictures, end)| Video { config, pictures: std::mem::take(pictures), end: *end });
    segment(number, video.as_ref(), audio.as_ref())
}

fn read(fragments: &Fragments<'_>) -> Result<Track, TsError> {
    let init = track_init(fragments.init)?;
    let mut found = Vec::new();
    for media in fragments.media {
        found.extend(samples(media)?);
    }
    match init.format {
        TrackFormat::H264(config) => {
            let end = found.last().map_or(i64::MIN, |last| ticks(last.time + u64::from(last.sample.duration), init.timescale));
            let pictures = found.into_iter().map(|timed| picture(timed, init.timescale)).collect();
            Ok(Track::Video(config, pictures, end))
        }
        TrackFormat::Aac(config) => Ok(Track::Audio(sound(config, found, init.timescale))),
        TrackFormat::Other => Err(TsError::Codec),
    }
}

fn picture(timed: TimedSample, timescale: u32) -> Picture {
    let TimedSample { time, sample } = timed;
    let pts = time.saturating_add_signed(i64::from(sample.composition_offset));
    Picture { pts: ticks(pts, timescale), dts: ticks(time, timescale), key: sample.key, data: sample.data }
}

fn sound(config: AudioSpecificConfig, found: Vec<TimedSample>, timescale: u32) -> Audio {
    let frame = |timed: TimedSample| Frame { pts: ticks(timed.time, timescale), data: timed.sample.data };
    Audio { config, frames: found.into_iter().map(frame).collect() }
}

fn ticks(time: u64, timescale: u32) -> i64 {
    Timestamp::new(time as i64, timescale.max(1)).rescale(SCALE as u32).ticks
}
