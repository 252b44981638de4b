//! The shared words of Minamo: ids, clocks, codecs, access units, bitstreams, RTP payload formats and containers.
//!
//! This crate is pure: it owns no socket, no file, no task and never reads a clock. Times come in as values.
//! It is the only crate that parses bitstreams, and it knows nothing of rooms, HTTP or HLS.

pub mod aac;
pub mod fmp4;
pub mod h264;
pub mod id;
pub mod mpegts;
pub mod opus;
pub mod rtp;
pub mod size;
pub mod tap;
pub mod time;
pub mod track;

pub use id::{ChannelId, ConnectionId, TrackId};
pub use size::{PictureSize, picture_size};
pub use tap::{AccessUnit, SenderReport, TapEvent, TapSink, Upstream};
pub use time::{NtpTime, Timestamp};
pub use track::{Codec, Kind, TrackInfo};
