//! What strangers and damaged links send to the UDP port, through a shard of real transports: dropped, counted, and the peer's own
//! media goes on. The client is `rtc`'s peer connection; time is virtual.

#![allow(clippy::unwrap_used)]

#[path = "../src/transport/tests/client.rs"]
mod client;

/// Where the client finds the words of the core.
mod model {
    pub use minamo_sfu_core::model::*;
}

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use minamo_media::{Codec, TrackId};
use minamo_sfu_core::model::{Command, Extensions, IceCredentials, Payload, PeerId, Uplink};
use minamo_sfu_core::shard::{Shard, ShardConfig, Stats};
use minamo_sfu_core::transport::{Identity, Route, Transport};

use self::client::{CLIENT_SSRC, Client, PT, Profiles};

const PEER: PeerId = PeerId(1);

/// One publisher and a shard on a link without delay.
struct World {
    now: Instant,
    shard: Shard<Transport>,
    client: Client,
    route: Route,
    /// The client's latest SRTP packet.
    last: BytesMut,
}

impl World {
    #[allow(clippy::disallowed_methods)] // the one look at a clock: everything after is counted from here
    fn connected() -> Self {
        let now = Instant::now();
        let identity = Identity::generate().unwrap();
        let (client_address, server) = (SocketAddr::from(([10, 0, 0, 2], 5000)), SocketAddr::from(([10, 0, 0, 1], 6000)));
        let ice = IceCredentials { ufrag: "ours".into(), pwd: "a-password-of-22-chars".into() };
        let client = Client::new(now, client_address, server, &ice, identity.fingerprint(), &Profiles::Default);
        let shard = Shard::new(ShardConfig::default(), move |now, ice| Transport::new(now, &identity, ice));
        let route = Route::udp(client_address, None);
        let mut world = Self { now, shard, client, route, last: BytesMut::new() };
        let payload = Payload { codec: Codec::Opus, pt: PT, rtx_pt: None, red_pt: None };
        let (extensions, track) = (Extensions::default(), TrackId(1));
        let ssrc = Some(CLIENT_SSRC);
        let uplink = Uplink { track, mid: "0".into(), payload, extensions, ssrc, rtx_ssrc: None, rids: Vec::new(), tap: None };
        let fingerprint = world.client.fingerprint;
        world.shard.handle_command(now, Command::AddPeer { peer: PEER, ice });
        world.shard.handle_command(now, Command::SetRemote { peer: PEER, fingerprint });
        world.shard.handle_command(now, Command::AddUplink(PEER, uplink));
        for _ in 0..400 {
            world.turn();
        }
        assert!(world.client.connected, "{:?}", world.shard.stats());
        world.send();
        world
    }

    fn turn(&mut self) {
        self.now += Duration::from_millis(5);
        if self.shard.poll_timeout().is_some_and(|due| due <= self.now) {
            self.shard.handle_timeout(self.now);
        }
        for datagram in self.client.poll(self.now) {
            if is_media(&datagram) {
                self.last = datagram.clone();
            }
            self.shard.handle_datagram(self.now, self.route, datagram);
        }
        while let Some(transmit) = self.shard.poll_transmit() {
            transmit.datagrams().for_each(|datagram| self.client.receive(self.now, datagram));
        }
        while self.shard.poll_event().is_some() {}
    }

    /// The client sends a packet, and it is taken.
    fn send(&mut self) {
        let taken = self.shard.stats().rtp_in;
        self.client.send(self.now, b"\xF8opus");
        self.turn();
        let stats = self.stats();
        assert_eq!(stats.rtp_in, taken + 1, "{stats:?}");
    }

    /// A packet of the client that has not reached the shard.
    fn undelivered(&mut self) -> BytesMut {
        self.client.send(self.now, b"\xF8opus");
        let datagrams = self.client.poll(self.now);
        datagrams.into_iter().find(|datagram| is_media(datagram)).unwrap()
    }

    fn inject(&mut self, datagram: &[u8]) {
        self.shard.handle_datagram(self.now, self.route, BytesMut::from(datagram));
    }

    fn stats(&mut self) -> Stats {
        self.shard.sum_transports();
        *self.shard.stats()
    }
}

fn is_media(datagram: &[u8]) -> bool {
    datagram[0] >> 6 == 2 && datagram[1] & 0x7f == PT
}

#[test]
fn garbage_and_truncated_packets_are_dropped_and_counted() {
    let mut world = World::connected();
    let before = world.stats();
    assert_eq!((before.transports.garbage, before.transports.undecryptable), (0, 0));
    let packet = world.undelivered();
    let garbage: &[&[u8]] = &[&[], &[5], &[200, 1, 2, 3], &[0x80], &packet[..11]];
    for datagram in garbage {
        world.inject(datagram);
    }
    for length in 12..packet.len() {
        world.inject(&packet[..length]);
    }
    for stun in [&[0, 1][..], &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
        world.inject(stun);
    }
    let after = world.stats();
    let dropped = after.transports.garbage + after.transports.undecryptable;
    assert_eq!(dropped, (garbage.len() + packet.len() - 12) as u64, "{after:?}");
    assert!(after.transports.garbage >= garbage.len() as u64 && after.transports.undecryptable > 0, "{after:?}");
    assert_eq!(after.transports.stun_rejected, 2);
    assert_eq!(after.rtp_in, before.rtp_in, "none was taken for a packet");
    world.send();
}

#[test]
fn replayed_packets_are_dropped_and_counted() {
    let mut world = World::connected();
    let packet = world.last.clone();
    let before = world.stats();
    for _ in 0..3 {
        world.inject(&packet);
    }
    let after = world.stats();
    assert_eq!((before.transports.replayed, after.transports.replayed), (0, 3));
    assert_eq!(after.rtp_in, before.rtp_in);
    world.send();
    assert_eq!(world.stats().transports.replayed, 3, "an ordinary packet is none");
}

#[test]
fn what_peers_counted_stays_when_they_are_gone() {
    let mut world = World::connected();
    world.inject(&[5]);
    let before = world.stats().transports;
    assert_eq!(before.garbage, 1);
    world.shard.handle_command(world.now, Command::RemovePeer { peer: PEER, clean: true });
    assert_eq!(world.stats().transports, before);
}
