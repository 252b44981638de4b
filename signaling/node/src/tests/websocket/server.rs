//! A server on a free port.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use minamo_catalog::{Catalog, Channel, ChannelKind};
use minamo_media::ChannelId;
use minamo_sfu_core::model::{CloseReason, Command, Fingerprint, IceCredentials, PeerEvent, PeerId, PeerReport, UplinkReport};
use serde_json::json;

use crate::api::{self, ApiState, ApiToken};
use crate::media_plane::{Busy, MediaPlane, OnPeerEvent};
use crate::{PlaylistPath, Programmes, Signaling, SignalingConfig, whip};

/// For WHIP and WHEP.
pub(super) const TOKEN: &str = "right";

/// Says `Connected` as soon as the answer is there, and remembers what it was told.
#[derive(Default)]
pub(super) struct FakeSfu {
    /// In every report.
    pub uplinks: Mutex<Vec<UplinkReport>>,
    peers: Mutex<HashMap<PeerId, OnPeerEvent>>,
    pub commands: Mutex<Vec<Command>>,
    pub busy: AtomicBool,
    /// Nothing comes from any peer.
    pub silent: AtomicBool,
    reports: AtomicU64,
}

impl MediaPlane for Arc<FakeSfu> {
    fn candidates(&self) -> Vec<SocketAddr> {
        vec!["127.0.0.1:9".parse().unwrap()]
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint([9; 32])
    }

    fn add_peer(&self, peer: PeerId, _: IceCredentials, on_event: OnPeerEvent) -> Result<(), Busy> {
        if self.busy.load(Ordering::Relaxed) {
            return Err(Busy);
        }
        self.peers.lock().unwrap().insert(peer, on_event);
        Ok(())
    }

    fn command(&self, command: Command) -> Result<(), Busy> {
        match &command {
            Command::SetRemote { peer, .. } => (self.peers.lock().unwrap()[peer])(PeerEvent::Connected),
            Command::OpenChannel(peer, spec) => self.say(*peer, PeerEvent::ChannelOpen(spec.label.as_str().into())),
            Command::CloseChannels(peer) => self.close_channels(*peer),
            Command::Report(peer) => {
                let bytes_in = if self.silent.load(Ordering::Relaxed) { 7 } else { self.reports.fetch_add(1, Ordering::Relaxed) };
                self.say(
                    *peer,
                    PeerEvent::Report(Box::new(PeerReport {
                        bytes_in,
                        uplinks: self.uplinks.lock().unwrap().clone(),
                        ..PeerReport::default()
                    })),
                );
            }
            Command::RemovePeer { peer, .. } => drop(self.peers.lock().unwrap().remove(peer)),
            _ => {}
        }
        self.commands.lock().unwrap().push(command);
        Ok(())
    }
}

impl FakeSfu {
    /// As if the peer's transport had said it.
    pub(super) fn say(&self, peer: PeerId, event: PeerEvent) {
        if let Some(on_event) = self.peers.lock().unwrap().get(&peer) {
            on_event(event);
        }
    }

    fn close_channels(&self, peer: PeerId) {
        for command in self.commands.lock().unwrap().iter() {
            if let Command::OpenChannel(owner, spec) = command
                && *owner == peer
            {
                self.say(peer, PeerEvent::ChannelClosed(spec.label.as_str().into()));
            }
        }
    }

    /// The peer that was added last.
    pub(super) fn last_peer(&self) -> PeerId {
        *self.peers.lock().unwrap().keys().max().unwrap()
    }

    /// What was sent to a peer on a channel.
    pub(super) fn sent(&self, peer: PeerId, label: &str) -> Vec<String> {
        let text = |command: &Command| match command {
            Command::SendData(to, message) if *to == peer && &*message.label == label => {
                Some(String::from_utf8(message.payload.to_vec()).unwrap())
            }
            _ => None,
        };
        self.commands.lock().unwrap().iter().filter_map(text).collect()
    }

    pub(super) fn peers(&self) -> usize {
        self.peers.lock().unwrap().len()
    }

    /// Says something of the peer that came as the n-th, from 0.
    pub(super) fn tell(&self, nth: usize, event: PeerEvent) {
        let peers = self.peers.lock().unwrap();
        let mut ids: Vec<_> = peers.keys().copied().collect();
        ids.sort_unstable();
        peers[&ids[nth]](event);
    }

    /// Every peer is gone by itself.
    pub(super) fn lose_all(&self, why: CloseReason) {
        for (_, on_event) in self.peers.lock().unwrap().drain() {
            on_event(PeerEvent::Closed(why));
        }
    }

    /// `clean` of every removal so far.
    pub(super) fn removals(&self) -> Vec<bool> {
        let clean = |command: &Command| match command {
            Command::RemovePeer { clean, .. } => Some(*clean),
            _ => None,
        };
        self.commands.lock().unwrap().iter().filter_map(clean).collect()
    }
}

#[derive(Default)]
pub(super) struct FakeProgrammes {
    pub opened: Mutex<Vec<ChannelId>>,
}

impl Programmes for FakeProgrammes {
    fn open(&self, channel: &Channel) {
        self.opened.lock().unwrap().push(channel.id.clone());
    }

    fn delete(&self, _: &ChannelId) {}

    fn playlists(&self, _: &ChannelId) -> Vec<PlaylistPath> {
        Vec::new()
    }
}

pub(super) struct Server {
    address: SocketAddr,
    pub router: axum::Router,
    pub signaling: Signaling,
    pub sfu: Arc<FakeSfu>,
    pub programmes: Arc<FakeProgrammes>,
    pub catalog: Catalog,
    _folder: tempfile::TempDir,
}

impl Server {
    /// With the channels `single`, `room` and `hls-room`.
    pub(super) async fn start(config: SignalingConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open_in(folder.path()).await.unwrap();
        let kinds =
            [("single", ChannelKind::Single), ("room", ChannelKind::Multistream), ("hls-room", ChannelKind::MultistreamWithHls)];
        for (id, kind) in kinds {
            catalog.create_channel_with_id(id.into(), kind, json!({})).await.unwrap();
        }
        let (sfu, programmes) = (Arc::<FakeSfu>::default(), Arc::<FakeProgrammes>::default());
        let signaling = Signaling::new(sfu.clone(), catalog.clone(), programmes.clone(), config);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = ApiState {
            catalog: catalog.clone(),
            programmes: programmes.clone(),
            signaling: signaling.clone(),
            token: ApiToken::new(TOKEN),
            public_url: None,
        };
        let router = signaling.router().merge(whip::router(signaling.clone(), ApiToken::new(TOKEN))).merge(api::router(state));
        let served = router.clone();
        tokio::spawn(async move { axum::serve(listener, served).await });
        Self { address, router, signaling, sfu, programmes, catalog, _folder: folder }
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}/signaling", self.address)
    }

    /// Waits for what must come to be.
    pub(super) async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let wait = async {
            while !holds(self) {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(super::PATIENCE, wait).await.expect("it never came to be");
    }
}
