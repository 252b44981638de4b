//! The audio line: the count of samples that is the programme's clock.

use minamo_media::AccessUnit;
use minamo_media::opus::packet_samples;

use super::clock::TrackClock;
use super::{AUDIO_SCALE, AudioStep};

const SCALE: f64 = AUDIO_SCALE as f64;
/// Longer losses are silence after that much concealment.
const CONCEAL_MAX: i64 = 4_800;
/// Without packets the line is so far behind the local clock, later packets are late for good: the tap's wait for retransmissions
/// (200 ms) and what jitter adds.
const BEHIND: i64 = 14_400;
/// What the last packet was late is waited for besides: a queue that fills on the way delays sound, it does not lose it. Packets
/// that are later are no queue's, and nothing to wait for: pictures, which stand in the same queue, are given up as late.
const QUEUED_MAX: i64 = 38_400;
/// Silence is written in packets' steps.
const QUANTUM: i64 = 960;
/// The most silence of one call; a machine that slept catches up over the next ones.
const SILENCE_MAX: i64 = 5 * 48_000;
/// A packet so far ahead of the local clock, or so many late ones in a row, mean that the sender's clock moved.
const AHEAD_MAX: i64 = 24_000;
const LATE_MAX: u32 = 25;
/// Reports that put pictures so far from where their arrival does are not on one wall clock.
const REPORTS_TRUSTED_SECS: f64 = 1.0;

/// Where the current track's RTP clock meets the line.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    rtp: i64,
    position: i64,
}

#[derive(Debug, Default)]
pub(super) struct AudioLine {
    start: Option<i64>,
    position: i64,
    anchor: Option<Anchor>,
    /// Local clock minus the line for sound that came the fastest way, in seconds: the drift between the two.
    lag: f64,
    /// The line's end was written because nothing came.
    silent: bool,
    late_in_row: u32,
    /// By how much the last packet came later than those on the fastest way, in samples; 0 above [`QUEUED_MAX`].
    queued: i64,
}

impl AudioLine {
    pub(super) fn start(&self) -> Option<i64> {
        self.start
    }

    pub(super) fn position(&self) -> Option<i64> {
        self.start.map(|_| self.position)
    }

    pub(super) fn lag(&self) -> f64 {
        self.lag
    }

    /// Other packets follow; they join the line where the local clock says.
    pub(super) fn new_track(&mut self) {
        self.anchor = None;
        self.late_in_row = 0;
        self.queued = 0;
    }

    fn begin(&mut self, position: i64) {
        if self.start.is_none() {
            self.start = Some(position);
            self.position = position;
        }
    }

    /// The line's sample at a local time.
    fn at(&self, local: f64) -> i64 {
        ((local - self.lag) * SCALE).round() as i64
    }

    pub(super) fn packet(&mut self, unit: &AccessUnit, local: f64, clock: &mut TrackClock) -> Vec<AudioStep> {
        let Some(samples) = packet_samples(&unit.data).map(i64::from) else {
            return Vec::new();
        };
        let anchor = self.anchored(unit.rtp, local);
        let target = anchor.position + unit.rtp.wrapping_sub(anchor.rtp);
        self.begin(target);
        self.queued = Some(self.at(local) - target).filter(|late| (0..=QUEUED_MAX).contains(late)).unwrap_or(0);
        if target < self.position {
            self.late(unit.rtp, local, clock);
            return Vec::new();
        }
        self.late_in_row = 0;
        self.follow_drift(anchor, clock);
        let mut steps = self.fill(target - self.position);
        steps.push(AudioStep::Decode(unit.data.clone()));
        self.position = target + samples;
        self.silent = false;
        steps
    }

    fn anchored(&mut self, rtp: i64, local: f64) -> Anchor {
        let due = self.at(local);
        let moved = |a: &Anchor| a.position + rtp.wrapping_sub(a.rtp) > due + AHEAD_MAX;
        match self.anchor {
            Some(anchor) if !moved(&anchor) => anchor,
            _ => {
                let position = if self.start.is_some() { due.max(self.position) } else { due };
                *self.anchor.insert(Anchor { rtp, position })
            }
        }
    }

    fn late(&mut self, rtp: i64, local: f64, clock: &mut TrackClock) {
        self.late_in_row += 1;
        if self.late_in_row > LATE_MAX {
            // Not late, but on another clock or way than before: it joins where the line is now, and what was early then says
            // nothing of when the next ones are due, or they would be late again.
            let anchor = *self.anchor.insert(Anchor { rtp, position: self.position });
            clock.forget_arrivals(rtp, local);
            self.follow_drift(anchor, clock);
            (self.late_in_row, self.queued) = (0, 0);
        }
    }

    /// The drift between the line and the local clock, by the fastest packets.
    fn follow_drift(&mut self, anchor: Anchor, clock: &TrackClock) {
        self.lag = clock.arrival_offset() + clock.seconds(anchor.rtp) - anchor.position as f64 / SCALE;
    }

    /// What stands for `gap` samples that are missing before a packet.
    fn fill(&self, gap: i64) -> Vec<AudioStep> {
        let conceal = if self.silent || self.start == Some(self.position) { 0 } else { gap.min(CONCEAL_MAX) };
        let mut steps = Vec::with_capacity(3);
        if conceal > 0 {
            steps.push(AudioStep::Conceal { samples: conceal as u32 });
        }
        if gap > conceal {
            steps.push(AudioStep::Silence { samples: (gap - conceal) as u32 });
        }
        steps
    }

    pub(super) fn tick(&mut self, local: f64) -> Vec<AudioStep> {
        let due = self.at(local) - BEHIND - self.queued;
        self.begin(due);
        let missing = (due - self.position).min(SILENCE_MAX) / QUANTUM * QUANTUM;
        if missing <= 0 {
            return Vec::new();
        }
        let steps = self.fill(missing);
        self.position += missing;
        self.silent = true;
        steps
    }

    /// Programme seconds of a picture by both tracks' reports; `None` where they say nothing that can be believed.
    pub(super) fn video_target(&self, seconds: f64, video: &TrackClock, audio: &TrackClock) -> Option<f64> {
        let anchor = self.anchor?;
        let heard = audio.seconds_of(video, seconds)?;
        let target = anchor.position as f64 / SCALE + heard - audio.seconds(anchor.rtp);
        let by_arrival = seconds + video.arrival_offset() - self.lag;
        ((target - by_arrival).abs() < REPORTS_TRUSTED_SECS).then_some(target)
    }
}
