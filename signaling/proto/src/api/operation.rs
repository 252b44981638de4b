//! `X-Sora-Target` as a type.

/// What `X-Sora-Target` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A channel with one publisher and one HLS programme.
    CreateChannel,
    /// A room without HLS.
    CreateMultistreamChannel,
    /// A room where every publisher has an HLS programme of its own.
    CreateMultistreamChannelWithHls,
    /// Ends a channel for good.
    DeleteChannel,
    /// The ids of all channels.
    ListChannelIds,
    /// The playlists that can be fetched now.
    ListPlaylistUrls,
}

const TARGETS: [(&str, Operation); 6] = [
    ("ImageFlux_20180905.CreateChannel", Operation::CreateChannel),
    ("ImageFlux_20200316.CreateMultistreamChannel", Operation::CreateMultistreamChannel),
    ("ImageFlux_20200316.CreateMultistreamChannelWithHLS", Operation::CreateMultistreamChannelWithHls),
    ("ImageFlux_20180501.DeleteChannel", Operation::DeleteChannel),
    ("ImageFlux_20200729.ListChannelIDs", Operation::ListChannelIds),
    ("ImageFlux_20200207.ListPlaylistURLs", Operation::ListPlaylistUrls),
];

impl Operation {
    /// Reads the header's value; `None` for a target that does not exist.
    #[must_use]
    pub fn from_target(target: &str) -> Option<Self> {
        TARGETS.iter().find(|(name, _)| *name == target.trim()).map(|(_, operation)| *operation)
    }

    /// The header's value for this operation.
    #[must_use]
    pub fn target(self) -> &'static str {
        TARGETS.iter().find(|(_, operation)| *operation == self).map_or("", |(name, _)| name)
    }
}
