//! What signaling may ask of the HLS side. `server/` implements it: signaling does not know gateways.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use minamo_catalog::Channel;
use minamo_media::{ChannelId, ConnectionId};
use serde::Serialize;

/// One publisher's playlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaylistPath {
    /// The publisher.
    pub publisher: ConnectionId,
    /// Absolute path of its multivariant playlist, as `/hls/…/playlist.m3u8`.
    pub path: String,
}

/// How it goes with pictures that cannot be shown as they come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Transcoding {
    /// They are transcoded.
    Running,
    /// They are left out.
    Refused {
        /// A word: `full`, `off`, `codec`, `size`, `broken`.
        reason: &'static str,
        /// For people.
        why: String,
    },
}

/// Timed metadata of a programme: EXT-X-DATERANGE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Never used again in the programme.
    pub id: String,
    /// Since the Unix epoch.
    pub start: Duration,
    /// How long it lasts, when that is known.
    pub duration: Option<Duration>,
    /// How long it is expected to last.
    pub planned_duration: Option<Duration>,
    /// As they are written behind `NAME=`.
    pub attributes: BTreeMap<String, String>,
}

/// Captions of one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captions {
    /// One of the channel's; its first where it is not said.
    pub language: Option<String>,
    /// In this publisher's programme only.
    pub publisher: Option<ConnectionId>,
    /// In any order.
    pub cues: Vec<Caption>,
}

/// One caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// From then on.
    pub start: CaptionTime,
    /// Until then.
    pub end: CaptionTime,
    /// WebVTT cue text.
    pub text: String,
}

/// When a caption is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptionTime {
    /// Since the Unix epoch.
    Wall(Duration),
    /// Since the programme's beginning.
    Programme(Duration),
}

/// Why metadata or captions were not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataRefused {
    /// Nothing is live.
    #[error("nothing is being published here")]
    NotLive,
    /// The id was used, or is there with other attributes.
    #[error("{0}")]
    Conflict(String),
    /// The channel has no captions in this language.
    #[error("the channel has no captions in this language")]
    NoTrack,
    /// There is no room.
    #[error("{0}")]
    Full(String),
}

/// An answer that comes later.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The programmes of channels with HLS. Cheap, non-blocking calls.
pub trait Programmes: Send + Sync {
    /// The channel has HLS and may be tapped from now on. Called on create and before a publisher's first media; idempotent.
    fn open(&self, channel: &Channel);
    /// The channel is deleted: its playlists are gone.
    fn delete(&self, channel: &ChannelId);
    /// The playlists that can be fetched now.
    fn playlists(&self, channel: &ChannelId) -> Vec<PlaylistPath>;
    /// Where any of the channel's publishers sends what has to be transcoded. A refusal of one counts for all.
    fn transcoding(&self, _channel: &ChannelId) -> Option<Transcoding> {
        None
    }
    /// The name of the channel secret that a kid was derived from; `None` for what is no kid.
    fn key_id<'a>(&self, kid: &'a str) -> Option<&'a str> {
        let _ = kid;
        None
    }
    /// The AES-128 key that a kid of this channel names; `None` when the channel is not encrypted.
    fn media_key(&self, channel: &Channel, kid: &str) -> Option<[u8; 16]> {
        let _ = (channel, kid);
        None
    }
    /// What makes a playlist's path (`/hls/…/playlist.m3u8`) one that may be opened until `expires` (Unix seconds): its query.
    /// `None` when the channel needs no signatures.
    fn sign(&self, channel: &Channel, path: &str, expires: u64) -> Option<String> {
        let _ = (channel, path, expires);
        None
    }
    /// Puts metadata into the playlists of a publisher's programme, or of all of the channel's.
    fn add_metadata(
        &self,
        channel: &ChannelId,
        publisher: Option<&ConnectionId>,
        metadata: Metadata,
    ) -> Later<Result<(), MetadataRefused>> {
        let _ = (channel, publisher, metadata);
        Box::pin(async { Err(MetadataRefused::NotLive) })
    }
    /// Adds captions to the live programmes.
    fn add_captions(&self, channel: &ChannelId, captions: Captions) -> Later<Result<(), MetadataRefused>> {
        let _ = (channel, captions);
        Box::pin(async { Err(MetadataRefused::NotLive) })
    }
}
