//! Sound with redundancy (RFC 2198) goes on as it is to those who take it, and as its new block alone to others and to the tap.

use bytes::{Bytes, BytesMut};
use minamo_media::rtp::{Header, Packet};
use minamo_media::{Codec, TrackId};
use minamo_sfu_core::model::{
    Command, Downlink, Extensions, Fingerprint, IceCredentials, LayerWish, Payload, PeerId, Tap, Uplink,
};
use minamo_sfu_core::rtcp;
use minamo_sfu_core::shard::{Shard, ShardConfig, ShardEvent, TapInput};

use crate::null::{Fault, NullTransport, check};
use crate::world::route;

const SPEAKER: PeerId = PeerId(1);
const MODERN: PeerId = PeerId(2);
const PLAIN: PeerId = PeerId(3);
const SOUND: TrackId = TrackId(9);
const EXTENSIONS: Extensions = Extensions {
    mid: Some(4),
    rid: None,
    repaired_rid: None,
    transport_cc: None,
    abs_send_time: None,
    audio_level: Some(1),
    video_orientation: None,
    dependency_descriptor: None,
};

struct Room {
    shard: Shard<NullTransport>,
    now: std::time::Instant,
    sequence: u16,
    /// To whom, payload type, sequence number, payload.
    heard: Vec<(PeerId, u8, u16, Vec<u8>)>,
    tapped: Vec<(u8, u16, Vec<u8>)>,
}

fn payload(pt: u8, red_pt: Option<u8>) -> Payload {
    Payload { codec: Codec::Opus, pt, rtx_pt: None, red_pt }
}

impl Room {
    #[allow(clippy::disallowed_methods)] // the one look at a clock: everything after is counted from here
    fn new() -> Self {
        let shard = Shard::new(ShardConfig::default(), |_, ice| NullTransport::new(ice, Fault::None));
        let mut room = Self { shard, now: std::time::Instant::now(), sequence: 65_530, heard: Vec::new(), tapped: Vec::new() };
        for peer in [SPEAKER, MODERN, PLAIN] {
            let ufrag = format!("ufrag{}", peer.0);
            room.command(Command::AddPeer { peer, ice: IceCredentials { ufrag: ufrag.clone(), pwd: "p".repeat(22) } });
            room.command(Command::SetRemote { peer, fingerprint: Fingerprint([0; 32]) });
            room.shard.handle_datagram(room.now, route(peer), BytesMut::from(&check(&ufrag)[..]));
        }
        room.command(Command::AddUplink(
            SPEAKER,
            Uplink {
                track: SOUND,
                mid: "a".into(),
                payload: payload(111, Some(63)),
                extensions: EXTENSIONS,
                ssrc: Some(77),
                rtx_ssrc: None,
                rids: Vec::new(),
                tap: Some(Tap { channel: "channel".into(), publisher: "speaker".into(), layers: false }),
            },
        ));
        for (peer, ssrc, payload) in [(MODERN, 500, payload(109, Some(35))), (PLAIN, 600, payload(96, None))] {
            let (mid, layer) = ("d".into(), LayerWish::Best);
            let downlink = Downlink { track: SOUND, mid, payload, extensions: EXTENSIONS, ssrc, rtx_ssrc: None, layer };
            room.command(Command::AddDownlink(peer, downlink));
        }
        room
    }

    fn command(&mut self, command: Command) {
        self.shard.handle_command(self.now, command);
        self.drain();
    }

    fn say(&mut self, pt: u8, payload: &[u8]) {
        self.now += crate::ms(20);
        self.sequence = self.sequence.wrapping_add(1);
        let timestamp = u32::from(self.sequence) * 960;
        let extensions: &[(u8, &[u8])] = &[(1, &[0x85])];
        let mut packet = Vec::new();
        Header { marker: false, payload_type: pt, sequence: self.sequence, timestamp, ssrc: 77, extensions }.write(&mut packet);
        packet.extend_from_slice(payload);
        self.shard.handle_datagram(self.now, route(SPEAKER), BytesMut::from(&packet[..]));
        self.drain();
        self.now += crate::ms(2);
        self.shard.handle_timeout(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.shard.poll_transmit() {
            let peer = PeerId(u64::from(transmit.route.remote.port()) - 1000);
            for datagram in transmit.datagrams().filter(|datagram| datagram[0] >> 6 == 2 && !rtcp::is_rtcp(datagram)) {
                let Ok(packet) = Packet::parse(datagram) else { continue };
                self.heard.push((peer, packet.payload_type(), packet.sequence(), packet.payload().to_vec()));
            }
        }
        while let Some(event) = self.shard.poll_event() {
            let ShardEvent::Tap(TapInput::Packet { packet, .. }) = event else { continue };
            self.tap(&packet);
        }
    }

    fn tap(&mut self, packet: &Bytes) {
        let Ok(packet) = Packet::parse(packet) else { return };
        self.tapped.push((packet.payload_type(), packet.sequence(), packet.payload().to_vec()));
    }

    fn heard_by(&self, of: PeerId) -> Vec<(u8, Vec<u8>)> {
        self.heard.iter().filter(|(peer, ..)| *peer == of).map(|(_, pt, _, payload)| (*pt, payload.clone())).collect()
    }
}

/// The block before and the new one, as Chromium sends them.
fn red(pt: u8, before: &[u8], new: &[u8]) -> Vec<u8> {
    [&[0x80 | pt, 0x0f, 0x00, before.len() as u8, pt][..], before, new].concat()
}

#[test]
fn redundancy_goes_to_those_who_take_it() {
    let mut room = Room::new();
    room.say(111, b"one");
    room.say(63, &red(111, b"one", b"two"));
    room.say(63, &red(111, b"two", b"three"));
    room.say(63, &[0x80 | 111, 0x0f, 0x03, 0xff, 111, 1]);
    room.say(63, &red(111, b"three", b"four"));
    room.say(111, b"five");
    let modern = [
        (109, b"one".to_vec()),
        (35, red(109, b"one", b"two")),
        (35, red(109, b"two", b"three")),
        (35, red(109, b"three", b"four")),
        (109, b"five".to_vec()),
    ];
    let words = [&b"one"[..], b"two", b"three", b"four", b"five"];
    assert_eq!(room.heard_by(MODERN), modern);
    assert_eq!(room.heard_by(PLAIN), words.map(|word| (96, word.to_vec())));
    let tapped: Vec<_> = room.tapped.iter().map(|(pt, _, payload)| (*pt, payload.clone())).collect();
    assert_eq!(tapped, words.map(|word| (111, word.to_vec())));
    assert_eq!(room.tapped[0].1, 65_531, "their numbers are the speaker's");
    assert_eq!(room.shard.stats().dropped_malformed, 1, "blocks longer than the packet");
}

#[test]
fn what_is_sent_again_is_the_same() {
    let mut room = Room::new();
    for n in 0..5u8 {
        room.say(63, &red(111, &[n], &[n + 1]));
    }
    for (peer, ssrc) in [(MODERN, 500), (PLAIN, 600)] {
        let sent: Vec<(u8, u16, Vec<u8>)> =
            room.heard.iter().filter(|(of, ..)| *of == peer).map(|(_, pt, seq, payload)| (*pt, *seq, payload.clone())).collect();
        assert_eq!(sent.len(), 5);
        let (before, mut nack) = (room.heard.len(), Vec::new());
        rtcp::nack(&mut nack, 1, ssrc, &[sent[2].1]);
        room.shard.handle_datagram(room.now, route(peer), BytesMut::from(&nack[..]));
        room.drain();
        let again: Vec<_> = room.heard[before..].iter().map(|(_, pt, seq, payload)| (*pt, *seq, payload.clone())).collect();
        assert_eq!(again, [sent[2].clone()]);
    }
}
