//! The spotlight of a room: voices and orders in, notifications and other layers out, and the timer that it needs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use minamo_media::{ChannelId, ConnectionId};
use minamo_sfu_core::room::FocusChange;
use minamo_signaling_proto::sora::{Event, RequestRid, SpotlightChange};

use super::channel_room::ChannelRoom;
use super::request::RequestError;
use super::wishes::asked_focus_layers;
use super::{Rooms, State};

/// An order of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FocusOrder {
    /// Into focus, as if it had just spoken.
    Focus,
    /// Into focus until further order.
    Fix,
    /// Out of focus.
    Unfocus,
}

/// Layers for a receiver in the spotlight: of one sender or of everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpotlightRequest {
    pub receiver: ConnectionId,
    pub sender: Option<ConnectionId>,
    pub focus_rid: Option<RequestRid>,
    pub unfocus_rid: Option<RequestRid>,
}

impl Rooms {
    /// Puts somebody into focus or takes it out.
    ///
    /// # Errors
    /// Nobody of that id is here, or it takes no part.
    pub(crate) fn order_focus(
        &self,
        channel: &ChannelId,
        connection: &ConnectionId,
        order: FocusOrder,
    ) -> Result<(), RequestError> {
        self.in_spotlight(channel, |room| room.order_focus(connection, order))
    }

    /// How many may be in focus, 1 to 8. Nothing happens in a channel in which nobody is: the number belongs to the session.
    pub(crate) fn change_spotlight_number(&self, channel: &ChannelId, number: u8) {
        let _ = self.in_spotlight(channel, |room| {
            let changes = room.room.spotlight_mut().set_places(Instant::now(), number);
            room.spotlight_number_named = true;
            room.tell_focus(&changes);
            Ok(())
        });
    }

    /// A receiver asks for other layers in the spotlight: all requests, or none.
    ///
    /// # Errors
    /// Nobody of one of these ids is here, or the receiver takes no part.
    pub(crate) fn request_spotlight_rid(&self, channel: &ChannelId, requests: &[SpotlightRequest]) -> Result<(), RequestError> {
        self.in_spotlight(channel, |room| {
            for SpotlightRequest { receiver, sender, .. } in requests {
                room.check(receiver, sender.as_ref())?;
                if !room.room.has_spotlight(receiver) {
                    return Err(RequestError::NoSpotlight);
                }
            }
            for SpotlightRequest { receiver, sender, focus_rid, unfocus_rid } in requests {
                let layers = asked_focus_layers(*focus_rid, *unfocus_rid);
                room.room.ask_in_spotlight(receiver, sender.as_ref(), Some(layers))?;
                room.changed_for(receiver);
            }
            Ok(())
        })
    }

    /// Back to the layers that the receiver joined with.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn reset_spotlight_rid(
        &self,
        channel: &ChannelId,
        receiver: &ConnectionId,
        sender: Option<&ConnectionId>,
    ) -> Result<(), RequestError> {
        self.in_spotlight(channel, |room| {
            room.check(receiver, sender)?;
            room.room.ask_in_spotlight(receiver, sender, None)?;
            room.changed_for(receiver);
            Ok(())
        })
    }

    /// Acts, and sees to it that the spotlight is looked at again in time.
    pub(super) fn in_spotlight(
        &self,
        channel: &ChannelId,
        act: impl FnOnce(&mut ChannelRoom) -> Result<(), RequestError>,
    ) -> Result<(), RequestError> {
        let result = self.with(channel, act).unwrap_or(Err(RequestError::NoConnection));
        arm(&self.state, channel);
        result
    }
}

impl ChannelRoom {
    fn order_focus(&mut self, connection: &ConnectionId, order: FocusOrder) -> Result<(), RequestError> {
        self.check(connection, None)?;
        let (now, spotlight) = (Instant::now(), self.room.spotlight_mut());
        if spotlight.is_focused(connection).is_none() {
            return Err(RequestError::NoSpotlight);
        }
        let changes = match order {
            FocusOrder::Focus => spotlight.focus(now, connection, false),
            FocusOrder::Fix => spotlight.focus(now, connection, true),
            FocusOrder::Unfocus => spotlight.take_focus(now, connection),
        };
        self.tell_focus(&changes);
        Ok(())
    }

    /// To everybody who takes part, the one concerned too; who looks on sees other layers from now on.
    pub(super) fn tell_focus(&self, changes: &[FocusChange]) {
        if changes.is_empty() {
            return;
        }
        for change in changes {
            let Some(event) = self.focus_event(change) else { continue };
            let text = self.text(event);
            self.spotlight_audience(&change.connection).for_each(|mailbox| mailbox.notice(text.clone()));
        }
        self.tell_receivers();
    }

    fn focus_event(&self, change: &FocusChange) -> Option<Event> {
        let (present, audio, video) = self.of(&change.connection)?;
        let event = SpotlightChange {
            channel_id: self.channel.to_string(),
            client_id: present.client_id.clone(),
            bundle_id: present.bundle_id.clone(),
            connection_id: present.connection_id.clone(),
            audio,
            video,
            fixed: change.fixed,
            spotlight_number: self.room.spotlight().places(),
        };
        Some(if change.focused { Event::SpotlightFocused(event) } else { Event::SpotlightUnfocused(event) })
    }
}

/// Sleeps until the spotlight of that room wants to be looked at, unless somebody does already. A sleeper does not keep the rooms
/// alive, and there is more than one for a room only where the later one was too late.
pub(super) fn arm(state: &Arc<Mutex<State>>, channel: &ChannelId) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let at = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(room) = state.rooms.get_mut(channel) else { return };
        let Some(at) = room.room.spotlight().poll_timeout() else { return };
        if room.armed.is_some_and(|armed| armed <= at) {
            return;
        }
        room.armed = Some(at);
        at
    };
    let (state, channel) = (Arc::downgrade(state), channel.clone());
    runtime.spawn(async move {
        tokio::time::sleep_until(at.into()).await;
        let Some(state) = state.upgrade() else { return };
        if let Some(room) = state.lock().unwrap_or_else(PoisonError::into_inner).rooms.get_mut(&channel) {
            room.armed = None;
            let changes = room.room.spotlight_mut().handle_timeout(Instant::now());
            room.tell_focus(&changes);
        }
        arm(&state, &channel);
    });
}
