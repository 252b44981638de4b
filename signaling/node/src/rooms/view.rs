//! The rooms as the API looks at them.

use std::sync::Arc;

use minamo_media::ChannelId;
use minamo_signaling_proto::api::{Selected, Selection};
use minamo_signaling_proto::sora::Counters;

use super::Rooms;
use super::channel_room::ChannelRoom;
use crate::ConnectionSummary;
use crate::figures::Figures;
use crate::mailbox::Mailbox;

/// One connection: what is known of it, and how to reach it.
#[derive(Clone)]
pub(crate) struct Reached {
    pub summary: ConnectionSummary,
    pub mailbox: Arc<Mailbox>,
    pub figures: Arc<Figures>,
}

/// One channel's present life.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct SessionSummary {
    pub channel_id: String,
    pub session_id: String,
    /// Unix seconds.
    pub created_time: i64,
    /// RFC 3339, UTC, microseconds.
    pub created_timestamp: String,
    #[serde(flatten)]
    pub counters: Counters,
}

/// Counts since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Connections whose media came up.
    pub created: u64,
    pub updated: u64,
    /// Connections whose media was up and that are over.
    pub destroyed: u64,
    /// Connections that left before their media was up.
    pub failed: u64,
    /// Of those that are over, with media.
    pub seconds: u64,
    pub sessions_created: u64,
    pub sessions_destroyed: u64,
}

impl Rooms {
    /// Those connections. Empty as well where nobody is in the channel.
    pub(crate) fn select(&self, selection: &Selection) -> Vec<Reached> {
        let chosen = |summary: &ConnectionSummary| match &selection.who {
            Selected::All => true,
            Selected::Connection(id) => summary.connection_id == *id,
            Selected::Client(id) => summary.client_id == *id,
            Selected::Role(role) => summary.role == *role,
        };
        let mut reached = self.with(&selection.channel, |room| room.reached()).unwrap_or_default();
        reached.retain(|one| chosen(&one.summary));
        reached
    }

    /// Every connection of every channel.
    pub(crate) fn everybody(&self) -> Vec<Reached> {
        self.state().rooms.values().flat_map(ChannelRoom::reached).collect()
    }

    /// Every session.
    pub(crate) fn sessions(&self) -> Vec<SessionSummary> {
        self.state().rooms.values().map(ChannelRoom::session).collect()
    }

    pub(crate) fn session(&self, channel: &ChannelId) -> Option<SessionSummary> {
        self.with(channel, |room| room.session())
    }

    pub(crate) fn tally(&self) -> Tally {
        self.state().tally
    }
}
