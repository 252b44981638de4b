//! Session descriptions. To Sora clients we offer and they answer; WHIP and WHEP clients offer and we answer.
//!
//! What we write is written by hand because its text is a contract with SDKs that cannot be changed; what clients write is read
//! by hand because it is untrusted and only a few of its lines matter.
//!
//! In our offers payload types and header extension ids are ours to choose and fixed, see [`Format`] and [`extension`]; in a
//! [`ServerAnswer`] they are the client's.

mod answer;
mod candidate;
mod choice;
mod client_offer;
mod format;
mod fragment;
mod offer;
mod server_answer;
mod simulcast;

pub use answer::{Answer, AnswerSection, BadSdp, Direction, MediaKind, SDP_BYTES_MAX, SECTIONS_MAX, Setup};
pub use candidate::Candidate;
pub use choice::{Preference, TAKEN};
pub use client_offer::{BadOffer, ClientOffer, OfferedSection};
pub use format::{Format, FormatTable, h264_fmtp, opus_fmtp, video_fmtp};
pub use fragment::{BadFragment, ClientFragment, FRAGMENT_BYTES_MAX, ServerFragment};
pub use offer::{Body, Description, Downlink, Section, Uplink, UplinkLayer};
pub use server_answer::{Reply, ServerAnswer};

/// Header extensions that we know, with the ids that we offer (RFC 8285 one-byte form).
pub mod extension {
    /// A header extension.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Extension {
        /// The id in offers.
        pub id: u8,
        /// Its name.
        pub uri: &'static str,
    }

    const fn extension(id: u8, uri: &'static str) -> Extension {
        Extension { id, uri }
    }

    /// RFC 6464.
    pub const AUDIO_LEVEL: Extension = extension(1, "urn:ietf:params:rtp-hdrext:ssrc-audio-level");
    /// When a packet left the sender.
    pub const ABS_SEND_TIME: Extension = extension(2, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time");
    /// Transport-wide sequence number.
    pub const TRANSPORT_CC: Extension = extension(3, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01");
    /// RFC 9143 §15.
    pub const MID: Extension = extension(4, "urn:ietf:params:rtp-hdrext:sdes:mid");
    /// 3GPP TS 26.114.
    pub const VIDEO_ORIENTATION: Extension = extension(5, "urn:3gpp:video-orientation");
    /// RFC 8852 §3.1: which simulcast layer a packet is of.
    pub const RID: Extension = extension(10, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id");
    /// RFC 8852 §3.2: which simulcast layer a retransmission is of.
    pub const REPAIRED_RID: Extension = extension(11, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id");
    /// AV1 RTP payload specification, appendix A.
    pub const DEPENDENCY_DESCRIPTOR: Extension =
        extension(12, "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension");
}
