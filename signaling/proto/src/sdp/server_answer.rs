//! Writes answers to [`super::ClientOffer`]s: payload types and extension ids are the client's.

use std::fmt::{self, Display, Formatter};

use super::candidate::{Candidate, write_candidates};
use super::extension::Extension;
use super::offer::{feedback, write_fingerprint, write_ssrcs};
use super::{Downlink, Format, OfferedSection, Uplink};

/// A whole answer. Its `Display` is the text.
#[derive(Clone, Debug)]
pub struct ServerAnswer<'a> {
    /// `o=`: below 2^63.
    pub origin: u64,
    /// Our ICE user name fragment.
    pub ice_ufrag: &'a str,
    /// Our ICE password.
    pub ice_pwd: &'a str,
    /// SHA-256 of our certificate.
    pub fingerprint: &'a [u8; 32],
    /// All our candidates, best first.
    pub candidates: &'a [Candidate],
    /// The offer's sections, all of them in order.
    pub sections: &'a [(OfferedSection, Reply)],
}

/// What we say to one section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Port 0.
    Refused,
    /// The client sends.
    Uplink {
        /// What it shall send.
        uplink: Uplink,
        /// Whether in all the layers that it offers ([`OfferedSection::rids`]).
        simulcast: bool,
    },
    /// We send.
    Downlink {
        /// What we send now.
        downlink: Downlink,
        /// What we may send instead, once the publisher is another one: the client must be ready for these too.
        others: Vec<Format>,
    },
}

impl Reply {
    /// All the formats that the answer names, the one in use first.
    fn formats(&self) -> Vec<&Format> {
        match self {
            Self::Refused => Vec::new(),
            Self::Uplink { uplink, .. } => vec![&uplink.format],
            Self::Downlink { downlink, others } => std::iter::once(&downlink.format).chain(others).collect(),
        }
    }
}

impl Display for ServerAnswer<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "v=0\r\no=- {} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE", self.origin)?;
        for (section, _) in self.sections.iter().filter(|(_, reply)| *reply != Reply::Refused) {
            write!(f, " {}", section.mid)?;
        }
        f.write_str("\r\na=msid-semantic: WMS *\r\n")?;
        self.sections.iter().try_for_each(|(section, reply)| self.section(f, section, reply))
    }
}

impl ServerAnswer<'_> {
    fn section(&self, f: &mut Formatter<'_>, to: &OfferedSection, reply: &Reply) -> fmt::Result {
        let [media, protocol, first_format] = &to.words;
        let (direction, extensions) = match reply {
            Reply::Refused => {
                write!(f, "m={media} 0 {protocol} {first_format}\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n")?;
                return if to.mid.is_empty() { Ok(()) } else { write!(f, "a=mid:{}\r\n", to.mid) };
            }
            Reply::Uplink { uplink, .. } => ("recvonly", to.uplink_extensions(uplink.format.codec)),
            Reply::Downlink { .. } => ("sendonly", to.downlink_extensions()),
        };
        write!(f, "m={media} 9 {protocol}")?;
        for Format { pt, rtx_pt, red_pt, .. } in reply.formats() {
            // RED is sent by those who prefer it: it stands where the client has put it.
            let [first, second] = if to.lists_first(*red_pt, *pt) { [*red_pt, Some(*pt)] } else { [Some(*pt), *red_pt] };
            [first, second, *rtx_pt].into_iter().flatten().try_for_each(|pt| write!(f, " {pt}"))?;
        }
        f.write_str("\r\nc=IN IP4 0.0.0.0\r\n")?;
        if let Reply::Uplink { uplink: Uplink { bitrate_max: Some(bitrate), .. }, .. } = reply {
            write!(f, "b=TIAS:{bitrate}\r\n")?;
        }
        self.transport(f, &to.mid)?;
        write!(f, "a={direction}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n")?;
        if to.mixed {
            f.write_str("a=extmap-allow-mixed\r\n")?;
        }
        for (id, Extension { uri, .. }) in extensions {
            write!(f, "a=extmap:{id} {uri}\r\n")?;
        }
        reply.formats().into_iter().try_for_each(|format| write_format(f, to, format))?;
        match reply {
            Reply::Uplink { simulcast: true, .. } => write_layers(f, &to.rids)?,
            Reply::Downlink { downlink, .. } => write_ssrcs(f, downlink)?,
            _ => {}
        }
        write_candidates(f, self.candidates)
    }

    fn transport(&self, f: &mut Formatter<'_>, mid: &str) -> fmt::Result {
        write!(f, "a=mid:{mid}\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", self.ice_ufrag, self.ice_pwd)?;
        write_fingerprint(f, self.fingerprint)?;
        f.write_str("a=setup:passive\r\n")
    }
}

/// RFC 8853 §5.3: what the client sends is received, each layer under its name.
fn write_layers(f: &mut Formatter<'_>, rids: &[String]) -> fmt::Result {
    rids.iter().try_for_each(|rid| write!(f, "a=rid:{rid} recv\r\n"))?;
    write!(f, "a=simulcast:recv {}\r\n", rids.join(";"))
}

/// As in our offers, but only the feedback that the client offered.
fn write_format(f: &mut Formatter<'_>, to: &OfferedSection, format: &Format) -> fmt::Result {
    let Format { codec, pt, rtx_pt, red_pt, fmtp } = format;
    let channels = if *codec == minamo_media::Codec::Opus { "/2" } else { "" };
    write!(f, "a=rtpmap:{pt} {}/{}{channels}\r\n", codec.rtpmap_name(), codec.clock_rate())?;
    for what in feedback(*codec).iter().filter(|what| to.offers_feedback(*pt, what)) {
        write!(f, "a=rtcp-fb:{pt} {what}\r\n")?;
    }
    if !fmtp.is_empty() {
        write!(f, "a=fmtp:{pt} {fmtp}\r\n")?;
    }
    if let Some(red) = red_pt {
        write!(f, "a=rtpmap:{red} red/{}{channels}\r\na=fmtp:{red} {pt}/{pt}\r\n", codec.clock_rate())?;
    }
    match rtx_pt {
        Some(rtx) => write!(f, "a=rtpmap:{rtx} rtx/{}\r\na=fmtp:{rtx} apt={pt}\r\n", codec.clock_rate()),
        None => Ok(()),
    }
}
