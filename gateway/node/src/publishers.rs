//! Whose media a programme shows: the first one who publishes, then whoever came next.

use minamo_media::{ConnectionId, Kind, TrackId, TrackInfo};

/// Publishers that one programme remembers; those beyond are ignored until they publish again.
const PUBLISHERS_MAX: usize = 64;
/// Tracks of one publisher; those beyond are ignored.
const TRACKS_MAX: usize = 16;

/// One publisher and its tracks in the order in which they were added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publisher {
    pub(crate) id: ConnectionId,
    pub(crate) tracks: Vec<TrackInfo>,
}

impl Publisher {
    /// Its first track of a kind: what the programme shows.
    pub(crate) fn track(&self, kind: Kind) -> Option<&TrackInfo> {
        self.tracks.iter().find(|info| info.codec.kind() == kind)
    }
}

/// The publishers of one programme in the order in which they came. The first owns it.
#[derive(Debug, Default)]
pub(crate) struct Publishers {
    queue: Vec<Publisher>,
}

impl Publishers {
    pub(crate) fn owner(&self) -> Option<&Publisher> {
        self.queue.first()
    }

    pub(crate) fn is_owner(&self, publisher: &ConnectionId) -> bool {
        self.owner().is_some_and(|owner| owner.id == *publisher)
    }

    pub(crate) fn add_track(&mut self, publisher: &ConnectionId, info: TrackInfo) {
        let Some(known) = self.queue.iter_mut().find(|known| known.id == *publisher) else {
            if self.queue.len() < PUBLISHERS_MAX {
                self.queue.push(Publisher { id: publisher.clone(), tracks: vec![info] });
            }
            return;
        };
        let again = known.tracks.iter().any(|there| there.track == info.track);
        if !again && known.tracks.len() < TRACKS_MAX {
            known.tracks.push(info);
        }
    }

    /// A publisher without tracks stays in its place: only leaving gives up a programme.
    pub(crate) fn remove_track(&mut self, publisher: &ConnectionId, track: TrackId) {
        if let Some(known) = self.queue.iter_mut().find(|known| known.id == *publisher) {
            known.tracks.retain(|info| info.track != track);
        }
    }

    /// True when it was the owner that left.
    pub(crate) fn remove(&mut self, publisher: &ConnectionId) -> bool {
        let owned = self.is_owner(publisher);
        self.queue.retain(|known| known.id != *publisher);
        owned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minamo_media::Codec;

    fn track(publisher: &str, id: u64, codec: Codec) -> TrackInfo {
        TrackInfo { track: TrackId(id), publisher: publisher.into(), codec, rids: Vec::new() }
    }

    #[test]
    fn the_first_owns_and_the_next_takes_over() {
        let mut publishers = Publishers::default();
        for (name, id) in [("a", 1), ("b", 2), ("c", 3)] {
            publishers.add_track(&name.into(), track(name, id, Codec::Opus));
        }
        assert!(publishers.is_owner(&"a".into()));
        assert!(!publishers.remove(&"b".into()));
        assert!(publishers.remove(&"a".into()));
        assert!(publishers.is_owner(&"c".into()));
        assert!(publishers.remove(&"c".into()));
        assert!(publishers.owner().is_none());
    }

    #[test]
    fn the_first_track_of_a_kind_is_shown() {
        let mut publishers = Publishers::default();
        for (id, codec) in [(1, Codec::Opus), (2, Codec::H264), (3, Codec::H264), (2, Codec::H264)] {
            publishers.add_track(&"a".into(), track("a", id, codec));
        }
        let owner = publishers.owner().unwrap();
        assert_eq!(owner.tracks.len(), 3);
        assert_eq!(owner.track(Kind::Video).unwrap().track, TrackId(2));
        publishers.remove_track(&"a".into(), TrackId(2));
        assert_eq!(publishers.owner().unwrap().track(Kind::Video).unwrap().track, TrackId(3));
    }

    #[test]
    fn publishers_are_bounded() {
        let mut publishers = Publishers::default();
        for id in 0..1000_u64 {
            publishers.add_track(&format!("p{id}").into(), track("p", id, Codec::Opus));
        }
        assert_eq!(publishers.queue.len(), PUBLISHERS_MAX);
        for id in 0..1000 {
            publishers.add_track(&"p0".into(), track("p0", id, Codec::Opus));
        }
        assert_eq!(publishers.queue[0].tracks.len(), TRACKS_MAX);
    }
}
