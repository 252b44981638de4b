//! The tap: from a publisher's packets to access units. Runs on a thread of its own, off the forwarding path.

use std::time::Instant;

use bytes::Bytes;
use minamo_media::{NtpTime, TapEvent, TrackId, TrackInfo};

/// Reorders and depacketizes the tracks of one publisher.
#[derive(Default)]
pub struct Assembler {}

impl Assembler {
    /// An assembler without tracks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A track was negotiated. [`TapEvent::TrackAdded`] follows.
    pub fn add_track(&mut self, _info: TrackInfo) {}

    /// Nothing more will come of the track. [`TapEvent::TrackRemoved`] follows.
    pub fn remove_track(&mut self, _track: TrackId) {}

    /// One plain RTP packet.
    pub fn push_packet(&mut self, _arrival: Instant, _track: TrackId, _packet: Bytes) {}

    /// One sender report: its RTP timestamp as on the wire, and the publisher's clock.
    pub fn push_report(&mut self, _arrival: Instant, _track: TrackId, _rtp32: u32, _ntp: NtpTime) {}

    /// Time has come to give up on what is missing.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// When to call [`Self::handle_timeout`]; `None` while nothing is missing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<TapEvent> {
        None
    }

    /// A track whose pictures are useless until the next key frame; ask its publisher for one.
    pub fn poll_wish(&mut self) -> Option<TrackId> {
        None
    }
}
