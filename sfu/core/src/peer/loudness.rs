//! How loud a publisher's sound is, out of the level that its packets say (RFC 6464): smoothed, and told when it changes noticeably.

use std::time::{Duration, Instant};

/// The level follows louder sound within this time, and falls this slowly: a pause between words is no silence.
const RISE: f32 = 0.15;
const FALL: f32 = 0.5;
/// A change worth telling, in dB.
const STEP: f32 = 6.0;
/// Quieter than this is silence: no microphone's noise.
const FLOOR: f32 = 20.0;
const TOLD_EVERY: Duration = Duration::from_millis(300);
/// Sound that stops is silence. Without speech Opus may pause for 400 ms.
const STOPPED: Duration = Duration::from_secs(1);
/// Level of a packet that is silence, in −dBov.
const SILENT: u8 = 127;

/// The loudness of one track: 0 is silence, 127 as loud as can be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loudness {
    level: f32,
    heard: Option<Instant>,
    told: u8,
    told_at: Option<Instant>,
}

impl Loudness {
    /// One packet's level as the extension's byte says it. What to tell, if it has changed noticeably.
    pub(crate) fn hear(&mut self, now: Instant, extension: u8) -> Option<u8> {
        let loudness = f32::from(SILENT - (extension & 0x7f));
        let elapsed = self.heard.map_or(0.02, |heard| now.saturating_duration_since(heard).as_secs_f32().min(1.0));
        self.heard = Some(now);
        let constant = if loudness > self.level { RISE } else { FALL };
        self.level += (loudness - self.level) * elapsed / (constant + elapsed);
        self.tell(now)
    }

    /// No packet, for how long ever. What to tell, if it has changed noticeably.
    pub(crate) fn rest(&mut self, now: Instant) -> Option<u8> {
        if self.heard.is_some_and(|heard| now.saturating_duration_since(heard) > STOPPED) {
            self.level = 0.0;
        }
        self.tell(now)
    }

    fn tell(&mut self, now: Instant) -> Option<u8> {
        let level = if self.level < FLOOR { 0.0 } else { self.level };
        let noticeable = (level - f32::from(self.told)).abs() >= STEP;
        let lately = self.told_at.is_some_and(|told| now.saturating_duration_since(told) < TOLD_EVERY);
        if !noticeable || lately {
            return None;
        }
        (self.told, self.told_at) = (level.round() as u8, Some(now));
        Some(self.told)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some Instant to begin with
mod tests {
    use super::*;

    /// What is told of so many 20 ms packets at a level.
    fn told(loudness: &mut Loudness, now: &mut Instant, packets: u32, extension: u8) -> Vec<u8> {
        let hear = |_| {
            *now += Duration::from_millis(20);
            loudness.hear(*now, extension)
        };
        (0..packets).filter_map(hear).collect()
    }

    #[test]
    fn speech_is_told_soon_and_silence_after_a_while() {
        let (mut loudness, mut now) = (Loudness::default(), Instant::now());
        assert!(told(&mut loudness, &mut now, 100, 127).is_empty());
        let speech = told(&mut loudness, &mut now, 100, 0x80 | 27);
        assert!((2..=5).contains(&speech.len()) && *speech.last().unwrap() >= 94, "{speech:?}");
        // A pause between words.
        assert!(told(&mut loudness, &mut now, 5, 127).iter().all(|level| *level > 60));
        let silence = told(&mut loudness, &mut now, 250, 127);
        assert!(silence.len() <= 12 && silence.last() == Some(&0), "{silence:?}");
    }

    #[test]
    fn noise_is_silence_and_steady_sound_is_told_once() {
        let (mut loudness, mut now) = (Loudness::default(), Instant::now());
        assert!(told(&mut loudness, &mut now, 200, 115).is_empty());
        told(&mut loudness, &mut now, 100, 40);
        assert!(told(&mut loudness, &mut now, 500, 41).is_empty());
    }

    #[test]
    fn sound_that_stops_is_silence() {
        let (mut loudness, mut now) = (Loudness::default(), Instant::now());
        assert!(!told(&mut loudness, &mut now, 100, 30).is_empty());
        assert_eq!(loudness.rest(now + Duration::from_millis(500)), None);
        assert_eq!(loudness.rest(now + Duration::from_millis(1500)), Some(0));
        assert_eq!(loudness.rest(now + Duration::from_millis(2500)), None);
    }
}
