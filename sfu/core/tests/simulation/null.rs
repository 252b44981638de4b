//! A transport without cryptography: whoever names the ufrag is connected, packets pass as they are.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use minamo_sfu_core::model::{CloseReason, DataChannelSpec, DataMessage, Fingerprint, IceCredentials, PathKind};
use minamo_sfu_core::rtcp;
use minamo_sfu_core::shard::PeerTransport;
use minamo_sfu_core::transport::{Input, Route, Transmit, TransportCounters, stun_ufrag};

/// A deliberate fault, so that the invariants can be seen to fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Every 50th packet to a peer goes out under the sequence number of the one before.
    ReuseSequence,
    /// Every 50th packet to a peer has a timestamp that is one tick too high.
    WrongTimestamp,
    /// NACKs of peers are lost on the way.
    DeafToNacks,
    /// The first packets of frames are lost for ever, also when they are sent again.
    LosesBeginnings,
    /// Every 50th packet goes out under the SSRC of the one before.
    SwapsSources,
    /// Panics when a peer is removed.
    DiesTwice,
    /// Panics on a packet that ends with [`POISON`].
    Poisoned,
}

/// What [`Fault::Poisoned`] cannot bear.
pub const POISON: &[u8] = b"poison";
/// What a peer sends to say goodbye: a DTLS alert record, as far as the first byte goes.
pub const GOODBYE: &[u8] = &[21, 0];
/// The first byte of a data message: a DTLS record of application data. Behind it the label, a zero, and the payload.
pub const DATA: u8 = 23;

pub struct NullTransport {
    ufrag: String,
    next_ufrag: Option<String>,
    fault: Fault,
    route: Option<Route>,
    counters: TransportCounters,
    sent: u64,
    after_marker: bool,
    last_ssrc: Option<Vec<u8>>,
    channels: Vec<Arc<str>>,
    inputs: VecDeque<Input>,
    transmits: VecDeque<Transmit>,
}

impl NullTransport {
    pub fn new(ice: IceCredentials, fault: Fault) -> Self {
        Self {
            ufrag: ice.ufrag,
            next_ufrag: None,
            fault,
            route: None,
            counters: TransportCounters::default(),
            sent: 0,
            after_marker: true,
            last_ssrc: None,
            channels: Vec::new(),
            inputs: VecDeque::new(),
            transmits: VecDeque::new(),
        }
    }

    fn message(&self, data: &[u8]) -> Option<Input> {
        let end = data.iter().position(|byte| *byte == 0)?;
        let label = self.channels.iter().find(|label| label.as_bytes() == &data[1..end])?.clone();
        Some(Input::Data(DataMessage { label, binary: true, payload: Bytes::copy_from_slice(&data[end + 1..]) }))
    }

    fn send(&mut self, packet: &[u8]) {
        if let Some(route) = self.route {
            self.transmits.push_back(Transmit::single(route, BytesMut::from(packet)));
        }
    }
}

impl PeerTransport for NullTransport {
    fn set_remote_fingerprint(&mut self, _: Fingerprint) {}

    fn restart_ice(&mut self, ice: IceCredentials) {
        self.next_ufrag = Some(ice.ufrag);
    }

    fn handle_datagram(&mut self, _: Instant, route: Route, data: BytesMut) {
        if stun_ufrag(&data).is_some_and(|ufrag| self.next_ufrag.as_deref() == Some(ufrag)) {
            self.ufrag = self.next_ufrag.take().unwrap_or_default();
        }
        match data.first() {
            Some(0..4) if stun_ufrag(&data) == Some(self.ufrag.as_str()) => {
                self.counters.stun_answered += 1;
                if self.route.replace(route).is_none() {
                    self.inputs.push_back(Input::Connected);
                }
            }
            Some(&DATA) if self.route.is_some() => self.inputs.extend(self.message(&data)),
            Some(20..64) if self.route.is_some() => self.inputs.push_back(Input::Closed(CloseReason::DtlsClosed)),
            Some(128..192) if self.fault == Fault::DeafToNacks && data.get(1) == Some(&205) => {}
            Some(128..192) if self.route.is_some() && rtcp::is_rtcp(&data) => self.inputs.push_back(Input::Rtcp(data)),
            Some(128..192) if self.route.is_some() => self.inputs.push_back(Input::Rtp(data)),
            _ => {}
        }
    }

    fn poll_input(&mut self) -> Option<Input> {
        self.inputs.pop_front()
    }

    fn send_rtp(&mut self, head: &[u8], rest: &[u8]) {
        let packet = &[head, rest].concat()[..];
        assert!(self.fault != Fault::Poisoned || !packet.ends_with(POISON), "a poisoned packet");
        self.sent += 1;
        let mut packet = packet.to_vec();
        let begins = packet[1] & 0x80 == 0 && self.after_marker;
        self.after_marker = packet[1] & 0x80 != 0;
        if self.fault == Fault::LosesBeginnings && begins {
            return;
        }
        if self.fault == Fault::SwapsSources {
            let before = self.last_ssrc.replace(packet[8..12].to_vec()).unwrap_or_default();
            if self.sent.is_multiple_of(50) && before.len() == 4 {
                packet[8..12].copy_from_slice(&before);
            }
        }
        if self.sent.is_multiple_of(50) {
            let at = match self.fault {
                Fault::ReuseSequence => 2..4,
                Fault::WrongTimestamp => 6..8,
                _ => 0..0,
            };
            let step = if self.fault == Fault::ReuseSequence { u16::MAX } else { 1 };
            if let Ok(word) = <[u8; 2]>::try_from(&packet[at.clone()]) {
                packet[at].copy_from_slice(&u16::from_be_bytes(word).wrapping_add(step).to_be_bytes());
            }
        }
        self.send(&packet);
    }

    fn send_rtcp(&mut self, packet: &[u8]) {
        self.send(packet);
    }

    fn open_channel(&mut self, _: Instant, spec: DataChannelSpec) {
        let label: Arc<str> = spec.label.into();
        self.channels.push(label.clone());
        self.inputs.push_back(Input::ChannelOpen(label));
    }

    fn send_data(&mut self, _: Instant, message: &DataMessage) {
        self.send(&[&[DATA], message.label.as_bytes(), &[0], &message.payload].concat());
    }

    fn close_channels(&mut self, _: Instant) {
        self.inputs.extend(self.channels.drain(..).map(Input::ChannelClosed));
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn close(&mut self, _: Instant) {
        assert!(self.fault != Fault::DiesTwice, "it dies again");
        self.send(GOODBYE);
    }

    fn path(&self) -> Option<PathKind> {
        self.route.map(|route| route.via.into())
    }

    fn counters(&self) -> &TransportCounters {
        &self.counters
    }
}

/// A connectivity check for the ufrag, as far as the shard reads it: its integrity and fingerprint are only shaped like some.
pub fn check(ufrag: &str) -> Vec<u8> {
    let username = format!("{ufrag}:them");
    let mut attributes = Vec::new();
    for (kind, value) in [(0x0006u16, username.as_bytes()), (0x0008, &[1; 20]), (0x8028, &[2; 4])] {
        attributes.extend_from_slice(&kind.to_be_bytes());
        attributes.extend_from_slice(&(value.len() as u16).to_be_bytes());
        attributes.extend_from_slice(value);
        attributes.resize(attributes.len().next_multiple_of(4), 0);
    }
    let mut check = vec![0, 1];
    check.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    check.extend_from_slice(&0x2112_a442_u32.to_be_bytes());
    check.extend_from_slice(&[7; 12]);
    check.extend_from_slice(&attributes);
    check
}
