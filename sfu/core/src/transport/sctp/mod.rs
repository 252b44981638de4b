//! SCTP over DTLS (RFC 8261) and our data channels on it (RFC 8831), over `rtc-sctp`, and the fences around it.
//!
//! * A peer that has no data channels and never begins an association costs a pointer.
//! * `rtc-sctp` takes a repeated INIT for another association: an association that is not up yet begins anew with it.
//! * Its receiving side has loose bounds or none, and some loops as long as the peer says: [`Fence`] looks at each packet first.
//! * It says only once that a stream is readable: everything is read at once.

mod channels;
mod fence;
mod shape;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use rtc_sctp::{
    Association, DatagramEvent, Endpoint, EndpointConfig, Event, Payload, ServerConfig, StreamEvent, TransportConfig,
};
use rtc_shared::TransportProtocol;

use self::channels::Channels;
use self::fence::{Fence, Refused};
use super::{Input, TransportCounters};
use crate::model::{DataChannelSpec, DataMessage};

/// SCTP runs inside DTLS and has no addresses of its own.
const PEER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));

/// What a peer may have in flight toward us, in bytes.
const RECEIVE_BUFFER: u32 = 512 * 1024;
/// Streams either way: half of them are ours to open channels on.
const MAX_STREAMS: u16 = 128;
/// The longest message, either way, as `a=max-message-size` of our offers says.
pub(super) const MAX_MESSAGE: u32 = 256 * 1024;

const COMMON_HEADER: usize = 12;
const INIT: u8 = 1;

/// A peer that does not take what is sent to it over a channel that may lose nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

/// One peer's association and channels; empty until there is need of either.
#[derive(Default)]
pub(super) struct Sctp(Option<Box<State>>);

#[derive(Default)]
struct State {
    link: Option<Link>,
    channels: Channels,
}

struct Link {
    endpoint: Endpoint,
    association: Association,
    fence: Fence,
}

impl Sctp {
    /// One SCTP packet. Packets to send are appended to `out`.
    pub(super) fn handle(&mut self, now: Instant, packet: BytesMut, out: &mut Vec<Bytes>, counters: &mut TransportCounters) {
        let packet = packet.freeze();
        if packet.get(COMMON_HEADER) == Some(&INIT) {
            self.begin(now, packet, counters);
        } else if let Some(link) = self.0.as_mut().and_then(|state| state.link.as_mut()) {
            link.receive(now, packet, counters);
        } else {
            counters.sctp_dropped += 1;
        }
        self.pump(now, out, counters);
    }

    /// Opens a channel as soon as the association is up. One that cannot be opened is told as closed.
    pub(super) fn open(&mut self, now: Instant, spec: DataChannelSpec, out: &mut Vec<Bytes>, counters: &mut TransportCounters) {
        let state = self.0.get_or_insert_default();
        state.channels.add(spec, counters);
        self.pump(now, out, counters);
    }

    /// Sends a message on an open channel; on another it is dropped and counted.
    pub(super) fn send(
        &mut self,
        now: Instant,
        message: &DataMessage,
        out: &mut Vec<Bytes>,
        counters: &mut TransportCounters,
    ) -> Result<(), Overflow> {
        let Some(State { link: Some(link), channels }) = self.0.as_deref_mut() else {
            counters.data_dropped += 1;
            return Ok(());
        };
        channels.send(now, &mut link.association, message, counters)?;
        self.pump(now, out, counters);
        Ok(())
    }

    /// Closes all channels, each once the peer has what was sent on it.
    pub(super) fn close_channels(&mut self, now: Instant, out: &mut Vec<Bytes>, counters: &mut TransportCounters) {
        if let Some(state) = &mut self.0 {
            state.channels.close_all();
            self.pump(now, out, counters);
        }
    }

    /// What happened on the channels.
    pub(super) fn poll_input(&mut self) -> Option<Input> {
        self.0.as_mut()?.channels.poll_input()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.0.as_ref()?.link.as_ref()?.association.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Bytes>, counters: &mut TransportCounters) {
        let Some(link) = self.0.as_mut().and_then(|state| state.link.as_mut()) else { return };
        if link.association.poll_timeout().is_some_and(|due| due <= now) {
            link.association.handle_timeout(now);
            self.pump(now, out, counters);
        }
    }

    /// An INIT: the first, or again because our INIT ACK was lost.
    fn begin(&mut self, now: Instant, packet: Bytes, counters: &mut TransportCounters) {
        let state = self.0.get_or_insert_default();
        // One association per peer; an INIT into an established one is not answered.
        if state.link.as_ref().is_some_and(|link| !link.association.is_handshaking()) {
            counters.sctp_dropped += 1;
            return;
        }
        let mut endpoint = endpoint();
        let begun = Fence::new(&packet).and_then(|fence| Some((fence, endpoint.handle(now, PEER, None, packet)?)));
        match begun {
            Some((fence, (_, DatagramEvent::NewAssociation(association)))) => {
                state.link = Some(Link { endpoint, association, fence });
            }
            _ => counters.sctp_dropped += 1,
        }
    }

    /// Takes what the association has made of its inputs.
    fn pump(&mut self, now: Instant, out: &mut Vec<Bytes>, counters: &mut TransportCounters) {
        let Some(State { link: Some(link), channels }) = self.0.as_deref_mut() else { return };
        loop {
            let mut idle = true;
            while let Some(event) = link.association.poll() {
                idle = false;
                link.on_event(now, channels, &event, counters);
            }
            if !link.association.is_handshaking() && !link.association.is_closed() {
                channels.serve(now, &mut link.association);
            }
            while let Some(transmit) = link.association.poll_transmit(now) {
                idle = false;
                if let Payload::RawEncode(packets) = transmit.message {
                    packets.iter().for_each(|packet| link.fence.sent(packet));
                    out.extend(packets);
                }
            }
            if idle {
                break;
            }
        }
        if link.association.is_closed() && !link.association.is_handshaking() {
            channels.lose_all();
            if let Some(state) = &mut self.0 {
                state.link = None;
            }
        }
    }
}

impl Link {
    fn receive(&mut self, now: Instant, packet: Bytes, counters: &mut TransportCounters) {
        match self.fence.admit(now, &packet) {
            Ok(()) => {}
            Err(Refused::Packet) => {
                counters.sctp_dropped += 1;
                return;
            }
            Err(Refused::Association) => {
                counters.sctp_dropped += 1;
                // Of an association that is closed already there is nothing to abort.
                let _ = self.association.abort();
                return;
            }
        }
        match self.endpoint.handle(now, PEER, None, packet) {
            Some((_, DatagramEvent::AssociationEvent(event))) => self.association.handle_event(event),
            _ => counters.sctp_dropped += 1,
        }
    }

    fn on_event(&mut self, now: Instant, channels: &mut Channels, event: &Event, counters: &mut TransportCounters) {
        match event {
            Event::Stream(StreamEvent::Readable { id }) => {
                let read = |association: &mut Association| association.stream(*id).ok()?.read_sctp().ok()?;
                while let Some(message) = read(&mut self.association) {
                    self.fence.read(message.chunks.len(), message.len());
                    channels.receive(now, &mut self.association, *id, &message, counters);
                }
            }
            Event::Stream(StreamEvent::BufferedAmountReleased { id, n_bytes }) => channels.released(*id, *n_bytes),
            Event::AssociationLost { id, .. } => channels.lose(*id),
            _ => {}
        }
    }
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
