//! Timeline, segments and LL-HLS playlists as values.
//!
//! Two values live here. [`timeline::Timeline`] puts a publisher's tracks, each with a clock of its own, on one
//! programme time. [`Packager`] makes parts, segments and playlists of what carries programme time. Neither knows HTTP,
//! files or WebRTC; neither reads a clock. Handlers ask a [`Snapshot`] for bytes that exist; they never render.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod audio;
mod bitrate;
mod body;
mod boundary;
mod captions;
mod cipher;
mod config;
mod container;
mod daterange;
mod derive;
mod derived;
mod directives;
mod forms;
mod keyframe;
mod keys;
mod multivariant;
mod output;
mod packager;
mod playlist;
mod rendition;
mod segment;
mod snapshot;
mod store;
pub mod timeline;
mod token;
mod video;
mod view;

pub use body::Body;
pub use captions::{CaptionTrack, Cue, CueTime};
pub use cipher::{Cipher, MediaKey, Rotation, key_id_of, key_of};
pub use config::{AudioConfig, PackagerConfig, RungConfig};
pub use container::{CodecConfig, Format, VideoFormat};
pub use daterange::{DATE_RANGES_MAX, DateRange, DateRangeRefused};
pub use directives::{BadDirective, Directives, Skip};
pub use forms::{Follower, FormName, Forms};
pub use packager::{AudioFrame, Counters, Packager, PackagerEvent, VideoSample};
pub use playlist::iso_date;
pub use rendition::{RUNGS_MAX, Rendition};
pub use segment::{Init, OpenSegment, Part, SampleLayout, Segment, SegmentHead};
pub use snapshot::{Media, Reject, Response, Snapshot};
pub use timeline::{AudioStep, Timeline, VideoTiming, WallClock, WallMap};
pub use token::MediaTokens;
