//! Our candidates (RFC 8839 §5.1): host candidates only, of an ICE-lite agent.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::str::FromStr;

/// An address that clients send media to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where.
    pub address: SocketAddr,
    /// Over TCP, where the client connects (RFC 6544); else UDP.
    pub tcp: bool,
}

impl Candidate {
    /// UDP at all of these, then, if it is taken, TCP at the same.
    #[must_use]
    pub fn all(addresses: &[SocketAddr], tcp: bool) -> Vec<Self> {
        let over = |tcp: bool| addresses.iter().map(move |address| Self { address: *address, tcp });
        over(false).chain(over(true).filter(|_| tcp)).collect()
    }
}

/// `192.0.2.1:8080` is UDP, `192.0.2.1:8080/tcp` is TCP.
impl FromStr for Candidate {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, tcp) = text.strip_suffix("/tcp").map_or((text, false), |address| (address, true));
        Ok(Self { address: address.parse()?, tcp })
    }
}

impl Display for Candidate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let tcp = if self.tcp { "/tcp" } else { "" };
        write!(f, "{}{tcp}", self.address)
    }
}

pub(super) fn write_candidates(f: &mut Formatter<'_>, candidates: &[Candidate]) -> fmt::Result {
    for (index, Candidate { address, tcp }) in candidates.iter().enumerate() {
        // RFC 8445 §5.1.2.1: the type preference of a host candidate, lower for TCP as browsers do it; our order; component 1.
        let local_preference = 65_535_u64.saturating_sub(index as u64);
        let type_preference: u64 = if *tcp { 90 } else { 126 };
        let priority = (type_preference << 24) + (local_preference << 8) + 255;
        let (ip, port) = (address.ip(), address.port());
        let (transport, suffix) = if *tcp { ("tcp", " tcptype passive") } else { ("udp", "") };
        write!(f, "a=candidate:{} 1 {transport} {priority} {ip} {port} typ host{suffix}\r\n", index + 1)?;
    }
    f.write_str("a=end-of-candidates\r\n")
}
