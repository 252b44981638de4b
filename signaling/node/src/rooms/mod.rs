//! Who is in which channel now. One lock over all of it: nothing here waits, and only joins, leaves and publications come by.

mod channel_room;
mod member;
mod request;
mod spotlight;
mod takeover;
mod view;
mod wishes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use minamo_catalog::Channel;
use minamo_media::{ChannelId, ConnectionId};
use minamo_sfu_core::model::PathKind;
use minamo_signaling_proto::sora::Counters;
use tokio::sync::Notify;

use crate::ConnectionSummary;
use crate::session::{Closing, Published, Reason, UserMessage, Wanted};
use channel_room::ChannelRoom;
pub(crate) use member::{Newcomer, Particulars};
pub(crate) use request::{FilterChange, FilterScope, KeyFrameSource, RequestError};
pub(crate) use spotlight::{FocusOrder, SpotlightRequest};
pub(crate) use view::{Reached, Tally};

/// Why nobody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinError {
    /// Tell the client.
    Refused(Reason),
    /// A channel was closed since the caller looked into the catalog: look again.
    Stale,
}

/// A room was joined.
#[derive(Debug)]
pub(crate) struct Joined {
    pub session_id: String,
}

#[derive(Default)]
struct State {
    /// A room exists while somebody is in it.
    rooms: HashMap<ChannelId, ChannelRoom>,
    /// Grows with every channel that is closed.
    closed: u64,
    tally: Tally,
}

#[derive(Default)]
pub(crate) struct Rooms {
    state: Arc<Mutex<State>>,
    /// Somebody has left.
    left: Notify,
}

impl Rooms {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, channel: &ChannelId, act: impl FnOnce(&mut ChannelRoom) -> T) -> Option<T> {
        self.state().rooms.get_mut(channel).map(act)
    }

    /// To be taken before the catalog is asked, and handed to [`Rooms::join`] with what it said.
    pub(crate) fn epoch(&self) -> u64 {
        self.state().closed
    }

    pub(crate) fn join(
        &self,
        epoch: u64,
        channel: &Channel,
        newcomer: Newcomer,
        connections_max: usize,
    ) -> Result<Joined, JoinError> {
        let mut state = self.state();
        if state.closed != epoch {
            return Err(JoinError::Stale);
        }
        let State { rooms, tally, .. } = &mut *state;
        let room = rooms.entry(channel.id.clone()).or_insert_with(|| {
            tally.sessions_created += 1;
            ChannelRoom::new(channel)
        });
        let joined = room.join(newcomer, connections_max).map_err(JoinError::Refused);
        let answer = joined.map(|()| Joined { session_id: room.session_id().to_owned() });
        if room.is_empty() {
            tally.sessions_created -= 1;
            rooms.remove(&channel.id);
        }
        answer
    }

    pub(crate) fn created(&self, channel: &ChannelId, connection: &ConnectionId) {
        if self.with(channel, |room| room.created(connection)).is_some() {
            self.state().tally.created += 1;
        }
    }

    /// From now on its media travels so.
    pub(crate) fn path(&self, channel: &ChannelId, connection: &ConnectionId, path: PathKind) {
        self.with(channel, |room| room.set_path(connection, path));
    }

    pub(crate) fn updated(&self, channel: &ChannelId, connection: &ConnectionId, minutes: u64) {
        if self.with(channel, |room| room.updated(connection, minutes)).is_some() {
            self.state().tally.updated += 1;
        }
    }

    pub(crate) fn publish(&self, channel: &ChannelId, connection: &ConnectionId, tracks: Vec<Published>) {
        self.with(channel, |room| room.publish(connection, tracks));
    }

    /// Passes a message on to everybody who receives its label, except the sender and its bundle.
    pub(crate) fn message(&self, channel: &ChannelId, sender: &ConnectionId, message: UserMessage) {
        self.with(channel, |room| room.message(sender, message));
    }

    /// Connections whose media is up.
    pub(crate) fn counters(&self, channel: &ChannelId) -> Counters {
        self.with(channel, |room| room.counters()).unwrap_or_default()
    }

    /// What a connection is to be sent, and in which layers.
    pub(crate) fn view(&self, channel: &ChannelId, connection: &ConnectionId) -> Vec<Wanted> {
        self.with(channel, |room| room.view(connection)).unwrap_or_default()
    }

    /// The same of one publisher only, named by its connection id or client id.
    pub(crate) fn wanted_of(&self, channel: &ChannelId, connection: &ConnectionId, publisher: Option<&str>) -> Vec<Published> {
        self.with(channel, |room| room.wanted_of(connection, publisher)).unwrap_or_default()
    }

    pub(crate) fn leave(&self, channel: &ChannelId, connection: &ConnectionId) {
        let mut state = self.state();
        let State { rooms, tally, .. } = &mut *state;
        if let Some(room) = rooms.get_mut(channel) {
            match room.lived(connection) {
                Some(Some(life)) => {
                    tally.destroyed += 1;
                    tally.seconds += life.as_secs();
                }
                Some(None) => tally.failed += 1,
                None => {}
            }
            room.leave(connection);
            if room.is_empty() {
                tally.sessions_destroyed += 1;
                rooms.remove(channel);
            }
        }
        drop(state);
        // Somebody who waits may have the place.
        spotlight::arm(&self.state, channel);
        self.left.notify_waiters();
    }

    pub(crate) fn connections(&self, channel: &ChannelId) -> Vec<ConnectionSummary> {
        self.with(channel, |room| room.connections()).unwrap_or_default()
    }

    /// Tells everybody in the channel to go and waits until they have, at most so long.
    pub(crate) async fn close(&self, channel: &ChannelId, closing: Closing, wait: Duration) {
        {
            let mut state = self.state();
            state.closed += 1;
            if let Some(room) = state.rooms.get(channel) {
                room.close_all(closing);
            }
        }
        let emptied = async {
            loop {
                let left = self.left.notified();
                if !self.state().rooms.contains_key(channel) {
                    return;
                }
                left.await;
            }
        };
        if tokio::time::timeout(wait, emptied).await.is_err() {
            tracing::warn!(%channel, "not everybody has left a closed channel in time");
        }
    }
}
