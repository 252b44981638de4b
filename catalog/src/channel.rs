//! A channel as the catalog remembers it.

use std::time::SystemTime;

use minamo_media::ChannelId;

use crate::ChannelSecret;

/// One channel that exists: created, and not deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    /// Its stable id.
    pub id: ChannelId,
    /// What it was created as.
    pub kind: ChannelKind,
    /// The settings of the request that created it, as JSON. The catalog does not look inside.
    pub settings: serde_json::Value,
    /// When it was created, to the millisecond.
    pub created_at: SystemTime,
    /// What its media keys and signatures are derived from.
    pub secret: ChannelSecret,
}

/// What a channel was created as: decides who may publish and whether there is HLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// One publisher and one playlist (`CreateChannel`).
    Single,
    /// A room without HLS (`CreateMultistreamChannel`).
    Multistream,
    /// A room with one playlist per publisher (`CreateMultistreamChannelWithHLS`).
    MultistreamWithHls,
}

impl ChannelKind {
    /// Whether viewers can watch by HLS.
    #[must_use]
    pub fn has_hls(self) -> bool {
        !matches!(self, Self::Multistream)
    }

    /// Whether every publisher has a playlist of its own.
    #[must_use]
    pub fn has_playlist_per_publisher(self) -> bool {
        matches!(self, Self::MultistreamWithHls)
    }

    /// Whether several peers may publish at once.
    #[must_use]
    pub fn is_multistream(self) -> bool {
        !matches!(self, Self::Single)
    }

    /// The word in storage and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Multistream => "multistream",
            Self::MultistreamWithHls => "multistream_with_hls",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Single, Self::Multistream, Self::MultistreamWithHls].into_iter().find(|kind| kind.as_str() == word)
    }
}
