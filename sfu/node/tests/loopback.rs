//! The running SFU over loopback UDP with `rtc` peer connections as clients.

#![allow(clippy::unwrap_used)]

#[path = "../../core/src/transport/tests/client.rs"]
mod client;

/// Where the client finds the words of the core.
mod model {
    pub use minamo_sfu_core::model::*;
}

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use minamo_media::{ChannelId, Codec, ConnectionId, TapEvent, TapSink, TrackId, Upstream};
use minamo_sfu::{Overloaded, Sfu, SfuConfig, StartError};
use minamo_sfu_core::model::{
    CloseReason, Command, DataChannelSpec, DataMessage, Downlink, Extensions, Fault, Fingerprint, IceCredentials, LayerWish,
    Payload, PeerEvent, PeerId, Uplink,
};

use self::client::{CLIENT_SSRC, Client, PT, Profiles, SERVER_SSRC};

/// Nothing here takes a second; this only ends a test that hangs.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Tap(Mutex<Vec<(ChannelId, ConnectionId, TapEvent)>>);

impl TapSink for Tap {
    fn push(&self, channel: &ChannelId, publisher: &ConnectionId, event: TapEvent) {
        self.0.lock().unwrap().push((channel.clone(), publisher.clone(), event));
    }
}

impl Tap {
    fn any(&self, found: impl Fn(&TapEvent) -> bool) -> bool {
        self.0.lock().unwrap().iter().any(|(_, _, event)| found(event))
    }
}

fn start(tap: Arc<Tap>) -> Sfu {
    let config = SfuConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    Sfu::start(config, tap).unwrap()
}

/// A client with its socket, driven by hand.
struct Peer {
    id: PeerId,
    client: Client,
    socket: UdpSocket,
    server: SocketAddr,
    events: Receiver<PeerEvent>,
    seen: Vec<PeerEvent>,
    /// DTLS alerts that came: close_notify.
    alerts: usize,
}

impl Peer {
    fn join(sfu: &Sfu, id: u64, told: Option<Fingerprint>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let ice = IceCredentials { ufrag: format!("ufrag{id}"), pwd: format!("password-of-22-characters-{id}") };
        let server = sfu.candidates()[0];
        let client =
            Client::new(Instant::now(), socket.local_addr().unwrap(), server, &ice, sfu.fingerprint(), &Profiles::Default);
        let (sender, events): (Sender<PeerEvent>, _) = channel();
        let id = PeerId(id);
        sfu.add_peer(id, ice, Box::new(move |event| drop(sender.send(event)))).unwrap();
        sfu.command(Command::SetRemote { peer: id, fingerprint: told.unwrap_or(client.fingerprint) }).unwrap();
        Self { id, client, socket, server, events, seen: Vec::new(), alerts: 0 }
    }

    fn turn(&mut self) {
        let mut buffer = [0; 2048];
        if let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
            self.alerts += usize::from(buffer[0] == 21);
            self.client.receive(Instant::now(), &buffer[..length]);
        }
        for datagram in self.client.poll(Instant::now()) {
            self.socket.send_to(&datagram, self.server).unwrap();
        }
        self.seen.extend(self.events.try_iter());
    }
}

fn drive(peers: &mut [Peer], mut done: impl FnMut(&mut [Peer]) -> bool) -> bool {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        peers.iter_mut().for_each(Peer::turn);
        if done(peers) {
            return true;
        }
    }
    false
}

fn connected(peers: &mut [Peer]) -> bool {
    peers.iter().all(|peer| peer.seen.contains(&PeerEvent::Connected) && peer.client.connected)
}

const OPUS: Payload = Payload { codec: Codec::Opus, pt: PT, rtx_pt: None, red_pt: None };

fn publish(sfu: &Sfu, peer: PeerId, track: TrackId) {
    let tap = Some(model::Tap { channel: "channel".into(), publisher: "publisher".into(), layers: false });
    let uplink = Uplink {
        track,
        mid: "0".into(),
        payload: OPUS,
        extensions: Extensions::default(),
        ssrc: Some(CLIENT_SSRC),
        rtx_ssrc: None,
        rids: Vec::new(),
        tap,
    };
    sfu.command(Command::AddUplink(peer, uplink)).unwrap();
}

fn subscribe(sfu: &Sfu, peer: PeerId, track: TrackId) {
    let downlink = Downlink {
        track,
        mid: "0".into(),
        payload: OPUS,
        extensions: Extensions::default(),
        ssrc: SERVER_SSRC,
        rtx_ssrc: None,
        layer: LayerWish::Best,
    };
    sfu.command(Command::AddDownlink(peer, downlink)).unwrap();
}

#[test]
fn a_publisher_is_heard_by_a_subscriber_and_by_the_tap() {
    let tap = Arc::new(Tap::default());
    let sfu = start(tap.clone());
    let track = TrackId(7);
    let mut peers = [Peer::join(&sfu, 1, None), Peer::join(&sfu, 2, None)];
    publish(&sfu, peers[0].id, track);
    subscribe(&sfu, peers[1].id, track);
    assert!(drive(&mut peers, connected), "{:?}", sfu.stats());
    let mut last = Instant::now();
    let heard = drive(&mut peers, |peers| {
        if last.elapsed() > Duration::from_millis(20) {
            last = Instant::now();
            peers[0].client.send(last, b"\xF8opus");
        }
        let unit =
            |event: &TapEvent| matches!(event, TapEvent::AccessUnit(of, unit) if *of == track && unit.data == b"\xF8opus"[..]);
        peers[1].client.received.iter().any(|payload| payload == &b"\xF8opus"[..]) && tap.any(unit)
    });
    assert!(heard, "{:?}", sfu.stats());
    assert!(peers[0].client.received.is_empty(), "a publisher does not hear itself");
    assert!(sfu.stats().rtp_in > 0 && sfu.stats().rtp_out > 0);
    sfu.request_key_frame(track);
    assert!(sfu.is_alive());

    sfu.shutdown();
    assert!(!sfu.is_alive());
    assert!(tap.any(|event| *event == TapEvent::PublisherGone { clean: true }));
    let (channel, publisher, _) = tap.0.lock().unwrap().last().unwrap().clone();
    assert_eq!((channel.as_str(), publisher.as_str()), ("channel", "publisher"));
    assert!(drive(&mut peers, |peers| peers.iter().all(|peer| peer.alerts == 1)), "close_notify reached both");
    assert_eq!(sfu.command(Command::RequestKeyFrame(track)), Err(Overloaded));
    sfu.shutdown();
}

/// Negative control of the above.
#[test]
fn another_certificate_than_the_answers_is_turned_away() {
    let sfu = start(Arc::default());
    let mut peers = [Peer::join(&sfu, 1, Some(Fingerprint([1; 32]))), Peer::join(&sfu, 2, None)];
    let over = drive(&mut peers, |peers| !peers[0].seen.is_empty() && connected(&mut peers[1..]));
    assert!(over);
    assert_eq!(peers[0].seen, [PeerEvent::Closed(CloseReason::DtlsFailed)]);
    assert_eq!(peers[1].seen, [PeerEvent::Connected], "one peer's failure ends one peer");
    sfu.shutdown();
}

#[test]
fn garbage_on_the_port_is_dropped_and_counted() {
    let sfu = start(Arc::default());
    let mut peers = [Peer::join(&sfu, 1, None)];
    assert!(drive(&mut peers, connected));
    let garbage: [&[u8]; 3] = [&[], &[5; 9], &[0x80]];
    for datagram in garbage {
        peers[0].socket.send_to(datagram, peers[0].server).unwrap();
    }
    // Loopback keeps the order: what was sent before a packet that was taken has been seen.
    peers[0].client.send(Instant::now(), b"\xF8opus");
    assert!(drive(&mut peers, |_| sfu.stats().rtp_in > 0), "{:?}", sfu.stats());
    sfu.shutdown();
    let counted = sfu.stats().transports;
    assert_eq!((counted.garbage, counted.replayed), (garbage.len() as u64, 0), "{counted:?}");
}

#[test]
fn a_panicking_callback_harms_nobody_else() {
    let sfu = start(Arc::default());
    let mut bad = Peer::join(&sfu, 1, None);
    let ice = IceCredentials { ufrag: "ufrag1".into(), pwd: "password-of-22-characters-1".into() };
    sfu.command(Command::RemovePeer { peer: bad.id, clean: true }).unwrap();
    sfu.add_peer(bad.id, ice, Box::new(|_| panic!("a bug of the caller, on purpose"))).unwrap();
    sfu.command(Command::SetRemote { peer: bad.id, fingerprint: bad.client.fingerprint }).unwrap();
    bad.seen.push(PeerEvent::Connected);
    let mut peers = [bad, Peer::join(&sfu, 2, None)];
    assert!(drive(&mut peers, connected));
    sfu.shutdown();
}

#[test]
fn a_port_in_use_is_said_in_plain_words() {
    let sfu = start(Arc::default());
    let listen = SocketAddr::from(([127, 0, 0, 1], sfu.local_port()));
    let error = Sfu::start(SfuConfig::new(listen), Arc::new(Tap::default())).unwrap_err();
    assert!(matches!(error, StartError::Bind { .. }));
    assert_eq!(error.to_string(), format!("UDP port {} on 127.0.0.1 is already in use", sfu.local_port()));
    let listen = SocketAddr::from(([203, 0, 113, 1], 9));
    let error = Sfu::start(SfuConfig::new(listen), Arc::new(Tap::default())).unwrap_err();
    assert_eq!(error.to_string(), "this machine has no address 203.0.113.1 to listen on (UDP port 9)");
}

/// The second is told to panic at the next packet that it is sent: the third hears on, and the first is heard.
#[test]
fn a_panic_in_the_engine_ends_one_peer() {
    let sfu = start(Arc::default());
    let track = TrackId(7);
    let mut peers = [Peer::join(&sfu, 1, None), Peer::join(&sfu, 2, None), Peer::join(&sfu, 3, None)];
    publish(&sfu, peers[0].id, track);
    subscribe(&sfu, peers[1].id, track);
    subscribe(&sfu, peers[2].id, track);
    assert!(drive(&mut peers, connected), "{:?}", sfu.stats());
    let mut last = Instant::now();
    let mut speak = |peers: &mut [Peer]| {
        if last.elapsed() > Duration::from_millis(20) {
            last = Instant::now();
            peers[0].client.send(last, b"\xF8opus");
        }
    };
    let heard = |peers: &[Peer], at: usize| peers[at].client.received.len();
    let begun = drive(&mut peers, |peers| {
        speak(peers);
        heard(peers, 1) > 3 && heard(peers, 2) > 3
    });
    assert!(begun, "{:?}", sfu.stats());
    assert_eq!(sfu.stats().panicked_peers, 0);

    sfu.command(Command::Fault(peers[1].id, Fault::Downlink)).unwrap();
    let closed = PeerEvent::Closed(CloseReason::Internal);
    let over = drive(&mut peers, |peers| {
        speak(peers);
        peers[1].seen.contains(&closed) && sfu.stats().panicked_peers == 1
    });
    assert!(over, "{:?} {:?}", peers[1].seen, sfu.stats());
    let before = heard(&peers, 2);
    let goes_on = drive(&mut peers, |peers| {
        speak(peers);
        heard(peers, 2) > before + 10
    });
    assert!(goes_on, "{:?}", sfu.stats());
    for at in [0, 2] {
        assert!(!peers[at].seen.iter().any(|event| matches!(event, PeerEvent::Closed(_))), "{:?}", peers[at].seen);
    }
    // Who comes after it is served as ever.
    let mut late = [Peer::join(&sfu, 4, None)];
    assert!(drive(&mut late, connected), "{:?}", sfu.stats());
    assert!(sfu.is_alive());
    sfu.shutdown();
    assert_eq!(sfu.stats().panicked_peers, 1);
}

#[test]
fn data_channels_open_carry_both_ways_and_close() {
    const LABEL: &str = "#bulk";
    let sfu = start(Arc::default());
    let mut peers = [Peer::join(&sfu, 1, None)];
    let id = peers[0].id;
    assert!(drive(&mut peers, connected), "{:?}", sfu.stats());
    // Every 4 bytes their place, so that a piece in the wrong place is seen.
    let payload: Vec<u8> = (0u32..50_000).flat_map(u32::to_be_bytes).collect();
    let message = DataMessage { label: LABEL.into(), binary: true, payload: payload.clone().into() };
    // Negative control: nothing goes out on a channel that is not open.
    sfu.command(Command::SendData(id, message.clone())).unwrap();
    sfu.command(Command::OpenChannel(id, DataChannelSpec { label: LABEL.into(), ordered: true, ..DataChannelSpec::default() }))
        .unwrap();
    let open = drive(&mut peers, |peers| {
        let theirs = peers[0].client.channels.opened.iter().any(|label| label == LABEL);
        theirs && peers[0].seen.contains(&PeerEvent::ChannelOpen(LABEL.into()))
    });
    assert!(open, "{:?}", peers[0].seen);

    sfu.command(Command::SendData(id, message.clone())).unwrap();
    assert!(peers[0].client.send_data(Instant::now(), LABEL, false, &payload));
    let carried = drive(&mut peers, |peers| {
        !peers[0].client.channels.messages.is_empty() && peers[0].seen.contains(&PeerEvent::Data(message.clone()))
    });
    assert!(carried, "{:?}", sfu.stats());
    assert_eq!(peers[0].client.channels.messages, [(LABEL.to_owned(), false, payload.into())]);

    sfu.command(Command::CloseChannels(id)).unwrap();
    let over = drive(&mut peers, |peers| {
        let theirs = peers[0].client.channels.closed.iter().any(|label| label == LABEL);
        theirs && peers[0].seen.contains(&PeerEvent::ChannelClosed(LABEL.into()))
    });
    assert!(over, "{:?}", peers[0].client.channels.closed);
    assert!(!peers[0].seen.iter().any(|event| matches!(event, PeerEvent::Closed(_))), "the peer stays");
    sfu.shutdown();
}
