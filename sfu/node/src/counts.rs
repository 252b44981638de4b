//! What is counted here and in the shard, as `minamo_sfu_*` metrics.

use std::sync::{Mutex, PoisonError};

use minamo_sfu_core::shard::Stats;
use minamo_sfu_core::turn::{TurnCounters, TurnServer};

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
    /// Datagrams for TCP connections that their thread had no room for.
    pub(crate) stream_drops: u64,
    /// Datagrams and packets that another media thread had no room for.
    pub(crate) crossing_drops: u64,
    /// Panics that were caught; each is a bug.
    pub(crate) panics: u64,
}

/// All of one media thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) stats: Stats,
    pub(crate) socket: SocketCounts,
    pub(crate) thread: ThreadCounts,
    /// Of its TURN server for clients over UDP, and how many allocations that has.
    pub(crate) turn: Option<(usize, TurnCounters)>,
}

impl Tally {
    pub(crate) fn count_turn(&mut self, turn: &TurnServer) {
        self.turn = Some((turn.len(), *turn.counters()));
    }

    fn add(&mut self, other: &Self) {
        self.stats += &other.stats;
        self.socket.sends += other.socket.sends;
        self.socket.send_drops += other.socket.send_drops;
        self.socket.receive_errors += other.socket.receive_errors;
        self.thread.tap_drops += other.thread.tap_drops;
        self.thread.stream_drops += other.thread.stream_drops;
        self.thread.crossing_drops += other.thread.crossing_drops;
        self.thread.panics += other.thread.panics;
        if let Some((allocations, counters)) = &other.turn {
            let (all, sum) = self.turn.get_or_insert_default();
            *all += allocations;
            sum.challenged += counters.challenged;
            sum.unauthorized += counters.unauthorized;
            sum.forbidden += counters.forbidden;
            sum.relayed_in += counters.relayed_in;
            sum.relayed_out += counters.relayed_out;
            sum.dropped += counters.dropped;
        }
    }
}

/// What each media thread counts, a moment old.
pub(crate) struct Board(Vec<Mutex<Tally>>);

impl Board {
    pub(crate) fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| Mutex::default()).collect())
    }

    /// Never waits for a reader.
    pub(crate) fn write(&self, thread: usize, write: impl FnOnce(&mut Tally)) {
        if let Some(mut tally) = self.0.get(thread).and_then(|tally| tally.try_lock().ok()) {
            write(&mut tally);
        }
    }

    /// One by one.
    pub(crate) fn each(&self) -> impl Iterator<Item = Tally> {
        self.0.iter().map(|tally| *tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Of all threads together.
    pub(crate) fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        self.each().for_each(|tally| sum.add(&tally));
        sum
    }
}

macro_rules! publish {
    ($metric:ident, $method:ident, $($name:literal = $value:expr),* $(,)?) => {
        $( metrics::$metric!(concat!("minamo_sfu_", $name)).$method($value); )*
    };
}

/// Of the TURN server for clients over UDP.
fn publish_turn(allocations: usize, counters: &TurnCounters) {
    metrics::gauge!("minamo_sfu_turn_allocations", "transport" => "udp").set(allocations as f64);
    publish!(
        counter,
        absolute,
        "turn_challenged_total" = counters.challenged,
        "turn_unauthorized_total" = counters.unauthorized,
        "turn_forbidden_total" = counters.forbidden,
        "turn_relayed_in_total" = counters.relayed_in,
        "turn_relayed_out_total" = counters.relayed_out,
        "turn_dropped_total" = counters.dropped,
    );
}

/// Once a second.
pub(crate) fn publish(tally: &Tally) {
    let Tally { stats, socket, thread, turn } = tally;
    if let Some((allocations, counters)) = turn {
        publish_turn(*allocations, counters);
    }
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
        "feedbacks_in_total" = stats.feedbacks_in,
        "paddings_out_total" = stats.paddings_out,
        "allowances_changed_total" = stats.allowances_changed,
        "packets_lost_total" = stats.packets_lost,
        "data_messages_in_total" = stats.data_messages_in,
        "data_messages_out_total" = stats.data_messages_out,
        "panicked_peers_total" = stats.panicked_peers,
        "refused_peers_total" = stats.refused_peers,
        "contested_addresses_total" = stats.contested_addresses,
        "sends_total" = socket.sends,
        "receive_errors_total" = socket.receive_errors,
        "stun_answered_total" = stats.transports.stun_answered,
        "dtls_flights_repeated_total" = stats.transports.dtls_flights_repeated,
        "panics_total" = thread.panics + stats.transports.panics,
    );
    for (reason, count) in drops(stats, socket, thread) {
        metrics::counter!("minamo_sfu_dropped_total", "reason" => reason).absolute(count);
    }
}

/// By reason: first what transports dropped, then what the shard, the tap and the socket did.
fn drops(stats: &Stats, socket: &SocketCounts, thread: &ThreadCounts) -> [(&'static str, u64); 25] {
    let transports = &stats.transports;
    [
        ("stun_rejected", transports.stun_rejected),
        ("unknown_route", transports.unknown_route),
        ("garbage", transports.garbage),
        ("dtls", transports.dtls_dropped),
        ("before_keys", transports.before_keys),
        ("undecryptable", transports.undecryptable),
        ("replayed", transports.replayed),
        ("ssrc_overflow", transports.ssrc_overflow),
        ("unsendable", transports.unsendable),
        ("overflow", transports.overflow),
        ("sctp", transports.sctp_dropped),
        ("data", transports.data_dropped),
        ("unknown_address", stats.dropped_unknown_address),
        ("malformed", stats.dropped_malformed),
        ("unknown_ssrc", stats.dropped_unknown_ssrc),
        ("payload_type", stats.dropped_payload_type),
        ("duplicate", stats.dropped_duplicate),
        ("late", stats.dropped_late),
        ("padding", stats.dropped_padding),
        ("beyond_way", stats.dropped_beyond_way),
        ("command", stats.dropped_commands),
        ("tap", stats.dropped_tap + thread.tap_drops),
        ("send", socket.send_drops),
        ("stream", thread.stream_drops),
        ("crossing", thread.crossing_drops),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn what_transports_drop_is_told_by_reason() {
        let mut stats = Stats::default();
        (stats.transports.garbage, stats.transports.replayed, stats.dropped_tap) = (3, 5, 7);
        let thread = ThreadCounts { tap_drops: 11, ..ThreadCounts::default() };
        let list = drops(&stats, &SocketCounts::default(), &thread);
        let told = HashMap::from(list);
        assert_eq!(told.len(), list.len(), "no reason stands for two things");
        assert_eq!((told["garbage"], told["replayed"], told["tap"]), (3, 5, 18));
        assert_eq!(told.values().sum::<u64>(), 26, "and nothing else");
    }
}
