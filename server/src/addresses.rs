//! Where a server can be reached, and under which names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use minamo_sfu::Tcp;
use minamo_signaling::api::PublicUrl;

use crate::config::Config;
use crate::tls::Names;

/// Where a server can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// HTTP, as bound: the port is a real one even when the system chose it.
    pub http: SocketAddr,
    /// The UDP port of media.
    pub rtc_port: u16,
    /// What clients are told to send media to.
    pub candidates: Vec<SocketAddr>,
}

impl Addresses {
    /// The HTTP address for somebody on this machine.
    #[must_use]
    pub fn local_http(&self) -> SocketAddr {
        let ip = match self.http.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        SocketAddr::new(ip, self.http.port())
    }

    /// The base of URLs for somebody on this machine.
    pub(crate) fn local_url(&self, secure: bool) -> PublicUrl {
        let url = PublicUrl::of_address(self.local_http());
        if secure { url.over_tls() } else { url }
    }

    /// What a certificate of our own is for: whatever clients may type.
    pub(crate) fn names(&self, public_url: Option<&PublicUrl>) -> Names {
        let mut ips: Vec<IpAddr> = self.candidates.iter().map(SocketAddr::ip).collect();
        ips.extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        let host = public_url.map(|url| url.host().trim_matches(['[', ']']).to_owned());
        match host.as_deref().map(str::parse) {
            Some(Ok(ip)) => {
                ips.push(ip);
                Names::new(None, ips)
            }
            _ => Names::new(host, ips),
        }
    }
}

/// Where TURN over TLS is. Only where media shares the port of HTTP: there the first bytes inside TLS tell them apart.
pub(crate) fn relay_over_tls(config: &Config, addresses: &Addresses) -> Option<String> {
    if config.sfu(addresses.http).tcp != Tcp::Shared {
        return None;
    }
    let by_address = || Some(SocketAddr::new(addresses.candidates.first()?.ip(), addresses.http.port()).to_string());
    config.http.public_url.as_ref().map(PublicUrl::host_and_port).or_else(by_address)
}
