//! The addresses under which clients reach us.

use std::net::{IpAddr, SocketAddr};

/// Public addresses where configured; else the bound one; else, on a wildcard, those of all interfaces with loopback last.
pub(crate) fn candidates(bound: SocketAddr, public_ips: &[IpAddr]) -> Vec<SocketAddr> {
    let ips = if !public_ips.is_empty() {
        public_ips.to_vec()
    } else if bound.ip().is_unspecified() {
        on_wildcard(bound.ip(), &interface_ips())
    } else {
        vec![bound.ip()]
    };
    ips.into_iter().map(|ip| SocketAddr::new(ip, bound.port())).collect()
}

/// The best candidate of each family, for those that name a server and not a peer.
pub(crate) fn one_of_each_family(candidates: &[SocketAddr]) -> Vec<SocketAddr> {
    let first = |v6: bool| candidates.iter().find(|candidate| candidate.is_ipv6() == v6).copied();
    [first(false), first(true)].into_iter().flatten().collect()
}

fn on_wildcard(wildcard: IpAddr, interfaces: &[IpAddr]) -> Vec<IpAddr> {
    // A socket on [::] takes IPv4 too.
    let reachable = |ip: &IpAddr| ip.is_ipv4() || wildcard.is_ipv6();
    let mut ips: Vec<IpAddr> = Vec::new();
    for ip in interfaces.iter().copied().filter(reachable).filter(|ip| !ip.is_loopback() && !is_link_local(*ip)) {
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    ips.push(IpAddr::from([127, 0, 0, 1]));
    ips
}

/// Such an address means nothing without an interface's name.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn interface_ips() -> Vec<IpAddr> {
    let addresses = match nix::ifaddrs::getifaddrs() {
        Ok(addresses) => addresses,
        Err(error) => {
            tracing::warn!(%error, "cannot list the network interfaces: only loopback is offered; set public_ips");
            return Vec::new();
        }
    };
    let ip = |storage: nix::sys::socket::SockaddrStorage| {
        let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    addresses.filter_map(|interface| interface.address.and_then(ip)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn public_addresses_replace_all_others() {
        let public = [IpAddr::from([203, 0, 113, 7])];
        assert_eq!(candidates(bound("0.0.0.0:8080"), &public), [bound("203.0.113.7:8080")]);
    }

    #[test]
    fn a_bound_address_is_the_candidate() {
        assert_eq!(candidates(bound("127.0.0.1:9"), &[]), [bound("127.0.0.1:9")]);
    }

    #[test]
    fn a_wildcard_gives_every_interface_and_loopback_last() {
        let interfaces =
            ["127.0.0.1", "10.0.0.5", "10.0.0.5", "169.254.1.1", "fe80::1", "2001:db8::5"].map(|ip| ip.parse().unwrap());
        let text = |ips: Vec<IpAddr>| ips.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text(on_wildcard(IpAddr::from([0, 0, 0, 0]), &interfaces)), ["10.0.0.5", "127.0.0.1"]);
        assert_eq!(text(on_wildcard(IpAddr::from([0u16; 8]), &interfaces)), ["10.0.0.5", "2001:db8::5", "127.0.0.1"]);
        assert_eq!(candidates(bound("0.0.0.0:1"), &[]).last(), Some(&bound("127.0.0.1:1")));
    }
}
