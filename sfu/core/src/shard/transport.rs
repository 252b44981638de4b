//! What a shard needs of a peer's transport, so that a simulation can put a null cipher in its place.

use std::time::Instant;

use bytes::BytesMut;

use crate::model::{DataChannelSpec, DataMessage, Fingerprint, IceCredentials, PathKind};
use crate::transport::{Input, Route, Transmit, Transport, TransportCounters};

/// One peer's ICE, DTLS and SRTP, as a value. The methods mean what they mean on [`Transport`].
pub trait PeerTransport {
    /// The certificate that the peer must show.
    fn set_remote_fingerprint(&mut self, fingerprint: Fingerprint);
    /// Other credentials of ours, from the first check with them on.
    fn restart_ice(&mut self, ice: IceCredentials);
    /// One datagram.
    fn handle_datagram(&mut self, now: Instant, route: Route, data: BytesMut);
    /// What came of it.
    fn poll_input(&mut self) -> Option<Input>;
    /// Seals a plain RTP packet that is given in two pieces, the header in the first.
    fn send_rtp(&mut self, head: &[u8], rest: &[u8]);
    /// Trades the buffer that the next group of packets is sealed into for another: an empty one with room for one without, or back.
    fn swap_spare(&mut self, _spare: &mut BytesMut) {}
    /// Reads a little of all that sealing a packet needs, for `shard/warm.rs`.
    fn warm(&self) -> u64 {
        0
    }
    /// Seals a plain RTCP packet.
    fn send_rtcp(&mut self, packet: &[u8]);
    /// Opens a data channel.
    fn open_channel(&mut self, now: Instant, spec: DataChannelSpec);
    /// Sends a message on a data channel.
    fn send_data(&mut self, now: Instant, message: &DataMessage);
    /// Closes all data channels in order.
    fn close_channels(&mut self, now: Instant);
    /// The next datagram to send.
    fn poll_transmit(&mut self) -> Option<Transmit>;
    /// False if nothing is left to send.
    fn may_transmit(&self) -> bool {
        true
    }
    /// When to call `handle_timeout`.
    fn poll_timeout(&self) -> Option<Instant>;
    /// Time has come.
    fn handle_timeout(&mut self, now: Instant);
    /// Says goodbye.
    fn close(&mut self, now: Instant);
    /// How datagrams to the peer travel now; `None` before the first check.
    fn path(&self) -> Option<PathKind>;
    /// What was answered and what was dropped so far. A shard gives an address to a peer only when `stun_answered` has grown.
    fn counters(&self) -> &TransportCounters;
}

impl PeerTransport for Transport {
    fn set_remote_fingerprint(&mut self, fingerprint: Fingerprint) {
        Self::set_remote_fingerprint(self, fingerprint);
    }
    fn restart_ice(&mut self, ice: IceCredentials) {
        Self::restart_ice(self, ice);
    }
    fn handle_datagram(&mut self, now: Instant, route: Route, data: BytesMut) {
        Self::handle_datagram(self, now, route, data);
    }
    fn poll_input(&mut self) -> Option<Input> {
        Self::poll_input(self)
    }
    fn send_rtp(&mut self, head: &[u8], rest: &[u8]) {
        Self::send_rtp(self, head, rest);
    }
    fn swap_spare(&mut self, spare: &mut BytesMut) {
        Self::swap_spare(self, spare);
    }
    fn warm(&self) -> u64 {
        Self::warm(self)
    }
    fn send_rtcp(&mut self, packet: &[u8]) {
        Self::send_rtcp(self, packet);
    }
    fn open_channel(&mut self, now: Instant, spec: DataChannelSpec) {
        Self::open_channel(self, now, spec);
    }
    fn send_data(&mut self, now: Instant, message: &DataMessage) {
        Self::send_data(self, now, message);
    }
    fn close_channels(&mut self, now: Instant) {
        Self::close_channels(self, now);
    }
    fn poll_transmit(&mut self) -> Option<Transmit> {
        Self::poll_transmit(self)
    }
    fn may_transmit(&self) -> bool {
        Self::may_transmit(self)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        Self::poll_timeout(self)
    }
    fn handle_timeout(&mut self, now: Instant) {
        Self::handle_timeout(self, now);
    }
    fn close(&mut self, now: Instant) {
        Self::close(self, now);
    }
    fn path(&self) -> Option<PathKind> {
        Self::path(self)
    }
    fn counters(&self) -> &TransportCounters {
        Self::counters(self)
    }
}
