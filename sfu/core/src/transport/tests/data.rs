//! Data channels to `rtc`'s peer connection: what is sent arrives whole, over good links and bad ones; and what nobody should send.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::client::{OWN_CHANNEL, Profiles};
use super::link::{Link, Told};
use crate::model::{CloseReason, DataChannelSpec, DataMessage, Reliability};
use crate::transport::Input;

const SECOND: Duration = Duration::from_secs(1);

fn spec(label: &str) -> DataChannelSpec {
    DataChannelSpec { label: label.to_owned(), ordered: true, ..DataChannelSpec::default() }
}

fn message(label: &str, binary: bool, payload: &[u8]) -> DataMessage {
    DataMessage { label: Arc::from(label), binary, payload: Bytes::copy_from_slice(payload) }
}

/// Every 4 bytes their place and a mark, so that a piece in the wrong place is seen.
fn pattern(length: usize, mark: u8) -> Vec<u8> {
    (0u32..).flat_map(|place| [(place >> 16) as u8, (place >> 8) as u8, place as u8, mark]).take(length).collect()
}

fn opened(link: &Link) -> Vec<&str> {
    link.inputs.iter().filter_map(|input| if let Input::ChannelOpen(label) = input { Some(&**label) } else { None }).collect()
}

fn closed(link: &Link) -> Vec<&str> {
    link.inputs.iter().filter_map(|input| if let Input::ChannelClosed(label) = input { Some(&**label) } else { None }).collect()
}

fn received(link: &Link) -> Vec<&DataMessage> {
    link.inputs.iter().filter_map(|input| if let Input::Data(message) = input { Some(message) } else { None }).collect()
}

/// A link with these channels open on both sides.
fn open(specs: &[DataChannelSpec]) -> Link {
    let mut link = Link::new(&Profiles::Default, &Told::Right);
    for spec in specs {
        link.server.open_channel(link.now, spec.clone());
    }
    let done =
        link.run_until(5 * SECOND, |link| opened(link).len() == specs.len() && link.client.channels.opened.len() >= specs.len());
    assert!(done, "{:?} {:?}", opened(&link), link.client.channels.opened);
    link
}

/// A random link: loses so many of 100 datagrams after the handshake and puts others behind later ones.
fn make_bad(link: &mut Link, loss: u64, reorder: u64) {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % 100
    };
    let (mut down, mut up) = (next, next);
    up();
    link.to_client = Box::new(move |_| down() >= loss);
    link.to_server = Box::new(move |_| up() >= loss);
    link.delay = Box::new(move || Duration::from_millis(if next() < reorder { 35 } else { 10 }));
}

#[test]
fn channels_that_were_asked_for_early_open_when_sctp_is_up() {
    let link = open(&[spec("signaling"), spec("notify"), spec("push")]);
    assert_eq!(opened(&link), ["signaling", "notify", "push"]);
    assert_eq!(link.server.counters().sctp_dropped, 0);
}

#[test]
fn a_channel_is_what_was_asked_for() {
    let kinds = [Reliability::Full, Reliability::Lifetime(300), Reliability::Retransmits(0), Reliability::Retransmits(3)];
    let specs: Vec<_> = (0..)
        .zip(kinds.into_iter().flat_map(|kind| [(true, kind), (false, kind)]))
        .map(|(number, (ordered, reliability))| DataChannelSpec {
            label: format!("#channel{number}"),
            protocol: format!("protocol{number}"),
            ordered,
            reliability,
        })
        .collect();
    let mut link = open(&specs);
    for spec in specs {
        assert_eq!(link.client.channel_kind(&spec.label), (spec.protocol, spec.ordered));
    }
}

#[test]
fn messages_of_all_kinds_pass_both_ways() {
    let mut link = open(&[spec("#a")]);
    let cases: [(bool, Vec<u8>); 6] = [
        (false, b"text".to_vec()),
        (true, vec![0, 159, 146, 150]),
        (false, Vec::new()),
        (true, Vec::new()),
        (true, pattern(200_000, 7)),
        (false, "é".repeat(60_000).into_bytes()),
    ];
    for (binary, payload) in &cases {
        link.server.send_data(link.now, &message("#a", *binary, payload));
        assert!(link.client.send_data(link.now, "#a", !*binary, payload));
    }
    assert!(link.run_until(10 * SECOND, |link| received(link).len() >= 6 && link.client.channels.messages.len() >= 6));
    for ((binary, payload), at) in cases.iter().zip(0..) {
        assert_eq!(*received(&link)[at], message("#a", *binary, payload), "to us, {at}");
        assert_eq!(link.client.channels.messages[at], ("#a".to_owned(), !*binary, Bytes::from(payload.clone())), "from us, {at}");
    }
    assert_eq!(link.server.counters().data_dropped, 0);
}

#[test]
fn messages_survive_loss_and_reordering() {
    for (loss, reorder) in [(10, 0), (0, 30), (10, 20)] {
        let mut link = open(&[spec("#a"), spec("#b")]);
        make_bad(&mut link, loss, reorder);
        let payloads: Vec<_> = (0..8).map(|mark| pattern(100_000 + usize::from(mark), mark)).collect();
        for (payload, label) in payloads.iter().zip(["#a", "#b"].iter().cycle()) {
            link.server.send_data(link.now, &message(label, true, payload));
            assert!(link.client.send_data(link.now, label, false, payload));
        }
        let done = link.run_until(200 * SECOND, |link| received(link).len() == 8 && link.client.channels.messages.len() == 8);
        let counts = (received(&link).len(), link.client.channels.messages.len());
        assert!(done, "{loss} % lost, {reorder} % reordered: {counts:?} {:?} {:?}", link.closed(), link.server.counters());
        for label in ["#a", "#b"] {
            let expected: Vec<_> = payloads.iter().zip(["#a", "#b"].iter().cycle()).filter(|(_, of)| **of == label).collect();
            let ours: Vec<_> = received(&link).into_iter().filter(|message| &*message.label == label).collect();
            let theirs: Vec<_> = link.client.channels.messages.iter().filter(|(of, ..)| of == label).collect();
            for ((payload, _), (up, down)) in expected.iter().zip(ours.iter().zip(&theirs)) {
                assert!(up.payload == **payload && down.2 == **payload, "in order and whole");
            }
        }
        assert_eq!((link.server.counters().sctp_dropped, link.server.counters().data_dropped), (0, 0));
    }
}

/// Negative control of the one before: a link that lets nothing through delivers nothing, and the channel that may lose messages does.
#[test]
fn what_may_be_lost_is_lost_and_does_not_come_late() {
    let lossy = DataChannelSpec { reliability: Reliability::Retransmits(0), ordered: false, ..spec("#lossy") };
    let mut link = open(&[spec("#a"), lossy]);
    link.to_client = Box::new(|_| false);
    link.server.send_data(link.now, &message("#lossy", true, b"gone"));
    link.run(5 * SECOND);
    assert!(link.client.channels.messages.is_empty());
    link.to_client = Box::new(|_| true);
    link.server.send_data(link.now, &message("#lossy", true, b"here"));
    link.server.send_data(link.now, &message("#a", true, b"all"));
    assert!(link.run_until(60 * SECOND, |link| link.client.channels.messages.len() == 2));
    link.run(5 * SECOND);
    let arrived: Vec<_> = link.client.channels.messages.iter().map(|(_, _, payload)| payload.clone()).collect();
    assert!(arrived.len() == 2 && !arrived.contains(&Bytes::from_static(b"gone")), "{arrived:?}");
}

#[test]
fn closing_comes_after_what_was_sent() {
    let mut link = open(&[spec("#a"), spec("#b")]);
    make_bad(&mut link, 5, 10);
    let last = pattern(150_000, 9);
    link.server.send_data(link.now, &message("#a", true, &last));
    link.server.send_data(link.now, &message("#b", false, b"bye"));
    link.server.close_channels(link.now);
    link.server.send_data(link.now, &message("#b", false, b"too late"));
    assert_eq!(link.server.counters().data_dropped, 1);
    assert!(link.run_until(60 * SECOND, |link| closed(link).len() == 2 && link.client.channels.closed.len() >= 2));
    assert_eq!(link.client.channels.messages.len(), 2);
    assert!(link.client.channels.messages.iter().any(|(label, _, payload)| label == "#a" && *payload == last));
    assert_eq!(link.closed(), None, "the peer itself stays");
}

#[test]
fn a_channel_that_the_client_closes_is_told() {
    let mut link = open(&[spec("#a"), spec("#b")]);
    assert!(link.client.send_data(link.now, "#a", true, b"last word"));
    link.run(SECOND);
    link.client.close_channel("#a");
    assert!(link.run_until(10 * SECOND, |link| closed(link) == ["#a"]));
    assert_eq!(received(&link).len(), 1);
    link.server.send_data(link.now, &message("#a", true, b"nobody"));
    link.server.send_data(link.now, &message("#b", true, b"somebody"));
    assert!(link.run_until(SECOND, |link| link.client.channels.messages.len() == 1));
    assert_eq!(link.server.counters().data_dropped, 1);
}

#[test]
fn a_channel_that_the_client_opens_is_closed_and_ours_stay() {
    let mut link = open(&[spec("#a")]);
    assert!(link.run_until(10 * SECOND, |link| link.client.channels.closed.contains(&OWN_CHANNEL.to_owned())));
    assert!(received(&link).is_empty() && closed(&link).is_empty());
    link.server.send_data(link.now, &message("#a", true, b"on"));
    assert!(link.run_until(SECOND, |link| link.client.channels.messages.len() == 1));
}

#[test]
fn refused_channels_are_told_and_counted() {
    let specs: Vec<_> = (0..32).map(|number| spec(&format!("#{number}"))).collect();
    let mut link = open(&specs);
    link.server.open_channel(link.now, spec("#0"));
    assert_eq!(closed(&link), [""; 0], "the first of that label is not hurt");
    link.server.open_channel(link.now, spec("#32"));
    link.run(SECOND);
    let own = 1;
    assert_eq!((closed(&link), link.server.counters().channels_refused), (vec!["#32"], own + 2));
    let mut early = Link::new(&Profiles::Default, &Told::Right);
    early.server.open_channel(early.now, spec("#a"));
    early.server.close_channels(early.now);
    early.run(5 * SECOND);
    assert_eq!((closed(&early), opened(&early)), (vec!["#a"], Vec::new()));
}

#[test]
fn a_peer_that_takes_nothing_ends_when_nothing_may_be_lost() {
    let lossy = DataChannelSpec { reliability: Reliability::Lifetime(60_000), ..spec("#lossy") };
    let mut link = open(&[spec("#a"), lossy]);
    link.to_server = Box::new(|datagram| datagram.first() != Some(&23));
    link.run(SECOND);
    for _ in 0..20 {
        link.server.send_data(link.now, &message("#lossy", true, &pattern(200_000, 1)));
    }
    link.run(SECOND / 10);
    assert_eq!(link.closed(), None);
    assert!(link.server.counters().data_dropped >= 10, "{:?}", link.server.counters());
    link.server.send_data(link.now, &message("#a", true, &pattern(200_000, 1)));
    link.run(SECOND / 10);
    assert_eq!(link.closed(), Some(CloseReason::DataOverflow));
}

#[test]
fn small_messages_are_bounded_in_number() {
    let mut link = open(&[spec("#a")]);
    link.to_server = Box::new(|datagram| datagram.first() != Some(&23));
    let mut sent = 0;
    while link.closed().is_none() && sent < 100_000 {
        link.server.send_data(link.now, &message("#a", true, b"."));
        link.run(Duration::ZERO);
        sent += 1;
    }
    assert!((5_000..10_000).contains(&sent), "{sent}");
}

#[test]
fn what_was_acknowledged_is_not_counted_any_more() {
    let mut link = open(&[spec("#a")]);
    for round in 0..40 {
        link.server.send_data(link.now, &message("#a", true, &pattern(200_000, 1)));
        assert!(link.run_until(10 * SECOND, |link| link.client.channels.messages.len() == round + 1));
        link.run(SECOND);
    }
    assert_eq!((link.closed(), link.server.counters().data_dropped), (None, 0));
}

#[test]
fn a_lost_init_ack_is_sent_again() {
    for lost in 0..6 {
        let mut link = Link::new(&Profiles::Default, &Told::Right);
        link.server.open_channel(link.now, spec("#a"));
        assert!(link.connect());
        let mut count = 0;
        link.to_client = Box::new(move |datagram| {
            count += usize::from(datagram.first() == Some(&23));
            count != lost + 1
        });
        assert!(link.run_until(20 * SECOND, |link| opened(link) == ["#a"]), "{lost}");
        link.server.send_data(link.now, &message("#a", true, b"on"));
        assert!(link.run_until(20 * SECOND, |link| link.client.channels.messages.len() == 1), "{lost}");
    }
}
