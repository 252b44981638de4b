//! What signaling may ask of the HLS side. `server/` implements it: signaling does not know gateways.

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
}
