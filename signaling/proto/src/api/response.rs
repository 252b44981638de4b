//! What the API answers.

use serde::{Deserialize, Serialize};

/// Answer of the three create operations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelCreated {
    /// The new channel.
    pub channel_id: String,
    /// `ws(s)://host/signaling`
    pub sora_url: String,
    /// Only where it is known in advance: a channel with a single publisher.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub playlist_url: Option<String>,
}

/// Answer of ListChannelIDs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelIds {
    /// All channels that are not deleted.
    pub channel_ids: Vec<String>,
}

/// Answer of ListPlaylistURLs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaylistUrls {
    /// The channel that was asked for.
    pub channel_id: String,
    /// One entry per publisher whose playlist can be fetched now.
    pub hls: Vec<PlaylistUrl>,
}

/// One publisher's playlist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaylistUrl {
    /// The publisher.
    pub connection_id: String,
    /// Absolute URL of its multivariant playlist.
    pub playlist_url: String,
}

/// Answer of GetEncryptKey.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptKey {
    /// 32 lower-case hex digits: the 16 bytes of an AES-128 key.
    pub encrypt_key: String,
}

/// Answer of DeleteChannel: an empty object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {}

/// The body of every answer that is not 2xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Words for a person.
    pub error: String,
    /// An upper-case token for a program.
    pub error_type: String,
}
