//! A room: who is in a channel now, what they publish, and what each of them is to be sent, in which layer. A pure value that
//! signaling owns.

mod filter;
pub mod spotlight;
mod view;

use std::collections::BTreeMap;
use std::time::Instant;

use minamo_media::{ConnectionId, Kind, TrackInfo};

pub use self::filter::{Filter, FilterAction, Rule, Subject};
use self::filter::{Offering, lets_through};
pub use self::spotlight::{FocusChange, Spotlight};
pub use self::view::{FocusLayers, View};
use crate::model::LayerWish;

/// What a peer may do in a room (Sora's `role`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Publishes, is sent nothing.
    SendOnly,
    /// Publishes and is sent everybody else.
    SendRecv,
    /// Publishes nothing, is sent everybody.
    RecvOnly,
}

impl Role {
    /// May publish.
    #[must_use]
    pub fn sends(self) -> bool {
        self != Self::RecvOnly
    }

    /// Is sent tracks of others.
    #[must_use]
    pub fn receives(self) -> bool {
        self != Self::SendOnly
    }
}

/// How many peers there are of each role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Peers that only publish.
    pub send_only: usize,
    /// Peers that do both.
    pub send_recv: usize,
    /// Peers that only receive.
    pub recv_only: usize,
}

impl Counts {
    /// Everybody.
    #[must_use]
    pub fn total(&self) -> usize {
        self.send_only + self.send_recv + self.recv_only
    }
}

/// Why a change of a room was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// The connection id is already in the room.
    #[error("this connection is already in the room")]
    AlreadyJoined,
    /// The connection id is not in the room.
    #[error("this connection is not in the room")]
    NotJoined,
    /// Its role does not let it publish.
    #[error("a receive-only connection cannot publish")]
    MayNotPublish,
    /// More tracks than [`MAX_TRACKS_PER_PEER`].
    #[error("too many tracks of one connection")]
    TooManyTracks,
    /// The connection takes no part in the spotlight.
    #[error("this connection takes no part in the spotlight")]
    NoSpotlight,
}

/// Tracks that one peer may publish at once; more are refused.
pub const MAX_TRACKS_PER_PEER: usize = 16;

/// Somebody who comes in.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// What it may do.
    pub role: Role,
    /// Sora's `client_id`: filters look at it.
    pub client: String,
    /// A group of connections of one person (Sora's `bundle_id`): they are never sent each other.
    pub bundle: Option<String>,
    /// Which layers it wants. With a spotlight in it, it takes part: as a speaker, too, when it publishes.
    pub view: View,
    /// What it is not sent. The caller bounds their number.
    pub filters: Vec<Filter>,
}

/// A track that somebody is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The track.
    pub info: TrackInfo,
    /// In which layer. Always the best for audio.
    pub layer: LayerWish,
}

#[derive(Clone, Debug)]
struct Member {
    newcomer: Newcomer,
    tracks: Vec<TrackInfo>,
}

/// The peers of one channel. Members are kept in the order of their ids, so every answer is deterministic.
///
/// The number of members is bounded by the caller (a channel's limit), the tracks of each by [`MAX_TRACKS_PER_PEER`].
#[derive(Clone, Debug, Default)]
pub struct Room {
    members: BTreeMap<ConnectionId, Member>,
    /// For every receiver.
    filters: Vec<Filter>,
    spotlight: Spotlight,
}

impl Room {
    /// An empty room.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a peer in.
    ///
    /// # Errors
    /// [`RoomError::AlreadyJoined`].
    pub fn join(&mut self, id: ConnectionId, newcomer: Newcomer) -> Result<(), RoomError> {
        if self.members.contains_key(&id) {
            return Err(RoomError::AlreadyJoined);
        }
        if newcomer.view.has_spotlight() && newcomer.role.sends() {
            self.spotlight.add(id.clone());
        }
        self.members.insert(id, Member { newcomer, tracks: Vec::new() });
        Ok(())
    }

    /// Says what a peer publishes now, in place of what it published before.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`], [`RoomError::MayNotPublish`], [`RoomError::TooManyTracks`]; nothing is changed then.
    pub fn publish(&mut self, id: &ConnectionId, tracks: Vec<TrackInfo>) -> Result<(), RoomError> {
        let member = self.members.get_mut(id).ok_or(RoomError::NotJoined)?;
        if !member.newcomer.role.sends() && !tracks.is_empty() {
            return Err(RoomError::MayNotPublish);
        }
        if tracks.len() > MAX_TRACKS_PER_PEER {
            return Err(RoomError::TooManyTracks);
        }
        member.tracks = tracks;
        Ok(())
    }

    /// The peer stays, its tracks go. They are returned.
    pub fn unpublish(&mut self, id: &ConnectionId) -> Vec<TrackInfo> {
        self.members.get_mut(id).map(|member| std::mem::take(&mut member.tracks)).unwrap_or_default()
    }

    /// The peer and its tracks go. Who is in focus instead of it.
    pub fn leave(&mut self, now: Instant, id: &ConnectionId) -> Vec<FocusChange> {
        if self.members.remove(id).is_none() {
            return Vec::new();
        }
        self.members.values_mut().for_each(|member| member.newcomer.view.forget(id));
        let mut changes = self.spotlight.remove(now, id);
        changes.retain(|change| change.connection != *id);
        changes
    }

    /// What `id` is to be sent: the tracks of every other publisher that is not of its bundle and that no filter blocks; nothing
    /// for a send-only peer.
    #[must_use]
    pub fn wanted(&self, id: &ConnectionId) -> Vec<Wanted> {
        let Some(Member { newcomer: me, .. }) = self.members.get(id).filter(|me| me.newcomer.role.receives()) else {
            return Vec::new();
        };
        let mut wanted = Vec::new();
        for (other, Member { newcomer, tracks }) in &self.members {
            if other == id || same_bundle(me, newcomer) {
                continue;
            }
            for info in tracks {
                let kind = info.codec.kind();
                let offering = Offering { connection: other.as_str(), client: &newcomer.client, kind };
                if lets_through(&self.filters, &me.filters, &offering) {
                    let layer = match kind {
                        Kind::Audio => LayerWish::Best,
                        Kind::Video => me.view.layer(other, self.spotlight.is_focused(other)),
                    };
                    wanted.push(Wanted { info: info.clone(), layer });
                }
            }
        }
        wanted
    }

    /// Which layer a receiver has asked for, of this sender or of everybody; the spotlight does not count.
    #[must_use]
    pub fn asked(&self, receiver: &ConnectionId, sender: &ConnectionId) -> LayerWish {
        self.members.get(receiver).map_or(LayerWish::Best, |member| member.newcomer.view.asked(sender))
    }

    /// A receiver asks for a layer of one sender, or of everybody.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`] for the receiver, and for the sender where one is named.
    pub fn ask(&mut self, receiver: &ConnectionId, sender: Option<&ConnectionId>, layer: LayerWish) -> Result<(), RoomError> {
        self.view(receiver, sender)?.ask(sender, layer);
        Ok(())
    }

    /// A receiver asks for other layers in the spotlight, of one sender or of everybody; `None` for those it joined with.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`] as above, [`RoomError::NoSpotlight`] for the receiver.
    pub fn ask_in_spotlight(
        &mut self,
        receiver: &ConnectionId,
        sender: Option<&ConnectionId>,
        layers: Option<FocusLayers>,
    ) -> Result<(), RoomError> {
        let view = self.view(receiver, sender)?;
        let takes_part = match layers {
            Some(layers) => view.ask_in_spotlight(sender, layers),
            None => view.reset_spotlight(sender),
        };
        if takes_part { Ok(()) } else { Err(RoomError::NoSpotlight) }
    }

    fn view(&mut self, receiver: &ConnectionId, sender: Option<&ConnectionId>) -> Result<&mut View, RoomError> {
        if sender.is_some_and(|sender| !self.members.contains_key(sender)) {
            return Err(RoomError::NotJoined);
        }
        let member = self.members.get_mut(receiver).ok_or(RoomError::NotJoined)?;
        Ok(&mut member.newcomer.view)
    }

    /// Replaces the filters of one receiver. The caller bounds their number.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`].
    pub fn set_filters(&mut self, id: &ConnectionId, filters: Vec<Filter>) -> Result<(), RoomError> {
        self.members.get_mut(id).ok_or(RoomError::NotJoined)?.newcomer.filters = filters;
        Ok(())
    }

    /// Replaces the filters of everybody. The caller bounds their number.
    pub fn set_channel_filters(&mut self, filters: Vec<Filter>) {
        self.filters = filters;
    }

    /// Whether it takes part in the spotlight, as a speaker or only as a receiver.
    #[must_use]
    pub fn has_spotlight(&self, id: &ConnectionId) -> bool {
        self.members.get(id).is_some_and(|member| member.newcomer.view.has_spotlight())
    }

    /// Who is in focus.
    #[must_use]
    pub fn spotlight(&self) -> &Spotlight {
        &self.spotlight
    }

    /// Who is in focus, to be told of voices and orders.
    pub fn spotlight_mut(&mut self) -> &mut Spotlight {
        &mut self.spotlight
    }

    /// Everybody whose role receives.
    #[must_use]
    pub fn receivers(&self) -> Vec<ConnectionId> {
        self.members.iter().filter(|(_, member)| member.newcomer.role.receives()).map(|(id, _)| id.clone()).collect()
    }

    /// Everybody.
    pub fn members(&self) -> impl Iterator<Item = (&ConnectionId, Role)> {
        self.members.iter().map(|(id, member)| (id, member.newcomer.role))
    }

    /// A member's role.
    #[must_use]
    pub fn role(&self, id: &ConnectionId) -> Option<Role> {
        self.members.get(id).map(|member| member.newcomer.role)
    }

    /// What a member publishes.
    #[must_use]
    pub fn tracks(&self, id: &ConnectionId) -> &[TrackInfo] {
        self.members.get(id).map_or(&[], |member| &member.tracks)
    }

    /// How many there are of each role.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for member in self.members.values() {
            match member.newcomer.role {
                Role::SendOnly => counts.send_only += 1,
                Role::SendRecv => counts.send_recv += 1,
                Role::RecvOnly => counts.recv_only += 1,
            }
        }
        counts
    }

    /// Nobody is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

fn same_bundle(a: &Newcomer, b: &Newcomer) -> bool {
    a.bundle.is_some() && a.bundle == b.bundle
}

#[cfg(test)]
mod tests {
    use minamo_media::{Codec, TrackId};

    use super::*;

    fn video(track: u64, publisher: &str) -> TrackInfo {
        TrackInfo { track: TrackId(track), publisher: publisher.into(), codec: Codec::H264, rids: Vec::new() }
    }

    fn somebody(role: Role, bundle: Option<&str>) -> Newcomer {
        let bundle = bundle.map(str::to_owned);
        Newcomer { role, client: "client".into(), bundle, view: View::default(), filters: Vec::new() }
    }

    fn room() -> Room {
        let mut room = Room::new();
        room.join("a".into(), somebody(Role::SendRecv, None)).unwrap();
        room.join("b".into(), somebody(Role::SendRecv, Some("x"))).unwrap();
        room.join("c".into(), somebody(Role::SendOnly, Some("x"))).unwrap();
        room.join("d".into(), somebody(Role::RecvOnly, None)).unwrap();
        for (id, track) in [("a", 1), ("b", 2), ("c", 3)] {
            room.publish(&id.into(), vec![video(track, id)]).unwrap();
        }
        room
    }

    fn wanted(room: &Room, id: &str) -> Vec<u64> {
        room.wanted(&id.into()).iter().map(|wanted| wanted.info.track.0).collect()
    }

    #[test]
    fn everybody_is_sent_the_others_but_not_themselves_nor_their_bundle() {
        let room = room();
        assert_eq!(wanted(&room, "a"), [2, 3]);
        assert_eq!(wanted(&room, "b"), [1]);
        assert_eq!(wanted(&room, "c"), [0; 0]);
        assert_eq!(wanted(&room, "d"), [1, 2, 3]);
        assert_eq!(wanted(&room, "nobody"), [0; 0]);
    }

    #[test]
    fn no_bundle_is_not_a_bundle() {
        let mut room = Room::new();
        room.join("a".into(), somebody(Role::SendRecv, None)).unwrap();
        room.join("b".into(), somebody(Role::SendRecv, None)).unwrap();
        room.publish(&"a".into(), vec![video(1, "a")]).unwrap();
        assert_eq!(wanted(&room, "b"), [1]);
    }

    #[test]
    fn leaving_and_unpublishing_take_tracks_away() {
        let mut room = room();
        assert_eq!(room.unpublish(&"a".into()).len(), 1);
        room.leave(now(), &"b".into());
        room.leave(now(), &"b".into());
        assert_eq!(wanted(&room, "d"), [3]);
        assert_eq!(room.counts(), Counts { send_only: 1, send_recv: 1, recv_only: 1 });
        assert_eq!(room.receivers(), ["a".into(), "d".into()]);
    }

    #[test]
    fn refusals_change_nothing() {
        let mut room = room();
        assert_eq!(room.join("a".into(), somebody(Role::RecvOnly, None)), Err(RoomError::AlreadyJoined));
        assert_eq!(room.publish(&"d".into(), vec![video(9, "d")]), Err(RoomError::MayNotPublish));
        assert_eq!(room.publish(&"z".into(), vec![]), Err(RoomError::NotJoined));
        let many = (0..17).map(|n| video(n, "a")).collect();
        assert_eq!(room.publish(&"a".into(), many), Err(RoomError::TooManyTracks));
        assert_eq!(wanted(&room, "b"), [1]);
    }
    #[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn nobody_gets_what_a_filter_blocks_from_the_moment_it_is_there() {
        let mut room = room();
        let block = |values: &[&str]| Filter {
            priority: 1,
            action: FilterAction::Block,
            any_of: vec![vec![Rule {
                subject: Subject::Connection,
                values: values.iter().map(ToString::to_string).collect(),
                negated: false,
            }]],
        };
        room.set_filters(&"d".into(), vec![block(&["a", "c"])]).unwrap();
        assert_eq!((wanted(&room, "d"), wanted(&room, "a")), (vec![2], vec![2, 3]));
        room.set_channel_filters(vec![block(&["b"])]);
        assert_eq!((wanted(&room, "d"), wanted(&room, "a")), (vec![], vec![3]));
        room.set_filters(&"d".into(), vec![]).unwrap();
        room.set_channel_filters(vec![]);
        assert_eq!(wanted(&room, "d"), [1, 2, 3]);
        assert_eq!(room.set_filters(&"z".into(), vec![]), Err(RoomError::NotJoined));
    }

    #[test]
    fn layers_follow_requests_and_the_spotlight() {
        let mut room = Room::new();
        let layers = FocusLayers { focused: LayerWish::Best, unfocused: LayerWish::Off };
        let view = View::new(LayerWish::AtMost(crate::model::Layer(1)), Some(layers));
        for (id, track) in [("a", 1), ("b", 2)] {
            room.join(id.into(), Newcomer { view: view.clone(), ..somebody(Role::SendRecv, None) }).unwrap();
            let sound = TrackInfo { codec: Codec::Opus, ..video(track + 10, id) };
            room.publish(&id.into(), vec![video(track, id), sound]).unwrap();
        }
        room.join("d".into(), Newcomer { view, ..somebody(Role::RecvOnly, None) }).unwrap();
        let layers = |room: &Room| room.wanted(&"d".into()).iter().map(|wanted| wanted.layer).collect::<Vec<_>>();
        use LayerWish::{Best, Off};
        assert_eq!(layers(&room), [Off, Best, Off, Best], "sound is always sent");
        assert_eq!(room.spotlight_mut().focus(now(), &"b".into(), false).len(), 1);
        assert_eq!(layers(&room), [Off, Best, Best, Best]);
        room.ask(&"d".into(), Some(&"a".into()), Best).unwrap();
        room.ask_in_spotlight(&"d".into(), None, Some(FocusLayers { focused: Off, unfocused: Best })).unwrap();
        assert_eq!(layers(&room), [Best, Best, Off, Best]);
        assert_eq!(room.ask(&"d".into(), Some(&"z".into()), Best), Err(RoomError::NotJoined));
        assert_eq!(room.spotlight().is_focused(&"d".into()), None, "who is not heard has no focus");
        room.leave(now(), &"b".into());
        assert_eq!(layers(&room), [Best, Best]);
    }
}
