//! The ICE-lite responder.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_crypto::RTCCryptoProvider;
use rtc_crypto::providers::AwsLcRsProvider;
use rtc_stun::attributes::{ATTR_MESSAGE_INTEGRITY, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME, AttrType};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Getter, Message, MessageType, Setter, TransactionId};
use rtc_stun::textattrs::TextAttribute;
use rtc_stun::xoraddr::XorMappedAddress;

use super::link::credentials;
use crate::transport::{Identity, Route, Transport, stun_ufrag};

struct Flag(AttrType, &'static [u8]);

impl Setter for Flag {
    fn add_to(&self, message: &mut Message) -> Result<(), rtc_shared::error::Error> {
        message.add(self.0, self.1);
        Ok(())
    }
}

struct Request<'a> {
    kind: MessageType,
    username: &'a str,
    pwd: &'a str,
    use_candidate: bool,
    nominate_unprotected: bool,
    fingerprint: bool,
}

fn good() -> Request<'static> {
    let pwd = "a-password-of-22-chars-or-more";
    Request {
        kind: BINDING_REQUEST,
        username: "ours1:theirs",
        pwd,
        use_candidate: false,
        nominate_unprotected: false,
        fingerprint: true,
    }
}

impl Request<'_> {
    fn build(&self) -> Vec<u8> {
        let provider = AwsLcRsProvider::new();
        let integrity = MessageIntegrity::new_short_term_integrity_with_provider(self.pwd.to_owned(), provider.crypto());
        let mut setters: Vec<Box<dyn Setter + '_>> = vec![
            Box::new(TransactionId([9; 12])),
            Box::new(self.kind),
            Box::new(TextAttribute::new(ATTR_USERNAME, self.username.to_owned())),
            Box::new(Flag(ATTR_PRIORITY, &[1, 2, 3, 4])),
        ];
        if self.use_candidate {
            setters.push(Box::new(Flag(ATTR_USE_CANDIDATE, &[])));
        }
        setters.push(Box::new(integrity));
        if self.nominate_unprotected {
            setters.push(Box::new(Flag(ATTR_USE_CANDIDATE, &[])));
        }
        if self.fingerprint {
            setters.push(Box::new(FINGERPRINT));
        }
        let mut message = Message::new();
        message.build(&setters).unwrap();
        message.raw
    }
}

fn transport() -> (Transport, Instant) {
    #[allow(clippy::disallowed_methods)]
    let now = Instant::now();
    (Transport::new(now, &Identity::generate().unwrap(), credentials()), now)
}

fn route(last: u8) -> Route {
    Route::udp(SocketAddr::from(([10, 0, 0, last], 4000)), Some(IpAddr::from([10, 0, 0, 1])))
}

fn send(transport: &mut Transport, now: Instant, route: Route, datagram: &[u8]) -> Option<(Route, BytesMut)> {
    transport.handle_datagram(now, route, BytesMut::from(datagram));
    transport.poll_transmit().map(|transmit| (transmit.route, transmit.payload))
}

#[test]
fn an_authentic_check_is_answered_where_it_came_from() {
    let (mut transport, now) = transport();
    let (back, payload) = send(&mut transport, now, route(2), &good().build()).unwrap();
    assert_eq!(back, route(2));
    let mut message = Message::new();
    message.unmarshal_binary(&payload).unwrap();
    assert_eq!((message.typ, message.transaction_id), (BINDING_SUCCESS, TransactionId([9; 12])));
    FINGERPRINT.check(&message).unwrap();
    let provider = AwsLcRsProvider::new();
    MessageIntegrity::check(&mut message, credentials().pwd.as_bytes(), provider.crypto()).unwrap();
    let mut mapped = XorMappedAddress::default();
    mapped.get_from(&message).unwrap();
    assert_eq!(SocketAddr::new(mapped.ip, mapped.port), route(2).remote);
    assert!(message.contains(ATTR_MESSAGE_INTEGRITY));
}

#[test]
fn what_is_not_authentic_gets_no_answer() {
    let bad = [
        Request { pwd: "another-password-of-22-characters", ..good() },
        Request { username: "other:theirs", ..good() },
        Request { username: "ours1", ..good() },
        Request { fingerprint: false, ..good() },
        Request { kind: BINDING_SUCCESS, ..good() },
    ];
    for (index, request) in bad.iter().enumerate() {
        let (mut transport, now) = transport();
        assert_eq!(send(&mut transport, now, route(2), &request.build()), None, "case {index}");
        assert_eq!((transport.counters().stun_rejected, transport.counters().stun_answered), (1, 0), "case {index}");
    }
}

#[test]
fn every_changed_or_missing_byte_is_noticed() {
    let (mut transport, now) = transport();
    let request = good().build();
    for at in 0..request.len() {
        let mut changed = request.clone();
        changed[at] ^= 1;
        assert_eq!(send(&mut transport, now, route(2), &changed), None, "byte {at}");
        assert_eq!(send(&mut transport, now, route(2), &request[..at]), None, "length {at}");
    }
    assert_eq!(transport.counters().stun_answered, 0);
}

#[test]
fn the_ufrag_is_found_without_believing_anything() {
    assert_eq!(stun_ufrag(&good().build()), Some("ours1"));
    assert_eq!(stun_ufrag(&Request { pwd: "whatever", ..good() }.build()), Some("ours1"));
    assert_eq!(stun_ufrag(&Request { username: "no colon", ..good() }.build()), None);
    assert_eq!(stun_ufrag(b"garbage that is longer than a header"), None);
    assert_eq!(stun_ufrag(&[]), None);
}

#[test]
fn the_latest_nomination_wins_and_others_do_not_move_it() {
    let (mut transport, now) = transport();
    let plain = good().build();
    let nominating = Request { use_candidate: true, ..good() }.build();
    let unprotected = Request { nominate_unprotected: true, ..good() }.build();
    let current = |transport: &mut Transport, from: u8, datagram: &[u8]| {
        send(transport, now, route(from), datagram).unwrap();
        transport.routes.current()
    };
    assert_eq!(current(&mut transport, 2, &plain), Some(route(2)), "the first is as good as any");
    assert_eq!(current(&mut transport, 3, &plain), Some(route(2)));
    assert_eq!(current(&mut transport, 3, &nominating), Some(route(3)));
    assert_eq!(current(&mut transport, 4, &plain), Some(route(3)));
    assert_eq!(
        current(&mut transport, 4, &unprotected),
        Some(route(3)),
        "USE-CANDIDATE behind MESSAGE-INTEGRITY counts for nothing"
    );
    assert_eq!(current(&mut transport, 4, &nominating), Some(route(4)), "the peer has moved");
}

#[test]
fn routes_are_bounded_and_the_current_one_stays() {
    let (mut transport, mut now) = transport();
    send(&mut transport, now, route(1), &Request { use_candidate: true, ..good() }.build()).unwrap();
    for last in 2..100 {
        now += Duration::from_millis(1);
        send(&mut transport, now, route(last), &good().build()).unwrap();
    }
    assert!(transport.routes.knows(&route(1)) && transport.routes.knows(&route(99)));
    assert!(!transport.routes.knows(&route(50)));
}

#[test]
fn after_an_ice_restart_old_credentials_are_good_until_the_new_ones_are_used() {
    let (mut transport, now) = transport();
    let old = Request { use_candidate: true, ..good() }.build();
    let new = Request { username: "ours2:theirs", pwd: "another-password-of-22-characters", ..good() };
    send(&mut transport, now, route(2), &old).unwrap();
    assert_eq!(send(&mut transport, now, route(3), &new.build()), None, "not yet");
    transport
        .restart_ice(crate::model::IceCredentials { ufrag: "ours2".into(), pwd: "another-password-of-22-characters".into() });
    send(&mut transport, now, route(2), &old).unwrap();
    assert_eq!(transport.routes.current(), Some(route(2)));
    send(&mut transport, now, route(3), &new.build()).unwrap();
    assert_eq!(transport.routes.current(), Some(route(3)), "the way before may be gone");
    send(&mut transport, now, route(4), &new.build()).unwrap();
    assert_eq!(transport.routes.current(), Some(route(3)), "from then on nominations decide");
    assert_eq!(send(&mut transport, now, route(2), &old), None, "the old ones are over");
    assert!(transport.routes.knows(&route(2)), "what was under way on the old route is taken");
}
