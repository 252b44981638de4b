//! Garbage, truncation, replay, strangers: dropped and counted, and the peer's own media goes on.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use proptest::prelude::*;

use super::client::Profiles;
use super::link::{Link, Told};
use crate::transport::Route;

fn connected() -> Link {
    let mut link = Link::new(&Profiles::Default, &Told::Right);
    assert!(link.connect());
    link.client.send(link.now, b"one");
    assert!(link.run_until(Duration::from_secs(1), |link| link.rtp().len() == 1));
    link
}

fn last_srtp(link: &Link) -> BytesMut {
    link.arrived.iter().rfind(|datagram| datagram[0] >> 6 == 2 && datagram[1] & 0x7F == 111).unwrap().clone()
}

/// A packet of the client that has not reached the server.
fn next_srtp(link: &mut Link) -> BytesMut {
    link.client.send(link.now, b"two");
    link.client.poll(link.now).into_iter().find(|datagram| datagram[0] >> 6 == 2 && datagram[1] & 0x7F == 111).unwrap()
}

fn still_works(link: &mut Link) {
    let before = link.rtp().len();
    link.client.send(link.now, b"still");
    assert!(link.run_until(Duration::from_secs(1), |link| link.rtp().len() == before + 1), "{:?}", link.server.counters());
}

#[test]
fn a_replayed_packet_is_dropped_and_counted() {
    let mut link = connected();
    let packet = last_srtp(&link);
    link.inject(&packet);
    assert_eq!((link.rtp().len(), link.server.counters().replayed), (1, 1));
    still_works(&mut link);
}

#[test]
fn changed_and_truncated_packets_are_dropped_and_counted() {
    let mut link = connected();
    let packet = next_srtp(&mut link);
    for at in 0..packet.len() {
        let mut changed = packet.clone();
        changed[at] ^= 0x04;
        link.inject(&changed);
        link.inject(&packet[..at]);
    }
    let counters = *link.server.counters();
    assert_eq!(link.rtp().len(), 1);
    assert!(counters.undecryptable > 10 && counters.garbage > 10, "{counters:?}");
    assert_eq!(counters.panics, 0);
    still_works(&mut link);
}

#[test]
fn forged_ssrcs_cost_no_memory_and_do_not_shut_out_the_real_one() {
    let mut link = connected();
    let packet = last_srtp(&link);
    for ssrc in 0..2000u32 {
        let mut forged = packet.clone();
        forged[8..12].copy_from_slice(&(0xABC0_0000 + ssrc).to_be_bytes());
        link.inject(&forged);
    }
    assert_eq!(link.server.counters().undecryptable, 2000);
    assert_eq!(link.server.counters().ssrc_overflow, 0);
    still_works(&mut link);
}

#[test]
fn media_from_an_unknown_address_is_dropped() {
    let mut link = connected();
    let packet = next_srtp(&mut link);
    let stranger = Route::udp(SocketAddr::from(([10, 0, 0, 9], 9)), link.route.local);
    link.server.handle_datagram(link.now, stranger, packet.clone());
    assert_eq!((link.server.poll_input(), link.server.counters().unknown_route), (None, 1));
    // The same packet is good when it comes the right way.
    link.inject(&packet);
    assert_eq!(link.rtp().len(), 2);
}

#[test]
fn dtls_from_a_route_without_a_check_is_not_answered() {
    let mut link = Link::new(&Profiles::Default, &Told::Right);
    link.run_until(Duration::from_secs(2), |link| link.arrived.iter().any(|datagram| datagram[0] == 22));
    let hello = link.arrived.iter().find(|datagram| datagram[0] == 22).unwrap().clone();
    let mut fresh = Link::new(&Profiles::Default, &Told::Right);
    fresh.inject(&hello);
    assert!(fresh.server.poll_transmit().is_none());
    assert_eq!(fresh.server.counters().unknown_route, 1);
}

#[test]
fn a_plaintext_alert_does_not_end_a_connection() {
    let mut link = connected();
    for level in [1, 2] {
        link.inject(&[21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0x7F, level, 0, 2, level, 0]);
    }
    assert_eq!(link.closed(), None);
    still_works(&mut link);
}

#[test]
fn a_flood_of_handshake_records_is_bounded() {
    let mut link = connected();
    for sequence in 1000..1200u16 {
        let mut record = vec![22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0];
        record.extend(sequence.to_be_bytes());
        record.extend(1012u16.to_be_bytes());
        record.extend([1, 0, 0x20, 0, 0, 9, 0, 0, 0, 0, 0x03, 0xE8]);
        record.extend([0; 1000]);
        link.inject(&record);
    }
    assert!(link.server.counters().dtls_dropped > 150, "{:?}", link.server.counters());
    assert_eq!(link.closed(), None);
    still_works(&mut link);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(datagrams in prop::collection::vec((prop::sample::select(vec![0u8, 1, 20, 21, 22, 23, 63, 64, 128, 144, 191, 255]), prop::collection::vec(any::<u8>(), 0..200)), 1..40)) {
        thread_local!(static LINK: std::cell::RefCell<Option<Link>> = const { std::cell::RefCell::new(None) });
        LINK.with_borrow_mut(|link| {
            let link = link.get_or_insert_with(connected);
            for (first, rest) in &datagrams {
                let mut datagram = vec![*first];
                datagram.extend(rest);
                link.inject(&datagram);
            }
            prop_assert_eq!(link.server.counters().panics, 0);
            Ok(())
        })?;
    }

    /// Mutations of what a real client sends reach deeper than random bytes.
    #[test]
    fn no_mutated_handshake_panics(at in 0usize..1500, value: u8, which in 0usize..12) {
        let mut link = Link::new(&Profiles::Default, &Told::Right);
        let mut count = 0;
        link.to_server = Box::new(|_| false);
        for _ in 0..40 {
            let now = link.now;
            for mut datagram in link.client.poll(now) {
                if count == which && at < datagram.len() {
                    datagram[at] = value;
                }
                count += 1;
                link.inject(&datagram);
            }
            while let Some(transmit) = link.server.poll_transmit() {
                transmit.datagrams().for_each(|datagram| link.client.receive(now, datagram));
            }
            link.now += Duration::from_millis(50);
        }
        prop_assert_eq!(link.server.counters().panics, 0);
    }
}
