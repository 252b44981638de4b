//! `X-Sora-Target` as a type. [`TARGETS`] is the one table of operations.

use super::{ForwardingOperation, Whom};

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
    /// The media key that a kid names.
    GetEncryptKey,
    /// Ends connections.
    Disconnect(Whom),
    /// Sends something to connections.
    Push(Whom),
    /// The connections of all channels.
    ListConnections,
    /// The connections of one channel.
    ListChannelConnections,
    /// The channels in which somebody is.
    ListChannels,
    /// The SFU's numbers of connections.
    Stats(Whom),
    /// The SFU's numbers of all connections.
    StatsOfAll,
    /// The clients' own statistics.
    RtcStats(Whom),
    /// The clients' own statistics, of all.
    RtcStatsOfAll,
    /// Sessions: a channel's life from the first connection to the last.
    Session(SessionOperation),
    /// The numbers of the whole server.
    StatsReport,
    /// What this server may do.
    License,
    /// The servers that work together.
    ClusterNodes,
    /// Known, and answered with an error that says that it is not available.
    NotAvailable,
    /// How tracks are forwarded.
    Forwarding(ForwardingOperation),
}

/// What can be done with sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionOperation {
    /// All there are.
    List,
    /// One channel's.
    Get,
    /// Ends it: disconnects everybody.
    Terminate,
}

const TARGETS: &[(&str, Operation)] = &[
    ("ImageFlux_20180905.CreateChannel", Operation::CreateChannel),
    ("ImageFlux_20200316.CreateMultistreamChannel", Operation::CreateMultistreamChannel),
    ("ImageFlux_20200316.CreateMultistreamChannelWithHLS", Operation::CreateMultistreamChannelWithHls),
    ("ImageFlux_20180501.DeleteChannel", Operation::DeleteChannel),
    ("ImageFlux_20200729.ListChannelIDs", Operation::ListChannelIds),
    ("ImageFlux_20200207.ListPlaylistURLs", Operation::ListPlaylistUrls),
    ("ImageFlux_20200707.GetEncryptKey", Operation::GetEncryptKey),
    ("Sora_20151104.DisconnectChannel", Operation::Disconnect(Whom::Channel)),
    ("Sora_20151104.DisconnectConnection", Operation::Disconnect(Whom::Connection)),
    ("Sora_20151104.DisconnectClient", Operation::Disconnect(Whom::Client)),
    ("Sora_20201120.DisconnectChannelByRole", Operation::Disconnect(Whom::Role)),
    ("Sora_20160711.PushChannel", Operation::Push(Whom::Channel)),
    ("Sora_20160711.PushConnection", Operation::Push(Whom::Connection)),
    ("Sora_20160711.PushClient", Operation::Push(Whom::Client)),
    ("Sora_20201120.PushChannelByRole", Operation::Push(Whom::Role)),
    ("Sora_20201013.ListConnections", Operation::ListConnections),
    ("Sora_20151104.ListConnections", Operation::ListConnections),
    ("Sora_20201013.ListChannelConnections", Operation::ListChannelConnections),
    ("Sora_20201013.ListChannels", Operation::ListChannels),
    ("Sora_20170529.GetStatsConnection", Operation::Stats(Whom::Connection)),
    ("Sora_20170529.GetStatsClient", Operation::Stats(Whom::Client)),
    ("Sora_20171101.GetStatsAllConnections", Operation::StatsOfAll),
    ("Sora_20171010.GetStatsReport", Operation::StatsReport),
    ("Sora_20211215.ListRtcStats", Operation::RtcStatsOfAll),
    ("Sora_20211215.ListChannelRtcStats", Operation::RtcStats(Whom::Channel)),
    ("Sora_20211215.GetRtcStats", Operation::RtcStats(Whom::Connection)),
    ("Sora_20231220.ListSessions", Operation::Session(SessionOperation::List)),
    ("Sora_20231220.GetSession", Operation::Session(SessionOperation::Get)),
    ("Sora_20230628.TerminateSession", Operation::Session(SessionOperation::Terminate)),
    ("Sora_20171218.GetLicense", Operation::License),
    ("Sora_20211215.ListClusterNodes", Operation::ClusterNodes),
    ("Sora_20231220.StartRecording", Operation::NotAvailable),
    ("Sora_20231220.StopRecording", Operation::NotAvailable),
    ("Sora_20161101.StartRecording", Operation::NotAvailable),
    ("Sora_20161101.StopRecording", Operation::NotAvailable),
    ("Sora_20221221.StartAudioStreaming", Operation::NotAvailable),
    ("Sora_20221221.StopAudioStreaming", Operation::NotAvailable),
    ("ImageFlux_20180601.Stats", Operation::NotAvailable),
];

impl Operation {
    /// Reads the header's value; `None` for a target that does not exist.
    #[must_use]
    pub fn from_target(target: &str) -> Option<Self> {
        let own = TARGETS.iter().find(|(name, _)| *name == target.trim()).map(|(_, operation)| *operation);
        own.or_else(|| ForwardingOperation::from_target(target).map(Self::Forwarding))
    }

    /// The header's value for this operation.
    #[must_use]
    pub fn target(self) -> &'static str {
        if let Self::Forwarding(operation) = self {
            return operation.target();
        }
        TARGETS.iter().find(|(_, operation)| *operation == self).map_or("", |(name, _)| name)
    }
}
