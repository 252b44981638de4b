//! What a track is, apart from its packets.

use crate::{ConnectionId, TrackId};

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// The codec of a track as it comes from WebRTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Opus, RFC 7587: always a 48 kHz RTP clock.
    Opus,
    /// H.264, RFC 6184.
    H264,
    /// VP8, RFC 7741.
    Vp8,
    /// VP9, RFC 9628.
    Vp9,
    /// AV1, AOM's RTP payload specification.
    Av1,
    /// H.265, RFC 7798.
    H265,
}

impl Codec {
    /// Audio or video.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Opus => Kind::Audio,
            _ => Kind::Video,
        }
    }

    /// Ticks per second of the codec's RTP clock.
    #[must_use]
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            _ => 90_000,
        }
    }

    /// The name in `a=rtpmap`, as browsers write it.
    #[must_use]
    pub fn rtpmap_name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::H264 => "H264",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::Av1 => "AV1",
            Self::H265 => "H265",
        }
    }
}

/// A published track: who sends it, and in which codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    /// The track.
    pub track: TrackId,
    /// Its publisher.
    pub publisher: ConnectionId,
    /// Its codec; says the kind and the RTP clock.
    pub codec: Codec,
    /// The layers of a simulcast track that come apart from each other, by their names, lowest first: [`crate::AccessUnit::layer`] is
    /// an index into it. Empty where one stream comes, whatever the publisher sends.
    pub rids: Vec<String>,
}
