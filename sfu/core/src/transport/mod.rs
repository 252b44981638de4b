//! One peer's transport as a value: ICE-lite (RFC 8445), DTLS 1.2 server (RFC 6347), SRTP keyed by it (RFC 5764), on one route at a time.
//!
//! Datagrams, times and plain packets go in; datagrams, plain packets and a deadline come out. No socket, no clock. Whatever a peer or
//! a stranger with its address sends, the worst outcome is that this one transport closes.

mod cm80;
mod counters;
mod dtls;
#[cfg(test)]
mod gcm_fixtures;
mod identity;
mod open;
mod record;
mod routes;
mod sctp;
mod seal;
mod srtp;
mod stun;
#[cfg(test)]
mod tests;
mod transmit;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

pub use self::counters::TransportCounters;
use self::dtls::{Dtls, DtlsEvent};
pub use self::identity::Identity;
use self::routes::{CONSENT, Routes};
use self::sctp::{Overflow, Sctp};
use self::srtp::{OpenError, Srtp};
use self::transmit::Transmits;
pub use self::transmit::{Origin, Route, Transmit, Via};
use crate::model::{CloseReason, DataChannelSpec, DataMessage, Fingerprint, IceCredentials, PathKind};

/// What a peer's datagrams amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// ICE and DTLS are up and the certificate is the one of the answer. Once, before any packet.
    Connected,
    /// A decrypted RTP packet, authenticated and not replayed; its header is parsed by nobody yet.
    Rtp(BytesMut),
    /// A decrypted RTCP compound packet.
    Rtcp(BytesMut),
    /// A data channel of ours is open on both sides.
    ChannelOpen(Arc<str>),
    /// A message came on a data channel.
    Data(DataMessage),
    /// A data channel of ours is closed, or could not be opened.
    ChannelClosed(Arc<str>),
    /// The transport is over and has freed its state. Last input. Not given after [`Transport::close`].
    Closed(CloseReason),
}

/// Why a transport could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The certificate or the DTLS configuration could not be made.
    #[error("cannot prepare the DTLS certificate: {0}")]
    Identity(String),
}

/// Inputs that wait to be polled. Beyond that new ones are dropped and counted.
const MAX_QUEUE: usize = 1024;

/// Of messages and news of data channels more may wait: one datagram can complete thousands of small messages that waited for it.
/// None of them may be lost, so the transport ends beyond that.
const MAX_DATA_QUEUE: usize = 16 * 1024;

/// One peer's transport.
pub struct Transport {
    identity: Identity,
    ice: IceCredentials,
    /// After an ICE restart, until the first check with them.
    next_ice: Option<IceCredentials>,
    created: Instant,
    /// The last time that was told, for the one call that does not tell it.
    now: Instant,
    stage: Stage,
    routes: Routes,
    dtls: Dtls,
    /// Keyed by DTLS; used only once the certificate is the right one.
    srtp: Option<Box<Srtp>>,
    sctp: Sctp,
    shown: Option<Fingerprint>,
    expected: Option<Fingerprint>,
    inputs: VecDeque<Input>,
    transmits: Transmits,
    counters: TransportCounters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    Connected,
    Over,
}

impl Transport {
    /// A transport that waits for checks with these credentials of ours.
    #[must_use]
    pub fn new(now: Instant, identity: &Identity, ice: IceCredentials) -> Self {
        Self {
            identity: identity.clone(),
            ice,
            next_ice: None,
            created: now,
            now,
            stage: Stage::Connecting,
            routes: Routes::default(),
            dtls: Dtls::new(identity.clone()),
            srtp: None,
            sctp: Sctp::default(),
            shown: None,
            expected: None,
            inputs: VecDeque::new(),
            transmits: Transmits::default(),
            counters: TransportCounters::default(),
        }
    }

    /// The certificate that the peer must show, from its answer. May come before or after DTLS completes. Another one later than that
    /// ends the transport: a certificate does not change within a DTLS association (RFC 8842 §4).
    pub fn set_remote_fingerprint(&mut self, fingerprint: Fingerprint) {
        self.expected = Some(fingerprint);
        self.compare_fingerprints();
    }

    /// ICE restart (RFC 8445 §9): the peer will check with these. Those before stay good until it does; DTLS and SRTP go on.
    pub fn restart_ice(&mut self, ice: IceCredentials) {
        self.next_ice = Some(ice);
    }

    /// One datagram that came in over `route`: STUN, DTLS, SRTP or SRTCP, told apart by its first byte (RFC 7983).
    pub fn handle_datagram(&mut self, now: Instant, route: Route, data: BytesMut) {
        self.now = now;
        if self.stage != Stage::Over {
            self.guarded(|transport| transport.demux(now, route, data));
        }
    }

    /// What came of the datagrams and timeouts so far. Poll until `None` after each of them.
    pub fn poll_input(&mut self) -> Option<Input> {
        self.inputs.pop_front()
    }

    /// Seals a plain RTP packet toward the peer, given in two pieces so that what is stored need not be copied behind its header first:
    /// the header must be in the first. Counted and dropped before Connected.
    ///
    /// A packet with a sequence number that was sent before must be the same bytes again: AES-GCM loses its secrecy otherwise.
    pub fn send_rtp(&mut self, head: &[u8], rest: &[u8]) {
        self.send_sealed(head.len() + rest.len(), Srtp::rtp_overhead, |srtp, out| srtp.seal_rtp(head, rest, out));
    }

    /// Seals a plain RTCP compound packet toward the peer. Counted and dropped before Connected.
    pub fn send_rtcp(&mut self, packet: &[u8]) {
        self.send_sealed(packet.len(), Srtp::rtcp_overhead, |srtp, out| srtp.seal_rtcp(packet, out));
    }

    /// Reads a little of all that sealing a packet needs. The number means nothing.
    #[must_use]
    pub fn warm(&self) -> u64 {
        let srtp = self.srtp.as_deref().map_or(0, Srtp::warm);
        srtp ^ self.counters.overflow ^ u64::from(self.routes.current().is_some()) ^ u64::from(self.transmits.is_empty())
    }

    /// Trades the buffer that the next group of packets is sealed into: none is allocated as long as it has one.
    pub fn swap_spare(&mut self, spare: &mut BytesMut) {
        std::mem::swap(&mut self.transmits.spare, spare);
    }

    /// The next datagram to send. Poll until `None` after each call that takes the time or a packet.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop()
    }

    /// Whether [`Self::poll_transmit`] has something to give.
    #[must_use]
    pub fn may_transmit(&self) -> bool {
        !self.transmits.is_empty()
    }

    /// When to call [`Self::handle_timeout`]. `None` after the end.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.stage == Stage::Over {
            return None;
        }
        [Some(self.deadline()), self.dtls.poll_timeout(), self.sctp.poll_timeout()].into_iter().flatten().min()
    }

    /// Time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.stage == Stage::Over {
            return;
        }
        if now >= self.deadline() {
            self.end(CloseReason::IceTimeout);
            return;
        }
        self.guarded(|transport| {
            let mut out = Vec::new();
            let events = transport.dtls.handle_timeout(now, &mut out);
            transport.on_dtls(now, events, &mut out);
            let mut packets = Vec::new();
            transport.sctp.handle_timeout(now, &mut packets, &mut transport.counters);
            transport.after_sctp(now, &packets, &mut out);
            transport.queue(out);
        });
    }

    /// Opens a data channel once SCTP is up, which the client begins. Told by [`Input::ChannelOpen`] or [`Input::ChannelClosed`].
    pub fn open_channel(&mut self, now: Instant, spec: DataChannelSpec) {
        self.on_channels(now, |sctp, out, counters| {
            sctp.open(now, spec, out, counters);
            Ok(())
        });
    }

    /// Sends a message on a data channel. Dropped and counted on one that is not open, and on a lossy one for a peer that lags behind;
    /// where nothing may be lost the transport closes instead.
    pub fn send_data(&mut self, now: Instant, message: &DataMessage) {
        self.on_channels(now, |sctp, out, counters| sctp.send(now, message, out, counters));
    }

    /// Closes all data channels, each once the peer has what was sent on it. Told by [`Input::ChannelClosed`].
    pub fn close_channels(&mut self, now: Instant) {
        self.on_channels(now, |sctp, out, counters| {
            sctp.close_channels(now, out, counters);
            Ok(())
        });
    }

    /// Ends the transport: a close_notify waits in [`Self::poll_transmit`], nothing else happens any more.
    pub fn close(&mut self, now: Instant) {
        self.now = now;
        if self.stage != Stage::Over {
            self.inputs.clear();
            self.free();
        }
    }

    /// How datagrams to the peer travel now; `None` before the first check.
    #[must_use]
    pub fn path(&self) -> Option<PathKind> {
        self.routes.current().map(|route| route.via.into())
    }

    /// What was answered and what was dropped so far.
    #[must_use]
    pub fn counters(&self) -> &TransportCounters {
        &self.counters
    }

    fn demux(&mut self, now: Instant, route: Route, data: BytesMut) {
        match data.first() {
            Some(0..=3) => self.on_stun(now, route, &data),
            Some(20..=63) if self.admit(&route) => {
                self.routes.dtls_from(route);
                let mut out = Vec::new();
                let events = self.dtls.handle(now, data, &mut out, &mut self.counters);
                self.on_dtls(now, events, &mut out);
                self.queue(out);
            }
            Some(128..=191) if self.admit(&route) => self.on_srtp(data),
            Some(20..=63 | 128..=191) => {}
            _ => self.counters.garbage += 1,
        }
    }

    fn admit(&mut self, route: &Route) -> bool {
        let known = self.routes.knows(route);
        self.counters.unknown_route += u64::from(!known);
        known
    }

    fn on_stun(&mut self, now: Instant, route: Route, data: &[u8]) {
        let crypto = self.identity.crypto();
        let restart = self.next_ice.as_ref().and_then(|ice| stun::authenticate(data, ice, crypto).ok());
        if restart.is_some() {
            self.ice = self.next_ice.take().unwrap_or_else(|| self.ice.clone());
            self.routes.restarted();
        }
        let Some(check) = restart.or_else(|| stun::authenticate(data, &self.ice, crypto).ok()) else {
            self.counters.stun_rejected += 1;
            return;
        };
        let answer = stun::answer(&check, route.remote, &self.ice, crypto);
        self.routes.checked(now, route, check.use_candidate);
        self.counters.stun_answered += 1;
        if let Some(payload) = answer {
            self.transmit(route, payload);
        }
    }

    fn on_srtp(&mut self, data: BytesMut) {
        // RFC 5761 §4: RTCP packet types share the byte with marker and payload type.
        let Some(&kind) = data.get(1) else {
            self.counters.garbage += 1;
            return;
        };
        let rtcp = (192..=223).contains(&kind);
        let Some(srtp) = self.srtp.as_deref_mut().filter(|_| self.stage == Stage::Connected) else {
            self.counters.before_keys += 1;
            return;
        };
        let crypto = self.identity.crypto();
        let opened =
            if rtcp { srtp.open_rtcp(data, crypto).map(Input::Rtcp) } else { srtp.open_rtp(data, crypto).map(Input::Rtp) };
        match opened {
            Ok(input) => self.input(input),
            Err(OpenError::Malformed) => self.counters.garbage += 1,
            Err(OpenError::NotAuthentic) => self.counters.undecryptable += 1,
            Err(OpenError::Replayed) => self.counters.replayed += 1,
            Err(OpenError::TooManySources) => self.counters.ssrc_overflow += 1,
        }
    }

    fn on_dtls(&mut self, now: Instant, events: Vec<DtlsEvent>, out: &mut Vec<BytesMut>) {
        for event in events {
            match event {
                DtlsEvent::Completed { certificate, srtp } => {
                    self.srtp = Some(srtp);
                    self.shown = Some(certificate);
                    // What completes the handshake on the other side goes first, whatever we think of the certificate.
                    self.queue(std::mem::take(out));
                    self.compare_fingerprints();
                }
                DtlsEvent::Data(data) if self.stage == Stage::Connected => {
                    let mut packets = Vec::new();
                    self.sctp.handle(now, data, &mut packets, &mut self.counters);
                    self.after_sctp(now, &packets, out);
                }
                // The client's SCTP tries again.
                DtlsEvent::Data(_) => self.counters.before_keys += 1,
                DtlsEvent::Closed(reason) => {
                    self.queue(std::mem::take(out));
                    self.end(reason);
                }
            }
        }
    }

    fn on_channels(
        &mut self,
        now: Instant,
        work: impl FnOnce(&mut Sctp, &mut Vec<Bytes>, &mut TransportCounters) -> Result<(), Overflow>,
    ) {
        self.now = now;
        if self.stage == Stage::Over {
            return;
        }
        self.guarded(|transport| {
            let (mut packets, mut out) = (Vec::new(), Vec::new());
            let done = work(&mut transport.sctp, &mut packets, &mut transport.counters);
            transport.after_sctp(now, &packets, &mut out);
            transport.queue(out);
            if done == Err(Overflow) {
                transport.end(CloseReason::DataOverflow);
            }
        });
    }

    fn after_sctp(&mut self, now: Instant, packets: &[Bytes], out: &mut Vec<BytesMut>) {
        for packet in packets {
            self.dtls.write(now, packet, out);
        }
        while let Some(input) = self.sctp.poll_input() {
            if self.inputs.len() >= MAX_DATA_QUEUE {
                self.end(CloseReason::DataOverflow);
                return;
            }
            self.inputs.push_back(input);
        }
    }

    fn compare_fingerprints(&mut self) {
        match (self.stage, self.shown, self.expected) {
            (Stage::Over, ..) | (_, None, _) | (_, _, None) => {}
            (_, Some(shown), Some(expected)) if shown != expected => self.end(CloseReason::DtlsFailed),
            (Stage::Connected, ..) => {}
            (Stage::Connecting, ..) => {
                self.stage = Stage::Connected;
                self.input(Input::Connected);
            }
        }
    }

    /// Not connected in time, or consent is over.
    fn deadline(&self) -> Instant {
        let connect_by = self.created + CONSENT;
        match self.stage {
            Stage::Connecting => connect_by,
            _ => self.routes.expires().unwrap_or(connect_by),
        }
    }

    fn send_sealed(&mut self, plain: usize, overhead: fn(&Srtp) -> usize, seal: impl FnOnce(&mut Srtp, &mut BytesMut) -> bool) {
        let srtp = self.srtp.as_deref_mut().filter(|_| self.stage == Stage::Connected);
        let (Some(srtp), Some(route)) = (srtp, self.routes.current()) else {
            self.counters.unsendable += 1;
            return;
        };
        let length = plain + overhead(srtp);
        match self.transmits.append(route, length, |out| seal(srtp, out)) {
            Some(true) => {}
            Some(false) => self.counters.unsendable += 1,
            None => self.counters.overflow += 1,
        }
    }

    fn queue(&mut self, datagrams: Vec<BytesMut>) {
        let Some(route) = self.routes.current() else { return };
        for payload in datagrams {
            self.transmit(route, payload);
        }
    }

    fn transmit(&mut self, route: Route, payload: BytesMut) {
        self.counters.overflow += u64::from(!self.transmits.push(route, payload));
    }

    fn input(&mut self, input: Input) {
        if self.inputs.len() < MAX_QUEUE {
            self.inputs.push_back(input);
        } else {
            self.counters.overflow += 1;
        }
    }

    fn end(&mut self, reason: CloseReason) {
        if self.stage != Stage::Over {
            self.free();
            // The last word must not be lost: beyond the bound if need be.
            self.inputs.push_back(Input::Closed(reason));
        }
    }

    fn free(&mut self) {
        self.stage = Stage::Over;
        let mut out = Vec::new();
        self.dtls.close(self.now, &mut out);
        self.queue(out);
        self.srtp = None;
        self.sctp = Sctp::default();
    }

    /// The protocol crates parse what peers send and are young. Should one panic, this peer ends and nobody else.
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.counters.panics += 1;
            self.dtls = Dtls::new(self.identity.clone());
            self.end(CloseReason::Internal);
        }
    }
}

/// Our ufrag out of a binding request's USERNAME `ours:theirs` (RFC 8445 §7.2.2), to find the peer of a first datagram.
/// Nothing is authenticated by this.
#[must_use]
pub fn stun_ufrag(data: &[u8]) -> Option<&str> {
    stun::ufrag(data)
}

/// Whether this is an authentic connectivity check for these credentials of ours (RFC 8445 §7.3).
#[must_use]
pub fn is_authentic_check(data: &[u8], ice: &IceCredentials, identity: &Identity) -> bool {
    stun::authenticate(data, ice, identity.crypto()).is_ok()
}
