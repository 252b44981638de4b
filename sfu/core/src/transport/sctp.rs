//! SCTP over DTLS (RFC 8261) as far as this server needs it now: the association is answered and kept alive, so that an offered
//! `m=application` comes up and clients are content. What arrives on its streams is read and thrown away; we open none.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use rtc_sctp::{
    Association, DatagramEvent, Endpoint, EndpointConfig, Event, Payload, ServerConfig, StreamEvent, TransportConfig,
};
use rtc_shared::TransportProtocol;

/// SCTP runs inside DTLS and has no addresses of its own.
const PEER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));

/// What a peer may have in flight toward us, in bytes, and on how many streams.
const RECEIVE_BUFFER: u32 = 64 * 1024;
const MAX_STREAMS: u16 = 64;

/// As `a=max-message-size` of our offers says at most.
const MAX_MESSAGE: u32 = 64 * 1024;

const COMMON_HEADER: usize = 12;
const INIT: u8 = 1;

pub(super) struct Sctp {
    endpoint: Endpoint,
    association: Option<Association>,
}

impl Sctp {
    pub(super) fn new() -> Self {
        Self { endpoint: endpoint(), association: None }
    }

    /// One SCTP packet. Packets to send are appended to `out`.
    pub(super) fn handle(&mut self, now: Instant, packet: BytesMut, out: &mut Vec<Bytes>) {
        if packet.get(COMMON_HEADER) == Some(&INIT) {
            match &self.association {
                // `rtc-sctp` takes a repeated INIT for another association: begin anew with it, our INIT ACK was lost.
                Some(association) if association.is_handshaking() || association.is_closed() => *self = Self::new(),
                // One association per peer; an INIT into an established one is not answered.
                Some(_) => return,
                None => {}
            }
        }
        match self.endpoint.handle(now, PEER, None, packet.freeze()) {
            Some((_, DatagramEvent::NewAssociation(association))) => self.association = Some(association),
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some(association) = &mut self.association {
                    association.handle_event(event);
                }
            }
            _ => {}
        }
        self.pump(now, out);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.association.as_ref().and_then(Association::poll_timeout)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Bytes>) {
        if let Some(association) = &mut self.association {
            association.handle_timeout(now);
        }
        self.pump(now, out);
    }

    fn pump(&mut self, now: Instant, out: &mut Vec<Bytes>) {
        let Some(association) = &mut self.association else { return };
        while let Some(event) = association.poll() {
            if let Event::Stream(StreamEvent::Readable { id }) = event {
                discard(association, id);
            }
        }
        while let Some(transmit) = association.poll_transmit(now) {
            if let Payload::RawEncode(packets) = transmit.message {
                out.extend(packets);
            }
        }
    }
}

/// Readable is told once: everything must be read, or the window stays shut.
fn discard(association: &mut Association, id: u16) {
    let Ok(mut stream) = association.stream(id) else { return };
    while let Ok(Some(_)) = stream.read_sctp() {}
}

fn endpoint() -> Endpoint {
    let transport = TransportConfig::default()
        .with_max_receive_buffer_size(RECEIVE_BUFFER)
        .with_max_message_size(MAX_MESSAGE)
        .with_max_num_inbound_streams(MAX_STREAMS)
        .with_max_num_outbound_streams(MAX_STREAMS);
    let server = ServerConfig::new(transport);
    Endpoint::new(PEER, TransportProtocol::UDP, Arc::new(EndpointConfig::new()), Some(Arc::new(server)))
}
