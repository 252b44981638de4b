//! Writes offers and re-offers.

use std::fmt::{self, Display, Formatter};

use minamo_media::{Codec, Kind};

use super::Format;
use super::candidate::{Candidate, write_candidates};
use super::extension::{
    ABS_SEND_TIME, AUDIO_LEVEL, DEPENDENCY_DESCRIPTOR, Extension, MID, REPAIRED_RID, RID, TRANSPORT_CC, VIDEO_ORIENTATION,
};

/// A whole offer. Its `Display` is the text.
#[derive(Clone, Debug)]
pub struct Description<'a> {
    /// `o=`: constant for a peer's life, below 2^63.
    pub origin: u64,
    /// `o=`: one more with every offer.
    pub version: u64,
    /// Our ICE user name fragment.
    pub ice_ufrag: &'a str,
    /// Our ICE password.
    pub ice_pwd: &'a str,
    /// SHA-256 of our certificate.
    pub fingerprint: &'a [u8; 32],
    /// All our candidates, best first: there is no message for later ones.
    pub candidates: &'a [Candidate],
    /// In the order of their first appearance, removed ones included.
    pub sections: &'a [Section],
}

/// One m-section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// `a=mid`, a token.
    pub mid: String,
    /// What it carries.
    pub body: Body,
}

/// What an m-section carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// SCTP over DTLS. Keeps the transport of those alive who send nothing.
    Application,
    /// The client sends here.
    Uplink {
        /// What.
        uplink: Uplink,
        /// In which simulcast layers, lowest first; none without simulcast.
        layers: Vec<UplinkLayer>,
    },
    /// We send here.
    Downlink(Downlink),
    /// Port 0: it carried this once. Its place may be taken again under a fresh mid.
    Removed(Format),
}

impl Body {
    /// Audio or video; `None` for data.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.format().map(|format| format.codec.kind())
    }

    /// The codec; `None` for data.
    #[must_use]
    pub fn format(&self) -> Option<&Format> {
        match self {
            Self::Application => None,
            Self::Uplink { uplink, .. } => Some(&uplink.format),
            Self::Downlink(downlink) => Some(&downlink.format),
            Self::Removed(format) => Some(format),
        }
    }
}

/// A section in which the client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// The only codec offered.
    pub format: Format,
    /// `b=TIAS`, bits per second: the only lever on browsers' bitrate.
    pub bitrate_max: Option<u64>,
}

/// A simulcast layer of an uplink (RFC 8853).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkLayer {
    /// `a=rid`, a token.
    pub rid: String,
    /// The client shall send it; otherwise it is written `~rid` and may begin later.
    pub active: bool,
}

/// A section in which we send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downlink {
    /// The publisher's codec.
    pub format: Format,
    /// The publisher's connection id: applications rely on that. Also the CNAME, so that sound and picture are synchronised.
    pub stream_id: String,
    /// A unique token.
    pub track_id: String,
    /// Our SSRC.
    pub ssrc: u32,
    /// Our SSRC of retransmissions.
    pub rtx_ssrc: Option<u32>,
}

impl Display for Description<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "v=0\r\no=- {} {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", self.origin, self.version)?;
        f.write_str("a=ice-lite\r\na=group:BUNDLE")?;
        for section in self.sections.iter().filter(|section| section.is_live()) {
            write!(f, " {}", section.mid)?;
        }
        f.write_str("\r\na=msid-semantic: WMS *\r\n")?;
        self.sections.iter().try_for_each(|section| self.section(f, section))
    }
}

impl Section {
    /// Not removed.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !matches!(self.body, Body::Removed(_))
    }
}

impl Description<'_> {
    fn section(&self, f: &mut Formatter<'_>, section: &Section) -> fmt::Result {
        media_line(f, &section.body)?;
        f.write_str("c=IN IP4 0.0.0.0\r\n")?;
        if let Body::Uplink { uplink: Uplink { bitrate_max: Some(bitrate), .. }, .. } = &section.body {
            write!(f, "b=TIAS:{bitrate}\r\n")?;
        }
        write!(f, "a=mid:{}\r\n", section.mid)?;
        self.transport(f)?;
        match &section.body {
            Body::Application => f.write_str("a=sctp-port:5000\r\na=max-message-size:262144\r\n")?,
            Body::Uplink { uplink, layers } => write_uplink(f, uplink, layers)?,
            Body::Downlink(downlink) => write_downlink(f, downlink)?,
            Body::Removed(format) => {
                f.write_str("a=inactive\r\na=rtcp-mux\r\na=rtcp-rsize\r\n")?;
                write_format(f, format)?;
            }
        }
        if section.is_live() { write_candidates(f, self.candidates) } else { Ok(()) }
    }

    /// The same in every section.
    fn transport(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", self.ice_ufrag, self.ice_pwd)?;
        write_fingerprint(f, self.fingerprint)?;
        f.write_str("a=setup:actpass\r\n")
    }
}

pub(super) fn write_fingerprint(f: &mut Formatter<'_>, fingerprint: &[u8; 32]) -> fmt::Result {
    f.write_str("a=fingerprint:sha-256 ")?;
    for (index, byte) in fingerprint.iter().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        write!(f, "{colon}{byte:02X}")?;
    }
    f.write_str("\r\n")
}

fn media_line(f: &mut Formatter<'_>, body: &Body) -> fmt::Result {
    let Some(format) = body.format() else {
        return f.write_str("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n");
    };
    let kind = match format.codec.kind() {
        Kind::Audio => "audio",
        Kind::Video => "video",
    };
    let port = if matches!(body, Body::Removed(_)) { 0 } else { 9 };
    write!(f, "m={kind} {port} UDP/TLS/RTP/SAVPF {}", format.pt)?;
    if let Some(rtx) = format.rtx_pt {
        write!(f, " {rtx}")?;
    }
    f.write_str("\r\n")
}

fn write_uplink(f: &mut Formatter<'_>, uplink: &Uplink, layers: &[UplinkLayer]) -> fmt::Result {
    f.write_str("a=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\n")?;
    let codec = uplink.format.codec;
    write_extensions(f, &[MID, TRANSPORT_CC, ABS_SEND_TIME])?;
    write_extensions(f, own_extensions(codec))?;
    if !layers.is_empty() {
        write_extensions(f, &[RID, REPAIRED_RID])?;
    }
    write_format(f, &uplink.format)?;
    write_layers(f, layers)
}

/// RFC 8853 §5.1. Repeated in every re-offer: clients would take its absence for the end of simulcast.
fn write_layers(f: &mut Formatter<'_>, layers: &[UplinkLayer]) -> fmt::Result {
    layers.iter().try_for_each(|layer| write!(f, "a=rid:{} recv\r\n", layer.rid))?;
    for (index, layer) in layers.iter().enumerate() {
        let before = if index == 0 { "a=simulcast:recv " } else { ";" };
        let paused = if layer.active { "" } else { "~" };
        write!(f, "{before}{paused}{}", layer.rid)?;
    }
    if layers.is_empty() { Ok(()) } else { f.write_str("\r\n") }
}

/// What only this kind or codec has. AV1 needs its descriptor in both directions: without it nobody but a decoder can tell
/// where a picture ends and whether it is a key frame.
fn own_extensions(codec: Codec) -> &'static [Extension] {
    match codec {
        Codec::Opus => &[AUDIO_LEVEL],
        Codec::Av1 => &[VIDEO_ORIENTATION, DEPENDENCY_DESCRIPTOR],
        Codec::H264 | Codec::H265 | Codec::Vp8 | Codec::Vp9 => &[VIDEO_ORIENTATION],
    }
}

/// Transport-wide sequence numbers are offered for audio too: what it tells of the way counts as much.
fn write_downlink(f: &mut Formatter<'_>, downlink: &Downlink) -> fmt::Result {
    f.write_str("a=sendonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\n")?;
    write_extensions(f, &[MID, TRANSPORT_CC])?;
    write_extensions(f, own_extensions(downlink.format.codec))?;
    write_format(f, &downlink.format)?;
    write_ssrcs(f, downlink)
}

pub(super) fn write_ssrcs(f: &mut Formatter<'_>, downlink: &Downlink) -> fmt::Result {
    write!(f, "a=msid:{} {}\r\n", downlink.stream_id, downlink.track_id)?;
    if let Some(rtx) = downlink.rtx_ssrc {
        write!(f, "a=ssrc-group:FID {} {rtx}\r\n", downlink.ssrc)?;
    }
    for ssrc in [Some(downlink.ssrc), downlink.rtx_ssrc].into_iter().flatten() {
        write!(f, "a=ssrc:{ssrc} cname:{}\r\n", downlink.stream_id)?;
    }
    Ok(())
}

fn write_extensions(f: &mut Formatter<'_>, extensions: &[Extension]) -> fmt::Result {
    extensions.iter().try_for_each(|extension| write!(f, "a=extmap:{} {}\r\n", extension.id, extension.uri))
}

/// The same lines in both directions: what a payload type means includes its feedback (see [`super::FormatTable`]).
fn write_format(f: &mut Formatter<'_>, format: &Format) -> fmt::Result {
    let Format { codec, pt, rtx_pt, fmtp, .. } = format;
    let channels = if *codec == Codec::Opus { "/2" } else { "" };
    write!(f, "a=rtpmap:{pt} {}/{}{channels}\r\n", codec.rtpmap_name(), codec.clock_rate())?;
    for feedback in feedback(*codec) {
        write!(f, "a=rtcp-fb:{pt} {feedback}\r\n")?;
    }
    if !fmtp.is_empty() {
        write!(f, "a=fmtp:{pt} {fmtp}\r\n")?;
    }
    if let Some(rtx) = rtx_pt {
        write!(f, "a=rtpmap:{rtx} rtx/{}\r\na=fmtp:{rtx} apt={pt}\r\n", codec.clock_rate())?;
    }
    Ok(())
}

/// What we understand about a codec's packets.
pub(super) fn feedback(codec: Codec) -> &'static [&'static str] {
    match codec.kind() {
        Kind::Audio => &["transport-cc", "nack"],
        Kind::Video => &["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"],
    }
}
