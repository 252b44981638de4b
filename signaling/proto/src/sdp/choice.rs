//! Which of the codecs in a client's offer is taken.

use minamo_media::Codec;

use super::client_offer::parameter;
use super::{Format, OfferedSection};

/// What a publisher over WHIP may send, as words for a refusal.
pub const TAKEN: &str = "H264, VP8, VP9, AV1 and opus";

/// Who has the say about a publisher's codec where it offers several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    /// H.264 goes to HLS as it is: it comes first, then what the client likes best.
    Hls,
    /// What the client likes best, which it lists first (RFC 8866 §5.14).
    Client,
    /// Only this one will do.
    Only(Codec),
}

impl OfferedSection {
    /// What the client shall send: Opus, H.264 of every profile, VP8, VP9 or AV1. Where it is H.264, Constrained Baseline comes
    /// first since every viewer decodes it, and whole access units in several packets (packetization-mode 1) before single ones.
    ///
    /// The format's parameters are written anew: they go into others' descriptions.
    #[must_use]
    pub fn choose_uplink(&self, preference: Preference) -> Option<Format> {
        let first = self.formats.iter().find(|format| format.codec != Codec::H265)?.codec;
        let has_h264 = self.formats.iter().any(|format| format.codec == Codec::H264);
        let codec = match preference {
            Preference::Hls if has_h264 => Codec::H264,
            Preference::Only(codec) => Some(codec).filter(|codec| *codec != Codec::H265)?,
            Preference::Hls | Preference::Client => first,
        };
        let ranked = self.formats.iter().filter(|format| format.codec == codec);
        let chosen = ranked.min_by_key(|format| uplink_rank(format))?;
        Some(Format { fmtp: canonical(chosen), ..chosen.clone() })
    }

    /// The client's payload type for a track that exists, of that codec with these parameters.
    #[must_use]
    pub fn choose_downlink(&self, codec: Codec, fmtp: &str) -> Option<Format> {
        let ranked = self.formats.iter().filter(|format| format.codec == codec);
        let ranked = ranked.filter_map(|format| Some((downlink_rank(codec, &format.fmtp, fmtp)?, format)));
        let (_, chosen) = ranked.min_by_key(|(rank, _)| *rank)?;
        // Whether sound has two channels is for the sender to say (RFC 7587 §6.1, sprop-stereo).
        let stereo = codec == Codec::Opus && is_stereo(fmtp);
        let fmtp = if stereo {
            canonical(&Format { fmtp: fmtp.into(), ..chosen.clone() }) + ";sprop-stereo=1"
        } else {
            chosen.fmtp.clone()
        };
        Some(Format { fmtp, ..chosen.clone() })
    }
}

/// Among formats of one codec; lower is better, then the client's order counts.
fn uplink_rank(format: &Format) -> u8 {
    if format.codec != Codec::H264 {
        return 0;
    }
    let h264 = H264::of(&format.fmtp);
    match (h264.mode, h264.is_constrained_baseline()) {
        (1, true) => 0,
        (1, false) => 1,
        (_, true) => 2,
        (_, false) => 3,
    }
}

fn is_stereo(fmtp: &str) -> bool {
    ["stereo", "sprop-stereo"].into_iter().any(|name| parameter(fmtp, name) == Some("1"))
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
            let stereo = if is_stereo(&format.fmtp) { ";stereo=1" } else { "" };
            format!("minptime=10;useinbandfec=1{stereo}")
        }
        Codec::Vp9 => format!("profile-id={}", digit(&format.fmtp, "profile-id", 3)),
        Codec::Av1 => format!("level-idx=5;profile={};tier=0", digit(&format.fmtp, "profile", 2)),
        Codec::Vp8 | Codec::H265 => String::new(),
    }
}

/// What is absent or cannot be read is 0.
fn digit(fmtp: &str, name: &str, max: u8) -> u8 {
    parameter(fmtp, name).and_then(|value| value.parse().ok()).filter(|digit| *digit <= max).unwrap_or(0)
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
