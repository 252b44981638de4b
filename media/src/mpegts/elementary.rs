//! Access units as transport streams carry them: Annex B with delimiters and parameter sets, AAC with ADTS headers.

use super::pes::Pes;
use super::{Audio, Frame, Picture, TsError, Video};
use crate::aac::FRAME_SAMPLES;
use crate::h264::{H264Config, NalType, nal_units};

/// Frames of sound in one PES packet: 85 ms at 48 kHz, less than the clock's longest pause where sound carries it.
const FRAMES_TOGETHER: usize = 4;
/// Stuffing for the last PES packets of a stream that has so few that sixteen packets could not be filled otherwise.
const STUFFING: usize = 16;
const FEW: usize = 3;

/// A delimiter for any kind of picture (ITU-T H.264 §7.3.2.4), and the start code before it.
const DELIMITER: [u8; 6] = [0, 0, 0, 1, NalType::AUD.0, 0xF0];

pub(super) fn video_packets(video: &Video<'_>) -> Vec<Pes> {
    let stuffing = if video.pictures.len() < FEW { STUFFING } else { 0 };
    let packet = |picture: &Picture| {
        let payload = annex_b(video.config, picture);
        Pes::video(picture.pts, picture.dts, picture.key, stuffing, &payload)
    };
    video.pictures.iter().map(packet).collect()
}

fn annex_b(config: &H264Config, picture: &Picture) -> Vec<u8> {
    let mut out = Vec::with_capacity(picture.data.len() + 128);
    out.extend(DELIMITER);
    let mut put = |nal: &[u8]| {
        out.extend([0, 0, 0, 1]);
        out.extend_from_slice(nal);
    };
    if picture.key {
        put(&config.sps);
        config.pps.iter().for_each(|pps| put(pps));
    }
    let said = |nal: &&[u8]| matches!(NalType::of(nal), Some(NalType::AUD | NalType::SPS | NalType::PPS));
    nal_units(&picture.data).filter(|nal| !said(nal)).for_each(put);
    out
}

pub(super) fn audio_packets(audio: &Audio) -> Result<Vec<Pes>, TsError> {
    let length = i64::from(FRAME_SAMPLES) * super::pes::SCALE / i64::from(audio.config.sample_rate.max(1));
    let groups = groups(&audio.frames, length);
    let stuffing = if groups.len() < FEW { STUFFING } else { 0 };
    groups.into_iter().map(|group| Ok(Pes::audio(group[0].pts, stuffing, &adts(audio, group)?))).collect()
}

/// A few frames that follow each other without a hole: the PTS is of the first one only.
fn groups(frames: &[Frame], length: i64) -> Vec<&[Frame]> {
    let together = frames.chunk_by(|frame, next| (next.pts - frame.pts - length).abs() <= 2);
    together.flat_map(|run| run.chunks(FRAMES_TOGETHER)).collect()
}

fn adts(audio: &Audio, frames: &[Frame]) -> Result<Vec<u8>, TsError> {
    let mut out = Vec::with_capacity(frames.iter().map(|frame| frame.data.len() + 7).sum());
    for frame in frames {
        out.extend(audio.config.adts_header(frame.data.len()).ok_or(TsError::Adts)?);
        out.extend_from_slice(&frame.data);
    }
    Ok(out)
}
