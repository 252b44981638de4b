//! What one subscriber was sent of a track, in plain numbers.

use super::Downlink;
use crate::model::DownlinkReport;
use crate::rtcp::ReportBlock;

/// Counts since the beginning of the SSRC, also of what it carried before the track.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    pub packets: u64,
    /// Of payload, padding left out.
    pub octets: u64,
    pub resent: u64,
    pub key_frames_asked: u64,
    /// By its latest receiver report.
    pub lost: u64,
}

impl Sent {
    pub(super) fn reported(&mut self, block: &ReportBlock) {
        // Negative where more came than was sent: duplicates (RFC 3550 §6.4.1).
        self.lost = u64::try_from(block.lost).unwrap_or(0);
    }
}

impl Downlink {
    /// The subscriber has asked for a key frame.
    pub(crate) fn count_key_frame_asked(&mut self) {
        self.sent.key_frames_asked += 1;
    }

    /// The numbers so far.
    pub(crate) fn report(&self) -> DownlinkReport {
        let Sent { packets, octets, resent, key_frames_asked, lost } = self.sent;
        let (track, layer) = (self.spec.track, self.layer());
        DownlinkReport { track, layer, packets, bytes: octets, resent, key_frames_asked, lost }
    }
}
