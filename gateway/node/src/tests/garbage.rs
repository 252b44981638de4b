//! A programme takes whatever comes, in whatever order. Driven without the worker, which would catch a panic.

use std::time::Instant;

use bytes::Bytes;
use minamo_media::{AccessUnit, Codec, ConnectionId, NtpTime, SenderReport, TrackInfo};

use super::*;

/// Numbers that look random and are the same in every run (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn bytes(&mut self) -> Bytes {
        let length = self.roll(60);
        (0..length).map(|_| if self.roll(3) == 0 { self.roll(256) as u8 } else { self.roll(8) as u8 }).collect()
    }

    fn event(&mut self, now: Instant, publisher: &ConnectionId) -> TapEvent {
        let track = TrackId(self.roll(6));
        match self.roll(40) {
            0 => {
                let codec = [Codec::Opus, Codec::H264, Codec::Vp8][self.roll(3) as usize];
                TapEvent::TrackAdded(TrackInfo { track, publisher: publisher.clone(), codec, rids: Vec::new() })
            }
            1 => TapEvent::TrackRemoved(track),
            2 if self.roll(4) == 0 => TapEvent::PublisherGone { clean: self.roll(2) == 0 },
            3..=5 => {
                let ntp = NtpTime([0, u64::MAX, self.roll(1 << 31) << 33][self.roll(3) as usize]);
                TapEvent::SenderReport(track, SenderReport { layer: 0, rtp: self.rtp(), ntp, arrival: now })
            }
            _ => {
                let (rtp, key, after_loss) = (self.rtp(), self.roll(4) == 0, self.roll(9) == 0);
                TapEvent::AccessUnit(track, AccessUnit { layer: 0, rtp, arrival: now, key, after_loss, data: self.bytes() })
            }
        }
    }

    fn rtp(&mut self) -> i64 {
        match self.roll(20) {
            0 => i64::from(u32::MAX) * self.roll(1000) as i64,
            1 => -(self.roll(1 << 30) as i64),
            _ => self.roll(48_000 * 30) as i64,
        }
    }
}

#[test]
fn nothing_that_comes_makes_a_programme_panic() {
    for seed in 0..8 {
        let mut dice = Dice(seed);
        let around = surroundings();
        let mut programme = programme();
        let mut real = Source::new("A", 1, true, true);
        let (mut now, mut unix) = (Instant::now(), source::UNIX_AT_START);
        for step in 0..1500 {
            let passed = Duration::from_millis(if dice.roll(100) == 0 { dice.roll(4000) } else { dice.roll(30) });
            now += passed;
            unix += passed;
            if step % 500 == 100 {
                real.tracks().into_iter().for_each(|event| programme.handle(now, unix, &real.id, event, &around));
            }
            for event in real.tick(now) {
                programme.handle(now, unix, &real.id, event, &around);
            }
            let publisher = ConnectionId::from(["A", "B", "C"][dice.roll(3) as usize]);
            let event = dice.event(now, &publisher);
            programme.handle(now, unix, &publisher, event, &around);
            programme.handle_timeout(now, unix, &around);
            let _ = programme.poll_timeout();
        }
        programme.finish(now, &around);
        programme.handle_timeout(now + Duration::from_secs(1), unix, &around);
        programme.handle_timeout(now + Duration::from_secs(7), unix, &around);
        assert!(around.origin.playlists(&"c".into()).is_empty());
    }
}
