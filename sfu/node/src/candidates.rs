//! The addresses under which clients reach us.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

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
    let temporary = std::fs::read_to_string(IF_INET6).map(|table| temporary_ips(&table)).unwrap_or_default();
    let ip = |storage: nix::sys::socket::SockaddrStorage| {
        let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    let ips = addresses.filter_map(|interface| interface.address.and_then(ip));
    ips.filter(|ip| !temporary.contains(ip)).collect()
}

/// The kernel's table of IPv6 addresses: 32 hex digits, interface, prefix, scope, flags, name.
const IF_INET6: &str = "/proc/net/if_inet6";
/// `IFA_F_TEMPORARY` (RFC 8981), `IFA_F_DADFAILED`, `IFA_F_DEPRECATED`, `IFA_F_TENTATIVE`: gone soon, or not there yet.
const NOT_LASTING: u8 = 0x01 | 0x08 | 0x20 | 0x40;

fn temporary_ips(table: &str) -> Vec<IpAddr> {
    let passing = |line: &str| {
        let mut words = line.split_whitespace();
        let ip = u128::from_str_radix(words.next()?, 16).ok()?;
        let flags = u8::from_str_radix(words.nth(3)?, 16).ok()?;
        (flags & NOT_LASTING != 0).then_some(IpAddr::V6(Ipv6Addr::from_bits(ip)))
    };
    table.lines().filter_map(passing).collect()
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
    fn addresses_that_do_not_last_are_known() {
        let table = "20010db8000000000000000000000005 02 40 00 80 eth0\n20010db800000000a1b2c3d4e5f60718 02 40 00 01 eth0\n\
                     fe800000000000000000000000000001 02 40 20 80 eth0\nfd000000000000000000000000000002 02 40 00 a0 eth0\nnonsense\n";
        let expected: [IpAddr; 2] = ["2001:db8::a1b2:c3d4:e5f6:718", "fd00::2"].map(|ip| ip.parse().unwrap());
        assert_eq!(temporary_ips(table), expected);
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
