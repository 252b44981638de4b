//! MPEG-TS (ISO/IEC 13818-1) as HLS wants it: one programme of H.264 in Annex B form and AAC in ADTS, one segment at a time.
//!
//! A segment is a pure function of its media and its number: it needs nothing of the segments before it, so that each can be made
//! when somebody asks for it, in any order, and comes out the same again. Continuity counters go on over segments all the same: each
//! elementary stream fills a multiple of sixteen packets, and there is one PAT and one PMT, counted by the segment's number.

mod elementary;
mod packet;
mod pes;
mod psi;
mod remux;

use bytes::Bytes;

use crate::aac::AudioSpecificConfig;
use crate::fmp4::Fmp4Error;
use crate::h264::H264Config;
use elementary::{audio_packets, video_packets};
use packet::Packets;
use pes::{Pes, SCALE};

pub use remux::{Fragments, from_fmp4};

/// Bytes of a packet.
pub const PACKET: usize = 188;
/// Which packets carry the pictures, …
pub const VIDEO_PID: u16 = 0x100;
/// … and which the sound.
pub const AUDIO_PID: u16 = 0x101;

/// A PCR is in the stream at least this often (§2.7.2: 100 ms) …
const PCR_EVERY: i64 = 80 * SCALE / 1_000;
/// … and once more before a pause of this length.
const PCR_PAUSE: i64 = 90 * SCALE / 1_000;
/// A longer pause is a jump: nobody waits through it, and its length is not to decide about ours.
const PCR_JUMP: i64 = 60 * SCALE;

/// Why a segment could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TsError {
    /// The fMP4 that it was to be made of cannot be read.
    #[error(transparent)]
    Fmp4(#[from] Fmp4Error),
    /// Neither H.264 nor AAC-LC, or two of one kind.
    #[error("MPEG-TS carries one track of H.264 and one of AAC-LC")]
    Codec,
    /// AAC of a sampling rate or of a size that ADTS has no words for.
    #[error("an AAC frame that ADTS cannot carry")]
    Adts,
}

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Presentation time in ticks of 1/90 000 s, on the same line as the sound's. Any value; it wraps at 33 bits in the stream.
    pub pts: i64,
    /// Decoding time; rising from picture to picture, also over segments.
    pub dts: i64,
    /// An IDR: parameter sets are put before it.
    pub key: bool,
    /// AVCC with 4-byte lengths.
    pub data: Bytes,
}

/// One AAC frame of 1024 samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Presentation time in ticks of 1/90 000 s.
    pub pts: i64,
    /// Without ADTS.
    pub data: Bytes,
}

/// The pictures of a segment.
#[derive(Clone, Debug)]
pub struct Video<'a> {
    /// What is put before each IDR.
    pub config: &'a H264Config,
    /// In decoding order. None of them: the stream is announced and empty.
    pub pictures: Vec<Picture>,
    /// Where the last picture ends, in ticks of 1/90 000 s.
    pub end: i64,
}

/// The sound of a segment.
#[derive(Clone, Debug)]
pub struct Audio {
    /// Of all frames.
    pub config: AudioSpecificConfig,
    /// In order.
    pub frames: Vec<Frame>,
}

/// One segment. `number` counts the segments that follow each other in a playlist (the media sequence number). What the programme
/// consists of, `Some` or `None`, is the same in all of them, or their PMTs have another version.
///
/// # Errors
/// [`TsError::Adts`].
pub fn segment(number: u64, video: Option<&Video<'_>>, audio: Option<&Audio>) -> Result<Bytes, TsError> {
    let pictures = video.map(video_packets).unwrap_or_default();
    let frames = audio.map(audio_packets).transpose()?.unwrap_or_default();
    let clock = if video.is_some() { VIDEO_PID } else { AUDIO_PID };
    let end = video.map_or(i64::MIN, |video| video.end);
    let bytes: usize = pictures.iter().chain(&frames).map(Pes::len).sum();
    let mut out = Packets::new(clock, bytes + bytes / 16 + 32 * PACKET);
    out.section(psi::PAT_PID, number, &psi::pat());
    out.section(psi::PMT_PID, number, &psi::pmt(clock, video.is_some(), audio.is_some()));
    let mut counts = [packet::shares(&pictures).into_iter(), packet::shares(&frames).into_iter()];
    let mut queues = [pictures.iter().peekable(), frames.iter().peekable()];
    loop {
        let times = [queues[0].peek().map(|pes| pes.dts), queues[1].peek().map(|pes| pes.dts)];
        let which = match times {
            [None, None] => break,
            [Some(picture), Some(frame)] => usize::from(frame < picture),
            [Some(_), None] => 0,
            [None, Some(_)] => 1,
        };
        let (Some(pes), Some(count)) = (queues[which].next(), counts[which].next()) else { break };
        let next_clock = if clock == VIDEO_PID { times[0] } else { times[1] };
        out.clock_until(pes.dts, next_clock);
        out.pes(pes, count);
    }
    out.clock_until(end, None);
    Ok(out.finish())
}
