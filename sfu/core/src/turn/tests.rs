//! The server against a client made of the same words; real clients are in the interop suite.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use proptest::prelude::*;

use super::wire::{self, Message, Writer};
use super::{RelayLogin, RelayLogins, Share, TurnServer, Turned};
use crate::transport::{Route, Transmit, Via};

fn now() -> Instant {
    // The one reading of the clock: all else is virtual.
    #[allow(clippy::disallowed_methods)]
    Instant::now()
}

fn ours(last: u8) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, last], 8080))
}

fn client(port: u16) -> Route {
    Route::udp(SocketAddr::from(([10, 0, 0, 2], port)), Some(IpAddr::from([203, 0, 113, 7])))
}

/// The server, and a client that has come as far as is needed.
struct World {
    now: Instant,
    server: TurnServer,
    login: RelayLogin,
    nonce: String,
    from: Route,
    key: Vec<u8>,
    transaction: u8,
}

impl World {
    fn new() -> Self {
        let now = now();
        let logins = RelayLogins::generate(now).unwrap();
        let login = logins.issue(now, "somebody");
        let v6 = "[2001:db8::7]:8080".parse().unwrap();
        let server = TurnServer::new(logins, vec![ours(7), ours(8), v6], Share { index: 1, of: 2 });
        let key = Self::key(&login);
        Self { now, server, login, nonce: String::new(), from: client(5000), key, transaction: 0 }
    }

    /// From the password alone, as a client would.
    fn key(login: &RelayLogin) -> Vec<u8> {
        let text = format!("{}:minamo:{}", login.username, login.credential);
        let provider = rtc_crypto::providers::AwsLcRsProvider::new();
        rtc_crypto::RTCCryptoProvider::crypto(&provider).hash(rtc_crypto::HashAlgorithm::Md5, text.as_bytes()).unwrap()
    }

    fn allocated() -> Self {
        let mut world = Self::new();
        world.challenge();
        let answer = world.request(wire::ALLOCATE, &udp());
        assert_eq!(code(&answer), 0);
        world
    }

    fn send(&mut self, data: &[u8]) -> Turned {
        self.server.handle(self.now, self.from, BytesMut::from(data))
    }

    fn answer(&mut self, data: &[u8]) -> BytesMut {
        match self.send(data) {
            Turned::Answer(answer) => answer,
            other => panic!("no answer but {other:?}"),
        }
    }

    fn challenge(&mut self) -> BytesMut {
        let answer = self.answer(&Writer::new(wire::ALLOCATE, [1; 12]).with(wire::REQUESTED_TRANSPORT, &[17, 0, 0, 0]).plain());
        self.nonce = Message::parse(&answer).unwrap().text(wire::NONCE).unwrap().to_owned();
        answer
    }

    fn signed(&mut self, kind: u16, attributes: &[(u16, Vec<u8>)]) -> BytesMut {
        self.transaction += 1;
        let mut writer = Writer::new(kind, [self.transaction; 12]);
        for (kind, value) in attributes {
            writer = writer.with(*kind, value);
        }
        let writer = writer.with(wire::USERNAME, self.login.username.as_bytes()).with(wire::REALM, b"minamo");
        let logins = &self.server.logins;
        writer.with(wire::NONCE, self.nonce.as_bytes()).signed(&self.key, logins.crypto())
    }

    fn request(&mut self, kind: u16, attributes: &[(u16, Vec<u8>)]) -> BytesMut {
        let request = self.signed(kind, attributes);
        self.answer(&request)
    }

    fn peer(&self, kind: u16, peer: SocketAddr) -> (u16, Vec<u8>) {
        // XORed with the transaction of the next request.
        let written = Writer::new(kind, [self.transaction + 1; 12]).with_address(wire::XOR_PEER_ADDRESS, peer).plain();
        (wire::XOR_PEER_ADDRESS, written[24..].to_vec())
    }

    fn permit(&mut self, peer: SocketAddr) -> u16 {
        let attribute = self.peer(wire::CREATE_PERMISSION, peer);
        code(&self.request(wire::CREATE_PERMISSION, &[attribute]))
    }

    fn bind(&mut self, number: u16, peer: SocketAddr) -> u16 {
        let attribute = self.peer(wire::CHANNEL_BIND, peer);
        let number = (wire::CHANNEL_NUMBER, (u32::from(number) << 16).to_be_bytes().to_vec());
        code(&self.request(wire::CHANNEL_BIND, &[number, attribute]))
    }

    fn send_indication(&mut self, peer: SocketAddr, payload: &[u8]) -> Turned {
        let data = Writer::new(wire::SEND, [3; 12]).with_address(wire::XOR_PEER_ADDRESS, peer).with(wire::DATA, payload).plain();
        self.send(&data)
    }

    fn route(&self) -> Route {
        let allocation = &self.server.allocations[&self.from];
        let via = Via::Turn { allocation: allocation.number, tcp: self.from.via != Via::Udp };
        Route { remote: allocation.relayed, local: Some(ours(7).ip()), via }
    }
}

fn udp() -> [(u16, Vec<u8>); 1] {
    [(wire::REQUESTED_TRANSPORT, vec![17, 0, 0, 0])]
}

fn lifetime(seconds: u32) -> (u16, Vec<u8>) {
    (wire::LIFETIME, seconds.to_be_bytes().to_vec())
}

/// 0 for success.
fn code(answer: &[u8]) -> u16 {
    let message = Message::parse(answer).unwrap();
    let code = message.attribute(wire::ERROR_CODE).map_or(0, |value| u16::from(value[2]) * 100 + u16::from(value[3]));
    assert_eq!(code == 0, message.kind & 0x0110 == 0x0100);
    code
}

#[test]
fn an_allocation_carries_datagrams_both_ways() {
    let mut world = World::allocated();
    assert_eq!(world.permit(ours(7)), 0);
    let route = world.route();
    assert_eq!(world.send_indication(ours(7), b"in"), Turned::Inner(route, BytesMut::from(&b"in"[..])));
    let out = world.server.wrap(world.now, &Transmit::single(route, BytesMut::from(&b"out"[..]))).unwrap();
    let message = Message::parse(&out.payload).unwrap();
    assert_eq!((out.route, message.kind), (world.from, wire::DATA_INDICATION));
    assert_eq!(message.attribute(wire::DATA), Some(&b"out"[..]));
    let peer = message.attribute(wire::XOR_PEER_ADDRESS).unwrap();
    assert_eq!(wire::address(peer, &message.transaction), Some(ours(7)));
}

#[test]
fn a_channel_is_shorter_and_keeps_segments_together() {
    let mut world = World::allocated();
    assert_eq!(world.bind(0x4001, ours(7)), 0);
    let route = world.route();
    assert_eq!(world.send(b"\x40\x01\x00\x02in and padding"), Turned::Inner(route, BytesMut::from(&b"in"[..])));
    let group = Transmit { route, payload: BytesMut::from(&b"aaabbbc"[..]), segment: 3 };
    let out = world.server.wrap(world.now, &group).unwrap();
    assert_eq!((&out.payload[..], out.segment), (&b"\x40\x01\x00\x03aaa\x40\x01\x00\x03bbb\x40\x01\x00\x01c"[..], 7));
    assert_eq!((world.bind(0x4001, ours(8)), world.bind(0x4002, ours(7))), (400, 400), "bound otherwise");
    assert_eq!((world.bind(0x4001, ours(7)), world.bind(0x3fff, ours(8))), (0, 400));
    assert_eq!(world.send(b"\x40\x05\x00\x02in"), Turned::Dropped, "a channel that is not bound");
    assert_eq!(world.send(b"\x40\x01\x00\x09in"), Turned::Dropped, "shorter than it says");
}

#[test]
fn on_a_stream_channel_data_is_padded() {
    let mut world = World::new();
    world.from.via = Via::Tcp(1);
    world.challenge();
    assert_eq!(code(&world.request(wire::ALLOCATE, &udp())), 0);
    assert_eq!(world.bind(0x4001, ours(7)), 0);
    let route = world.route();
    assert_eq!(route.via, Via::Turn { allocation: 1, tcp: true }, "the second of two shares");
    let out = world.server.wrap(world.now, &Transmit::single(route, BytesMut::from(&b"aaa"[..]))).unwrap();
    assert_eq!(&out.payload[..], b"\x40\x01\x00\x03aaa\x00");
}

#[test]
fn nobody_but_our_own_candidates_can_be_reached() {
    let mut world = World::allocated();
    let others = ["198.51.100.1:8080", "127.0.0.1:22", "10.0.0.1:8080", "[2001:db8::8]:8080"].map(|text| text.parse().unwrap());
    for peer in others {
        assert_eq!((world.permit(peer), world.bind(0x4001, peer)), (403, 403), "{peer}");
        assert_eq!(world.send_indication(peer, b"x"), Turned::Dropped);
    }
    let another_port = SocketAddr::new(ours(7).ip(), 22);
    assert_eq!(world.bind(0x4001, another_port), 403);
    assert_eq!(world.permit(another_port), 0, "a permission is for an address");
    assert_eq!(world.send_indication(another_port, b"x"), Turned::Dropped, "but only one port is ours");
    assert_eq!(world.server.counters().forbidden, 9);
    assert_eq!(world.send_indication(ours(8), b"x"), Turned::Dropped, "not without a permission");
}

#[test]
fn strangers_are_challenged_shortly_and_wrong_passwords_are_refused() {
    let mut world = World::new();
    let challenge = world.challenge();
    assert!(challenge.len() <= 68, "{}", challenge.len());
    assert_eq!(code(&challenge), 401);
    let right = world.key.clone();
    world.key = b"wrong".to_vec();
    assert_eq!(code(&world.request(wire::ALLOCATE, &udp())), 401);
    world.login.username = format!("9{}", world.login.username);
    world.key = right.clone();
    assert_eq!(code(&world.request(wire::ALLOCATE, &udp())), 401, "a login that says to be good for longer");
    assert!(world.server.is_empty());
    for _ in 0..18 {
        world.request(wire::ALLOCATE, &udp());
    }
    world.login.username.remove(0);
    let good = world.signed(wire::ALLOCATE, &udp());
    assert_eq!(world.send(&good), Turned::Dropped, "after so many failures nobody listens");
    world.now += Duration::from_secs(11);
    assert_eq!(code(&world.answer(&good)), 0, "for a while");
}

#[test]
fn nonces_are_of_one_address_and_a_time_and_logins_of_a_day() {
    let mut world = World::allocated();
    world.from = client(5001);
    assert_eq!(code(&world.request(wire::ALLOCATE, &udp())), 438, "another address");
    world.from = client(5000);
    world.now += Duration::from_secs(599);
    assert_eq!(code(&world.request(wire::REFRESH, &[])), 0);
    world.now += Duration::from_secs(2);
    assert_eq!(code(&world.request(wire::REFRESH, &[])), 438, "too old");
    world.nonce = "zz".into();
    assert_eq!(code(&world.request(wire::REFRESH, &[])), 438);
    for _ in 0..25 {
        world.challenge();
        assert_eq!(code(&world.request(wire::REFRESH, &[lifetime(3600)])), 0, "what is allocated may be kept for longer");
        world.now += Duration::from_secs(3590);
    }
    world.now += Duration::from_secs(11);
    world.challenge();
    assert_eq!(code(&world.request(wire::REFRESH, &[lifetime(3600)])), 437, "an allocation that was not kept is gone");
    assert_eq!(code(&world.request(wire::ALLOCATE, &udp())), 401, "and the login has expired");
}

#[test]
fn requests_are_answered_again_and_refused_for_reasons() {
    let mut world = World::new();
    world.challenge();
    assert_eq!(code(&world.request(wire::REFRESH, &[])), 437, "nothing is allocated");
    assert_eq!(world.permit(ours(7)), 437);
    assert_eq!(code(&world.request(wire::ALLOCATE, &[])), 400);
    assert_eq!(code(&world.request(wire::ALLOCATE, &[(wire::REQUESTED_TRANSPORT, vec![6, 0, 0, 0])])), 442);
    assert_eq!(code(&world.request(wire::ALLOCATE, &[(0x001a, vec![])])), 420);
    let family =
        |number| [(wire::REQUESTED_TRANSPORT, vec![17, 0, 0, 0]), (wire::REQUESTED_ADDRESS_FAMILY, vec![number, 0, 0, 0])];
    assert_eq!(code(&world.request(wire::ALLOCATE, &family(3))), 440);
    let request = world.signed(wire::ALLOCATE, &family(2));
    let answer = world.answer(&request);
    assert_eq!(answer, world.answer(&request), "the first answer was lost");
    let message = Message::parse(&answer).unwrap();
    let relayed = wire::address(message.attribute(wire::XOR_RELAYED_ADDRESS).unwrap(), &message.transaction).unwrap();
    assert_eq!((relayed.ip(), relayed.port()), ("2001:db8::7".parse().unwrap(), super::PORT_FIRST + 1));
    assert!(message.is_signed_with(&world.key, world.server.logins.crypto()));
    assert_eq!(code(&world.request(wire::ALLOCATE, &udp())), 437);
    let other = world.server.logins.issue(world.now, "other");
    let (login, key) = (world.login.clone(), world.key.clone());
    (world.key, world.login) = (World::key(&other), other);
    assert_eq!(code(&world.request(wire::REFRESH, &[])), 441);
    (world.key, world.login) = (key, login);
    assert_eq!(code(&world.request(wire::REFRESH, &[lifetime(0)])), 0);
    assert!(world.server.is_empty());
}

#[test]
fn allocations_expire_and_are_bounded() {
    let mut world = World::new();
    let mut relayed = std::collections::HashSet::new();
    for port in 1..=super::ALLOCATIONS_PER_LOGIN as u16 + 1 {
        world.from = client(port);
        world.challenge();
        let answer = world.request(wire::ALLOCATE, &udp());
        if code(&answer) == 0 {
            relayed.insert(world.route().remote);
        } else {
            assert_eq!((code(&answer), usize::from(port)), (486, super::ALLOCATIONS_PER_LOGIN + 1));
        }
    }
    assert_eq!(relayed.len(), super::ALLOCATIONS_PER_LOGIN, "each has an address of its own");
    world.from = client(1);
    assert_eq!(world.permit(ours(7)), 438);
    world.challenge();
    assert_eq!(world.permit(ours(7)), 0);
    let route = world.route();
    let datagram = Transmit::single(route, BytesMut::from(&b"x"[..]));
    assert!(world.server.wrap(world.now, &datagram).is_some());
    world.now += Duration::from_secs(301);
    assert_eq!(world.server.wrap(world.now, &datagram), None, "the permission is over");
    world.now += Duration::from_secs(300);
    world.server.handle_timeout(world.now);
    assert!(world.server.is_empty() && world.server.clients.is_empty() && world.server.ports.is_empty());
    assert_eq!(world.server.poll_timeout(), None);
    assert_eq!(world.server.wrap(world.now, &datagram), None);
}

#[test]
fn a_stun_client_learns_its_address_and_ice_checks_pass_by() {
    let mut world = World::new();
    let answer = world.answer(&Writer::new(wire::BINDING, [5; 12]).plain());
    let message = Message::parse(&answer).unwrap();
    let mapped = message.attribute(wire::XOR_MAPPED_ADDRESS).unwrap();
    assert_eq!(wire::address(mapped, &[5; 12]), Some(world.from.remote));
    assert_eq!(answer.len(), 32);
    let check = Writer::new(wire::BINDING, [5; 12]).with(wire::USERNAME, b"ours:theirs").plain();
    assert_eq!(world.send(&check), Turned::Other(check));
    for other in [&[][..], &[0], &[0; 30], &[22; 80], &[0x80; 12]] {
        assert_eq!(world.send(other), Turned::Other(BytesMut::from(other)));
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(kind in prop::sample::select(vec![1u16, 3, 4, 8, 9, 0x16, 0x4001, 0x103]), body in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..220) {
        let mut world = World::allocated();
        world.bind(0x4001, ours(7));
        let mut data = kind.to_be_bytes().to_vec();
        data.extend_from_slice(&((body.len() & !3) as u16).to_be_bytes());
        data.extend_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        data.extend_from_slice(&[7; 12]);
        data.extend_from_slice(&body[..body.len() & !3]);
        data.truncate(cut.max(1));
        world.send(&data);
    }

    #[test]
    fn a_changed_request_is_never_authentic(at in 20usize..120, bit in 0u8..8) {
        let mut world = World::allocated();
        let attribute = world.peer(wire::CREATE_PERMISSION, ours(7));
        let mut request = world.signed(wire::CREATE_PERMISSION, &[attribute]).to_vec();
        let at = at.min(request.len() - 1);
        request[at] ^= 1 << bit;
        if let Turned::Answer(answer) = world.send(&request) {
            prop_assert_ne!(code(&answer), 0);
        }
        prop_assert!(!world.server.allocations[&world.from].permits(world.now, ours(7).ip()));
    }
}
