//! What a publisher is asked to send again, when, and when it is given up.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use minamo_media::Kind;

use crate::budget::Budget;

/// A packet may be overtaken by this much before it counts as lost; as much as lately seen, between these.
const TOLERANCE_MIN: Duration = Duration::from_millis(10);
const TOLERANCE_MAX: Duration = Duration::from_millis(30);
/// A wider gap is not repaired packet by packet: on video a key frame is cheaper and comes sooner, on audio it is over.
const GAP_MAX: u64 = 256;
const GAP_MAX_AUDIO: u64 = 12;
/// Missing packets at once; at the bound the oldest is given up.
const MISSING_MAX: usize = 512;
/// A packet asked for this often will not come.
const TRIES_MAX: u8 = 8;
/// Asked for more than once and away for this long: its answers were lost too, players soon stop waiting, and a key frame may come
/// sooner than it does.
const AGE_DOUBTED: Duration = Duration::from_millis(220);
/// Nor is one of use that has been away for longer than players wait.
const AGE_MAX: Duration = Duration::from_secs(1);
const AGE_MAX_AUDIO: Duration = Duration::from_millis(250);
/// Requests of one sequence number; more wait.
const BUDGET: Budget = Budget::new(600, 200);
/// Until a retransmission has been seen. Rather long: an answer to the second question says little about the way's length.
const RTT_FIRST: Duration = Duration::from_millis(100);
const RETRY_MIN: Duration = Duration::from_millis(25);
const RETRY_MAX: Duration = Duration::from_millis(400);
/// What an answer may be later than the round trips before it.
const RETRY_SLACK: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug)]
struct Gap {
    since: Instant,
    due: Instant,
    /// When it was asked for first, and last.
    asked: Option<(Instant, Instant)>,
    tries: u8,
}

/// The missing packets of one track.
#[derive(Clone, Debug)]
pub(crate) struct Missing {
    gap_max: u64,
    age_max: Duration,
    gaps: BTreeMap<u64, Gap>,
    due: Option<Instant>,
    budget: Budget,
    rtt: Duration,
    tolerance: Duration,
    doubted: bool,
    /// Given up, and how many of them were not yet taken by [`Self::take_lost`].
    lost: (u64, u64),
    /// Requests so far.
    asked: u64,
}

impl Missing {
    pub(crate) fn new(kind: Kind) -> Self {
        let (gap_max, age_max) = if kind == Kind::Video { (GAP_MAX, AGE_MAX) } else { (GAP_MAX_AUDIO, AGE_MAX_AUDIO) };
        Self {
            gap_max,
            age_max,
            gaps: BTreeMap::new(),
            due: None,
            budget: BUDGET,
            rtt: RTT_FIRST,
            tolerance: TOLERANCE_MIN,
            doubted: false,
            lost: (0, 0),
            asked: 0,
        }
    }

    /// These did not come in order. False when there are so many that asking would be a storm: then a key frame is needed.
    pub(crate) fn open(&mut self, now: Instant, range: Range<u64>) -> bool {
        if range.end - range.start > self.gap_max {
            self.forgo(range);
            return false;
        }
        let due = now + self.tolerance;
        for seq in range {
            self.gaps.insert(seq, Gap { since: now, due, asked: None, tries: 0 });
            self.due = Some(self.due.map_or(due, |at| at.min(due)));
        }
        while self.gaps.len() > MISSING_MAX {
            self.gaps.pop_first();
            self.lose(1);
        }
        true
    }

    /// These are lost, and not asked for.
    pub(crate) fn forgo(&mut self, range: Range<u64>) {
        self.lose(range.end - range.start);
    }

    /// This one came after all, `overtaken` if it is certainly no answer. Whether it had been asked for.
    pub(crate) fn close(&mut self, now: Instant, seq: u64, overtaken: bool) -> bool {
        let Some(gap) = self.gaps.remove(&seq) else { return false };
        if self.gaps.is_empty() {
            self.due = None;
        }
        if overtaken || gap.asked.is_none() {
            self.overtaken(now.saturating_duration_since(gap.since));
        }
        let Some((first, last)) = gap.asked else { return false };
        // The answer to the only question; or to the first of two, if it came too soon for one to the second. Else nothing says
        // which question was answered.
        let too_soon = now.saturating_duration_since(last) < self.rtt / 2;
        if !overtaken && (gap.tries == 1 || gap.tries == 2 && too_soon) {
            self.learn(now.saturating_duration_since(first));
        }
        true
    }

    fn learn(&mut self, rtt: Duration) {
        self.rtt = (self.rtt * 7 + rtt) / 8;
    }

    /// A packet came so late by itself: as much is waited for from now on, and slowly less again.
    fn overtaken(&mut self, late: Duration) {
        let wanted = (late + late / 4).clamp(TOLERANCE_MIN, TOLERANCE_MAX);
        self.tolerance = wanted.max(self.tolerance - (self.tolerance - TOLERANCE_MIN) / 64);
    }

    /// The sender counts anew.
    pub(crate) fn clear(&mut self) {
        self.gaps.clear();
        self.due = None;
    }

    /// When [`Self::ask`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Those to be asked for now, in rising order, within the budget; what is hopeless is given up.
    pub(crate) fn ask(&mut self, now: Instant, out: &mut Vec<u16>) {
        let retry = (self.rtt + RETRY_SLACK).clamp(RETRY_MIN, RETRY_MAX);
        let before = self.gaps.len();
        self.gaps
            .retain(|_, gap| gap.due > now || (gap.tries < TRIES_MAX && now.saturating_duration_since(gap.since) < self.age_max));
        self.lose((before - self.gaps.len()) as u64);
        for (seq, gap) in self.gaps.iter_mut().filter(|(_, gap)| gap.due <= now) {
            gap.due = now + retry;
            self.doubted |= gap.tries > 1 && now.saturating_duration_since(gap.since) >= AGE_DOUBTED;
            if self.budget.take(now) {
                gap.tries += 1;
                self.asked += 1;
                gap.asked = Some((gap.asked.map_or(now, |(first, _)| first), now));
                out.push(*seq as u16);
            }
        }
        self.due = self.gaps.values().map(|gap| gap.due).min();
    }

    /// Packets given up since the last call.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost.1)
    }

    /// Packets given up since the beginning.
    pub(crate) fn lost_so_far(&self) -> u64 {
        self.lost.0
    }

    /// Packets asked for since the beginning, each as often as it was.
    pub(crate) fn asked_so_far(&self) -> u64 {
        self.asked
    }

    fn lose(&mut self, packets: u64) {
        self.lost.0 += packets;
        self.lost.1 += packets;
    }

    /// Whether a packet was asked for in vain so often, since the last call, that a key frame should be asked for beside it.
    pub(crate) fn take_doubted(&mut self) -> bool {
        std::mem::take(&mut self.doubted)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.gaps.len()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn asked(missing: &mut Missing, now: Instant) -> Vec<u16> {
        let mut out = Vec::new();
        missing.ask(now, &mut out);
        out
    }

    #[test]
    fn a_swapped_pair_is_not_asked_for() {
        let (mut missing, start) = (Missing::new(Kind::Video), Instant::now());
        missing.open(start, 5..6);
        assert!(!missing.close(start + ms(2), 5, false));
        assert_eq!(missing.due(), None);
        assert!(asked(&mut missing, start + ms(50)).is_empty());
    }

    #[test]
    fn how_long_an_answer_takes_is_learned_even_where_it_is_longer_than_the_first_guess() {
        for rtt in [ms(20), ms(150)] {
            let (mut missing, start) = (Missing::new(Kind::Video), Instant::now());
            for gap in 0..40 {
                let (opened, seq) = (start + ms(gap * 1000), gap * 10);
                missing.open(opened, seq..seq + 1);
                let answer = opened + TOLERANCE_MIN + rtt;
                while let Some(due) = missing.due().filter(|due| *due < answer) {
                    asked(&mut missing, due);
                }
                missing.close(answer, seq, false);
            }
            assert!(missing.rtt.abs_diff(rtt) < ms(10), "{:?}", missing.rtt);
        }
    }

    #[test]
    fn reordering_is_waited_for_once_it_is_known() {
        let (mut missing, start) = (Missing::new(Kind::Video), Instant::now());
        let mut questions = Vec::new();
        for gap in 0..10 {
            let (opened, seq) = (start + ms(gap * 100), gap * 10);
            missing.open(opened, seq..seq + 1);
            let due = missing.due().unwrap();
            questions.push(if due < opened + ms(18) { asked(&mut missing, due).len() } else { 0 });
            missing.close(opened + ms(18), seq, true);
        }
        assert_eq!(questions, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn an_answer_that_is_lost_twice_is_doubted() {
        let (mut missing, start) = (Missing::new(Kind::Video), Instant::now());
        missing.open(start, 5..6);
        for doubted in [false, false, true, true] {
            let due = missing.due().unwrap();
            asked(&mut missing, due);
            assert_eq!(missing.take_doubted(), doubted, "{:?}", due - start);
        }
    }

    #[test]
    fn asked_again_until_it_is_hopeless() {
        let (mut missing, start) = (Missing::new(Kind::Video), Instant::now());
        missing.open(start, 70_000..70_002);
        let mut times = 0;
        while let Some(due) = missing.due() {
            times += asked(&mut missing, due).len();
        }
        assert_eq!(times, 2 * usize::from(TRIES_MAX));
        assert_eq!(missing.take_lost(), 2);
    }

    #[test]
    fn a_gap_of_thousands_makes_no_storm() {
        let (mut missing, start) = (Missing::new(Kind::Video), Instant::now());
        assert!(!missing.open(start, 0..3000));
        assert_eq!(missing.due(), None);
        for gap in 0..100 {
            missing.open(start, gap * 300..gap * 300 + 256);
        }
        assert!(missing.len() <= MISSING_MAX);
        let mut total = 0;
        for tick in 0..100 {
            total += asked(&mut missing, start + ms(20 + tick * 10)).len();
        }
        assert!(total <= 200 + 610, "{total}");
    }
}
