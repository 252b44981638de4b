//! Packets in groups as they left, and how much longer each group was under way than the one before.

use super::ledger::Arrival;

/// Packets that left within this belong together.
const BURST_US: i64 = 5_000;
/// Packets that arrive this close one after another, faster than they left, were held up together on the way.
const ARRIVAL_GAP_US: i64 = 5_000;
const ARRIVAL_BURST_US: i64 = 100_000;
/// An arrival this far from the one before belongs to another clock, or comes after an outage: begin anew.
const JUMP_US: i64 = 3_000_000;

#[derive(Clone, Copy, Debug)]
struct Group {
    /// Of the first packet. What lies behind it in its own burst says nothing about the queue that it met.
    sent_us: u32,
    arrived_us: i64,
    last_sent_us: u32,
    last_arrived_us: i64,
}

/// How two groups in a row differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Variation {
    /// Between their departures.
    pub sent_ms: f64,
    /// Between their arrivals.
    pub arrived_ms: f64,
    /// When the later one arrived, on the receiver's clock.
    pub at_ms: f64,
}

/// Makes groups of arrivals in the order of sending.
#[derive(Debug, Default)]
pub(super) struct Groups {
    before: Option<Group>,
    open: Option<Group>,
}

impl Groups {
    /// Takes the next arrival; gives the difference of the two groups before, once a new one begins.
    pub(super) fn push(&mut self, arrival: &Arrival) -> Option<Variation> {
        let fresh = Group {
            sent_us: arrival.sent_us,
            arrived_us: arrival.arrived_us,
            last_sent_us: arrival.sent_us,
            last_arrived_us: arrival.arrived_us,
        };
        let Some(open) = &mut self.open else {
            self.open = Some(fresh);
            return None;
        };
        if (arrival.arrived_us - open.last_arrived_us).abs() > JUMP_US {
            (self.before, self.open) = (None, Some(fresh));
            return None;
        }
        // Sent earlier, told later: it was overtaken.
        let since = i64::from(arrival.sent_us.wrapping_sub(open.sent_us) as i32);
        if since < 0 {
            return None;
        }
        if open.takes(arrival, since) {
            open.last_sent_us = arrival.sent_us;
            open.last_arrived_us = open.last_arrived_us.max(arrival.arrived_us);
            return None;
        }
        let (done, before) = (*open, self.before.replace(*open));
        self.open = Some(fresh);
        let before = before?;
        Some(Variation {
            sent_ms: f64::from(done.sent_us.wrapping_sub(before.sent_us)) / 1000.0,
            arrived_ms: (done.arrived_us - before.arrived_us) as f64 / 1000.0,
            at_ms: done.arrived_us as f64 / 1000.0,
        })
    }
}

impl Group {
    fn takes(&self, arrival: &Arrival, since_us: i64) -> bool {
        let sent_gap = i64::from(arrival.sent_us.wrapping_sub(self.last_sent_us) as i32);
        let arrival_gap = arrival.arrived_us - self.last_arrived_us;
        let held_up =
            arrival_gap <= ARRIVAL_GAP_US && arrival_gap < sent_gap && arrival.arrived_us - self.arrived_us < ARRIVAL_BURST_US;
        since_us <= BURST_US || held_up
    }
}
