//! Codecs as an m-section names them.

use std::fmt::Write as _;

use minamo_media::Codec;

use crate::sora::{OpusParams, VideoParams};

/// One codec in an m-section: its payload type, the one of its retransmissions, its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// The codec.
    pub codec: Codec,
    /// Its payload type.
    pub pt: u8,
    /// The payload type of its retransmissions (RFC 4588); audio has none.
    pub rtx_pt: Option<u8>,
    /// The payload type of RED around it (RFC 2198); only audio has it, and only where the client offers it.
    pub red_pt: Option<u8>,
    /// `a=fmtp` without the payload type; may be empty.
    pub fmtp: String,
}

/// Hands out payload types for one peer.
///
/// All m-sections share one transport (BUNDLE), so a payload type must mean the same codec *with the same parameters*
/// everywhere in the description: libwebrtc checks that. The usual parameters get the usual payload types; others, as another
/// publisher's H.264 profile, get spare ones.
#[derive(Clone, Debug, Default)]
pub struct FormatTable {
    known: Vec<Format>,
}

/// Dynamic payload types that no codec has by default; 64 to 95 collide with RTCP (RFC 5761 §4).
const SPARE: [u8; 26] =
    [35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 112, 113, 114, 115, 116, 117];

impl FormatTable {
    /// The format for that codec with those parameters. When no payload type is left the codec's first format is given: a
    /// receiver then sees parameters that are not quite the sender's.
    pub fn format(&mut self, codec: Codec, fmtp: &str) -> Format {
        if let Some(known) = self.known.iter().find(|known| known.codec == codec && known.fmtp == fmtp) {
            return known.clone();
        }
        let first = self.known.iter().find(|known| known.codec == codec);
        let types = if first.is_some() { self.spare(codec) } else { Some(usual_types(codec)) };
        let Some((pt, rtx_pt)) = types else {
            return first.cloned().unwrap_or_else(|| Format {
                codec,
                pt: usual_types(codec).0,
                rtx_pt: None,
                red_pt: None,
                fmtp: fmtp.into(),
            });
        };
        // Our offers have no RED: nothing in Sora's protocol asks for it.
        let format = Format { codec, pt, rtx_pt, red_pt: None, fmtp: fmtp.to_owned() };
        self.known.push(format.clone());
        format
    }

    fn spare(&self, codec: Codec) -> Option<(u8, Option<u8>)> {
        let used = |pt: u8| self.known.iter().any(|known| known.pt == pt || known.rtx_pt == Some(pt));
        let mut free = SPARE.into_iter().filter(|pt| !used(*pt));
        match codec {
            Codec::Opus => Some((free.next()?, None)),
            _ => Some((free.next()?, Some(free.next()?))),
        }
    }
}

fn usual_types(codec: Codec) -> (u8, Option<u8>) {
    match codec {
        Codec::Opus => (111, None),
        Codec::Vp8 => (96, Some(97)),
        Codec::Vp9 => (98, Some(99)),
        Codec::H264 => (102, Some(103)),
        Codec::Av1 => (45, Some(46)),
        Codec::H265 => (104, Some(105)),
    }
}

/// Opus parameters. `minptime` is always there: an SDK looks for it to insert `stereo=1` behind it.
#[must_use]
pub fn opus_fmtp(params: &OpusParams) -> String {
    let inband_fec = u8::from(params.useinbandfec.unwrap_or(true));
    let mut fmtp = format!("minptime={};useinbandfec={inband_fec}", params.minptime.unwrap_or(10));
    let flags = [("stereo", params.stereo), ("sprop-stereo", params.sprop_stereo), ("usedtx", params.usedtx)];
    for (name, value) in flags {
        if let Some(on) = value {
            let _ = write!(fmtp, ";{name}={}", u8::from(on));
        }
    }
    for (name, value) in [("maxplaybackrate", params.maxplaybackrate), ("ptime", params.ptime)] {
        if let Some(number) = value {
            let _ = write!(fmtp, ";{name}={number}");
        }
    }
    fmtp
}

/// H.264 parameters. 42e01f, Constrained Baseline at level 3.1, is what every client can encode; the level binds nobody,
/// because asymmetry is allowed and encoders are bounded by `b=TIAS`.
#[must_use]
pub fn h264_fmtp(profile_level_id: Option<&str>) -> String {
    let profile_level_id = profile_level_id.unwrap_or("42e01f");
    format!("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile_level_id}")
}

/// The parameters of a video codec as the client wished them.
#[must_use]
pub fn video_fmtp(codec: Codec, params: &VideoParams) -> String {
    match codec {
        Codec::H264 => h264_fmtp(params.h264.profile_level_id.as_deref()),
        Codec::Vp9 => format!("profile-id={}", params.vp9_profile_id.unwrap_or(0)),
        Codec::Av1 => {
            let av1 = params.av1;
            let (level, profile, tier) = (av1.level_idx.unwrap_or(5), av1.profile.unwrap_or(0), av1.tier.unwrap_or(0));
            format!("level-idx={level};profile={profile};tier={tier}")
        }
        Codec::H265 => {
            let h265 = params.h265;
            let (level, profile) = (h265.level_id.unwrap_or(93), h265.profile_id.unwrap_or(1));
            format!("level-id={level};profile-id={profile};tier-flag={};tx-mode=SRST", h265.tier_flag.unwrap_or(0))
        }
        Codec::Vp8 | Codec::Opus => String::new(),
    }
}
