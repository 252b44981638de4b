//! What the API and RPC ask of a room: layers, filters, metadata.

use std::sync::Arc;

use minamo_media::{ChannelId, ConnectionId, TrackId};
use minamo_sfu_core::model::PeerEvent;
use minamo_sfu_core::room::RoomError;
use minamo_signaling_proto::sora::{Event, FORWARDING_FILTERS_MAX, ForwardingFilter, METADATA_BYTES_MAX, Present, RequestRid};
use serde_json::{Map, Value, json};

use super::Rooms;
use super::channel_room::ChannelRoom;
use super::wishes::{self, layer_wish};
use crate::figures::Figures;
use crate::mailbox::{Letter, Mailbox};
use crate::session::{Line, Notice};

/// Why a request to a room was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("there is no such connection in the channel")]
    NoConnection,
    #[error("this connection takes no part in the spotlight")]
    NoSpotlight,
    #[error("there is no filter of that name")]
    NoFilter,
    #[error("there is a filter of that name already")]
    DuplicateFilter,
    #[error("no further filter is taken: {FORWARDING_FILTERS_MAX} are the most")]
    TooManyFilters,
    #[error("the metadata would be longer than {METADATA_BYTES_MAX} bytes as JSON")]
    MetadataTooLarge,
    #[error("an item can only be put into metadata that is an object")]
    MetadataNotAnObject,
}

impl From<RoomError> for RequestError {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::NoSpotlight => Self::NoSpotlight,
            _ => Self::NoConnection,
        }
    }
}

/// Somebody's video, and where its numbers are asked for and found.
pub(crate) struct KeyFrameSource {
    pub tracks: Vec<TrackId>,
    pub mailbox: Arc<Mailbox>,
    pub figures: Arc<Figures>,
}

/// Of which filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FilterScope {
    Channel,
    Connection(ConnectionId),
}

/// What to do with a filter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FilterChange {
    /// Its name must be new.
    Create(ForwardingFilter),
    /// Its name must be there.
    Update(ForwardingFilter),
    /// Of that name.
    Delete(String),
}

impl Rooms {
    /// A receiver asks for a layer of one sender, or of everybody.
    ///
    /// # Errors
    /// [`RequestError::NoConnection`] for the receiver, and for the sender where one is named.
    pub(crate) fn request_simulcast_rid(
        &self,
        channel: &ChannelId,
        receiver: &ConnectionId,
        sender: Option<&ConnectionId>,
        rid: RequestRid,
    ) -> Result<(), RequestError> {
        self.ask(channel, |room| {
            room.room.ask(receiver, sender, layer_wish(rid))?;
            room.changed_for(receiver);
            Ok(())
        })
    }

    fn ask<T>(
        &self,
        channel: &ChannelId,
        act: impl FnOnce(&mut ChannelRoom) -> Result<T, RequestError>,
    ) -> Result<T, RequestError> {
        self.with(channel, act).unwrap_or(Err(RequestError::NoConnection))
    }

    /// Whose key frames are asked for.
    ///
    /// # Errors
    /// [`RequestError::NoConnection`].
    pub(crate) fn key_frame_source(
        &self,
        channel: &ChannelId,
        connection: &ConnectionId,
    ) -> Result<KeyFrameSource, RequestError> {
        self.ask(channel, |room| room.key_frame_source(connection).ok_or(RequestError::NoConnection))
    }

    /// What the SFU says of a member's voice, layers and network.
    pub(crate) fn heard(&self, channel: &ChannelId, connection: &ConnectionId, event: PeerEvent) {
        match event {
            PeerEvent::AudioLevel(_, level) => {
                let _ = self.in_spotlight(channel, |room| {
                    let changes = room.room.spotlight_mut().hear(std::time::Instant::now(), connection, level);
                    room.tell_focus(&changes);
                    Ok(())
                });
            }
            event => {
                self.with(channel, |room| room.tell_about_forwarding(connection, &event));
            }
        }
    }

    /// Replaces what a connection has put beside its metadata: others see it as `metadata` when they come. With `push`, those who
    /// are here are told at once.
    ///
    /// # Errors
    /// [`RequestError::NoConnection`], [`RequestError::MetadataTooLarge`].
    pub(crate) fn put_notify_metadata(
        &self,
        channel: &ChannelId,
        connection: &ConnectionId,
        metadata: Value,
        push: bool,
    ) -> Result<Value, RequestError> {
        self.ask(channel, |room| room.put_metadata(connection, |_| Ok(metadata), push.then(|| json!({"action": "PutMetadata"}))))
    }

    /// The same for one member of it, which is made an object if nothing was put before.
    ///
    /// # Errors
    /// As above, and [`RequestError::MetadataNotAnObject`].
    pub(crate) fn put_notify_metadata_item(
        &self,
        channel: &ChannelId,
        connection: &ConnectionId,
        key: &str,
        value: Value,
        push: bool,
    ) -> Result<Value, RequestError> {
        let pushed = push.then(|| json!({"action": "PutMetadataItem", "key": key, "value": value}));
        let put = |before: Option<Value>| match before.unwrap_or_else(|| Value::Object(Map::new())) {
            Value::Object(mut members) => {
                members.insert(key.to_owned(), value);
                Ok(Value::Object(members))
            }
            _ => Err(RequestError::MetadataNotAnObject),
        };
        self.ask(channel, |room| room.put_metadata(connection, put, pushed))
    }

    /// What a connection has put.
    ///
    /// # Errors
    /// [`RequestError::NoConnection`].
    pub(crate) fn notify_metadata(&self, channel: &ChannelId, connection: &ConnectionId) -> Result<Value, RequestError> {
        self.ask(channel, |room| {
            let (present, ..) = room.of(connection).ok_or(RequestError::NoConnection)?;
            Ok(present.metadata.clone().unwrap_or(Value::Null))
        })
    }

    /// Everybody who is in the channel, and what each has put.
    pub(crate) fn present(&self, channel: &ChannelId) -> Vec<Present> {
        self.with(channel, |room| room.everybody()).unwrap_or_default()
    }

    /// The filters of a channel or of one connection, in the order in which they came. A channel's belong to its session: they are
    /// gone when nobody is left.
    ///
    /// # Errors
    /// [`RequestError::NoConnection`].
    pub(crate) fn filters(&self, channel: &ChannelId, of: &FilterScope) -> Result<Vec<ForwardingFilter>, RequestError> {
        match of {
            FilterScope::Channel => Ok(self.with(channel, |room| room.filters.clone()).unwrap_or_default()),
            FilterScope::Connection(_) => self.ask(channel, |room| room.filters_of(of).cloned()),
        }
    }

    /// Changes a filter; what it blocks is not sent from now on.
    ///
    /// # Errors
    /// [`RequestError::NoConnection`], also for the channel's own filters when nobody is in it; what is wrong with the filter.
    pub(crate) fn change_filter(&self, channel: &ChannelId, of: &FilterScope, change: FilterChange) -> Result<(), RequestError> {
        self.ask(channel, |room| room.change_filter(of, change))
    }
}

impl ChannelRoom {
    pub(super) fn check(&self, receiver: &ConnectionId, sender: Option<&ConnectionId>) -> Result<(), RequestError> {
        let known = |id: &ConnectionId| self.of(id).is_some();
        if known(receiver) && sender.is_none_or(known) { Ok(()) } else { Err(RequestError::NoConnection) }
    }

    fn tell_about_forwarding(&mut self, connection: &ConnectionId, event: &PeerEvent) {
        let event = match event {
            PeerEvent::Network(unstable_level) => Event::NetworkStatus { unstable_level: *unstable_level },
            PeerEvent::LayerSwitched { track, from, to, cause } => {
                let sends = |id: &&ConnectionId| self.room.tracks(id).iter().any(|info| info.track == *track);
                let Some(sender) = self.room.members().map(|(id, _)| id).find(sends) else { return };
                let asked = self.room.asked(connection, sender);
                Event::SimulcastSwitched(wishes::switched(sender.to_string(), asked, *from, *to, *cause))
            }
            _ => return,
        };
        let text = self.text(event);
        if let Some(mailbox) = self.mailbox(connection) {
            mailbox.notice(text);
        }
    }

    fn filters_of(&mut self, of: &FilterScope) -> Result<&mut Vec<ForwardingFilter>, RequestError> {
        match of {
            FilterScope::Channel => Ok(&mut self.filters),
            FilterScope::Connection(id) => self.own_filters(id).ok_or(RequestError::NoConnection),
        }
    }

    fn change_filter(&mut self, of: &FilterScope, change: FilterChange) -> Result<(), RequestError> {
        let filters = self.filters_of(of)?;
        let at = |name: &str| filters.iter().position(|filter| filter.name == name);
        match change {
            FilterChange::Create(filter) if at(&filter.name).is_some() => return Err(RequestError::DuplicateFilter),
            FilterChange::Create(_) if filters.len() >= FORWARDING_FILTERS_MAX => return Err(RequestError::TooManyFilters),
            FilterChange::Create(filter) => filters.push(filter),
            FilterChange::Update(filter) => {
                let at = at(&filter.name).ok_or(RequestError::NoFilter)?;
                filters[at] = filter;
            }
            FilterChange::Delete(name) => {
                let at = at(&name).ok_or(RequestError::NoFilter)?;
                filters.remove(at);
            }
        }
        let filters = wishes::filters(filters);
        match of {
            FilterScope::Channel => {
                self.room.set_channel_filters(filters);
                self.tell_receivers();
            }
            FilterScope::Connection(id) => {
                self.room.set_filters(id, filters)?;
                self.changed_for(id);
            }
        }
        Ok(())
    }

    /// `pushed`: what those who are here are told besides whose it is. The form of that push is ours.
    fn put_metadata(
        &mut self,
        connection: &ConnectionId,
        put: impl FnOnce(Option<Value>) -> Result<Value, RequestError>,
        pushed: Option<Value>,
    ) -> Result<Value, RequestError> {
        let present = self.present_mut(connection).ok_or(RequestError::NoConnection)?;
        let metadata = put(present.metadata.clone())?;
        if metadata.to_string().len() > METADATA_BYTES_MAX {
            return Err(RequestError::MetadataTooLarge);
        }
        present.metadata = Some(metadata.clone());
        let about = json!({
            "type": "signaling_notify_metadata_ext",
            "client_id": present.client_id,
            "bundle_id": present.bundle_id,
            "connection_id": present.connection_id,
            "metadata": metadata,
        });
        if let (Value::Object(mut data), Some(Value::Object(pushed))) = (about, pushed) {
            data.insert("channel_id".into(), self.channel.as_str().into());
            data.extend(pushed);
            let push = Notice::from(json!({"type": "push", "data": data}).to_string());
            self.live_mailboxes().for_each(|mailbox| mailbox.letter(Letter::Notice(Line::Push, push.clone())));
        }
        Ok(metadata)
    }
}
