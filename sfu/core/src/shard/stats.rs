//! What a shard counts.

use std::ops::AddAssign;

use crate::transport::TransportCounters;

/// Counts since the start, except the gauges at the top. Plain numbers: the shell publishes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Peers now.
    pub peers: u64,
    /// Tracks that peers send to us, now.
    pub uplinks: u64,
    /// Tracks that we send to peers, now.
    pub downlinks: u64,

    /// Datagrams from the socket.
    pub datagrams_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Datagrams given to the socket.
    pub datagrams_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// RTP packets from publishers.
    pub rtp_in: u64,
    /// RTP packets to subscribers, retransmissions included.
    pub rtp_out: u64,
    /// Data messages from peers.
    pub data_messages_in: u64,
    /// Data messages for peers, dropped ones included.
    pub data_messages_out: u64,

    /// Sequence numbers that we asked publishers for again.
    pub retransmissions_asked: u64,
    /// Packets that came by retransmission and were missing.
    pub retransmissions_received: u64,
    /// Packets that we sent again to subscribers.
    pub retransmissions_served: u64,
    /// NACKed packets that we could not send again: too old, never seen, or over the budget.
    pub retransmissions_refused: u64,
    /// NACK messages sent to publishers.
    pub nacks_out: u64,
    /// NACK messages from subscribers.
    pub nacks_in: u64,
    /// Key-frame wishes: PLI and FIR of subscribers, joins, gateways.
    pub key_frames_wished: u64,
    /// PLI sent to publishers.
    pub key_frames_asked: u64,
    /// Subscribers that began with pictures that were here already.
    pub cached_starts: u64,
    /// Subscribers that went over to another layer, began or stopped, of simulcast tracks.
    pub layers_switched: u64,
    /// Transport-cc feedback messages sent.
    pub feedbacks_out: u64,
    /// Transport-cc feedback messages of subscribers.
    pub feedbacks_in: u64,
    /// Padding packets sent to subscribers, to find out what their ways carry.
    pub paddings_out: u64,
    /// Tracks to subscribers that were given more or less because of what their ways carry.
    pub allowances_changed: u64,
    /// Packets of publishers that never came, as far as their sequence numbers say.
    pub packets_lost: u64,

    /// Peers that were given up because of a defect of ours in their state.
    pub panicked_peers: u64,
    /// Peers refused because the shard was full.
    pub refused_peers: u64,
    /// Datagrams from an unknown address that are no check for a known ufrag.
    pub dropped_unknown_address: u64,
    /// Authenticated checks from an address that another peer holds.
    pub contested_addresses: u64,
    /// Packets that are not RTP or RTCP as the RFC writes it.
    pub dropped_malformed: u64,
    /// RTP that no uplink claims by mid, SSRC or payload type.
    pub dropped_unknown_ssrc: u64,
    /// RTP of an uplink with a payload type that was not negotiated.
    pub dropped_payload_type: u64,
    /// RTP that came twice.
    pub dropped_duplicate: u64,
    /// RTP too old for its track's ring.
    pub dropped_late: u64,
    /// Packets of padding only, and empty retransmissions: bandwidth probes.
    pub dropped_padding: u64,
    /// Video to subscribers that their ways do not carry.
    pub dropped_beyond_way: u64,
    /// Tap packets dropped because nobody polled.
    pub dropped_tap: u64,
    /// Commands beyond a bound: too many uplinks or downlinks of one peer.
    pub dropped_commands: u64,

    /// What the transports of all peers dropped and answered, also of peers that are gone. Summed up by
    /// [`Shard::sum_transports`](super::Shard::sum_transports).
    pub transports: TransportCounters,
}

/// Of several shards together.
impl AddAssign<&Self> for Stats {
    fn add_assign(&mut self, other: &Self) {
        // By name, so that a new count cannot be forgotten here.
        let Self {
            peers,
            uplinks,
            downlinks,
            datagrams_in,
            bytes_in,
            datagrams_out,
            bytes_out,
            rtp_in,
            rtp_out,
            data_messages_in,
            data_messages_out,
            retransmissions_asked,
            retransmissions_received,
            retransmissions_served,
            retransmissions_refused,
            nacks_out,
            nacks_in,
            key_frames_wished,
            key_frames_asked,
            cached_starts,
            layers_switched,
            feedbacks_out,
            feedbacks_in,
            paddings_out,
            allowances_changed,
            packets_lost,
            panicked_peers,
            refused_peers,
            dropped_unknown_address,
            contested_addresses,
            dropped_malformed,
            dropped_unknown_ssrc,
            dropped_payload_type,
            dropped_duplicate,
            dropped_late,
            dropped_padding,
            dropped_beyond_way,
            dropped_tap,
            dropped_commands,
            transports,
        } = other;
        self.peers += peers;
        self.uplinks += uplinks;
        self.downlinks += downlinks;
        self.datagrams_in += datagrams_in;
        self.bytes_in += bytes_in;
        self.datagrams_out += datagrams_out;
        self.bytes_out += bytes_out;
        self.rtp_in += rtp_in;
        self.rtp_out += rtp_out;
        self.data_messages_in += data_messages_in;
        self.data_messages_out += data_messages_out;
        self.retransmissions_asked += retransmissions_asked;
        self.retransmissions_received += retransmissions_received;
        self.retransmissions_served += retransmissions_served;
        self.retransmissions_refused += retransmissions_refused;
        self.nacks_out += nacks_out;
        self.nacks_in += nacks_in;
        self.key_frames_wished += key_frames_wished;
        self.key_frames_asked += key_frames_asked;
        self.cached_starts += cached_starts;
        self.layers_switched += layers_switched;
        self.feedbacks_out += feedbacks_out;
        self.feedbacks_in += feedbacks_in;
        self.paddings_out += paddings_out;
        self.allowances_changed += allowances_changed;
        self.packets_lost += packets_lost;
        self.panicked_peers += panicked_peers;
        self.refused_peers += refused_peers;
        self.dropped_unknown_address += dropped_unknown_address;
        self.contested_addresses += contested_addresses;
        self.dropped_malformed += dropped_malformed;
        self.dropped_unknown_ssrc += dropped_unknown_ssrc;
        self.dropped_payload_type += dropped_payload_type;
        self.dropped_duplicate += dropped_duplicate;
        self.dropped_late += dropped_late;
        self.dropped_padding += dropped_padding;
        self.dropped_beyond_way += dropped_beyond_way;
        self.dropped_tap += dropped_tap;
        self.dropped_commands += dropped_commands;
        self.transports += transports;
    }
}
