//! One peer's DTLS 1.2 server over `rtc-dtls`, and the fences around it.
//!
//! * One [`Endpoint`] per peer under a constant address, so that the peer can move.
//! * `rtc-dtls` follows the client's order of SRTP profiles: the first datagrams are held back until the ClientHello is whole, and then
//!   only the profile that we want is offered.
//! * When our flight 4 is lost, `rtc-dtls` 0.21 never sends it again (any handshake record clears its timer, repeated ClientHellos are
//!   ignored). So the last flight is kept and repeated when a ClientHello is answered with nothing. Only then: an `rtc` client that gets
//!   a flight again stops its own timer, too.
//! * Its buffers for fragments and early records have loose bounds or none: what a peer may spend on a handshake is bounded here.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_crypto::RTCCrypto;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;
use rtc_srtp::config::{Config, LABEL_EXTRACTOR_DTLS_SRTP};
use rtc_srtp::protection_profile::ProtectionProfile;

use super::TransportCounters;
use super::identity::{Identity, fingerprint_of};
use super::record::{HelloAssembly, Record, offers_gcm, records};
use super::srtp::Srtp;
use crate::model::{CloseReason, Fingerprint};

/// The name under which the only connection of an [`Endpoint`] runs, whatever the peer's address is.
const PEER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));

/// Datagrams held back until the ClientHello is whole. Beyond that they are dropped and the client's next attempt counts.
const MAX_HELD: usize = 16;

/// Bytes that a peer may send until the handshake completes: some twenty flights. Beyond that it has failed.
const HANDSHAKE_BUDGET: usize = 48 * 1024;

/// Bytes of handshake records after completion, for repeated last flights. Beyond that they are dropped.
const LATE_BUDGET: usize = 16 * 1024;

/// The last flight is repeated at most so often, and not sooner than so long after it was sent.
const MAX_REPEATS: u32 = 10;
const REPEAT_INTERVAL: Duration = Duration::from_millis(30);

/// Application data that came with one datagram is at most this many records; further ones are dropped.
const MAX_RECORDS: usize = 32;

/// What a datagram or a timeout led to.
pub(super) enum DtlsEvent {
    /// The handshake is done. Whether the certificate is the right one is for the caller to say.
    Completed { certificate: Fingerprint, srtp: Box<Srtp> },
    /// Decrypted application data: SCTP.
    Data(BytesMut),
    /// It is over.
    Closed(CloseReason),
}

pub(super) struct Dtls {
    identity: Identity,
    stage: Stage,
    budget: usize,
    last_flight: Vec<BytesMut>,
    last_flight_at: Option<Instant>,
    repeats: u32,
}

enum Stage {
    Hello { assembly: HelloAssembly, held: Vec<BytesMut> },
    Handshake(Box<Endpoint>),
    Complete(Box<Endpoint>),
    Over,
}

impl Dtls {
    pub(super) fn new(identity: Identity) -> Self {
        let stage = Stage::Hello { assembly: HelloAssembly::default(), held: Vec::new() };
        Self { identity, stage, budget: HANDSHAKE_BUDGET, last_flight: Vec::new(), last_flight_at: None, repeats: 0 }
    }

    /// One datagram from an authenticated route. Datagrams to send are appended to `out`.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        data: BytesMut,
        out: &mut Vec<BytesMut>,
        counters: &mut TransportCounters,
    ) -> Vec<DtlsEvent> {
        let Some(records) = records(&data).filter(|records| records.len() <= MAX_RECORDS) else {
            counters.garbage += 1;
            return Vec::new();
        };
        let handshake = records.iter().any(|record| !record.is_application_data());
        match &mut self.stage {
            Stage::Over => {
                counters.dtls_dropped += 1;
                Vec::new()
            }
            Stage::Complete(_) if handshake && data.len() > self.budget => {
                counters.dtls_dropped += 1;
                Vec::new()
            }
            Stage::Complete(_) => {
                self.budget -= if handshake { data.len() } else { 0 };
                self.read(now, data, out)
            }
            Stage::Hello { .. } | Stage::Handshake(_) => {
                if data.len() > self.budget {
                    return self.over(CloseReason::DtlsFailed);
                }
                self.budget -= data.len();
                let again = records.iter().any(Record::is_client_hello);
                let ready = self.gather(&records, counters);
                drop(records);
                let answered = out.len();
                let events = self.handshake(now, data, ready, out);
                if again && out.len() == answered {
                    self.repeat_flight(now, out, counters);
                }
                events
            }
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Handshake(endpoint) => endpoint.poll_timeout(&PEER),
            _ => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Vec<BytesMut>) -> Vec<DtlsEvent> {
        let Stage::Handshake(endpoint) = &mut self.stage else { return Vec::new() };
        let failed = endpoint.handle_timeout(PEER, now).is_err();
        let sent = drain(endpoint);
        if !sent.is_empty() {
            self.keep_flight(now, &sent);
            out.extend(sent);
        }
        if failed { self.over(CloseReason::DtlsFailed) } else { Vec::new() }
    }

    /// Seals application data.
    pub(super) fn write(&mut self, now: Instant, data: &[u8], out: &mut Vec<BytesMut>) {
        if let Stage::Complete(endpoint) = &mut self.stage {
            // The only failure is a connection that is gone: then there is nobody to tell.
            let _ = endpoint.write(now, PEER, data);
            out.extend(drain(endpoint));
        }
    }

    /// Says close_notify and ends.
    pub(super) fn close(&mut self, now: Instant, out: &mut Vec<BytesMut>) {
        if let Stage::Handshake(endpoint) | Stage::Complete(endpoint) = &mut self.stage {
            endpoint.stop(now, PEER);
            out.extend(drain(endpoint));
        }
        self.stage = Stage::Over;
        self.last_flight.clear();
    }

    /// While the ClientHello is incomplete: looks into it. The endpoint is made as soon as it is whole.
    /// Returns the datagrams that were held back, to be read first.
    fn gather(&mut self, records: &[Record<'_>], counters: &mut TransportCounters) -> Vec<BytesMut> {
        let Stage::Hello { assembly, held } = &mut self.stage else { return Vec::new() };
        if let Some(hello) = assembly.push(records) {
            let config = self.identity.config(offers_gcm(hello));
            let held = std::mem::take(held);
            self.stage = Stage::Handshake(Box::new(Endpoint::new(PEER, TransportProtocol::UDP, Some(config))));
            return held;
        }
        if held.len() >= MAX_HELD {
            counters.dtls_dropped += held.len() as u64;
            held.clear();
            *assembly = HelloAssembly::default();
        }
        Vec::new()
    }

    fn handshake(&mut self, now: Instant, data: BytesMut, ready: Vec<BytesMut>, out: &mut Vec<BytesMut>) -> Vec<DtlsEvent> {
        if let Stage::Hello { held, .. } = &mut self.stage {
            held.push(data);
            return Vec::new();
        }
        let before = out.len();
        let mut events = Vec::new();
        for datagram in ready.into_iter().chain([data]) {
            events.extend(self.read(now, datagram, out));
        }
        if !matches!(self.stage, Stage::Handshake(_)) {
            self.last_flight.clear();
        } else if out.len() > before {
            let sent = out[before..].to_vec();
            self.keep_flight(now, &sent);
        }
        events
    }

    fn keep_flight(&mut self, now: Instant, sent: &[BytesMut]) {
        self.last_flight = sent.to_vec();
        self.last_flight_at = Some(now);
    }

    fn repeat_flight(&mut self, now: Instant, out: &mut Vec<BytesMut>, counters: &mut TransportCounters) {
        let due = self.last_flight_at.is_some_and(|at| now.saturating_duration_since(at) >= REPEAT_INTERVAL);
        if due && self.repeats < MAX_REPEATS {
            self.repeats += 1;
            counters.dtls_flights_repeated += 1;
            self.last_flight_at = Some(now);
            out.extend(self.last_flight.iter().cloned());
        }
    }

    fn read(&mut self, now: Instant, data: BytesMut, out: &mut Vec<BytesMut>) -> Vec<DtlsEvent> {
        let (Stage::Handshake(endpoint) | Stage::Complete(endpoint)) = &mut self.stage else { return Vec::new() };
        let result = endpoint.read(now, PEER, None, data);
        out.extend(drain(endpoint));
        let complete = matches!(self.stage, Stage::Complete(_));
        match result {
            Ok(events) => events.into_iter().flat_map(|event| self.on_event(event)).collect(),
            // A handshake that errs once does not recover. Afterwards only a fatal alert ends it: other errors are stray records.
            Err(error) if !complete || error == Error::ErrAlertFatalOrClose => self.over(CloseReason::DtlsFailed),
            Err(_) => Vec::new(),
        }
    }

    fn on_event(&mut self, event: EndpointEvent) -> Vec<DtlsEvent> {
        match event {
            EndpointEvent::HandshakeComplete => self.complete(),
            EndpointEvent::ApplicationData(data) => vec![DtlsEvent::Data(data)],
            EndpointEvent::PeerClosed => self.over(CloseReason::DtlsClosed),
            _ => Vec::new(),
        }
    }

    fn complete(&mut self) -> Vec<DtlsEvent> {
        let Stage::Handshake(endpoint) = std::mem::replace(&mut self.stage, Stage::Over) else { return Vec::new() };
        let keyed = endpoint.get_connection_state(PEER).and_then(|state| key(state, self.identity.crypto()));
        match keyed {
            Some((certificate, srtp)) => {
                self.stage = Stage::Complete(endpoint);
                self.budget = LATE_BUDGET;
                vec![DtlsEvent::Completed { certificate, srtp: Box::new(srtp) }]
            }
            None => self.over(CloseReason::DtlsFailed),
        }
    }

    fn over(&mut self, reason: CloseReason) -> Vec<DtlsEvent> {
        self.stage = Stage::Over;
        self.last_flight.clear();
        vec![DtlsEvent::Closed(reason)]
    }
}

fn drain(endpoint: &mut Endpoint) -> Vec<BytesMut> {
    std::iter::from_fn(|| endpoint.poll_transmit()).map(|transmit| transmit.message).collect()
}

/// The peer's certificate and SRTP keyed by RFC 5764 §4.2. `None` when SRTP was not negotiated or no certificate was shown.
fn key(state: &State, crypto: &dyn RTCCrypto) -> Option<(Fingerprint, Srtp)> {
    let profile = match state.srtp_protection_profile() {
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        _ => return None,
    };
    let certificate = fingerprint_of(state.peer_certificates.first()?, crypto)?;
    let mut config = Config { profile, ..Config::default() };
    let material = state.export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], config.keying_material_len()).ok()?;
    config.set_session_keys_from_keying_material(material.as_ref(), false).ok()?;
    Some((certificate, Srtp::new(config.keys, profile, crypto).ok()?))
}
