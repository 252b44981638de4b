//! A room: who is in a channel now, what they publish, and what each of them is to be sent. A pure value that signaling owns.

use std::collections::BTreeMap;

use minamo_media::{ConnectionId, TrackInfo};

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
}

/// Tracks that one peer may publish at once; more are refused.
pub const MAX_TRACKS_PER_PEER: usize = 16;

#[derive(Clone, Debug)]
struct Member {
    role: Role,
    bundle: Option<String>,
    tracks: Vec<TrackInfo>,
}

/// The peers of one channel. Members are kept in the order of their ids, so every answer is deterministic.
///
/// The number of members is bounded by the caller (a channel's limit), the tracks of each by [`MAX_TRACKS_PER_PEER`].
#[derive(Clone, Debug, Default)]
pub struct Room {
    members: BTreeMap<ConnectionId, Member>,
}

impl Room {
    /// An empty room.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a peer in. `bundle` names a group of connections of one person (Sora's `bundle_id`): they are never sent each other.
    ///
    /// # Errors
    /// [`RoomError::AlreadyJoined`].
    pub fn join(&mut self, id: ConnectionId, role: Role, bundle: Option<String>) -> Result<(), RoomError> {
        if self.members.contains_key(&id) {
            return Err(RoomError::AlreadyJoined);
        }
        self.members.insert(id, Member { role, bundle, tracks: Vec::new() });
        Ok(())
    }

    /// Says what a peer publishes now, in place of what it published before.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`], [`RoomError::MayNotPublish`], [`RoomError::TooManyTracks`]; nothing is changed then.
    pub fn publish(&mut self, id: &ConnectionId, tracks: Vec<TrackInfo>) -> Result<(), RoomError> {
        let member = self.members.get_mut(id).ok_or(RoomError::NotJoined)?;
        if !member.role.sends() && !tracks.is_empty() {
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

    /// The peer and its tracks go. Whether it was there.
    pub fn leave(&mut self, id: &ConnectionId) -> bool {
        self.members.remove(id).is_some()
    }

    /// What `id` is to be sent: the tracks of every other publisher that is not of its bundle; nothing for a send-only peer.
    #[must_use]
    pub fn wanted(&self, id: &ConnectionId) -> Vec<TrackInfo> {
        let Some(me) = self.members.get(id).filter(|me| me.role.receives()) else { return Vec::new() };
        let others = self.members.iter().filter(|(other, member)| *other != id && !same_bundle(me, member));
        others.flat_map(|(_, member)| member.tracks.iter().cloned()).collect()
    }

    /// Everybody whose role receives.
    #[must_use]
    pub fn receivers(&self) -> Vec<ConnectionId> {
        self.members.iter().filter(|(_, member)| member.role.receives()).map(|(id, _)| id.clone()).collect()
    }

    /// Everybody.
    pub fn members(&self) -> impl Iterator<Item = (&ConnectionId, Role)> {
        self.members.iter().map(|(id, member)| (id, member.role))
    }

    /// A member's role.
    #[must_use]
    pub fn role(&self, id: &ConnectionId) -> Option<Role> {
        self.members.get(id).map(|member| member.role)
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
            match member.role {
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

fn same_bundle(a: &Member, b: &Member) -> bool {
    a.bundle.is_some() && a.bundle == b.bundle
}

#[cfg(test)]
mod tests {
    use minamo_media::{Codec, TrackId};

    use super::*;

    fn video(track: u64, publisher: &str) -> TrackInfo {
        TrackInfo { track: TrackId(track), publisher: publisher.into(), codec: Codec::H264 }
    }

    fn room() -> Room {
        let mut room = Room::new();
        room.join("a".into(), Role::SendRecv, None).unwrap();
        room.join("b".into(), Role::SendRecv, Some("x".into())).unwrap();
        room.join("c".into(), Role::SendOnly, Some("x".into())).unwrap();
        room.join("d".into(), Role::RecvOnly, None).unwrap();
        for (id, track) in [("a", 1), ("b", 2), ("c", 3)] {
            room.publish(&id.into(), vec![video(track, id)]).unwrap();
        }
        room
    }

    fn wanted(room: &Room, id: &str) -> Vec<u64> {
        room.wanted(&id.into()).iter().map(|info| info.track.0).collect()
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
        room.join("a".into(), Role::SendRecv, None).unwrap();
        room.join("b".into(), Role::SendRecv, None).unwrap();
        room.publish(&"a".into(), vec![video(1, "a")]).unwrap();
        assert_eq!(wanted(&room, "b"), [1]);
    }

    #[test]
    fn leaving_and_unpublishing_take_tracks_away() {
        let mut room = room();
        assert_eq!(room.unpublish(&"a".into()).len(), 1);
        assert!(room.leave(&"b".into()));
        assert!(!room.leave(&"b".into()));
        assert_eq!(wanted(&room, "d"), [3]);
        assert_eq!(room.counts(), Counts { send_only: 1, send_recv: 1, recv_only: 1 });
        assert_eq!(room.receivers(), ["a".into(), "d".into()]);
    }

    #[test]
    fn refusals_change_nothing() {
        let mut room = room();
        assert_eq!(room.join("a".into(), Role::RecvOnly, None), Err(RoomError::AlreadyJoined));
        assert_eq!(room.publish(&"d".into(), vec![video(9, "d")]), Err(RoomError::MayNotPublish));
        assert_eq!(room.publish(&"z".into(), vec![]), Err(RoomError::NotJoined));
        let many = (0..17).map(|n| video(n, "a")).collect();
        assert_eq!(room.publish(&"a".into(), many), Err(RoomError::TooManyTracks));
        assert_eq!(wanted(&room, "b"), [1]);
    }
}
