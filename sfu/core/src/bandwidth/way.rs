//! The way to one subscriber: what it carries, and what is made of it.

use std::time::{Duration, Instant};

use super::allocation::{Allocation, Chosen, Demand};
use super::estimator::Estimator;
use super::pacer::{Paced, Pacer, Turn};
use super::stamp::{self, Remembered};

/// Between two allocations.
const ALLOCATE: Duration = Duration::from_millis(200);
/// A REMB counts for so long.
const REMB_LIFE: Duration = Duration::from_secs(10);
/// A retransmission that would have to wait for so long is left out.
const LATE: Duration = Duration::from_millis(150);
/// What is wanted before any rate of the tracks is known, in bits per second.
const WANTED_FIRST: u64 = 3_000_000;

/// Congestion control toward one peer. Only for peers that were offered transport-wide sequence numbers or have sent REMB.
#[derive(Debug)]
pub(crate) struct Way {
    /// The extension's id in what it is sent; `None` where it knows only REMB.
    extension: Option<u8>,
    estimator: Estimator,
    remembered: Remembered,
    remb: Option<(Instant, u64)>,
    allocation: Allocation,
    pacer: Pacer,
    /// What would be sent if the way carried everything.
    wanted: u64,
    /// Whether something can be padded, and so probed with.
    probes: bool,
    allocate_at: Instant,
    /// Packets that the way does not carry.
    dropped: u64,
}

impl Way {
    pub(crate) fn new(now: Instant, extension: Option<u8>) -> Self {
        Self {
            extension,
            estimator: Estimator::new(now),
            remembered: Remembered::default(),
            remb: None,
            allocation: Allocation::default(),
            pacer: Pacer::default(),
            wanted: WANTED_FIRST,
            probes: false,
            allocate_at: now,
            dropped: 0,
        }
    }

    /// A new packet of a track, video or audio, in two pieces. True if it is to be sent now, and has its number; else it waits for
    /// [`Self::paced`], or is dropped because the way does not carry it.
    pub(crate) fn submit(&mut self, now: Instant, video: bool, head: &mut [u8], rest: &[u8], repeatable: bool) -> bool {
        let turn = self.pacer.submit(now, video, (head, rest), repeatable);
        match turn {
            Turn::Now => self.stamp(now, head, rest, repeatable),
            Turn::Later => {}
            Turn::Never => self.dropped += 1,
        }
        turn == Turn::Now
    }

    /// Reads a little of all that a packet's submission needs, for [`crate::shard`] to have it near.
    pub(crate) fn warm(&self) -> u64 {
        u64::from(self.extension.unwrap_or(0)) ^ u64::from(self.pacer.holds()) ^ self.estimator.warm()
    }

    /// Whether packets wait for their turn.
    pub(crate) fn holds(&self) -> bool {
        self.pacer.holds()
    }

    /// Whether something may be sent besides the tracks' own packets: not while so much lies before it that it would come too late.
    pub(crate) fn has_room(&self, now: Instant) -> bool {
        self.pacer.delay(now) < LATE
    }

    /// Nothing of this SSRC is sent any more: what waits of it is dropped.
    pub(crate) fn forget(&mut self, ssrc: u32) {
        self.dropped += self.pacer.forget(ssrc);
    }

    /// The next packet that has waited long enough, with its number. To be handed back to [`Self::recycle`].
    pub(crate) fn paced(&mut self, now: Instant) -> Option<Paced> {
        let mut paced = self.pacer.next(now)?;
        self.stamp(now, &mut paced.packet, &[], paced.repeatable);
        Some(paced)
    }

    /// A packet of [`Self::paced`] was sent.
    pub(crate) fn recycle(&mut self, paced: Paced) {
        self.pacer.recycle(paced);
    }

    /// Gives a packet that is sent for the first time its number, which goes into the first piece, and notes it. `repeatable`: it may be
    /// sent again as it is.
    pub(crate) fn stamp(&mut self, now: Instant, head: &mut [u8], rest: &[u8], repeatable: bool) {
        let Some(id) = self.extension else { return };
        let number = self.estimator.upcoming();
        if stamp::write(head, id, number) {
            if repeatable {
                self.remembered.push(head, number);
            }
            self.estimator.sent(now, head.len() + rest.len());
            self.pacer.spend(now, head.len() + rest.len());
        }
    }

    /// Gives a packet that is sent again as it was the number that it had. False if that is not known any more: it cannot be sent.
    pub(crate) fn stamp_again(&mut self, packet: &mut [u8]) -> bool {
        let Some(id) = self.extension else { return true };
        let number = self.remembered.find(packet);
        // Without a place for a number there is nothing to remember.
        !stamp::write(packet, id, number.unwrap_or_default()) || number.is_some()
    }

    /// Transport-wide feedback: the whole RTCP packet.
    pub(crate) fn feedback(&mut self, now: Instant, message: &[u8], rtt: Option<Duration>) -> bool {
        if let Some(rtt) = rtt {
            self.estimator.rtt(rtt);
        }
        let well_formed = self.estimator.feedback(now, message);
        self.pacer.hold(self.estimator.hold());
        well_formed
    }

    /// REMB: taken as an upper bound where nothing better comes.
    pub(crate) fn remb(&mut self, now: Instant, bits_per_second: u64) {
        self.remb = Some((now, bits_per_second));
    }

    /// What the way carries, in bits per second; `None` while that is unknown.
    pub(crate) fn estimate(&self, now: Instant) -> Option<u64> {
        let remb = self.remb.filter(|(at, _)| now.saturating_duration_since(*at) < REMB_LIFE).map(|(_, bps)| bps);
        self.estimator.estimate().or(remb)
    }

    /// Whether the tracks should be weighed again now.
    pub(crate) fn allocates(&mut self, now: Instant) -> bool {
        let due = self.allocate_at <= now;
        if due {
            self.allocate_at = now + ALLOCATE;
        }
        due
    }

    /// Shares the way out. The choices are in the order of the demands. `flowing` is what is sent at present, in bits per second.
    pub(crate) fn allocate(&mut self, now: Instant, demands: &[Demand], flowing: u64) -> &[Chosen] {
        let budget = self.estimate(now);
        let wanted = self.allocation.update(now, budget, demands);
        let short = self.allocation.shortage() > 0;
        let strained = short || self.estimator.strained(now);
        let pace = |budget| pace(budget, flowing, self.allocation.spent(), strained);
        // What still waits does not leave in one burst because nothing follows it.
        let rate = budget.and_then(|budget| pace(budget).or_else(|| self.pacer.holds().then_some(budget)));
        self.pacer.set_rate(rate);
        self.wanted = match (wanted.unknown, budget) {
            (true, _) => wanted.bps.max(WANTED_FIRST),
            // Who has all that it wishes would have no use for more.
            (false, Some(_)) if !short => 0,
            (false, _) => wanted.bps,
        };
        self.allocation.chosen()
    }

    /// Whether there is something to pad.
    pub(crate) fn can_probe(&mut self, can: bool) {
        self.probes = can;
    }

    /// When [`Self::padding`] or [`Self::paced`] have something to give.
    pub(crate) fn due(&self) -> Option<Instant> {
        [self.estimator.due().filter(|_| self.probes), self.pacer.due()].into_iter().flatten().min()
    }

    /// Bytes of padding to send now.
    pub(crate) fn padding(&mut self, now: Instant) -> usize {
        if self.probes { self.estimator.poll_probe(now, self.wanted) } else { 0 }
    }

    /// Packets that were dropped since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// How unstable it is, from 0 to 3 (Sora's `network.status`).
    pub(crate) fn instability(&self) -> u8 {
        let loss = self.estimator.loss();
        let by_loss = [0.03, 0.08, 0.2].iter().filter(|bound| loss > **bound).count() as u8;
        by_loss.max(self.allocation.shortage())
    }
}

/// The pacer's rate; `None` where there is so much room that nothing needs to be spread. The estimate of a way that was never seen full
/// (not `strained`) is little above what flows: there it says nothing about the room.
fn pace(budget: u64, flowing: u64, spent: u64, strained: bool) -> Option<u64> {
    if flowing * 10 < budget * 6 || (!strained && flowing <= budget) {
        None
    } else if flowing * 10 > spent * 11 {
        // Too much until a lower layer's key frame comes: what is over waits here and not on the way, where sound waits behind it.
        Some(budget * 105 / 100)
    } else {
        Some((budget * 2).max(flowing * 3 / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::pace;

    #[test]
    fn only_a_way_that_may_be_full_is_paced() {
        assert_eq!(pace(3_900_000, 2_700_000, 2_700_000, false), None, "the estimate follows what is sent");
        assert_eq!(pace(3_900_000, 2_700_000, 2_700_000, true), Some(7_800_000));
        assert_eq!(pace(5_000_000, 2_700_000, 2_700_000, true), None, "room to spare");
        assert_eq!(pace(2_500_000, 2_700_000, 2_700_000, false), Some(5_000_000), "more than it is known to carry");
        assert_eq!(pace(600_000, 2_700_000, 500_000, true), Some(630_000), "until the lower layer begins");
    }
}
