//! Writes answers to [`super::ClientOffer`]s: payload types and extension ids are the client's.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;

use super::extension::Extension;
use super::offer::{feedback, write_candidates, write_fingerprint, write_ssrcs};
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
    pub candidates: &'a [SocketAddr],
    /// The offer's sections, all of them in order.
    pub sections: &'a [(OfferedSection, Reply)],
}

/// What we say to one section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Port 0.
    Refused,
    /// The client sends.
    Uplink(Uplink),
    /// We send.
    Downlink(Downlink),
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
        let (format, direction, extensions) = match reply {
            Reply::Refused => {
                write!(f, "m={media} 0 {protocol} {first_format}\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n")?;
                return if to.mid.is_empty() { Ok(()) } else { write!(f, "a=mid:{}\r\n", to.mid) };
            }
            Reply::Uplink(uplink) => (&uplink.format, "recvonly", to.uplink_extensions()),
            Reply::Downlink(downlink) => (&downlink.format, "sendonly", to.downlink_extensions()),
        };
        write!(f, "m={media} 9 {protocol} {}", format.pt)?;
        if let Some(rtx) = format.rtx_pt {
            write!(f, " {rtx}")?;
        }
        f.write_str("\r\nc=IN IP4 0.0.0.0\r\n")?;
        if let Reply::Uplink(Uplink { bitrate_max: Some(bitrate), .. }) = reply {
            write!(f, "b=TIAS:{bitrate}\r\n")?;
        }
        write!(f, "a=mid:{}\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", to.mid, self.ice_ufrag, self.ice_pwd)?;
        write_fingerprint(f, self.fingerprint)?;
        write!(f, "a=setup:passive\r\na={direction}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n")?;
        for (id, Extension { uri, .. }) in extensions {
            write!(f, "a=extmap:{id} {uri}\r\n")?;
        }
        write_format(f, to, format)?;
        if let Reply::Downlink(downlink) = reply {
            write_ssrcs(f, downlink)?;
        }
        write_candidates(f, self.candidates)
    }
}

/// As in our offers, but only the feedback that the client offered.
fn write_format(f: &mut Formatter<'_>, to: &OfferedSection, format: &Format) -> fmt::Result {
    let Format { codec, pt, rtx_pt, fmtp } = format;
    let channels = if *codec == minamo_media::Codec::Opus { "/2" } else { "" };
    write!(f, "a=rtpmap:{pt} {}/{}{channels}\r\n", codec.rtpmap_name(), codec.clock_rate())?;
    for what in feedback(*codec).iter().filter(|what| to.offers_feedback(*pt, what)) {
        write!(f, "a=rtcp-fb:{pt} {what}\r\n")?;
    }
    if !fmtp.is_empty() {
        write!(f, "a=fmtp:{pt} {fmtp}\r\n")?;
    }
    match rtx_pt {
        Some(rtx) => write!(f, "a=rtpmap:{rtx} rtx/{}\r\na=fmtp:{rtx} apt={pt}\r\n", codec.clock_rate()),
        None => Ok(()),
    }
}
