//! A published track: its layers as they come, which of them flow, and how their clocks lie to each other.

mod counts;
mod encoding;
mod group;
mod key_frames;
mod ledger;
mod line;
mod missing;
mod pictures;
mod rate;
mod ring;
mod watched;

use std::time::{Duration, Instant};

use bytes::Bytes;
use minamo_media::{Kind, NtpTime};

pub(crate) use self::encoding::{Encoding, layers};
pub(crate) use self::key_frames::Urgency;
pub(crate) use self::pictures::Marks;
pub(crate) use self::rate::TEMPORAL_MAX;
pub(crate) use self::ring::Stored;
use self::watched::Watched;
use crate::downlink::Downlink;
use crate::model::{LAYERS_MAX, Layer, PeerId, Uplink, UplinkReport};
use crate::peer::{Flow, Loudness};
use crate::rtcp::ReportBlock;

/// A layer that is so far behind the others of its track has stopped.
const GONE: Duration = Duration::from_millis(1200);
/// Two ways to map a layer's clock to another's agree at least so far; the less exact one decides when they do not.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(1);

/// What became of a packet.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    /// Its place, where it is to be forwarded. `None` for padding that left no hole.
    pub place: Option<u64>,
    /// It is a retransmission that had been asked for.
    pub repaired: bool,
    /// It has no content.
    pub padding: bool,
}

/// Why a packet was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Duplicate,
    Late,
}

/// The latest sender report, on the layer's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SenderClock {
    pub ntp: NtpTime,
    pub rtp: u32,
    pub arrival: Instant,
}

/// One layer of a track, for the allocation of bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerRate {
    /// Which; 0 without simulcast.
    pub layer: Layer,
    /// Packets of it come at present.
    pub flows: bool,
    /// Bits per second over the last second, each temporal layer together with those below it. The last is the whole layer.
    pub bits_per_second: [u64; TEMPORAL_MAX],
}

/// One track of one publisher.
pub(crate) struct Track {
    pub spec: Uplink,
    pub owner: PeerId,
    /// The bitrate that somebody wished.
    pub bitrate_wish: Option<u64>,
    /// Of sound that says its level.
    pub loudness: Option<Loudness>,
    /// What the tap is given of a simulcast track: one layer at a time, as a subscriber would get it.
    pub feed: Option<Box<Downlink>>,
    pub fed: Fed,
    pub watched: Watched,
    /// Its publisher lives on another shard.
    pub mirror: bool,
    encodings: Vec<Encoding>,
    /// One bit for each layer of which packets come.
    flowing: u8,
    began: Option<Instant>,
}

/// How far the tap is with the picture that it is given.
#[derive(Debug, Default)]
pub(crate) struct Fed {
    /// The highest number that it was given, and whether a picture ended there.
    last: Option<(u16, bool)>,
}

impl Fed {
    /// It is given these packets, by number and marker. Answers the number of the first if another layer begins with it inside a picture.
    pub(crate) fn cut(&mut self, switched: bool, packets: &[(u16, bool)]) -> Option<u16> {
        let (first, _) = packets.first()?;
        let cut = self.last.is_some_and(|(_, ended)| switched && !ended);
        for (sequence, marker) in packets {
            if self.last.is_none_or(|(last, _)| sequence.wrapping_sub(last) < 0x8000) {
                self.last = Some((*sequence, *marker));
            }
        }
        cut.then_some(*first)
    }
}

impl Track {
    pub(crate) fn new(owner: PeerId, spec: Uplink) -> Self {
        let layers = spec.rids.len().clamp(1, LAYERS_MAX);
        let simulcast = layers > 1;
        Self {
            owner,
            bitrate_wish: None,
            loudness: spec
                .extensions
                .audio_level
                .filter(|_| spec.payload.codec.kind() == Kind::Audio)
                .map(|_| Loudness::default()),
            feed: (simulcast && spec.tap.as_ref().is_some_and(|tap| !tap.layers)).then(|| Box::new(Downlink::for_tap(&spec))),
            fed: Fed::default(),
            watched: Watched::new(layers),
            mirror: false,
            encodings: (0..layers).map(|_| Encoding::new(&spec)).collect(),
            flowing: u8::from(!simulcast),
            began: None,
            spec,
        }
    }

    /// One bit for each layer that goes to the tap as it comes.
    pub(crate) fn tapped_layers(&self) -> u8 {
        let all = self.spec.tap.as_ref().is_some_and(|tap| tap.layers);
        if all { ((1_u16 << self.encodings.len()) - 1) as u8 } else { 0 }
    }

    pub(crate) fn is_video(&self) -> bool {
        self.spec.payload.codec.kind() == Kind::Video
    }

    /// Whether it may come in several layers.
    pub(crate) fn is_simulcast(&self) -> bool {
        self.encodings.len() > 1
    }

    pub(crate) fn encoding(&self, layer: Layer) -> Option<&Encoding> {
        self.encodings.get(usize::from(layer.0))
    }

    pub(crate) fn encoding_mut(&mut self, layer: Layer) -> Option<&mut Encoding> {
        self.encodings.get_mut(usize::from(layer.0))
    }

    /// Lowest layer first.
    pub(crate) fn encodings_mut(&mut self) -> impl Iterator<Item = &mut Encoding> {
        self.encodings.iter_mut()
    }

    /// Its layers of which packets come, one bit each. Without simulcast the one layer counts as flowing from the start.
    pub(crate) fn flowing(&self) -> u8 {
        self.flowing
    }

    /// When its first packet came.
    pub(crate) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// The highest layer that it may have.
    pub(crate) fn top(&self) -> Layer {
        Layer(self.encodings.len() as u8 - 1)
    }

    /// The SSRCs that were latched.
    pub(crate) fn ssrcs(&self) -> impl Iterator<Item = u32> {
        self.encodings.iter().filter_map(Encoding::ssrc)
    }

    /// Each of its layers that ever came, lowest first, and what it takes.
    pub(crate) fn layers(&self, now: Instant) -> impl Iterator<Item = LayerRate> {
        let came = self.encodings.iter().enumerate().filter(|(_, encoding)| encoding.ssrc().is_some());
        came.map(move |(layer, encoding)| LayerRate {
            layer: Layer(layer as u8),
            flows: self.flowing >> layer & 1 == 1,
            bits_per_second: encoding.rates(now),
        })
    }

    /// The numbers of each of its layers that ever came, lowest first.
    pub(crate) fn reports(&self, now: Instant) -> impl Iterator<Item = UplinkReport> {
        let came = self.encodings.iter().enumerate().filter(|(_, encoding)| encoding.ssrc().is_some());
        came.map(move |(layer, encoding)| encoding.report(now, self.spec.track, Layer(layer as u8)))
    }

    /// When [`Missing`](missing::Missing) or [`KeyFrames`](key_frames::KeyFrames) of a layer have something to do.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        self.encodings.iter().filter_map(|encoding| encoding.due(now)).min()
    }

    /// Only video needs key frames.
    pub(crate) fn wish_key_frame(&mut self, layer: Layer, urgency: Urgency) {
        if let Some(encoding) = self.encoding_mut(layer) {
            encoding.wish_key_frame(urgency);
        }
    }

    /// Takes a packet of a layer's media SSRC, as it came or out of a retransmission. The flag says that other layers flow now than
    /// before.
    pub(crate) fn accept(&mut self, now: Instant, layer: Layer, bytes: &Bytes, flow: Flow) -> Result<(Accepted, bool), Refused> {
        self.began.get_or_insert(now);
        let accepted = self.encoding_mut(layer).ok_or(Refused::Late)?.accept(now, bytes, flow)?;
        let live = flow == Flow::Media && !accepted.padding && self.is_simulcast();
        Ok((accepted, live && self.note_flow(now, layer)))
    }

    /// A layer has sent something. A layer is gone when others went on without it: if all are silent, the publisher is.
    fn note_flow(&mut self, now: Instant, layer: Layer) -> bool {
        let before = self.flowing;
        self.flowing |= 1 << layer.0;
        for (other, encoding) in self.encodings.iter().enumerate() {
            let behind = encoding.newest().is_none_or(|(newest, _)| now.saturating_duration_since(newest) > GONE);
            if behind && other != usize::from(layer.0) {
                self.flowing &= !(1 << other);
            }
        }
        self.flowing != before
    }

    /// What to add to the timestamps of one layer to get onto the line of another, for a packet that came just now: by their sender
    /// reports, which carry one clock; until both have come, by time of arrival.
    pub(crate) fn timestamp_shift(&self, from: Layer, to: Layer, now: Instant, timestamp: u32) -> u32 {
        if from == to {
            return 0;
        }
        let (Some(from), Some(to)) = (self.encoding(from), self.encoding(to)) else { return 0 };
        let rate = self.spec.payload.codec.clock_rate();
        let Some((then, newest)) = from.newest() else { return 0 };
        let arrived = newest.wrapping_add(ticks(now.saturating_duration_since(then), rate)).wrapping_sub(timestamp);
        let Some((theirs, ours)) = from.clock().zip(to.clock()) else { return arrived };
        // From the other layer's report on its clock, through the difference of the two reports' clocks, to this timestamp.
        let between = ours.ntp.seconds_since(theirs.ntp) * f64::from(rate);
        let shift = theirs.rtp.wrapping_add(between.round() as i64 as u32).wrapping_sub(ours.rtp);
        let apart = (shift.wrapping_sub(arrived) as i32).unsigned_abs();
        if apart > ticks(CLOCKS_APART_MAX, rate) { arrived } else { shift }
    }

    /// The receiver report blocks about its layers, of those whose SSRC is known.
    pub(crate) fn report_blocks(&mut self, now: Instant) -> impl Iterator<Item = ReportBlock> {
        self.encodings.iter_mut().filter_map(move |encoding| encoding.report_block(now))
    }
}

/// A duration in ticks, wrapping as RTP does.
pub(crate) fn ticks(duration: Duration, rate: u32) -> u32 {
    (duration.as_micros() * u128::from(rate) / 1_000_000) as u32
}
