//! The transport against a real client, `rtc`'s peer connection, in virtual time; and against strangers.

mod client;
mod data;
mod hostile;
mod joins;
mod link;
mod stun;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use self::client::{Profiles, SERVER_SSRC};
use self::link::{Link, Told};
use super::{Input, Transport};
use crate::model::{CloseReason, Fingerprint};

fn is_dtls(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| (20..=63).contains(first))
}

fn rtp_packet(sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, client::PT];
    packet.extend(sequence.to_be_bytes());
    packet.extend(960u32.to_be_bytes());
    packet.extend(SERVER_SSRC.to_be_bytes());
    packet.extend(payload);
    packet
}

#[test]
fn a_transport_can_be_moved_to_a_thread() {
    fn check<T: Send>() {}
    check::<Transport>();
}

fn media_flows_both_ways(profiles: &Profiles) -> usize {
    let mut link = Link::new(profiles, &Told::Right);
    assert!(link.connect(), "{:?}", link.server.counters());
    link.client.send(link.now, b"up");
    link.server.send_rtp(&rtp_packet(1, b"down"), &[]);
    let done = link.run_until(Duration::from_secs(2), |link| !link.rtp().is_empty() && !link.client.received.is_empty());
    assert!(done, "{:?}", link.server.counters());
    assert!(link.rtp()[0].ends_with(b"up"));
    assert_eq!(link.client.received, ["down"]);
    // The sealed packet's length tells the profile: 16 bytes of tag for GCM, 10 for CM-80.
    link.server.send_rtp(&rtp_packet(2, b"more"), &[]);
    link.server.poll_transmit().unwrap().payload.len() - rtp_packet(2, b"more").len()
}

#[test]
fn connects_and_media_decrypts_both_ways() {
    assert_eq!(media_flows_both_ways(&Profiles::Default), 16);
}

#[test]
fn gcm_is_taken_although_the_client_lists_cm80_first() {
    assert_eq!(media_flows_both_ways(&Profiles::Cm80First), 16);
}

#[test]
fn a_client_without_gcm_gets_cm80() {
    assert_eq!(media_flows_both_ways(&Profiles::Cm80Only), 10);
}

#[test]
fn rtcp_passes_both_ways() {
    let mut link = Link::new(&Profiles::Default, &Told::Right);
    assert!(link.connect());
    link.server.send_rtp(&rtp_packet(1, b"down"), &[]);
    link.run(Duration::from_millis(100));
    // A sender report of the server: its NTP time comes back in the client's receiver report.
    let mut report = vec![0x80, 200, 0, 6];
    report.extend(SERVER_SSRC.to_be_bytes());
    report.extend([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]);
    report.extend([0; 12]);
    link.server.send_rtcp(&report);
    let echoes =
        |input: &Input| matches!(input, Input::Rtcp(packet) if packet.windows(4).any(|bytes| bytes == [0x33, 0x44, 0x55, 0x66]));
    assert!(link.run_until(Duration::from_secs(5), |link| link.inputs.iter().any(echoes)));
    assert_eq!(link.server.counters().undecryptable, 0);
}

#[test]
fn the_data_channel_association_comes_up() {
    let mut link = Link::new(&Profiles::Default, &Told::Right);
    assert!(link.connect());
    assert!(link.run_until(Duration::from_secs(5), |link| link.client.sctp_is_up()));
}

/// Negative control of all that connects.
#[test]
fn a_wrong_fingerprint_never_connects() {
    let mut link = Link::new(&Profiles::Default, &Told::Wrong);
    link.run(Duration::from_secs(5));
    assert!(!link.is_connected());
    assert_eq!(link.closed(), Some(CloseReason::DtlsFailed));
    link.server.send_rtp(&rtp_packet(1, b"secret"), &[]);
    assert!(link.server.poll_transmit().is_none());
    assert_eq!(link.server.counters().unsendable, 1);
}

#[test]
fn the_answer_may_come_after_dtls() {
    let mut link = Link::new(&Profiles::Default, &Told::Nothing);
    link.run_until(Duration::from_secs(5), |link| link.client.connected);
    link.client.send(link.now, b"too early");
    link.run(Duration::from_secs(1));
    assert!(link.client.connected && !link.is_connected() && link.rtp().is_empty());
    assert_eq!(link.server.counters().before_keys, 1 + sctp_before(&link));
    let fingerprint = link.client.fingerprint;
    link.server.set_remote_fingerprint(fingerprint);
    link.client.send(link.now, b"in time");
    assert!(link.run_until(Duration::from_secs(1), |link| !link.rtp().is_empty()));
    assert!(link.is_connected() && link.rtp()[0].ends_with(b"in time"));
}

/// Application data that reached the server before the answer: the client's SCTP tries from the start.
fn sctp_before(link: &Link) -> u64 {
    link.arrived.iter().filter(|datagram| datagram.first() == Some(&23)).count() as u64
}

#[test]
fn a_late_answer_with_a_wrong_fingerprint_ends_it() {
    let mut link = Link::new(&Profiles::Default, &Told::Nothing);
    link.run_until(Duration::from_secs(5), |link| link.client.connected);
    link.server.set_remote_fingerprint(Fingerprint([7; 32]));
    link.run(Duration::from_secs(1));
    assert!(!link.is_connected());
    assert_eq!(link.closed(), Some(CloseReason::DtlsFailed));
}

#[test]
fn any_lost_handshake_datagram_recovers() {
    for lost in 0..8 {
        for outbound in [false, true] {
            let mut link = Link::new(&Profiles::Default, &Told::Right);
            let mut count = 0;
            let lose = Box::new(move |datagram: &[u8]| {
                count += usize::from(is_dtls(datagram));
                !is_dtls(datagram) || count != lost + 1
            });
            if outbound {
                link.to_client = lose;
            } else {
                link.to_server = lose;
            }
            assert!(link.connect(), "datagram {lost}, outbound {outbound}: {:?}", link.server.counters());
        }
    }
}

/// Browsers repeat their ClientHello after 50 ms. `rtc-dtls` alone would stop its timer and stay silent for ever.
#[test]
fn a_lost_flight_four_is_repeated() {
    let mut link = Link::new(&Profiles::Default, &Told::Right);
    let lost = Rc::new(Cell::new(0));
    let counter = lost.clone();
    // All of DTLS but HelloVerifyRequest (3) is lost: flight 4 begins with ServerHello.
    link.to_client = Box::new(move |datagram| {
        let passes = !is_dtls(datagram) || datagram.get(13) == Some(&3);
        counter.set(counter.get() + usize::from(!passes));
        passes
    });
    assert!(link.run_until(Duration::from_secs(1), |_| lost.get() > 0));
    link.to_client = Box::new(|_| true);
    link.run(Duration::from_millis(50));
    let hello = link.arrived.iter().rfind(|datagram| is_dtls(datagram)).unwrap().clone();
    link.inject(&hello);
    assert_eq!(link.server.counters().dtls_flights_repeated, 1);
    assert!(link.run_until(Duration::from_millis(200), |link| link.is_connected()), "{:?}", link.server.counters());
}

#[test]
fn close_tells_the_peer_and_the_peer_tells_us() {
    let mut link = Link::new(&Profiles::Default, &Told::Right);
    assert!(link.connect());
    link.server.close(link.now);
    let goodbye = link.server.poll_transmit().unwrap();
    assert_eq!(goodbye.payload[0], 21, "an alert");
    assert_eq!((link.server.poll_timeout(), link.server.poll_input()), (None, None));

    let mut link = Link::new(&Profiles::Default, &Told::Right);
    assert!(link.connect());
    link.client.close();
    link.run(Duration::from_secs(1));
    assert_eq!(link.closed(), Some(CloseReason::DtlsClosed));
    // What still comes finds nobody: no second connection, no answer.
    let hello = link.arrived.iter().find(|datagram| is_dtls(datagram)).unwrap().clone();
    link.inject(&hello);
    assert!(link.server.poll_transmit().is_none());
    assert_eq!(link.inputs.iter().filter(|input| matches!(input, Input::Connected | Input::Closed(_))).count(), 2);
}

#[test]
fn silence_ends_it_after_thirty_seconds() {
    let mut link = Link::new(&Profiles::Default, &Told::Right);
    assert!(link.connect());
    link.run(Duration::from_secs(60));
    assert_eq!(link.closed(), None, "consent checks keep it alive");
    link.to_server = Box::new(|_| false);
    link.run(Duration::from_secs(29));
    assert_eq!(link.closed(), None);
    link.run(Duration::from_secs(3));
    assert_eq!(link.closed(), Some(CloseReason::IceTimeout));
}

#[test]
fn who_never_connects_times_out() {
    let mut link = Link::new(&Profiles::Default, &Told::Right);
    link.to_server = Box::new(|datagram| !is_dtls(datagram));
    link.run(Duration::from_millis(29_900));
    assert_eq!(link.closed(), None);
    link.run(Duration::from_secs(1));
    assert_eq!(link.closed(), Some(CloseReason::IceTimeout));
}
