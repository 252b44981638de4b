//! Who gets what of a way: audio first, then a picture for every video, then better ones in rounds.

use std::time::{Duration, Instant};

use minamo_media::TrackId;

/// A better layer must fit with so much room, in percent of what it takes.
const HEADROOM: u64 = 115;
/// The lowest layer goes on as long as this share of it fits, in percent: a picture that is a little late is better than none.
const TOLERANCE: u64 = 70;
/// A better layer must have fitted for so long; twice as long after each one that had to be taken back, up to the most.
const WAIT: Duration = Duration::from_millis(1000);
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Taken back within this time, it was a failure; kept for longer, the wait is short again.
const TRIAL: Duration = Duration::from_secs(8);

/// One way to send a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The simulcast layer.
    pub layer: u8,
    /// The highest temporal layer of it.
    pub temporal: u8,
    /// What it takes on the wire.
    pub bps: u64,
}

/// What a track could take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Which.
    pub track: TrackId,
    /// Audio is always sent, and counted first.
    pub audio: bool,
    /// From the least to the best that is wished. Empty where nothing is wished or nothing comes yet.
    pub steps: Vec<Step>,
}

/// Why a track is sent as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It is audio.
    Audio,
    /// Nothing is known of the way, so nothing is held back.
    Unknown,
    /// All that is wished fits.
    Fits,
    /// More would not fit.
    Full,
    /// More would fit, but not for long enough yet.
    Waits,
    /// Not even the least fits.
    Paused,
}

/// What a track is let have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Which.
    pub track: TrackId,
    /// `None` is nothing.
    pub step: Option<Step>,
    /// Why.
    pub reason: Reason,
}

/// What all tracks would take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub bps: u64,
    /// Some track's rate is not known yet.
    pub unknown: bool,
}

/// What is remembered of a track between two rounds.
#[derive(Clone, Copy, Debug)]
struct Memory {
    track: TrackId,
    held: Option<(u8, u8)>,
    /// Since when something better than `held` fits.
    fits_since: Option<Instant>,
    improved: Option<Instant>,
    wait: Duration,
}

/// The choices for one subscriber, and what they depend on. Bounded by its downlinks.
#[derive(Debug, Default)]
pub(crate) struct Allocation {
    chosen: Vec<Chosen>,
    memory: Vec<Memory>,
}

impl Allocation {
    /// The choices of the last [`Self::update`].
    pub(crate) fn chosen(&self) -> &[Chosen] {
        &self.chosen
    }

    /// What the choices take together, in bits per second.
    pub(crate) fn spent(&self) -> u64 {
        self.chosen.iter().filter_map(|chosen| chosen.step).map(|step| step.bps).sum()
    }

    /// How far the subscriber is from what it wishes: 0 has it, 1 has less, 2 has the least of all, 3 goes without some picture.
    pub(crate) fn shortage(&self) -> u8 {
        let short = |chosen: &Chosen| match (chosen.reason, chosen.step) {
            (Reason::Paused, _) => 3,
            (Reason::Full | Reason::Waits, Some(Step { layer: 0, .. })) => 2,
            (Reason::Full | Reason::Waits, _) => 1,
            _ => 0,
        };
        self.chosen.iter().map(short).max().unwrap_or(0)
    }

    /// Chooses anew. `budget` is what the way carries; `None` holds nothing back.
    pub(crate) fn update(&mut self, now: Instant, budget: Option<u64>, demands: &[Demand]) -> Wanted {
        let wanted = Wanted {
            bps: demands.iter().filter_map(|demand| demand.steps.last()).map(|step| step.bps).sum(),
            unknown: demands.iter().any(|demand| demand.steps.is_empty() && !demand.audio),
        };
        self.memory.retain(|memory| demands.iter().any(|demand| demand.track == memory.track));
        let places = match budget {
            Some(budget) => self.fill(budget, demands),
            None => demands.iter().map(|demand| demand.steps.len()).collect(),
        };
        self.chosen.clear();
        for (demand, place) in demands.iter().zip(places) {
            let chosen = self.settle(now, budget, demand, place);
            self.chosen.push(chosen);
        }
        wanted
    }

    /// How many steps of each track fit: what is held first as it is, better ones with headroom.
    fn fill(&self, budget: u64, demands: &[Demand]) -> Vec<usize> {
        let audio: u64 =
            demands.iter().filter(|demand| demand.audio).filter_map(|demand| demand.steps.last()).map(|s| s.bps).sum();
        let mut left = budget.saturating_sub(audio);
        let mut places: Vec<usize> = demands.iter().map(|demand| if demand.audio { demand.steps.len() } else { 0 }).collect();
        let mut grown = true;
        while std::mem::take(&mut grown) {
            for (demand, place) in demands.iter().zip(&mut places) {
                let Some(next) = demand.steps.get(*place) else { continue };
                let before = place.checked_sub(1).map_or(0, |at| demand.steps[at].bps);
                let held = self.held(demand.track).is_some_and(|held| (next.layer, next.temporal) <= held);
                let percent = match (held, *place) {
                    (true, 0) => TOLERANCE,
                    (true, _) | (false, 0) => 100,
                    (false, _) => HEADROOM,
                };
                let more = next.bps.saturating_sub(before);
                if more * percent / 100 <= left {
                    left = left.saturating_sub(more);
                    *place += 1;
                    grown = true;
                }
            }
        }
        places
    }

    fn held(&self, track: TrackId) -> Option<(u8, u8)> {
        match self.memory.iter().find(|memory| memory.track == track) {
            Some(memory) => memory.held,
            // It was sent without any limit so far.
            None => Some((u8::MAX, u8::MAX)),
        }
    }

    /// Less at once, more after a while.
    fn settle(&mut self, now: Instant, budget: Option<u64>, demand: &Demand, place: usize) -> Chosen {
        let track = demand.track;
        let best = demand.steps.last().copied();
        let fitting = place.checked_sub(1).and_then(|at| demand.steps.get(at)).copied();
        if demand.audio {
            return Chosen { track, step: best, reason: Reason::Audio };
        }
        if budget.is_none() || demand.steps.is_empty() {
            return Chosen { track, step: best, reason: Reason::Unknown };
        }
        let memory = self.memory_of(track);
        let name = |step: Step| (step.layer, step.temporal);
        let waits = memory.decide(now, fitting.map(name));
        let held = memory.held;
        let step = demand.steps.iter().rev().find(|step| Some(name(**step)) <= held).copied();
        let reason = match (step, waits) {
            (None, _) => Reason::Paused,
            (_, true) => Reason::Waits,
            (step, false) if step == best => Reason::Fits,
            _ => Reason::Full,
        };
        Chosen { track, step, reason }
    }

    fn memory_of(&mut self, track: TrackId) -> &mut Memory {
        let at = self.memory.iter().position(|memory| memory.track == track).unwrap_or_else(|| {
            let held = Some((u8::MAX, u8::MAX));
            self.memory.push(Memory { track, held, fits_since: None, improved: None, wait: WAIT });
            self.memory.len() - 1
        });
        &mut self.memory[at]
    }
}

impl Memory {
    /// Whether something better fits but has to wait.
    fn decide(&mut self, now: Instant, fitting: Option<(u8, u8)>) -> bool {
        let since = |at: Instant| now.saturating_duration_since(at);
        if fitting <= self.held {
            if fitting < self.held && self.improved.take().is_some_and(|at| since(at) < TRIAL) {
                self.wait = (self.wait * 2).min(WAIT_MAX);
            }
            if self.improved.is_some_and(|at| since(at) >= TRIAL) {
                (self.wait, self.improved) = (WAIT, None);
            }
            (self.held, self.fits_since) = (fitting, None);
            return false;
        }
        let fits_since = *self.fits_since.get_or_insert(now);
        if since(fits_since) < self.wait {
            return true;
        }
        (self.held, self.fits_since, self.improved) = (fitting, None, Some(now));
        false
    }
}

#[cfg(test)]
mod tests;
