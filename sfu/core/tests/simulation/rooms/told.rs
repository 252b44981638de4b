//! What a member says of the packets that it was sent: transport-wide feedback.

use std::time::{Duration, Instant};

use minamo_media::rtp::Packet;
use minamo_sfu_core::rtcp::Feedback;

const EVERY: Duration = Duration::from_millis(60);
/// More in one message nobody sends.
const SPAN_MAX: u16 = 2000;

/// Arrivals since the last report.
#[derive(Default)]
pub struct Told {
    start: Option<Instant>,
    arrived: Vec<(u16, i64)>,
    next: Option<u16>,
    due: Option<Instant>,
    count: u8,
}

impl Told {
    /// Of the header extension.
    pub const ID: u8 = 2;

    pub fn note(&mut self, now: Instant, packet: &Packet<'_>) {
        let Some(number) = packet.extension(Self::ID).and_then(|data| data.try_into().ok()).map(u16::from_be_bytes) else {
            return;
        };
        let start = *self.start.get_or_insert(now);
        self.arrived.push((number, (now - start).as_micros() as i64 + 5_000_000));
    }

    /// The next message, if there is something to say by now.
    pub fn report(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.due.is_some_and(|due| due > now) {
            return None;
        }
        let (first, _) = *self.arrived.first()?;
        self.due = Some(now + EVERY);
        let distance = |number: u16| number.wrapping_sub(first) as i16;
        let oldest = self.arrived.iter().map(|(number, _)| *number).min_by_key(|number| distance(*number))?;
        let newest = self.arrived.iter().map(|(number, _)| *number).max_by_key(|number| distance(*number))?;
        let gap = |next: u16| oldest.wrapping_sub(next);
        let base = self.next.filter(|next| gap(*next) < SPAN_MAX).unwrap_or(oldest);
        let mut arrivals = vec![None; usize::from(newest.wrapping_sub(base)) + 1];
        for (number, at) in self.arrived.drain(..) {
            arrivals[usize::from(number.wrapping_sub(base))] = Some(at);
        }
        self.next = Some(newest.wrapping_add(1));
        self.count = self.count.wrapping_add(1);
        let mut message = Vec::new();
        Feedback { sender: 1, media: 2, count: self.count, base, arrivals: &arrivals }.write(&mut message);
        Some(message)
    }
}
