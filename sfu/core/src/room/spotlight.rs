//! The spotlight: who is in focus, by voice. A pure value, told the time.
//!
//! Those who spoke last are in focus, as many as there are places, and stay there in silence until somebody else speaks: an empty
//! stage helps nobody. Somebody who speaks for [`ATTACK`] takes a free place or the one of whoever is silent longest; a cough is
//! no speech. Nobody who speaks loses the focus, nobody loses it before [`HOLD`] is over, and a breath of less than [`RELEASE`] is
//! no silence: so three who talk at once for two places do not make the picture flap.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use minamo_media::ConnectionId;

/// So long somebody speaks before it is in focus: longer than a cough (some 200 ms), shorter than a first word is remembered.
/// What is measured is smoothed already, which adds about as much.
pub const ATTACK: Duration = Duration::from_millis(300);
/// So long somebody is silent before its place may be taken: pauses between words are under half a second.
pub const RELEASE: Duration = Duration::from_millis(500);
/// So long somebody is in focus at least: a picture that goes sooner was not worth its key frame.
pub const HOLD: Duration = Duration::from_millis(1500);
/// Speech begins here, at −47 dBov ([`crate::model::PeerEvent::AudioLevel`]): quiet talking is −40, a quiet room −60.
pub const SPEECH: u8 = 80;
/// Speech ends here, at −55 dBov.
pub const SILENCE: u8 = 72;
/// Places where nobody said how many.
pub const PLACES_DEFAULT: u8 = 3;
/// Most places.
pub const PLACES_MAX: u8 = 8;

/// Somebody came into focus or went out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FocusChange {
    /// Who.
    pub connection: ConnectionId,
    /// Now in focus.
    pub focused: bool,
    /// By order, until further order.
    pub fixed: bool,
}

#[derive(Clone, Copy, Debug)]
enum Voice {
    Speaks {
        since: Instant,
    },
    /// `None`: it has never spoken.
    Silent {
        since: Option<Instant>,
    },
}

#[derive(Clone, Copy, Debug)]
struct Focus {
    since: Instant,
    fixed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Speaker {
    voice: Voice,
    focus: Option<Focus>,
}

impl Speaker {
    /// Less is more worth keeping out; the place of the lowest is taken first.
    fn worth(&self) -> (bool, bool, Option<Instant>) {
        let fixed = self.focus.is_some_and(|focus| focus.fixed);
        match self.voice {
            Voice::Speaks { since } => (fixed, true, Some(since)),
            Voice::Silent { since } => (fixed, false, since),
        }
    }

    /// From when on its place may be taken; `None` for never.
    fn yields_at(&self) -> Option<Instant> {
        let focus = self.focus.filter(|focus| !focus.fixed)?;
        match self.voice {
            Voice::Speaks { .. } => None,
            Voice::Silent { since } => {
                let held = focus.since + HOLD;
                Some(since.map_or(held, |since| held.max(since + RELEASE)))
            }
        }
    }

    /// From when on it may take a place; `None` while it is silent or has one.
    fn comes_at(&self) -> Option<Instant> {
        match (self.voice, self.focus) {
            (Voice::Speaks { since }, None) => Some(since + ATTACK),
            _ => None,
        }
    }
}

/// The spotlight of one room. Bounded by the room's members.
#[derive(Clone, Debug)]
pub struct Spotlight {
    places: usize,
    speakers: BTreeMap<ConnectionId, Speaker>,
}

impl Default for Spotlight {
    fn default() -> Self {
        Self { places: usize::from(PLACES_DEFAULT), speakers: BTreeMap::new() }
    }
}

impl Spotlight {
    /// How many may be in focus.
    #[must_use]
    pub fn places(&self) -> u8 {
        u8::try_from(self.places).unwrap_or(PLACES_MAX)
    }

    /// Nobody takes part.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.speakers.is_empty()
    }

    /// Whether it is in focus; `None` when it takes no part.
    #[must_use]
    pub fn is_focused(&self, id: &ConnectionId) -> Option<bool> {
        self.speakers.get(id).map(|speaker| speaker.focus.is_some())
    }

    /// Takes part from now on, in silence.
    pub fn add(&mut self, id: ConnectionId) {
        self.speakers.entry(id).or_insert(Speaker { voice: Voice::Silent { since: None }, focus: None });
    }

    /// Takes no part any more. Its place is free for whoever speaks.
    pub fn remove(&mut self, now: Instant, id: &ConnectionId) -> Vec<FocusChange> {
        let removed = self.speakers.remove(id).and_then(|speaker| speaker.focus);
        let mut changes: Vec<_> = removed.map(|focus| change(id, false, focus.fixed)).into_iter().collect();
        changes.extend(self.handle_timeout(now));
        changes
    }

    /// How loud somebody is now: 0 for silence, 127 for as loud as can be.
    pub fn hear(&mut self, now: Instant, id: &ConnectionId, level: u8) -> Vec<FocusChange> {
        let Some(speaker) = self.speakers.get_mut(id) else { return Vec::new() };
        speaker.voice = match speaker.voice {
            Voice::Silent { .. } if level >= SPEECH => Voice::Speaks { since: now },
            Voice::Speaks { .. } if level < SILENCE => Voice::Silent { since: Some(now) },
            same => same,
        };
        self.handle_timeout(now)
    }

    /// When [`Spotlight::handle_timeout`] wants to be called, if nothing else is heard.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let comes = self.speakers.values().filter_map(Speaker::comes_at).min()?;
        if self.in_focus() < self.places {
            return Some(comes);
        }
        let yields = self.speakers.values().filter_map(Speaker::yields_at).min()?;
        Some(comes.max(yields))
    }

    /// Gives places to those who have spoken long enough, the longest first.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<FocusChange> {
        let mut changes = Vec::new();
        loop {
            let came = self.speakers.iter().filter_map(|(id, speaker)| Some((speaker.comes_at()?, id)));
            let Some((_, id)) = came.filter(|(at, _)| *at <= now).min() else { return changes };
            let id = id.clone();
            if self.in_focus() >= self.places {
                let yields = |speaker: &Speaker| speaker.yields_at().is_some_and(|at| at <= now);
                let Some(silent) = self.least(yields) else { return changes };
                changes.extend(self.unfocus(&silent));
            }
            changes.extend(self.put(now, &id, false));
        }
    }

    /// Puts somebody into focus by order: for good, or as if it had just spoken. Whoever is silent longest makes room.
    pub fn focus(&mut self, now: Instant, id: &ConnectionId, fixed: bool) -> Vec<FocusChange> {
        let Some(speaker) = self.speakers.get_mut(id) else { return Vec::new() };
        if let Voice::Silent { since } = &mut speaker.voice {
            *since = Some(now);
        }
        let mut changes = Vec::new();
        match &mut speaker.focus {
            Some(focus) if focus.fixed || !fixed => return changes,
            Some(focus) => {
                focus.fixed = true;
                changes.push(change(id, true, true));
                return changes;
            }
            None => {}
        }
        while self.in_focus() >= self.places
            && let Some(least) = self.least(|_| true)
        {
            changes.extend(self.unfocus(&least));
        }
        changes.extend(self.put(now, id, fixed));
        changes
    }

    /// Takes the focus from somebody, fixed or not. Who still speaks comes again only after a new [`ATTACK`].
    pub fn take_focus(&mut self, now: Instant, id: &ConnectionId) -> Vec<FocusChange> {
        let mut changes: Vec<_> = self.unfocus(id).into_iter().collect();
        if let Some(Speaker { voice: Voice::Speaks { since }, .. }) = self.speakers.get_mut(id) {
            *since = now;
        }
        changes.extend(self.handle_timeout(now));
        changes
    }

    /// Changes the number of places, which is brought into 1 to [`PLACES_MAX`].
    pub fn set_places(&mut self, now: Instant, places: u8) -> Vec<FocusChange> {
        self.places = usize::from(places.clamp(1, PLACES_MAX));
        let mut changes = Vec::new();
        while self.in_focus() > self.places
            && let Some(least) = self.least(|_| true)
        {
            changes.extend(self.unfocus(&least));
        }
        changes.extend(self.handle_timeout(now));
        changes
    }

    fn in_focus(&self) -> usize {
        self.speakers.values().filter(|speaker| speaker.focus.is_some()).count()
    }

    /// Of those in focus, the one whose place is given away first.
    fn least(&self, may: impl Fn(&Speaker) -> bool) -> Option<ConnectionId> {
        let focused = self.speakers.iter().filter(|(_, speaker)| speaker.focus.is_some() && may(speaker));
        focused.min_by_key(|(_, speaker)| speaker.worth()).map(|(id, _)| id.clone())
    }

    fn put(&mut self, now: Instant, id: &ConnectionId, fixed: bool) -> Option<FocusChange> {
        self.speakers.get_mut(id)?.focus = Some(Focus { since: now, fixed });
        Some(change(id, true, fixed))
    }

    fn unfocus(&mut self, id: &ConnectionId) -> Option<FocusChange> {
        let focus = self.speakers.get_mut(id)?.focus.take()?;
        Some(change(id, false, focus.fixed))
    }
}

fn change(id: &ConnectionId, focused: bool, fixed: bool) -> FocusChange {
    FocusChange { connection: id.clone(), focused, fixed }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stage {
        spotlight: Spotlight,
        now: Instant,
        log: Vec<String>,
    }

    impl Stage {
        #[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
        fn new(places: u8, ids: &[&str]) -> Self {
            let mut stage = Self { spotlight: Spotlight::default(), now: Instant::now(), log: Vec::new() };
            stage.spotlight.set_places(stage.now, places);
            ids.iter().for_each(|id| stage.spotlight.add((*id).into()));
            stage
        }

        fn note(&mut self, changes: Vec<FocusChange>) {
            for change in changes {
                self.log.push(format!("{}{}", if change.focused { '+' } else { '-' }, change.connection));
            }
        }

        fn hear(&mut self, id: &str, level: u8) {
            let changes = self.spotlight.hear(self.now, &id.into(), level);
            self.note(changes);
        }

        fn pass(&mut self, ms: u64) {
            let end = self.now + Duration::from_millis(ms);
            let mut rounds = 0;
            while let Some(at) = self.spotlight.poll_timeout().filter(|at| *at <= end) {
                rounds += 1;
                assert!(rounds < 100, "the timer does not advance");
                self.now = self.now.max(at);
                let changes = self.spotlight.handle_timeout(self.now);
                assert!(!changes.is_empty(), "woken for nothing");
                self.note(changes);
            }
            self.now = end;
        }

        fn log(&mut self) -> String {
            std::mem::take(&mut self.log).join(" ")
        }
    }

    #[test]
    fn who_speaks_is_in_focus_within_300_ms_and_stays_there_in_silence() {
        let mut stage = Stage::new(1, &["a", "b"]);
        stage.hear("a", 100);
        stage.pass(299);
        assert_eq!(stage.log(), "");
        stage.pass(1);
        assert_eq!(stage.log(), "+a");
        stage.hear("a", 0);
        stage.pass(60_000);
        assert_eq!((stage.log().as_str(), stage.spotlight.is_focused(&"a".into())), ("", Some(true)));
        stage.hear("b", 100);
        stage.pass(300);
        assert_eq!(stage.log(), "-a +b");
    }

    #[test]
    fn a_cough_and_what_lies_between_speech_and_silence_are_nothing() {
        let mut stage = Stage::new(1, &["a", "b"]);
        stage.hear("a", 120);
        stage.pass(200);
        stage.hear("a", 10);
        stage.hear("b", SPEECH - 1);
        stage.pass(5000);
        assert_eq!(stage.log(), "");
        stage.hear("b", SPEECH);
        stage.pass(100);
        stage.hear("b", SILENCE);
        stage.pass(200);
        assert_eq!(stage.log(), "+b");
    }

    #[test]
    fn three_at_once_for_two_places_do_not_flap() {
        let mut stage = Stage::new(2, &["a", "b", "c"]);
        for id in ["a", "b", "c"] {
            stage.hear(id, 110);
            stage.pass(50);
        }
        stage.pass(10_000);
        assert_eq!(stage.log(), "+a +b");
        // Words and breaths: 400 ms of pause are no silence.
        for _ in 0..50 {
            for id in ["a", "b"] {
                stage.hear(id, 20);
                stage.pass(200);
            }
            for id in ["a", "b"] {
                stage.hear(id, 110);
                stage.pass(100);
            }
        }
        assert_eq!(stage.log(), "");
        stage.hear("b", 0);
        stage.pass(499);
        assert_eq!(stage.log(), "");
        stage.pass(1);
        assert_eq!(stage.log(), "-b +c");
    }

    #[test]
    fn nobody_goes_before_its_time() {
        let mut stage = Stage::new(1, &["a", "b"]);
        stage.hear("a", 100);
        stage.pass(300);
        stage.hear("a", 0);
        stage.hear("b", 100);
        stage.pass(1499);
        assert_eq!(stage.log(), "+a");
        stage.pass(1);
        assert_eq!(stage.log(), "-a +b");
    }

    #[test]
    fn orders_go_before_voices() {
        let mut stage = Stage::new(2, &["a", "b", "c"]);
        let changes = stage.spotlight.focus(stage.now, &"a".into(), true);
        assert_eq!(changes, [change(&"a".into(), true, true)]);
        stage.note(changes);
        for id in ["b", "c"] {
            stage.hear(id, 100);
            stage.pass(400);
            stage.hear(id, 0);
            stage.pass(2000);
        }
        assert_eq!(stage.log(), "+a +b -b +c");
        let changes = stage.spotlight.focus(stage.now, &"b".into(), false);
        stage.note(changes);
        assert_eq!(stage.log(), "-c +b");
        let changes = stage.spotlight.set_places(stage.now, 1);
        stage.note(changes);
        assert_eq!(stage.log(), "-b");
        stage.hear("b", 100);
        stage.pass(10_000);
        assert_eq!(stage.log(), "", "the only place is fixed");
        let changes = stage.spotlight.take_focus(stage.now, &"a".into());
        stage.note(changes);
        assert_eq!(stage.log(), "-a +b");
        let changes = stage.spotlight.remove(stage.now, &"b".into());
        stage.note(changes);
        assert_eq!((stage.log().as_str(), stage.spotlight.is_focused(&"b".into())), ("-b", None));
        assert_eq!(stage.spotlight.focus(stage.now, &"nobody".into(), true), []);
    }

    /// Without the pause that speech needs, the same room flaps: the tests above can fail.
    #[test]
    fn negative_control() {
        let mut stage = Stage::new(1, &["a", "b"]);
        for _ in 0..5 {
            for id in ["a", "b"] {
                stage.hear(id, 110);
                stage.pass(2500);
                stage.hear(id, 0);
                stage.pass(600);
            }
        }
        assert_eq!(stage.log().split(' ').count(), 19);
    }
}
