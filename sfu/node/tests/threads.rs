//! Several media threads on one port, with `rtc` peer connections that land on any of them.

#![allow(clippy::unwrap_used)]

#[path = "../../core/src/transport/tests/client.rs"]
mod client;

/// Where the client finds the words of the core.
mod model {
    pub use minamo_sfu_core::model::*;
}

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use minamo_media::{ChannelId, Codec, ConnectionId, TapEvent, TapSink, TrackId, Upstream};
use minamo_sfu::{Sfu, SfuConfig, StartError, Tcp};
use minamo_sfu_core::model::{Command, Downlink, Extensions, IceCredentials, LayerWish, Payload, PeerEvent, PeerId, Uplink};

use self::client::{CLIENT_SSRC, Client, PT, Profiles, SERVER_SSRC};

/// Nothing here takes a second; this only ends a test that hangs.
const LIMIT: Duration = Duration::from_secs(60);
const THREADS: usize = 4;
/// So many that they do not all land on one thread: once in four million runs they would.
const CLIENTS: u64 = 12;
const OPUS: Payload = Payload { codec: Codec::Opus, pt: PT, rtx_pt: None, red_pt: None };

struct Nowhere;

impl TapSink for Nowhere {
    fn push(&self, _: &ChannelId, _: &ConnectionId, _: TapEvent) {}
}

fn start() -> Sfu {
    let config = SfuConfig { threads: THREADS, tcp: Tcp::Listen, ..SfuConfig::new(SocketAddr::from(([127, 0, 0, 1], 0))) };
    Sfu::start(config, Arc::new(Nowhere)).unwrap()
}

/// A client with its socket: publishes a track of its own number.
struct Peer {
    id: PeerId,
    client: Client,
    socket: UdpSocket,
    server: SocketAddr,
    events: Receiver<PeerEvent>,
    seen: Vec<PeerEvent>,
    /// The way that it goes instead of its socket: messages behind their length (RFC 4571), and what came of the next one.
    stream: Option<(TcpStream, Vec<u8>)>,
    /// What it says.
    words: &'static [u8],
    said: Instant,
    /// Its last check with USE-CANDIDATE.
    nomination: Vec<u8>,
    goodbyes: usize,
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

impl Peer {
    /// `pwd` is what the client believes the server's password to be.
    fn join(sfu: &Sfu, number: u64, pwd: Option<&str>) -> Self {
        let socket = socket();
        let ice = IceCredentials { ufrag: format!("ufrag{number}"), pwd: format!("password-of-22-characters-{number}") };
        let told = IceCredentials { pwd: pwd.unwrap_or(&ice.pwd).to_owned(), ..ice.clone() };
        let (server, now) = (sfu.candidates()[0], Instant::now());
        let client = Client::new(now, socket.local_addr().unwrap(), server, &told, sfu.fingerprint(), &Profiles::Default);
        let (sender, events) = channel();
        let id = PeerId(number);
        sfu.add_peer(id, ice, Box::new(move |event| drop(sender.send(event)))).unwrap();
        sfu.command(Command::SetRemote { peer: id, fingerprint: client.fingerprint }).unwrap();
        let uplink = Uplink {
            track: TrackId(number),
            mid: "0".into(),
            payload: OPUS,
            extensions: Extensions::default(),
            ssrc: Some(CLIENT_SSRC),
            rtx_ssrc: None,
            rids: Vec::new(),
            tap: None,
        };
        sfu.command(Command::AddUplink(id, uplink)).unwrap();
        let words = format!("\u{8}I am {number}").into_bytes().leak();
        let (seen, nomination) = (Vec::new(), Vec::new());
        Self { id, client, socket, server, events, seen, stream: None, words, said: now, nomination, goodbyes: 0 }
    }

    fn hear(&self, sfu: &Sfu, other: u64) {
        let downlink = Downlink {
            track: TrackId(other),
            mid: "0".into(),
            payload: OPUS,
            extensions: Extensions::default(),
            ssrc: SERVER_SSRC,
            rtx_ssrc: None,
            layer: LayerWish::Best,
        };
        sfu.command(Command::AddDownlink(self.id, downlink)).unwrap();
    }

    fn turn(&mut self) {
        for datagram in self.take() {
            self.goodbyes += usize::from(datagram[0] == 21);
            self.client.receive(Instant::now(), &datagram);
        }
        if self.client.connected && self.said.elapsed() > Duration::from_millis(20) {
            self.said = Instant::now();
            self.client.send(self.said, self.words);
        }
        for datagram in self.client.poll(Instant::now()) {
            // USE-CANDIDATE has no value.
            if datagram[..2] == [0, 1] && datagram.windows(4).any(|word| word == [0, 0x25, 0, 0]) {
                self.nomination = datagram.to_vec();
            }
            self.give(&datagram);
        }
        self.seen.extend(self.events.try_iter());
    }

    /// What has come, by whichever way.
    fn take(&mut self) -> Vec<Vec<u8>> {
        let (mut taken, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
            taken.push(buffer[..length].to_vec());
        }
        if let Some((stream, bytes)) = &mut self.stream {
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                bytes.extend_from_slice(&buffer[..length]);
            }
            while let Some(length) = bytes.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)))
                && bytes.len() >= 2 + length
            {
                taken.push(bytes[2..2 + length].to_vec());
                bytes.drain(..2 + length);
            }
        }
        taken
    }

    fn give(&mut self, datagram: &[u8]) {
        let Some((stream, _)) = &mut self.stream else {
            self.socket.send_to(datagram, self.server).unwrap();
            return;
        };
        let framed = [&(datagram.len() as u16).to_be_bytes()[..], datagram].concat();
        // Some kilobytes a second always fit.
        assert_eq!(stream.write(&framed).unwrap(), framed.len());
    }

    /// From now on it goes by TCP.
    fn connect(&mut self) {
        let stream = TcpStream::connect(self.server).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        self.stream = Some((stream, Vec::new()));
    }

    /// Goes on from another port, as behind a NAT that has forgotten it: a check from there is the first that the server hears.
    fn move_away(&mut self) {
        self.socket = socket();
        self.socket.send_to(&self.nomination, self.server).unwrap();
    }

    fn forget_what_was_heard(&mut self) {
        self.client.received.clear();
    }
}

fn drive(peers: &mut [Peer], mut done: impl FnMut(&mut [Peer]) -> bool) -> bool {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        peers.iter_mut().for_each(Peer::turn);
        if done(peers) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

fn is_connected(peer: &Peer) -> bool {
    peer.seen.contains(&PeerEvent::Connected) && peer.client.connected
}

/// Each hears the one before it, and nobody else.
fn everybody_hears(peers: &[Peer]) -> bool {
    peers.iter().enumerate().all(|(index, peer)| {
        let expected = peers[(index + peers.len() - 1) % peers.len()].words;
        assert!(peer.client.received.iter().all(|heard| heard == expected), "{:?} hears somebody else", peer.id);
        peer.client.received.len() > 3
    })
}

/// Everybody is here, on more than one thread, and each hears the one before it.
fn a_circle(sfu: &Sfu) -> Vec<Peer> {
    let mut peers: Vec<Peer> = (0..CLIENTS).map(|number| Peer::join(sfu, number, None)).collect();
    for number in 0..CLIENTS {
        peers[number as usize].hear(sfu, (number + CLIENTS - 1) % CLIENTS);
    }
    assert!(drive(&mut peers, |peers| peers.iter().all(is_connected)), "{:?}", sfu.stats());
    assert!(drive(&mut peers, |peers| everybody_hears(peers)), "{:?}", sfu.stats());
    peers
}

#[test]
fn peers_of_different_threads_hear_each_other() {
    let sfu = start();
    let mut peers = a_circle(&sfu);
    let settled = |stats: &[minamo_sfu::Stats]| stats.iter().map(|stats| stats.peers).sum::<u64>() == CLIENTS;
    assert!(drive(&mut peers, |_| settled(&sfu.stats_by_thread())));
    let threads = sfu.stats_by_thread();
    assert_eq!(threads.len(), THREADS);
    assert!(threads.iter().filter(|stats| stats.peers > 0).count() > 1, "{threads:?}");
    let all = sfu.stats();
    assert_eq!((all.uplinks, all.downlinks), (CLIENTS, CLIENTS));
    sfu.request_key_frame(TrackId(3));
    assert!(sfu.is_alive());

    sfu.shutdown();
    assert!(!sfu.is_alive());
    assert_eq!(sfu.stats().peers, 0);
    assert!(drive(&mut peers, |peers| peers.iter().all(|peer| peer.goodbyes == 1)), "close_notify reached all");
}

#[test]
fn who_comes_from_another_port_stays_where_it_lives() {
    let sfu = start();
    let mut peers = a_circle(&sfu);
    let before = sfu.stats_by_thread();
    // With four threads three of four moves lead to another one.
    peers.iter_mut().for_each(Peer::move_away);
    assert!(drive(&mut peers, |peers| peers.iter().all(|peer| !peer.client.received.is_empty())));
    for _ in 0..2 {
        peers.iter_mut().for_each(Peer::forget_what_was_heard);
        assert!(drive(&mut peers, |peers| everybody_hears(peers)), "{:?}", sfu.stats());
    }
    let after = sfu.stats_by_thread();
    assert!(before.iter().zip(&after).all(|(before, after)| before.peers == after.peers));
    sfu.shutdown();
}

#[test]
fn streams_lead_to_every_thread_and_peers_move_onto_them_and_away() {
    let sfu = start();
    assert!(sfu.takes_tcp());
    let mut peers: Vec<Peer> = (0..CLIENTS).map(|number| Peer::join(&sfu, number, None)).collect();
    for number in 0..CLIENTS {
        peers[number as usize].hear(&sfu, (number + CLIENTS - 1) % CLIENTS);
    }
    // Every other one comes by TCP.
    peers.iter_mut().step_by(2).for_each(Peer::connect);
    assert!(drive(&mut peers, |peers| peers.iter().all(is_connected)), "{:?}", sfu.stats());
    assert!(drive(&mut peers, |peers| everybody_hears(peers)), "{:?}", sfu.stats());
    let before = sfu.stats_by_thread();
    // Then those go by UDP and the others by TCP: the first that is heard of them there is a check.
    for peer in &mut peers {
        match peer.stream.take() {
            Some(_) => peer.socket = socket(),
            None => peer.connect(),
        }
        let nomination = peer.nomination.clone();
        peer.give(&nomination);
    }
    for _ in 0..2 {
        peers.iter_mut().for_each(Peer::forget_what_was_heard);
        assert!(drive(&mut peers, |peers| everybody_hears(peers)), "{:?}", sfu.stats());
    }
    let after = sfu.stats_by_thread();
    assert!(before.iter().zip(&after).all(|(before, after)| before.peers == after.peers), "they stay where they live");
    assert!(after.iter().filter(|stats| stats.peers > 0).count() > 1);
    sfu.shutdown();
}

#[test]
fn who_leaves_and_who_comes_later() {
    let sfu = start();
    let mut peers = a_circle(&sfu);
    let left = peers.remove(0);
    sfu.command(Command::RemovePeer { peer: left.id, clean: true }).unwrap();
    // Its listener hears another one from now on.
    sfu.command(Command::RemoveDownlink(peers[0].id, TrackId(0))).unwrap();
    peers[0].hear(&sfu, CLIENTS - 1);
    peers.iter_mut().for_each(Peer::forget_what_was_heard);
    let heard = |peers: &mut [Peer]| {
        let expected = peers[peers.len() - 1].words;
        peers[0].client.received.iter().filter(|heard| *heard == expected).count() > 3
    };
    assert!(drive(&mut peers, heard), "{:?}", sfu.stats());
    assert!(drive(&mut peers, |_| sfu.stats().peers == CLIENTS - 1));
    peers.push(Peer::join(&sfu, 100, None));
    peers[CLIENTS as usize - 1].hear(&sfu, 5);
    let late = |peers: &mut [Peer]| peers[CLIENTS as usize - 1].client.received.len() > 3;
    assert!(drive(&mut peers, late), "{:?}", sfu.stats());
    sfu.shutdown();
}

/// Negative control: who does not know the password is claimed by no thread, and is heard by nobody.
#[test]
fn who_does_not_know_the_password_is_not_let_in() {
    let sfu = start();
    let mut peers: Vec<Peer> = vec![Peer::join(&sfu, 1, None), Peer::join(&sfu, 2, Some("another-password-of-22-characters"))];
    peers[0].hear(&sfu, 2);
    peers[1].hear(&sfu, 1);
    assert!(drive(&mut peers, |peers| is_connected(&peers[0])));
    let sent = |peers: &mut [Peer]| sfu.stats().rtp_in > 20 && peers[0].seen.len() == 1;
    assert!(drive(&mut peers, sent), "{:?}", sfu.stats());
    assert!(drive(&mut peers, |_| sfu.stats().dropped_unknown_address > 0), "its checks came, and were nobody's");
    assert!(!is_connected(&peers[1]) && peers[1].seen.is_empty() && peers[1].client.received.is_empty());
    assert_eq!((sfu.stats().peers, sfu.stats().rtp_out), (1, 0));
    sfu.shutdown();
}

#[test]
fn threads_of_two_servers_do_not_share_a_port() {
    let sfu = start();
    let listen = SocketAddr::from(([127, 0, 0, 1], sfu.local_port()));
    let config = SfuConfig { threads: THREADS, ..SfuConfig::new(listen) };
    assert!(matches!(Sfu::start(config, Arc::new(Nowhere)), Err(StartError::Bind { .. })));
    sfu.shutdown();
}
