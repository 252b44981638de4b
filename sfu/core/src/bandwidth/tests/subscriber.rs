//! A subscriber's whole way in virtual time: sound and a track in three layers through the pacer, over a link that is made bad, with
//! retransmissions, key frames that have to be waited for, and feedback.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use minamo_media::TrackId;
use minamo_media::rtp::Header;

use super::STEP_US;
use super::link::{Conditions, Link};
use crate::bandwidth::allocation::{Demand, Step};
use crate::bandwidth::way::Way;

const AUDIO: TrackId = TrackId(1);
const VIDEO: TrackId = TrackId(2);
const EXTENSION: u8 = 3;
const SOUND_BPS: u64 = 60_000;
/// A key frame comes so long after it was asked for, and is so many times the size of other pictures.
const KEY_WAIT_US: i64 = 120_000;
const KEY_SIZE: f64 = 5.0;
/// A playout buffer: what comes later than this after its time is concealed, and the buffer grows.
const PLAYOUT_US: i64 = 80_000;

pub(super) struct Subscriber {
    start: Instant,
    pub now_us: i64,
    pub way: Way,
    pub link: Link,
    /// What the publisher sends at present, in bits per second; 0 does not flow.
    pub layers: Vec<u64>,
    /// The layer that is sent; `None` for no picture.
    pub held: Option<u8>,
    target: Option<u8>,
    switch_at: Option<i64>,
    wire: Vec<(i64, Vec<u8>)>,
    /// Lost packets of pictures, by the time when they are asked for again.
    lost: VecDeque<(i64, usize)>,
    due: (i64, i64, i64),
    /// Held layers, one each 100 ms, since the last [`Self::run`].
    pub history: Vec<Option<u8>>,
    pub paddings: u64,
    /// Sound: packets that came in time, and others.
    pub heard: u64,
    pub concealed: u64,
    /// How late sound may be at present.
    playout_us: i64,
    sequence: u16,
}

impl Subscriber {
    #[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
    pub(super) fn new(conditions: Conditions, layers: &[u64], seed: u64) -> Self {
        let start = Instant::now();
        Self {
            start,
            now_us: 0,
            way: Way::new(start, Some(EXTENSION)),
            link: Link::new(conditions, seed),
            layers: layers.to_vec(),
            held: Some(layers.len() as u8 - 1),
            target: Some(layers.len() as u8 - 1),
            switch_at: None,
            wire: Vec::new(),
            lost: VecDeque::new(),
            due: (0, 0, 50_000),
            history: Vec::new(),
            paddings: 0,
            heard: 0,
            concealed: 0,
            playout_us: PLAYOUT_US,
            sequence: 0,
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_micros(self.now_us as u64)
    }

    pub(super) fn run(&mut self, seconds: f64) -> &[Option<u8>] {
        self.history.clear();
        (self.heard, self.concealed) = (0, 0);
        let end = self.now_us + (seconds * 1e6) as i64;
        while self.now_us < end {
            self.now_us += STEP_US;
            self.step();
        }
        &self.history
    }

    /// Of the sound of the last [`Self::run`].
    pub(super) fn concealed_share(&self) -> f64 {
        self.concealed as f64 / (self.heard + self.concealed).max(1) as f64
    }

    fn step(&mut self) {
        let (now, now_us) = (self.now(), self.now_us);
        self.hear();
        self.go_over();
        self.repair();
        if self.due.0 <= now_us {
            self.due.0 += 20_000;
            self.submit(false, 160);
        }
        if self.due.1 <= now_us {
            self.due.1 += 33_333;
            let rate = self.held.map_or(0, |layer| self.layers[usize::from(layer)]);
            let noise = 0.7 + 0.6 * self.link.dice.roll();
            self.picture(rate as f64 / 8.0 / 30.0 * noise);
        }
        while let Some(paced) = self.way.paced(now) {
            self.fly(&paced.packet);
            self.way.recycle(paced);
        }
        let mut padding = self.way.padding(now);
        while padding > 0 {
            self.paddings += 1;
            let mut packet = self.packet(3, 255);
            self.way.stamp(now, &mut packet, &[], false);
            padding = padding.saturating_sub(packet.len());
            self.fly(&packet);
        }
        if self.due.2 <= now_us {
            self.due.2 += 50_000;
            self.wire.extend(self.link.report(now_us).map(|message| (now_us + self.link.conditions.delay_us, message)));
        }
        if now_us % 100_000 == 0 {
            self.history.push(self.held);
        }
    }

    /// Feedback, and what is made of it.
    fn hear(&mut self) {
        let (now, now_us) = (self.now(), self.now_us);
        let due: Vec<_> = self.wire.extract_if(.., |(at, _)| *at <= now_us).collect();
        for (_, message) in due {
            let rtt = Duration::from_micros(2 * self.link.conditions.delay_us as u64);
            assert!(self.way.feedback(now, &message, Some(rtt)));
            if !self.way.allocates(now) {
                continue;
            }
            self.way.can_probe(true);
            let sound = Step { layer: 0, temporal: u8::MAX, bps: SOUND_BPS };
            let flowing = (0u8..).zip(&self.layers).filter(|(_, bps)| **bps > 0);
            let steps: Vec<Step> = flowing.map(|(layer, bps)| Step { layer, temporal: 0, bps: bps * 105 / 100 }).collect();
            let held = steps.iter().rev().find(|step| Some(step.layer) <= self.held).map_or(0, |step| step.bps);
            let demands =
                [Demand { track: AUDIO, audio: true, steps: vec![sound] }, Demand { track: VIDEO, audio: false, steps }];
            let chosen = self.way.allocate(now, &demands, SOUND_BPS + held)[1];
            let target = chosen.step.map(|step| step.layer);
            if target != self.target {
                self.target = target;
                self.switch_at = Some(now_us + KEY_WAIT_US);
            }
            if target.is_none() && self.held.take().is_some() {
                self.way.forget(2);
            }
        }
    }

    /// The key frame of the target comes, or the publisher has stopped what is held.
    fn go_over(&mut self) {
        if self.held.is_some_and(|layer| self.layers[usize::from(layer)] == 0) {
            self.held = (0..self.layers.len() as u8)
                .rev()
                .find(|layer| self.layers[usize::from(*layer)] > 0 && Some(*layer) <= self.held);
        }
        if self.switch_at.is_some_and(|at| at <= self.now_us) {
            self.switch_at = None;
            self.held = self.target;
            let rate = self.held.map_or(0, |layer| self.layers[usize::from(layer)]);
            self.picture(KEY_SIZE * rate as f64 / 8.0 / 30.0);
        }
    }

    fn repair(&mut self) {
        let now = self.now();
        while self.lost.front().is_some_and(|(at, _)| *at <= self.now_us) {
            let Some((_, size)) = self.lost.pop_front() else { break };
            if self.held.is_some() && self.way.has_room(now) {
                let mut packet = self.packet(3, size);
                self.way.stamp(now, &mut packet, &[], false);
                self.fly(&packet);
            }
        }
    }

    fn picture(&mut self, bytes: f64) {
        let mut bytes = bytes as usize;
        while bytes > 0 {
            let size = bytes.min(1150);
            self.submit(true, size);
            bytes -= size;
        }
    }

    fn submit(&mut self, video: bool, size: usize) {
        let mut packet = self.packet(1 + u32::from(video), size);
        if self.way.submit(self.now(), video, &mut packet, &[], false) {
            self.fly(&packet);
        }
    }

    fn packet(&mut self, ssrc: u32, size: usize) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let header = Header {
            marker: false,
            payload_type: 96,
            sequence: self.sequence,
            timestamp: 0,
            ssrc,
            extensions: &[(EXTENSION, &[0, 0])],
        };
        let mut packet = Vec::new();
        header.write(&mut packet);
        packet.resize(packet.len().max(size), 0);
        packet
    }

    fn fly(&mut self, packet: &[u8]) {
        let number = u16::from_be_bytes([packet[17], packet[18]]);
        let arrival = self.link.send(self.now_us, number, packet.len());
        if packet[11] == 1 {
            self.hear_sound(arrival);
        } else if arrival.is_none() && packet[11] == 2 {
            let rtt = 2 * self.link.conditions.delay_us + 30_000;
            self.lost.push_back((self.now_us + rtt, packet.len()));
        }
    }

    /// As a player does: what comes after its turn is made up, and what comes after it is played that much later.
    fn hear_sound(&mut self, arrival: Option<i64>) {
        let late = arrival.map(|at| at - self.now_us - self.link.conditions.delay_us);
        if late.is_some_and(|late| late <= self.playout_us) {
            self.heard += 1;
            self.playout_us = (self.playout_us - 200).max(PLAYOUT_US);
        } else {
            self.concealed += 1;
            self.playout_us += if late.is_some() { 20_000 } else { 0 };
        }
    }
}
