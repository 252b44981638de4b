//! Which of the codecs in a client's offer is taken.

use minamo_media::Codec;

use super::client_offer::parameter;
use super::{Format, OfferedSection};

/// What a publisher over WHIP may send, as words for a refusal.
pub const TAKEN: &str = "H264, VP8 and opus";

impl OfferedSection {
    /// What the client shall send: Opus; H.264, which goes to HLS as it is, of every profile, Constrained Baseline first since
    /// every viewer decodes it, and whole access units in several packets (packetization-mode 1) before single ones; else VP8.
    ///
    /// The format's parameters are written anew: they go into others' descriptions.
    #[must_use]
    pub fn choose_uplink(&self) -> Option<Format> {
        let ranked = self.formats.iter().filter_map(|format| Some((uplink_rank(format)?, format)));
        let (_, chosen) = ranked.min_by_key(|(rank, _)| *rank)?;
        Some(Format { fmtp: canonical(chosen), ..chosen.clone() })
    }

    /// The client's payload type for a track that exists, of that codec with these parameters.
    #[must_use]
    pub fn choose_downlink(&self, codec: Codec, fmtp: &str) -> Option<Format> {
        let ranked = self.formats.iter().filter(|format| format.codec == codec);
        let ranked = ranked.filter_map(|format| Some((downlink_rank(codec, &format.fmtp, fmtp)?, format)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, format)| format.clone())
    }
}

fn uplink_rank(format: &Format) -> Option<u8> {
    match format.codec {
        Codec::Opus => Some(0),
        Codec::H264 => {
            let h264 = H264::of(&format.fmtp);
            Some(match (h264.mode, h264.is_constrained_baseline()) {
                (1, true) => 0,
                (1, false) => 1,
                (_, true) => 2,
                (_, false) => 3,
            })
        }
        Codec::Vp8 => Some(4),
        Codec::Vp9 | Codec::Av1 | Codec::H265 => None,
    }
}

/// Lower is better; `None` cannot be decoded.
fn downlink_rank(codec: Codec, theirs: &str, track: &str) -> Option<u8> {
    let same =
        |name: &str, default: &str| parameter(theirs, name).unwrap_or(default) == parameter(track, name).unwrap_or(default);
    match codec {
        Codec::H264 => {
            let (theirs, track) = (H264::of(theirs), H264::of(track));
            // Mode 1 includes what mode 0 sends (RFC 6184 §5.4). Browsers decode every profile under any of their types.
            let mode = (theirs.mode == track.mode || theirs.mode == 1).then_some(u8::from(theirs.mode != track.mode))?;
            Some(2 * u8::from(theirs.profile() != track.profile()) + mode)
        }
        Codec::Vp9 => same("profile-id", "0").then_some(0),
        Codec::Av1 => same("profile", "0").then_some(0),
        Codec::Opus | Codec::Vp8 | Codec::H265 => Some(0),
    }
}

fn canonical(format: &Format) -> String {
    match format.codec {
        Codec::H264 => {
            let H264 { mode, profile_level_id: [a, b, c] } = H264::of(&format.fmtp);
            format!("level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={a:02x}{b:02x}{c:02x}")
        }
        Codec::Opus => {
            let on = |name| parameter(&format.fmtp, name) == Some("1");
            let stereo = if on("stereo") || on("sprop-stereo") { ";stereo=1" } else { "" };
            format!("minptime=10;useinbandfec=1{stereo}")
        }
        Codec::Vp8 | Codec::Vp9 | Codec::Av1 | Codec::H265 => String::new(),
    }
}

/// H.264 parameters (RFC 6184 §8.1).
#[derive(Clone, Copy, PartialEq, Eq)]
struct H264 {
    mode: u8,
    profile_level_id: [u8; 3],
}

impl H264 {
    /// What is absent or cannot be read has libwebrtc's default: mode 0, Constrained Baseline at level 3.1.
    fn of(fmtp: &str) -> Self {
        let mode = u8::from(parameter(fmtp, "packetization-mode") == Some("1"));
        let id =
            parameter(fmtp, "profile-level-id").filter(|id| id.len() == 6 && id.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let id = id.and_then(|id| u32::from_str_radix(id, 16).ok()).unwrap_or(0x0042_e01f);
        let [_, profile_level_id @ ..] = id.to_be_bytes();
        Self { mode, profile_level_id }
    }

    /// RFC 6184 §8.1, table 5: Baseline, or Main with constraint_set0, with constraint_set1 set.
    fn is_constrained_baseline(self) -> bool {
        let [profile, constraints, _] = self.profile_level_id;
        (profile == 0x42 && constraints & 0x40 != 0) || (profile == 0x4d && constraints & 0x80 != 0)
    }

    /// Without the level.
    fn profile(self) -> (u8, bool) {
        (if self.is_constrained_baseline() { 0x42 } else { self.profile_level_id[0] }, self.is_constrained_baseline())
    }
}
