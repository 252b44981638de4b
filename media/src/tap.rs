//! What leaves the SFU toward gateways: access units with their raw sender reports. Never RTP.
//!
//! Data goes one way. The only two wishes that go back are those of [`Upstream`].

use std::time::Instant;

use bytes::Bytes;

use crate::{ChannelId, ConnectionId, NtpTime, TrackId, TrackInfo};

/// One encoded picture or audio frame, complete, in decoding order, before any timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// Which layer of the track, the lowest is 0; 0 where [`TrackInfo::rids`] is empty. Each has an RTP clock of its own.
    pub layer: u8,
    /// RTP timestamp, extended to 64 bits, in ticks of the codec's RTP clock. Starts anywhere.
    pub rtp: i64,
    /// When its first packet arrived, on this machine's monotonic clock.
    pub arrival: Instant,
    /// Decodable on its own: an IDR for H.264; always true for audio.
    pub key: bool,
    /// Something before this unit was lost for good. Video is then useless until the next `key`.
    pub after_loss: bool,
    /// H.264: NAL units, each with a 4-byte big-endian length in front (AVCC form), parameter sets included as they came.
    /// Opus: one Opus packet. VP8, VP9, AV1: one frame or temporal unit.
    pub data: Bytes,
}

/// A publisher's RTCP sender report (RFC 3550 §6.4.1) as it came, its RTP timestamp extended like the packets'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    /// Which layer's clock: see [`AccessUnit::layer`].
    pub layer: u8,
    /// RTP timestamp on the same 64-bit line as [`AccessUnit::rtp`].
    pub rtp: i64,
    /// The publisher's own wall clock at that timestamp. Wrong by years on some senders; only differences count.
    pub ntp: NtpTime,
    /// When the report arrived.
    pub arrival: Instant,
}

/// What the tap tells of one publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TapEvent {
    /// A track was negotiated. Media may come much later, or never.
    TrackAdded(TrackInfo),
    /// One complete access unit.
    AccessUnit(TrackId, AccessUnit),
    /// One sender report.
    SenderReport(TrackId, SenderReport),
    /// Nothing more will come of this track.
    TrackRemoved(TrackId),
    /// The publisher has left. `clean` when it said so itself, or was told to go.
    PublisherGone {
        /// False when it only vanished and may come back.
        clean: bool,
    },
}

/// Where the tap pours. Called from the tap's own thread: must not block; a full queue drops and counts.
pub trait TapSink: Send + Sync {
    /// One event of one publisher in one channel.
    fn push(&self, channel: &ChannelId, publisher: &ConnectionId, event: TapEvent);
}

/// The two wishes that go against the stream. Cheap, non-blocking, merged and rate-capped by whoever fulfils them.
pub trait Upstream: Send + Sync {
    /// Please send a key frame of this track as soon as possible, in all layers that the tap is given.
    fn request_key_frame(&self, track: TrackId);
    /// Please keep this track under so many bits per second.
    fn request_bitrate(&self, track: TrackId, bits_per_second: u64);
}
