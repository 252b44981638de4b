//! What is counted here and in the shard, as `minamo_sfu_*` metrics.

use minamo_sfu_core::shard::Stats;

/// Of the socket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SocketCounts {
    /// System calls that sent, one or many datagrams each.
    pub(crate) sends: u64,
    /// Datagrams that the system did not take.
    pub(crate) send_drops: u64,
    /// Receive calls that failed.
    pub(crate) receive_errors: u64,
}

/// Of the media thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ThreadCounts {
    /// Packets and reports that the tap had no room for.
    pub(crate) tap_drops: u64,
    /// Panics that were caught; each is a bug.
    pub(crate) panics: u64,
}

macro_rules! publish {
    ($metric:ident, $method:ident, $($name:literal = $value:expr),* $(,)?) => {
        $( metrics::$metric!(concat!("minamo_sfu_", $name)).$method($value); )*
    };
}

/// Once a second.
pub(crate) fn publish(stats: &Stats, socket: &SocketCounts, thread: &ThreadCounts) {
    publish!(gauge, set, "peers" = stats.peers as f64, "uplinks" = stats.uplinks as f64, "downlinks" = stats.downlinks as f64);
    publish!(
        counter,
        absolute,
        "datagrams_in_total" = stats.datagrams_in,
        "bytes_in_total" = stats.bytes_in,
        "datagrams_out_total" = stats.datagrams_out,
        "bytes_out_total" = stats.bytes_out,
        "rtp_in_total" = stats.rtp_in,
        "rtp_out_total" = stats.rtp_out,
        "retransmissions_asked_total" = stats.retransmissions_asked,
        "retransmissions_received_total" = stats.retransmissions_received,
        "retransmissions_served_total" = stats.retransmissions_served,
        "retransmissions_refused_total" = stats.retransmissions_refused,
        "nacks_in_total" = stats.nacks_in,
        "nacks_out_total" = stats.nacks_out,
        "key_frames_wished_total" = stats.key_frames_wished,
        "key_frames_asked_total" = stats.key_frames_asked,
        "feedbacks_out_total" = stats.feedbacks_out,
        "packets_lost_total" = stats.packets_lost,
        "refused_peers_total" = stats.refused_peers,
        "contested_addresses_total" = stats.contested_addresses,
        "sends_total" = socket.sends,
        "receive_errors_total" = socket.receive_errors,
        "panics_total" = thread.panics,
    );
    publish_drops(stats, socket, thread);
}

fn publish_drops(stats: &Stats, socket: &SocketCounts, thread: &ThreadCounts) {
    let drops = [
        ("unknown_address", stats.dropped_unknown_address),
        ("malformed", stats.dropped_malformed),
        ("unknown_ssrc", stats.dropped_unknown_ssrc),
        ("payload_type", stats.dropped_payload_type),
        ("duplicate", stats.dropped_duplicate),
        ("late", stats.dropped_late),
        ("padding", stats.dropped_padding),
        ("command", stats.dropped_commands),
        ("tap", stats.dropped_tap + thread.tap_drops),
        ("send", socket.send_drops),
    ];
    for (reason, count) in drops {
        metrics::counter!("minamo_sfu_dropped_total", "reason" => reason).absolute(count);
    }
}
