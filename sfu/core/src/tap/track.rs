//! One tapped track: packets to access units, reports onto the packets' timestamps.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use minamo_media::rtp::{Depacketizer, Event, Packet, TimestampExtender};
use minamo_media::{AccessUnit, Codec, Kind, NtpTime, SenderReport, TapEvent, TrackId};

use super::reorder::{Reorder, Step};

/// Units whose first arrival is remembered while they are put together: the open one and those that end with it.
const ARRIVALS_MAX: usize = 4;

/// Units dropped for want of a key frame until the wish is repeated: a second or two of pictures.
const WISH_EVERY: u32 = 45;

/// What waits to be told, without the track's name.
#[derive(Debug)]
enum Told {
    Unit(AccessUnit),
    Report(SenderReport),
}

pub(super) struct TappedTrack {
    layer: u8,
    kind: Kind,
    reorder: Reorder,
    /// `None` for codecs that are forwarded only: their packets are dropped here.
    depacketizer: Option<Depacketizer>,
    timestamps: TimestampExtender,
    /// The earliest arrival of each open unit's packets, by timestamp.
    arrivals: VecDeque<(i64, Instant)>,
    after_loss: bool,
    /// Video: units are dropped until a key frame.
    needs_key: bool,
    wish: bool,
    /// Units dropped for want of a key frame.
    useless: u32,
    /// The picture before the packet with this number is incomplete.
    cut: Option<u16>,
    /// The latest report that came before any packet: it has no line to lie on yet.
    early_report: Option<(Instant, u32, NtpTime)>,
    told: VecDeque<Told>,
}

impl TappedTrack {
    pub(super) fn new(codec: Codec, layer: u8) -> Self {
        Self {
            layer,
            kind: codec.kind(),
            reorder: Reorder::new(codec.kind()),
            depacketizer: Depacketizer::new(codec),
            timestamps: TimestampExtender::new(),
            arrivals: VecDeque::with_capacity(ARRIVALS_MAX),
            after_loss: false,
            needs_key: codec.kind() == Kind::Video,
            wish: false,
            useless: 0,
            cut: None,
            early_report: None,
            told: VecDeque::new(),
        }
    }

    pub(super) fn push_packet(&mut self, arrival: Instant, bytes: Bytes) {
        if self.depacketizer.is_none() {
            return;
        }
        let Ok(packet) = Packet::parse(&bytes) else { return };
        let (ssrc, sequence) = (packet.ssrc(), packet.sequence());
        self.reorder.push(arrival, ssrc, sequence, bytes);
        self.advance(arrival);
    }

    /// The picture before this packet was cut off by a switch. A key frame follows, so nothing is lost but that picture.
    pub(super) fn cut(&mut self, sequence: u16) {
        self.cut = Some(sequence);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.reorder.due()
    }

    /// Extended against the packets, never by an extender of its own: a wrap between the first report and the first packet would
    /// put the two on different lines.
    pub(super) fn push_report(&mut self, arrival: Instant, rtp32: u32, ntp: NtpTime) {
        match self.timestamps.peek(rtp32) {
            Some(rtp) => self.told.push_back(Told::Report(SenderReport { layer: self.layer, rtp, ntp, arrival })),
            None => self.early_report = Some((arrival, rtp32, ntp)),
        }
    }

    /// The track is over: gives out what waits, gaps or not.
    pub(super) fn finish(&mut self) {
        while let Some(until) = self.reorder.due() {
            self.advance(until);
        }
        let event = self.depacketizer.as_mut().and_then(Depacketizer::finish);
        event.into_iter().for_each(|event| self.take(event));
    }

    fn advance(&mut self, now: Instant) {
        while let Some(step) = self.reorder.poll(now) {
            match step {
                Step::Packet(arrival, bytes) => self.depacketize(arrival, &bytes),
                Step::Gap => {
                    if let Some(depacketizer) = &mut self.depacketizer {
                        depacketizer.gap();
                    }
                    self.lose();
                }
            }
        }
    }

    fn depacketize(&mut self, arrival: Instant, bytes: &Bytes) {
        let Ok(packet) = Packet::parse(bytes) else { return };
        let timestamp = self.timestamps.extend(packet.timestamp());
        if let Some((arrival, rtp32, ntp)) = self.early_report.take() {
            self.push_report(arrival, rtp32, ntp);
        }
        self.note_arrival(timestamp, arrival);
        let Some(depacketizer) = &mut self.depacketizer else { return };
        if self.cut.take_if(|sequence| *sequence == packet.sequence()).is_some() {
            // What came of it would pass as complete where it ends between two slices.
            drop(depacketizer.finish());
        }
        for event in depacketizer.push(packet.payload(), timestamp, packet.marker()) {
            self.take(event);
        }
    }

    fn note_arrival(&mut self, timestamp: i64, arrival: Instant) {
        match self.arrivals.iter_mut().find(|(of, _)| *of == timestamp) {
            Some((_, first)) => *first = arrival.min(*first),
            None => {
                if self.arrivals.len() == ARRIVALS_MAX {
                    self.arrivals.pop_front();
                }
                self.arrivals.push_back((timestamp, arrival));
            }
        }
    }

    fn take(&mut self, event: Event) {
        let frame = match event {
            Event::Frame(frame) => frame,
            Event::Damaged { .. } => return self.lose(),
        };
        if self.needs_key && !frame.key {
            // The first one: a track that begins inside a picture group. Later ones: the wish was not fulfilled, so say it again.
            self.wish |= self.useless.is_multiple_of(WISH_EVERY);
            self.useless += 1;
            return;
        }
        let Some((_, arrival)) = self.arrivals.iter().find(|(of, _)| *of == frame.timestamp).copied() else { return };
        self.needs_key = false;
        self.wish = false;
        self.useless = 0;
        let after_loss = std::mem::take(&mut self.after_loss);
        self.told.push_back(Told::Unit(AccessUnit {
            layer: self.layer,
            rtp: frame.timestamp,
            arrival,
            key: frame.key,
            after_loss,
            data: frame.data,
        }));
    }

    /// Something is lost for good.
    pub(super) fn lose(&mut self) {
        self.after_loss = true;
        if self.kind == Kind::Video {
            self.needs_key = true;
            self.wish = true;
            self.useless = 1;
        }
    }

    pub(super) fn take_wish(&mut self) -> bool {
        std::mem::take(&mut self.wish)
    }

    pub(super) fn poll(&mut self, track: TrackId) -> Option<TapEvent> {
        Some(match self.told.pop_front()? {
            Told::Unit(unit) => TapEvent::AccessUnit(track, unit),
            Told::Report(report) => TapEvent::SenderReport(track, report),
        })
    }
}
