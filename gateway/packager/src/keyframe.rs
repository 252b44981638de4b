//! When to ask for a key frame, so that it lands on the boundary. Browsers send one only when asked.

use std::time::Duration;

/// An unanswered wish is repeated after this time, …
const REPEAT: Duration = Duration::from_millis(400);
/// … so many times; then ever more slowly up to the cap: a camera that stopped will not answer.
const QUICK_REPEATS: u32 = 4;
const REPEAT_MAX: Duration = Duration::from_millis(3_200);
/// First guess at the time from a wish to its key frame: a round trip, a frame, an encoder.
const LEAD_START: Duration = Duration::from_millis(120);
const LEAD_MAX: Duration = Duration::from_millis(1_000);

/// Times are local.
#[derive(Debug)]
pub(crate) struct KeyFrameAsker {
    target: Duration,
    lead: Duration,
    /// When the next boundary's key frame should come.
    due: Option<Duration>,
    /// Ask as soon as possible: nothing can be shown before a key frame.
    urgent: bool,
    first_asked: Option<Duration>,
    last_asked: Option<Duration>,
    asked: u32,
}

impl KeyFrameAsker {
    pub(crate) fn new(target: Duration) -> Self {
        Self { target, lead: LEAD_START, due: None, urgent: false, first_asked: None, last_asked: None, asked: 0 }
    }

    /// A key frame arrived, whoever asked for it.
    pub(crate) fn came(&mut self, now: Duration) {
        if let Some(first) = self.first_asked.take() {
            let took = now.saturating_sub(first).min(LEAD_MAX);
            self.lead = (self.lead * 3 + took) / 4;
        }
        self.last_asked = None;
        self.asked = 0;
        self.urgent = false;
    }

    /// A segment began with a key frame.
    pub(crate) fn segment_began(&mut self, now: Duration) {
        self.due = Some(now + self.target);
    }

    /// Nothing can be shown until one comes.
    pub(crate) fn want_now(&mut self) {
        self.urgent = true;
    }

    /// When to ask next.
    pub(crate) fn next(&self) -> Option<Duration> {
        if let Some(last) = self.last_asked {
            return Some(last + self.pause());
        }
        if self.urgent {
            return Some(Duration::ZERO);
        }
        self.due.map(|due| due.saturating_sub(self.lead))
    }

    fn pause(&self) -> Duration {
        let doublings = self.asked.saturating_sub(QUICK_REPEATS).min(8);
        (REPEAT * 2_u32.pow(doublings)).min(REPEAT_MAX)
    }

    /// Whether to ask now.
    pub(crate) fn ask(&mut self, now: Duration) -> bool {
        if self.next().is_none_or(|next| next > now) {
            return false;
        }
        self.first_asked.get_or_insert(now);
        self.last_asked = Some(now);
        self.asked += 1;
        true
    }

    /// Times from wish to key frame as learned.
    #[cfg(test)]
    pub(crate) fn lead(&self) -> Duration {
        self.lead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn asks(asker: &mut KeyFrameAsker, from_ms: u32, to_ms: u32) -> Vec<u32> {
        (from_ms..to_ms).filter(|&ms| asker.ask(MS * ms)).collect()
    }

    #[test]
    fn asks_ahead_of_the_boundary_by_what_the_last_ones_took() {
        let mut asker = KeyFrameAsker::new(MS * 2_000);
        for round in 0..20_u32 {
            let start = round * 2_000;
            asker.segment_began(MS * start);
            let asked = asks(&mut asker, start, start + 2_000);
            assert_eq!(asked.len(), 1);
            asker.came(MS * (asked[0] + 300));
        }
        assert!((asker.lead().as_millis() as i64 - 300).abs() < 5, "{:?}", asker.lead());
    }

    #[test]
    fn an_early_key_frame_that_cut_needs_no_wish() {
        let mut asker = KeyFrameAsker::new(MS * 2_000);
        asker.segment_began(Duration::ZERO);
        asker.came(MS * 1_600);
        asker.segment_began(MS * 1_600);
        assert_eq!(asks(&mut asker, 1_600, 3_400), [] as [u32; 0]);
    }

    #[test]
    fn repeats_after_400_ms_and_slows_down() {
        let mut asker = KeyFrameAsker::new(MS * 2_000);
        asker.want_now();
        let asked = asks(&mut asker, 0, 20_000);
        assert_eq!(&asked[..5], [0, 400, 800, 1_200, 1_600]);
        assert!(asked.len() < 14, "{asked:?}");
        assert!(asked.windows(2).all(|pair| pair[1] - pair[0] <= 3_200), "{asked:?}");
    }
}
