//! Fragmented MP4 (ISO/IEC 14496-12) of one track, as CMAF (ISO/IEC 23000-19) and HLS want it: an init segment once, then one
//! `moof` + `mdat` per part. A segment is its parts joined; there is no `styp`.

mod fragment;
mod init;
mod read;

pub use fragment::{Sample, fragment};
pub use init::{init_segment_aac, init_segment_h264};
pub use read::{TimedSample, TrackFormat, TrackInit, first_time, samples, track_init};

use crate::h264::SpsError;

/// The only track in an init segment that is made here.
pub const TRACK_ID: u32 = 1;

/// Why boxes could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Fmp4Error {
    /// The track's SPS cannot be used.
    #[error("cannot describe the video track: {0}")]
    Sps(#[from] SpsError),
    /// The timescale is zero.
    #[error("the timescale is zero")]
    Timescale,
    /// A sample or the fragment is larger than its field (2 GiB).
    #[error("a fragment of more than 2 GiB")]
    TooLarge,
    /// What was to be read is no init segment or fragment of one track.
    #[error("not an init segment or fragments of one track")]
    Unreadable,
    /// A value does not fit into its box.
    #[error("cannot encode a box: {0}")]
    Encode(#[from] shiguredo_mp4::Error),
}
