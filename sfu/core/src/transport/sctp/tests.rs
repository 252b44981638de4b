//! A client that writes its SCTP packets by hand, to send what no real one would.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::{COMMON_HEADER, MAX_MESSAGE, Sctp};
use crate::model::{DataChannelSpec, DataMessage};
use crate::transport::{Input, TransportCounters};

const FIRST_TSN: u32 = 1000;
const DATA: u8 = 0;
const BEGIN: u8 = 2;
const END: u8 = 1;

struct Hostile {
    now: Instant,
    server: Sctp,
    counters: TransportCounters,
    /// The server's verification tag.
    tag: u32,
    answers: Vec<Bytes>,
}

impl Hostile {
    /// With an association that is up.
    fn connected() -> Self {
        #[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
        let now = Instant::now();
        let mut this = Self { now, server: Sctp::default(), counters: TransportCounters::default(), tag: 0, answers: Vec::new() };
        this.open("#a");
        let mut init = Vec::new();
        init.extend_from_slice(&77u32.to_be_bytes());
        init.extend_from_slice(&100_000u32.to_be_bytes());
        init.extend_from_slice(&[4, 0, 4, 0]);
        init.extend_from_slice(&FIRST_TSN.to_be_bytes());
        // Supported extensions: RECONFIG, FORWARD TSN.
        init.extend_from_slice(&[0x80, 0x08, 0, 6, 130, 192, 0, 0]);
        this.send(&[chunk(1, 0, &init)]);
        let answer = this.answers.pop().unwrap();
        this.tag = u32::from_be_bytes(answer[COMMON_HEADER + 4..COMMON_HEADER + 8].try_into().unwrap());
        let at = COMMON_HEADER + 20;
        assert_eq!(answer[at..at + 2], [0, 7], "a state cookie");
        let length = usize::from(u16::from_be_bytes([answer[at + 2], answer[at + 3]]));
        let cookie = answer[at + 4..at + length].to_vec();
        this.send(&[chunk(10, 0, &cookie)]);
        assert!(this.is_up(), "{:?}", this.answers);
        this
    }

    fn open(&mut self, label: &str) {
        let spec = DataChannelSpec { label: label.to_owned(), ordered: true, ..DataChannelSpec::default() };
        self.server.open(self.now, spec, &mut self.answers, &mut self.counters);
    }

    fn send(&mut self, chunks: &[Vec<u8>]) {
        let mut packet = BytesMut::new();
        packet.extend_from_slice(&[0x13, 0x88, 0x13, 0x88]);
        packet.extend_from_slice(&self.tag.to_be_bytes());
        packet.extend_from_slice(&[0; 4]);
        chunks.iter().for_each(|chunk| packet.extend_from_slice(chunk));
        let sum = crc32c(&packet);
        packet[8..12].copy_from_slice(&sum.to_le_bytes());
        self.server.handle(self.now, packet, &mut self.answers, &mut self.counters);
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.server.poll_timeout().filter(|due| *due <= end) {
            self.now = due.max(self.now + Duration::from_micros(100));
            self.server.handle_timeout(self.now, &mut self.answers, &mut self.counters);
        }
        self.now = self.now.max(end);
    }

    fn is_up(&self) -> bool {
        let link = self.server.0.as_ref().and_then(|state| state.link.as_ref());
        link.is_some_and(|link| !link.association.is_handshaking() && !link.association.is_closed())
    }

    fn inputs(&mut self) -> Vec<Input> {
        std::iter::from_fn(|| self.server.poll_input()).collect()
    }
}

fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let mut chunk = vec![kind, flags];
    chunk.extend_from_slice(&(value.len() as u16 + 4).to_be_bytes());
    chunk.extend_from_slice(value);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

fn data(tsn: u32, stream: u16, sequence: u16, flags: u8, ppi: u32, payload: &[u8]) -> Vec<u8> {
    let mut value = tsn.to_be_bytes().to_vec();
    value.extend_from_slice(&stream.to_be_bytes());
    value.extend_from_slice(&sequence.to_be_bytes());
    value.extend_from_slice(&ppi.to_be_bytes());
    value.extend_from_slice(payload);
    chunk(DATA, flags, &value)
}

fn forward_tsn(tsn: u32) -> Vec<u8> {
    chunk(192, 0, &tsn.to_be_bytes())
}

fn reset(number: u32, last: u32, stream: u16) -> Vec<u8> {
    let mut value = vec![0, 13, 0, 18];
    for word in [number, 0, last] {
        value.extend_from_slice(&word.to_be_bytes());
    }
    value.extend_from_slice(&stream.to_be_bytes());
    chunk(130, 0, &value)
}

fn sack(tsn: u32, blocks: &[(u16, u16)]) -> Vec<u8> {
    let mut value = tsn.to_be_bytes().to_vec();
    value.extend_from_slice(&100_000u32.to_be_bytes());
    value.extend_from_slice(&(blocks.len() as u16).to_be_bytes());
    value.extend_from_slice(&[0, 0]);
    blocks.iter().for_each(|(from, to)| value.extend([from.to_be_bytes(), to.to_be_bytes()].concat()));
    chunk(3, 0, &value)
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 })
    })
}

/// Control of all others: what a decent client sends goes through, at every place that the fence looks at.
#[test]
fn a_decent_client_passes() {
    let mut client = Hostile::connected();
    client.send(&[data(FIRST_TSN, 1, 0, BEGIN | END, 50, &[2])]);
    client.send(&[data(FIRST_TSN + 1, 1, 1, BEGIN, 51, b"he"), data(FIRST_TSN + 2, 1, 1, END, 51, b"llo")]);
    client.send(&[forward_tsn(FIRST_TSN + 500)]);
    client.send(&[forward_tsn(FIRST_TSN)]);
    client.send(&[data(FIRST_TSN + 501, 1, 2, BEGIN | END, 57, &[0])]);
    let label: std::sync::Arc<str> = "#a".into();
    let hello = DataMessage { label: label.clone(), binary: false, payload: Bytes::from_static(b"hello") };
    let empty = DataMessage { label: label.clone(), binary: true, payload: Bytes::new() };
    assert_eq!(client.inputs(), [Input::ChannelOpen(label.clone()), Input::Data(hello), Input::Data(empty)]);
    client.send(&[reset(1, FIRST_TSN + 501, 1)]);
    assert_eq!(client.inputs(), [Input::ChannelClosed(label)]);
    assert!(client.is_up());
    assert_eq!(client.counters, TransportCounters::default());
}

#[test]
fn a_peer_without_channels_costs_a_pointer() {
    assert_eq!(size_of::<Sctp>(), size_of::<usize>());
    let mut server = Sctp::default();
    let mut counters = TransportCounters::default();
    #[allow(clippy::disallowed_methods)]
    let now = Instant::now();
    server.handle(now, BytesMut::from(&[0u8; 40][..]), &mut Vec::new(), &mut counters);
    server.close_channels(now, &mut Vec::new(), &mut counters);
    assert!(server.0.is_none() && counters.sctp_dropped == 1);
}

/// `rtc-sctp` would count up to the number one by one: two thousand million steps.
#[test]
fn a_forward_tsn_out_of_all_reach_ends_the_association() {
    for ahead in [5000, 1 << 20, (1 << 31) - 1] {
        let mut client = Hostile::connected();
        client.send(&[forward_tsn(FIRST_TSN - 1 + ahead)]);
        assert!(!client.is_up() && client.counters.sctp_dropped == 1, "{ahead}");
        assert_eq!(client.inputs(), [Input::ChannelClosed("#a".into())]);
        let abort = client.answers.last().unwrap();
        assert_eq!(abort[COMMON_HEADER], 6, "the client is told");
    }
}

#[test]
fn a_stream_that_was_not_negotiated_ends_the_association() {
    let mut client = Hostile::connected();
    client.send(&[data(FIRST_TSN, 127, 0, BEGIN | END, 51, b"x")]);
    assert!(client.is_up());
    client.send(&[data(FIRST_TSN + 1, 128, 0, BEGIN | END, 51, b"x")]);
    assert!(!client.is_up());
}

#[test]
fn a_message_without_end_ends_the_association() {
    for (size, most) in [(1, 4097), (1000, 1100)] {
        let mut client = Hostile::connected();
        let mut sent = 0;
        while client.is_up() && sent < 10_000 {
            let flags = if sent == 0 { BEGIN } else { 0 };
            client.send(&[data(FIRST_TSN + sent, 1, 0, flags, 51, &vec![7; size])]);
            sent += 1;
        }
        assert!(sent <= most, "{sent} pieces of {size}");
    }
}

#[test]
fn a_message_that_is_too_long_is_dropped_and_counted() {
    let mut client = Hostile::connected();
    let pieces = MAX_MESSAGE / 1024 + 1;
    for piece in 0..pieces {
        let flags = if piece == 0 { BEGIN } else { 0 } | if piece + 1 == pieces { END } else { 0 };
        client.send(&[data(FIRST_TSN + piece, 1, 0, flags, 53, &[7; 1024])]);
    }
    assert_eq!((client.inputs(), client.counters.data_dropped), (Vec::new(), 1));
    client.send(&[data(FIRST_TSN + pieces, 1, 1, BEGIN | END, 51, b"next")]);
    assert_eq!(client.inputs().len(), 2, "open and a message");
}

/// What is read behind a gap is kept as well until the gap is filled: at some distance no more is taken, and then it goes on.
#[test]
fn gaps_do_not_hold_memory_without_end() {
    let mut client = Hostile::connected();
    for number in 0..5000u32 {
        client.send(&[data(FIRST_TSN + 1 + number, 1, number as u16, BEGIN | END, 51, b"x")]);
    }
    assert!(client.is_up());
    assert_eq!((client.inputs().len(), client.counters.sctp_dropped), (1 + 4094, 906));
    client.send(&[data(FIRST_TSN, 3, 0, BEGIN | END, 51, b"x")]);
    client.wait(Duration::from_millis(300));
    client.send(&[data(FIRST_TSN + 4095, 1, 4094, BEGIN | END, 51, b"x")]);
    assert_eq!(client.inputs().len(), 1);
    client.send(&[data(FIRST_TSN + 4096, 1, 4095, BEGIN | END, 51, &[7; 3000])]);
    assert_eq!(client.counters.sctp_dropped, 907);
}

/// Small messages that were read are forgotten, however many.
#[test]
fn what_was_read_is_not_counted() {
    let mut client = Hostile::connected();
    for number in 0..20_000 {
        client.send(&[data(FIRST_TSN + number, 1, number as u16, BEGIN | END, 51, b"x")]);
    }
    assert!(client.is_up());
    assert_eq!(client.inputs().len(), 20_001);
}

/// Duplicates are not read; they must not add up for ever either.
#[test]
fn duplicates_are_forgotten_when_all_is_read() {
    let mut client = Hostile::connected();
    for number in 0..20_000 {
        let chunk = data(FIRST_TSN + number, 1, number as u16, BEGIN | END, 51, b"x");
        client.send(&[chunk.clone(), chunk.clone(), chunk]);
    }
    assert!(client.is_up());
    assert_eq!(client.inputs().len(), 20_001);
}

#[test]
fn stream_resets_are_bounded() {
    let mut client = Hostile::connected();
    for number in 0..200 {
        client.send(&[reset(number, FIRST_TSN + 1000, 3)]);
    }
    assert!(client.is_up() && client.counters.sctp_dropped == 150, "{:?}", client.counters);
    for number in 200..3000 {
        client.wait(Duration::from_millis(110));
        client.send(&[reset(number, FIRST_TSN + 1000, 3)]);
    }
    assert!(!client.is_up());
}

#[test]
fn gap_blocks_that_overlap_are_dropped() {
    let mut client = Hostile::connected();
    for blocks in [&[(2, 60_000); 100][..], &[(5, 4)], &[(0, 1)], &[(2, 3), (3, 4)]] {
        let before = client.counters.sctp_dropped;
        client.send(&[sack(1, blocks)]);
        assert_eq!(client.counters.sctp_dropped, before + 1, "{blocks:?}");
    }
    assert!(client.is_up());
}

#[test]
fn an_init_into_an_association_is_not_answered() {
    let mut client = Hostile::connected();
    client.answers.clear();
    let tag = std::mem::take(&mut client.tag);
    client.send(&[chunk(1, 0, &[0, 0, 0, 9, 0, 1, 0, 0, 4, 0, 4, 0, 0, 0, 0, 5])]);
    assert!(client.is_up() && client.answers.is_empty() && client.counters.sctp_dropped == 1);
    client.tag = tag;
    client.send(&[data(FIRST_TSN, 1, 0, BEGIN | END, 51, b"x")]);
    assert_eq!(client.inputs().len(), 2);
}

/// After an abort of the peer's the channels are told as closed, and a new INIT begins anew.
#[test]
fn an_abort_closes_the_channels() {
    let mut client = Hostile::connected();
    client.send(&[data(FIRST_TSN, 1, 0, BEGIN | END, 50, &[2])]);
    assert_eq!(client.inputs().len(), 1);
    client.send(&[chunk(6, 0, &[])]);
    assert_eq!(client.inputs(), [Input::ChannelClosed("#a".into())]);
    assert!(client.server.poll_timeout().is_none());
}

fn any_chunk() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop::sample::select(vec![
        0u8, 0, 0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 63, 64, 130, 130, 192, 192, 255,
    ]);
    let value = prop::collection::vec(prop::sample::select(vec![0u8, 0, 0, 1, 2, 3, 13, 18, 50, 51, 232, 233, 255]), 0..60);
    (kinds, any::<u8>(), value, prop::option::of(0u32..40)).prop_map(|(kind, flags, mut value, near)| {
        if let (Some(near), Some(word)) = (near, value.first_chunk_mut()) {
            *word = (FIRST_TSN - 10 + near).to_be_bytes();
        }
        chunk(kind, flags & 7, &value)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_chunks_panic(packets in prop::collection::vec(prop::collection::vec(any_chunk(), 1..4), 1..30)) {
        let mut client = Hostile::connected();
        for chunks in packets {
            if !client.is_up() {
                client = Hostile::connected();
            }
            client.send(&chunks);
            client.wait(Duration::from_millis(50));
            client.answers.clear();
            client.inputs();
        }
    }
}
