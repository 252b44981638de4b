//! One peer of a random room: what it publishes, what it receives, and the link that it has.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use minamo_media::rtp::Packet;
use minamo_media::{Codec, ConnectionId, Kind, TrackId};
use minamo_sfu_core::model::{Downlink, Extensions, LayerWish, Payload};
use minamo_sfu_core::room::Role;
use minamo_sfu_core::rtcp;

use super::reception::Reception;
use super::source::{Marks, Source};
use super::told::Told;
use crate::link::{Dice, Weather};

pub const TICK: Duration = Duration::from_millis(20);
const PT: u8 = 120;
const RTX_PT: u8 = 121;
/// What was under way when a downlink ended may still arrive.
pub const AFTERMATH: Duration = Duration::from_secs(2);

/// One downlink as the peer knows it.
pub struct Subscription {
    pub reception: Reception,
    pub wish: LayerWish,
    pub since: Instant,
    pub ended: Option<Instant>,
}

/// What a member is not to be sent: tracks of this sender and of this kind, or of all.
pub struct Block {
    pub since: Instant,
    pub sender: Option<ConnectionId>,
    pub kind: Option<Kind>,
}

impl Block {
    pub fn holds(&self, sender: &ConnectionId, kind: Kind) -> bool {
        self.sender.as_ref().is_none_or(|blocked| blocked == sender) && self.kind.is_none_or(|blocked| blocked == kind)
    }
}

/// The peer.
pub struct Member {
    pub connection: ConnectionId,
    pub role: Role,
    pub bundle: Option<String>,
    pub blocked: Option<Block>,
    pub sources: Vec<Source>,
    /// Tracks that it ever had: each has a mid and SSRCs of its own.
    pub published: u32,
    /// By SSRC.
    pub subscriptions: BTreeMap<u32, Subscription>,
    pub up: Weather,
    pub down: Weather,
    /// Since when its link is as it is.
    pub weather_since: Instant,
    /// It says when each packet came; others with a narrow link say what it carries.
    pub told: Option<Told>,
    /// A link with a rate is busy until then, one for each direction.
    pub busy: [Option<Instant>; 2],
    pub next_tick: Instant,
    transport: u16,
    next_ssrc: u32,
    last_reports: HashMap<u32, (u32, Instant)>,
    next_report: Instant,
}

impl Member {
    pub fn new(
        now: Instant,
        number: u64,
        role: Role,
        bundle: Option<String>,
        (up, down): (Weather, Weather),
        tells: bool,
    ) -> Self {
        Self {
            connection: format!("c{number}").as_str().into(),
            role,
            bundle,
            blocked: None,
            sources: Vec::new(),
            published: 0,
            subscriptions: BTreeMap::new(),
            up,
            down,
            weather_since: now,
            told: tells.then(Told::default),
            busy: [None; 2],
            next_tick: now + TICK,
            transport: 65_500,
            next_ssrc: 0x10_0000 * (number as u32 + 1),
            last_reports: HashMap::new(),
            next_report: now + Duration::from_secs(1),
        }
    }

    pub fn next(&self) -> Instant {
        self.sources.iter().map(|source| source.next_frame).chain([self.next_tick]).min().unwrap_or(self.next_tick)
    }

    /// A downlink for a track, with an SSRC that was never used.
    pub fn subscribe(&mut self, now: Instant, track: TrackId, codec: Codec) -> Downlink {
        self.next_ssrc += 2;
        let (ssrc, video) = (self.next_ssrc, codec != Codec::Opus);
        let reception = Reception::new(track, codec);
        self.subscriptions.insert(ssrc, Subscription { reception, wish: LayerWish::Best, since: now, ended: None });
        Downlink {
            track,
            mid: format!("d{}", track.0),
            payload: Payload { codec, pt: PT, rtx_pt: video.then_some(RTX_PT), red_pt: None },
            extensions: Extensions { mid: Some(9), transport_cc: self.told.as_ref().map(|_| Told::ID), ..Extensions::default() },
            ssrc,
            rtx_ssrc: video.then_some(ssrc + 1),
            layer: LayerWish::Best,
        }
    }

    pub fn subscribed(&self, track: TrackId) -> Option<&Subscription> {
        self.subscriptions.values().find(|subscription| subscription.reception.track == track && subscription.ended.is_none())
    }

    pub fn unsubscribe(&mut self, now: Instant, track: TrackId) {
        let active = self.subscriptions.values_mut().filter(|subscription| subscription.ended.is_none());
        active
            .filter(|subscription| subscription.reception.track == track)
            .for_each(|subscription| subscription.ended = Some(now));
    }

    /// A datagram of the server's. What the peer answers at once is returned.
    pub fn receive(&mut self, now: Instant, datagram: &[u8], marks: &Marks) -> Result<Vec<Vec<u8>>, String> {
        if datagram.first().is_some_and(|first| *first < 128) {
            return Ok(Vec::new());
        }
        if rtcp::is_rtcp(datagram) {
            return Ok(self.control(now, datagram));
        }
        let packet = Packet::parse(datagram).map_err(|error| format!("not RTP: {error}"))?;
        if let Some(told) = &mut self.told {
            told.note(now, &packet);
        }
        let again = packet.payload_type() == RTX_PT;
        if !again && packet.payload_type() != PT {
            return Err(format!("payload type {}", packet.payload_type()));
        }
        let ssrc = packet.ssrc() - u32::from(again);
        let subscription = self.subscriptions.get_mut(&ssrc).ok_or_else(|| format!("SSRC {ssrc} was never negotiated"))?;
        if subscription.ended.is_some_and(|ended| now - ended > AFTERMATH) {
            return Err(format!("{} goes on after its end", subscription.reception.track));
        }
        let reception = &mut subscription.reception;
        if !again {
            return reception
                .receive(now, packet.sequence(), &packet, packet.payload(), packet.payload(), marks)
                .map(|()| Vec::new());
        }
        let Some((sequence, payload)) = packet.payload().split_at_checked(2).filter(|(_, payload)| !payload.is_empty()) else {
            return Ok(Vec::new());
        };
        let sequence = u16::from_be_bytes([sequence[0], sequence[1]]);
        reception.receive(now, sequence, &packet, payload, payload, marks).map(|()| Vec::new())
    }

    fn control(&mut self, now: Instant, compound: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for packet in rtcp::packets(compound) {
            match packet {
                rtcp::Packet::Pli { media } => self.sources.iter_mut().for_each(|source| source.pli(media)),
                rtcp::Packet::Nack { media, missing } => {
                    for sequence in missing {
                        let transport = &mut self.transport;
                        out.extend(self.sources.iter_mut().find_map(|source| source.again(media, sequence, transport)));
                    }
                }
                rtcp::Packet::SenderReport(info, _) => {
                    self.last_reports.insert(info.ssrc, (info.ntp.middle(), now));
                }
                _ => {}
            }
        }
        out
    }

    /// What it sends by now.
    pub fn tick(&mut self, now: Instant, marks: &mut Marks) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for source in self.sources.iter_mut().filter(|source| source.next_frame <= now) {
            out.extend(source.tick(now, marks, &mut self.transport));
        }
        if self.next_tick > now {
            return out;
        }
        self.next_tick = now + TICK;
        out.extend(self.told.as_mut().and_then(|told| told.report(now)));
        for (ssrc, subscription) in self.subscriptions.iter_mut().filter(|(_, subscription)| subscription.ended.is_none()) {
            let (missing, key) = subscription.reception.wants(now);
            let mut compound = Vec::new();
            if !missing.is_empty() {
                rtcp::nack(&mut compound, 1, *ssrc, &missing);
            }
            if key && subscription.wish != LayerWish::Off {
                rtcp::pli(&mut compound, 1, *ssrc);
            }
            if !compound.is_empty() {
                out.push(compound);
            }
        }
        if self.next_report <= now {
            self.next_report += Duration::from_secs(1);
            out.extend(self.reports(now));
        }
        self.subscriptions.retain(|_, subscription| subscription.ended.is_none_or(|ended| now - ended < 2 * AFTERMATH));
        out
    }

    fn reports(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let block = |ssrc: &u32| {
            let dlsr = |at: Instant| ((now - at).as_micros() * 65_536 / 1_000_000) as u32;
            let (lsr, dlsr) = self.last_reports.get(ssrc).map_or((0, 0), |(lsr, at)| (*lsr, dlsr(*at)));
            rtcp::ReportBlock { ssrc: *ssrc, lsr, dlsr, ..rtcp::ReportBlock::default() }
        };
        let blocks: Vec<_> = self.subscriptions.keys().map(block).collect();
        let report = |blocks: &[rtcp::ReportBlock]| {
            let mut report = Vec::new();
            rtcp::receiver_report(&mut report, 1, blocks);
            report
        };
        let mut out: Vec<_> = blocks.chunks(30).map(report).collect();
        if let Some(rate) = self.down.rate.filter(|_| self.told.is_none()) {
            let (mut remb, ssrcs) = (Vec::new(), self.subscriptions.keys().copied().take(100).collect::<Vec<_>>());
            rtcp::remb(&mut remb, 1, &ssrcs, rate * 9 / 10);
            out.push(remb);
        }
        out
    }
}

/// A link as people have them: mostly fair, sometimes bad; `narrow` if less may fit than is sent.
pub fn weather(dice: &mut Dice, narrow: bool) -> Weather {
    let ms = Duration::from_millis;
    let rate = dice.chance(0.2).then(|| if narrow { 60_000 + dice.below(400_000) } else { 1_500_000 + dice.below(4_000_000) });
    Weather {
        loss: [0.0, 0.0, 0.01, 0.03, 0.06][dice.below(5) as usize],
        duplication: [0.0, 0.0, 0.01][dice.below(3) as usize],
        delay: ms(5 + dice.below(60)),
        jitter: ms([0, 0, 3, 12][dice.below(4) as usize]),
        rate,
    }
}
