//! What HTTP can see: every opened channel, and the newest snapshots of its programmes.
//!
//! Written by workers and by the gateway's owner, read by handlers. Nothing here renders or waits.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use minamo_media::{ChannelId, ConnectionId};
use minamo_packager::{Body, Forms, Rendition, Snapshot};
use tokio::sync::{Semaphore, watch};

use crate::config::{PlaylistEntry, ProgrammeSettings, ProgrammeState, TranscodeState};
use crate::signed::Access;
use crate::ts::TsSegments;

/// Which of a channel's programmes: the publisher's own, or (`None`) the channel's only one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ProgrammeKey {
    pub(crate) channel: ChannelId,
    pub(crate) publisher: Option<ConnectionId>,
}

impl ProgrammeKey {
    /// The path of its multivariant playlist.
    pub(crate) fn playlist_path(&self) -> String {
        let mut path = format!("/hls/{}/", escaped(self.channel.as_str()));
        if let Some(publisher) = &self.publisher {
            path.push_str(&escaped(publisher.as_str()));
            path.push('/');
        }
        path.push_str("playlist.m3u8");
        path
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986 §2.3).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// One programme as handlers see it.
pub(crate) struct Showing {
    publisher: RwLock<ConnectionId>,
    ended: AtomicBool,
    pub(crate) multivariant: watch::Receiver<Option<Arc<Body>>>,
    /// DASH, and HLS with MPEG-TS.
    pub(crate) forms: watch::Receiver<Option<Arc<Forms>>>,
    pub(crate) ts: TsSegments,
    /// One for each rendition that the programme was begun with.
    renditions: BTreeMap<Rendition, Seen>,
}

type Seen = watch::Receiver<Option<Arc<Snapshot>>>;

impl Showing {
    /// `None`: the programme has no such rendition.
    pub(crate) fn rendition(&self, rendition: Rendition) -> Option<&Seen> {
        self.renditions.get(&rendition)
    }
}

/// The writing ends of a [`Showing`], held by the programme's worker. Dropped, they send all who wait away.
pub(crate) struct Stage {
    pub(crate) showing: Arc<Showing>,
    multivariant: watch::Sender<Option<Arc<Body>>>,
    forms: watch::Sender<Option<Arc<Forms>>>,
    renditions: BTreeMap<Rendition, watch::Sender<Option<Arc<Snapshot>>>>,
}

impl Stage {
    pub(crate) fn new(publisher: ConnectionId, renditions: impl IntoIterator<Item = Rendition>) -> Self {
        let (multivariant, multivariant_seen) = watch::channel(None);
        let (forms, forms_seen) = watch::channel(None);
        let renditions: BTreeMap<_, _> = renditions.into_iter().map(|name| (name, watch::channel(None).0)).collect();
        let showing = Arc::new(Showing {
            publisher: RwLock::new(publisher),
            ended: AtomicBool::new(false),
            multivariant: multivariant_seen,
            forms: forms_seen,
            ts: TsSegments::default(),
            renditions: renditions.iter().map(|(name, sender)| (*name, sender.subscribe())).collect(),
        });
        Self { showing, multivariant, forms, renditions }
    }

    pub(crate) fn set_publisher(&self, publisher: ConnectionId) {
        *self.showing.publisher.write().unwrap_or_else(PoisonError::into_inner) = publisher;
    }

    /// `wake`: there is something to wait for in it.
    pub(crate) fn publish(&self, rendition: Rendition, snapshot: Arc<Snapshot>, wake: bool) {
        let Some(sender) = self.renditions.get(&rendition) else { return };
        sender.send_if_modified(|shown| {
            *shown = Some(snapshot);
            wake
        });
    }

    pub(crate) fn publish_multivariant(&self, body: Arc<Body>) {
        self.multivariant.send_replace(Some(body));
    }

    pub(crate) fn publish_forms(&self, forms: Arc<Forms>) {
        self.forms.send_replace(Some(forms));
    }

    pub(crate) fn set_ended(&self) {
        self.showing.ended.store(true, Ordering::Relaxed);
    }
}

/// What stands under one URL: the programme, and the one that ended before it, whose media its last viewers still fetch.
#[derive(Default, Clone)]
pub(crate) struct Shelf {
    pub(crate) current: Option<Arc<Showing>>,
    pub(crate) before: Option<Arc<Showing>>,
}

struct Channel {
    settings: ProgrammeSettings,
    shelves: BTreeMap<Option<ConnectionId>, Shelf>,
    /// Of programmes that need it; those of programmes that ended are gone.
    transcoding: BTreeMap<Option<ConnectionId>, TranscodeState>,
    ended_once: bool,
}

/// Why there is nothing under a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    UnknownChannel,
    NotLive,
}

/// All opened channels.
pub(crate) struct Origin {
    channels: RwLock<HashMap<ChannelId, Channel>>,
    /// One permit per request that may wait.
    pub(crate) waiters: Arc<Semaphore>,
}

impl Origin {
    pub(crate) fn new(waiters_max: usize) -> Self {
        let waiters = Arc::new(Semaphore::new(waiters_max.min(Semaphore::MAX_PERMITS)));
        Self { channels: RwLock::default(), waiters }
    }

    // A poisoned lock: some thread panicked between two assignments of plain values, none of which breaks the map.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<ChannelId, Channel>> {
        self.channels.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<ChannelId, Channel>> {
        self.channels.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn open(&self, channel: ChannelId, settings: ProgrammeSettings) {
        self.write().entry(channel).and_modify(|known| known.settings = settings.clone()).or_insert_with(|| Channel {
            settings,
            shelves: BTreeMap::new(),
            transcoding: BTreeMap::new(),
            ended_once: false,
        });
    }

    pub(crate) fn delete(&self, channel: &ChannelId) {
        self.write().remove(channel);
    }

    pub(crate) fn settings(&self, channel: &ChannelId) -> Option<ProgrammeSettings> {
        self.read().get(channel).map(|known| known.settings.clone())
    }

    pub(crate) fn is_open(&self, channel: &ChannelId) -> bool {
        self.read().contains_key(channel)
    }

    /// The programme that a publisher's media belongs to; `None` when the channel is not open.
    pub(crate) fn key(&self, channel: &ChannelId, publisher: &ConnectionId) -> Option<ProgrammeKey> {
        let per_publisher = self.read().get(channel)?.settings.per_publisher;
        Some(ProgrammeKey { channel: channel.clone(), publisher: per_publisher.then(|| publisher.clone()) })
    }

    /// Puts a programme under its URL; one that stood there steps back. False when the channel was deleted meanwhile.
    pub(crate) fn show(&self, key: &ProgrammeKey, showing: Arc<Showing>) -> bool {
        let mut channels = self.write();
        let Some(channel) = channels.get_mut(&key.channel) else { return false };
        let shelf = channel.shelves.entry(key.publisher.clone()).or_default();
        shelf.before = shelf.current.replace(showing);
        true
    }

    /// The programme has ended: it stays until [`Self::withdraw`].
    pub(crate) fn ended(&self, key: &ProgrammeKey) {
        if let Some(channel) = self.write().get_mut(&key.channel) {
            channel.ended_once = true;
        }
    }

    /// Takes a programme out of memory; requests already being answered keep what they hold.
    pub(crate) fn withdraw(&self, key: &ProgrammeKey, showing: &Arc<Showing>) {
        let mut channels = self.write();
        let Some(channel) = channels.get_mut(&key.channel) else { return };
        let Some(shelf) = channel.shelves.get_mut(&key.publisher) else { return };
        for place in [&mut shelf.current, &mut shelf.before] {
            if place.as_ref().is_some_and(|there| Arc::ptr_eq(there, showing)) {
                *place = None;
            }
        }
        if shelf.current.is_none() && shelf.before.is_none() {
            channel.shelves.remove(&key.publisher);
        }
    }

    /// What requests are checked with, where the channel wants that.
    pub(crate) fn access(&self, key: &ProgrammeKey) -> Option<Arc<Access>> {
        self.read().get(&key.channel)?.settings.access.clone()
    }

    pub(crate) fn shelf(&self, key: &ProgrammeKey) -> Result<Shelf, Absent> {
        let channels = self.read();
        let channel = channels.get(&key.channel).ok_or(Absent::UnknownChannel)?;
        channel.shelves.get(&key.publisher).cloned().ok_or(Absent::NotLive)
    }

    pub(crate) fn playlists(&self, channel: &ChannelId) -> Vec<PlaylistEntry> {
        let channels = self.read();
        let Some(known) = channels.get(channel) else { return Vec::new() };
        let live = known.shelves.iter().filter_map(|(publisher, shelf)| {
            let showing = shelf.current.as_ref().filter(|showing| !showing.ended.load(Ordering::Relaxed))?;
            let key = ProgrammeKey { channel: channel.clone(), publisher: publisher.clone() };
            let publisher = showing.publisher.read().unwrap_or_else(PoisonError::into_inner).clone();
            Some(PlaylistEntry { publisher, path: key.playlist_path() })
        });
        live.collect()
    }

    pub(crate) fn set_transcoding(&self, key: &ProgrammeKey, state: Option<TranscodeState>) {
        let known = self.read().get(&key.channel).map(|channel| channel.transcoding.get(&key.publisher).copied());
        if known.is_none_or(|known| known == state) {
            return;
        }
        if let Some(channel) = self.write().get_mut(&key.channel) {
            match state {
                Some(state) => drop(channel.transcoding.insert(key.publisher.clone(), state)),
                None => drop(channel.transcoding.remove(&key.publisher)),
            }
        }
    }

    pub(crate) fn transcoding(&self, channel: &ChannelId) -> Vec<TranscodeState> {
        self.read().get(channel).map(|known| known.transcoding.values().copied().collect()).unwrap_or_default()
    }

    /// The programmes that grow: this publisher's, or all of the channel's.
    pub(crate) fn live(&self, channel: &ChannelId, publisher: Option<&ConnectionId>) -> Vec<ProgrammeKey> {
        let channels = self.read();
        let Some(known) = channels.get(channel) else { return Vec::new() };
        let shelves = known.shelves.iter().filter(|(of, shelf)| {
            let showing = shelf.current.as_ref().filter(|showing| !showing.ended.load(Ordering::Relaxed));
            let shown = |showing: &Arc<Showing>| showing.publisher.read().unwrap_or_else(PoisonError::into_inner).clone();
            showing.is_some_and(|showing| publisher.is_none_or(|wanted| of.as_ref().unwrap_or(&shown(showing)) == wanted))
        });
        shelves.map(|(publisher, _)| ProgrammeKey { channel: channel.clone(), publisher: publisher.clone() }).collect()
    }

    pub(crate) fn state(&self, channel: &ChannelId) -> ProgrammeState {
        let channels = self.read();
        let Some(known) = channels.get(channel) else { return ProgrammeState::Unknown };
        let mut current = known.shelves.values().filter_map(|shelf| shelf.current.as_ref());
        if current.any(|showing| !showing.ended.load(Ordering::Relaxed)) {
            ProgrammeState::Live
        } else if known.ended_once {
            ProgrammeState::Ended
        } else {
            ProgrammeState::NotLive
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(channel: &str, publisher: Option<&str>) -> ProgrammeKey {
        ProgrammeKey { channel: channel.into(), publisher: publisher.map(ConnectionId::from) }
    }

    #[test]
    fn paths_are_escaped() {
        assert_eq!(key("a/b ?", Some("C1")).playlist_path(), "/hls/a%2Fb%20%3F/C1/playlist.m3u8");
        assert_eq!(key("room", None).playlist_path(), "/hls/room/playlist.m3u8");
    }

    #[test]
    fn a_channel_goes_from_unknown_to_not_live_to_live_to_ended() {
        let origin = Origin::new(1);
        let channel = ChannelId::from("c");
        assert_eq!(origin.state(&channel), ProgrammeState::Unknown);
        origin.open(channel.clone(), ProgrammeSettings::default());
        assert_eq!(origin.state(&channel), ProgrammeState::NotLive);
        assert_eq!(origin.shelf(&key("c", None)).err(), Some(Absent::NotLive));
        let stage = Stage::new("P".into(), [Rendition::Audio]);
        assert!(origin.show(&key("c", None), stage.showing.clone()));
        assert_eq!(origin.state(&channel), ProgrammeState::Live);
        assert_eq!(origin.playlists(&channel).len(), 1);
        stage.set_ended();
        origin.ended(&key("c", None));
        assert_eq!(origin.state(&channel), ProgrammeState::Ended);
        assert!(origin.playlists(&channel).is_empty());
        origin.withdraw(&key("c", None), &stage.showing);
        assert_eq!(origin.state(&channel), ProgrammeState::Ended);
        assert!(origin.shelf(&key("c", None)).is_err());
        origin.delete(&channel);
        assert_eq!(origin.state(&channel), ProgrammeState::Unknown);
        assert!(!origin.show(&key("c", None), stage.showing.clone()));
    }
}
