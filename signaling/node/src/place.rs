//! A member's place in a room and in the SFU. It cannot be forgotten: who drops it leaves.

use std::sync::Arc;
use std::time::Duration;

use minamo_media::{ChannelId, ConnectionId};
use minamo_sfu_core::model::{Command, PeerId};

use crate::signaling::Shared;

/// Where a connection is once it was let in.
pub(crate) struct Place {
    shared: Arc<Shared>,
    pub channel: ChannelId,
    pub connection: ConnectionId,
    pub peer: PeerId,
    in_room: bool,
    in_sfu: bool,
}

impl Place {
    /// The room has taken it in.
    pub(crate) fn new(shared: Arc<Shared>, channel: ChannelId, connection: ConnectionId, peer: PeerId) -> Self {
        Self { shared, channel, connection, peer, in_room: true, in_sfu: true }
    }

    /// Leaves the room, and everything else, the SFU apart.
    pub(crate) fn leave_room(&mut self) {
        if std::mem::take(&mut self.in_room) {
            self.shared.rooms.leave(&self.channel, &self.connection);
        }
    }

    /// The SFU has forgotten the peer, or was told to.
    pub(crate) fn peer_is_gone(&mut self) {
        self.in_sfu = false;
    }

    /// Leaves the room. The SFU has forgotten the peer, or was told to.
    pub(crate) fn leave(mut self) {
        self.peer_is_gone();
    }
}

impl Drop for Place {
    /// A task may be dropped in the middle, with its runtime: nobody may stay in a room without somebody behind it.
    fn drop(&mut self) {
        self.leave_room();
        if self.in_sfu {
            let _ = self.shared.media.command(Command::RemovePeer { peer: self.peer, clean: false });
        }
    }
}

/// Must not get lost: a peer that nobody removes stays for ever. Retried while the SFU is busy.
pub(crate) fn remove_peer(shared: &Arc<Shared>, peer: PeerId, clean: bool) {
    const ATTEMPTS: u32 = 100;
    const EVERY: Duration = Duration::from_millis(50);
    let command = Command::RemovePeer { peer, clean };
    if shared.media.command(command.clone()).is_ok() {
        return;
    }
    let shared = shared.clone();
    tokio::spawn(async move {
        for _ in 0..ATTEMPTS {
            tokio::time::sleep(EVERY).await;
            if shared.media.command(command.clone()).is_ok() {
                return;
            }
        }
        tracing::error!(?command, "the media plane takes no commands");
    });
}
