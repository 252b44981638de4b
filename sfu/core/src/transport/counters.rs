//! What transports count.

use std::ops::AddAssign;

/// What a transport dropped, and why. Counts of datagrams or packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransportCounters {
    /// Binding requests that were answered.
    pub stun_answered: u64,
    /// STUN that was malformed, of another kind, for another ufrag, or failed FINGERPRINT or MESSAGE-INTEGRITY.
    pub stun_rejected: u64,
    /// DTLS, SRTP or SRTCP from a route without an authenticated check.
    pub unknown_route: u64,
    /// Neither STUN nor DTLS nor RTP (RFC 7983), or too short for what it claims to be.
    pub garbage: u64,
    /// DTLS beyond what a handshake may cost, or after the end.
    pub dtls_dropped: u64,
    /// Our last DTLS flight was sent again because the peer seemed not to have it.
    pub dtls_flights_repeated: u64,
    /// SRTP or SRTCP before keys, or before the answer's fingerprint was known.
    pub before_keys: u64,
    /// SRTP or SRTCP that failed authentication.
    pub undecryptable: u64,
    /// SRTP or SRTCP that came twice or too late for the replay window.
    pub replayed: u64,
    /// SRTP or SRTCP of more SSRCs than one peer may have.
    pub ssrc_overflow: u64,
    /// Packets given to [`send_rtp`](super::Transport::send_rtp) or [`send_rtcp`](super::Transport::send_rtcp) before Connected or after the end.
    pub unsendable: u64,
    /// Datagrams or inputs dropped because nobody polled: both queues are bounded.
    pub overflow: u64,
    /// SCTP packets that no association takes: malformed, before its INIT, or asking for more than a client may.
    pub sctp_dropped: u64,
    /// Data channels that could not be opened: too many, twice the same label, or opened by the peer.
    pub channels_refused: u64,
    /// Data messages dropped: to us on channels that are not ours or too long, from us on channels that are not open or whose peer lags
    /// behind and may lose some.
    pub data_dropped: u64,
    /// A protocol crate panicked on what the peer sent; the transport closed.
    pub panics: u64,
}

impl AddAssign<&Self> for TransportCounters {
    fn add_assign(&mut self, other: &Self) {
        // By name, so that a new counter cannot be forgotten here.
        let Self {
            stun_answered,
            stun_rejected,
            unknown_route,
            garbage,
            dtls_dropped,
            dtls_flights_repeated,
            before_keys,
            undecryptable,
            replayed,
            ssrc_overflow,
            unsendable,
            overflow,
            sctp_dropped,
            channels_refused,
            data_dropped,
            panics,
        } = other;
        self.stun_answered += stun_answered;
        self.stun_rejected += stun_rejected;
        self.unknown_route += unknown_route;
        self.garbage += garbage;
        self.dtls_dropped += dtls_dropped;
        self.dtls_flights_repeated += dtls_flights_repeated;
        self.before_keys += before_keys;
        self.undecryptable += undecryptable;
        self.replayed += replayed;
        self.ssrc_overflow += ssrc_overflow;
        self.unsendable += unsendable;
        self.overflow += overflow;
        self.sctp_dropped += sctp_dropped;
        self.channels_refused += channels_refused;
        self.data_dropped += data_dropped;
        self.panics += panics;
    }
}
