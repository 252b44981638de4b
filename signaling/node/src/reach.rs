//! What clients are told of the TURN server.

use minamo_sfu::Relay;
use minamo_signaling_proto::sora::{IceConfig, IceServer};

/// Who is told of the TURN server in an offer. In answers to WHIP and WHEP it is always named where it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RelayPolicy {
    /// Clients that connect through nothing else. All others reach media over UDP, and over TCP on the same port.
    #[default]
    Auto,
    /// Every client.
    Always,
}

/// The iOS SDK decodes no other policy than `relay`: every other word makes it drop the offer.
const RELAY_ONLY: &str = "Sora iOS SDK";

/// The TURN server for one connection.
pub(crate) struct Reach {
    pub relay: Relay,
    /// `host:port` of the same over TLS.
    pub over_tls: Option<String>,
}

/// `offer.config` for a client that calls itself `sora_client`.
pub(crate) fn ice_config(policy: RelayPolicy, reach: Option<&Reach>, sora_client: Option<&str>) -> IceConfig {
    let relay_only = sora_client.is_some_and(|name| name.starts_with(RELAY_ONLY));
    let told = relay_only || policy == RelayPolicy::Always;
    let ice_servers = reach.filter(|_| told).map(Reach::ice_server).into_iter().collect();
    IceConfig { ice_servers, ice_transport_policy: if relay_only { "relay" } else { "all" } }
}

impl Reach {
    fn ice_server(&self) -> IceServer {
        let login = self.relay.login.clone();
        IceServer { urls: self.urls(), username: login.username, credential: login.credential }
    }

    /// UDP first; TLS last, for networks that let nothing else out.
    fn urls(&self) -> Vec<String> {
        let Relay { addresses, tcp, .. } = &self.relay;
        let over = |transport: &'static str| addresses.iter().map(move |address| format!("turn:{address}?transport={transport}"));
        let over_tls = self.over_tls.iter().map(|authority| format!("turns:{authority}?transport=tcp"));
        over("udp").chain(over("tcp").filter(|_| *tcp)).chain(over_tls).collect()
    }

    /// The values of `Link` headers (RFC 9725 §4.6).
    pub(crate) fn links(&self) -> Vec<String> {
        let login = &self.relay.login;
        let link = |url: &String| {
            let (username, credential) = (&login.username, &login.credential);
            format!(r#"<{url}>; rel="ice-server"; username="{username}"; credential="{credential}"; credential-type="password""#)
        };
        self.urls().iter().map(link).collect()
    }
}

#[cfg(test)]
mod tests {
    use minamo_sfu::RelayLogin;

    use super::*;

    fn reach(tcp: bool) -> Reach {
        let addresses = vec!["192.0.2.1:8080".parse().unwrap(), "[2001:db8::1]:8080".parse().unwrap()];
        let relay = Relay { addresses, tcp, login: RelayLogin { username: "9:name".into(), credential: "secret".into() } };
        Reach { relay, over_tls: None }
    }

    #[test]
    fn the_ios_sdk_is_told_to_relay_and_others_are_not() {
        let ios = Some("Sora iOS SDK 2025.2.0");
        let config = ice_config(RelayPolicy::Auto, Some(&reach(true)), ios);
        assert_eq!(config.ice_transport_policy, "relay");
        let [server] = &config.ice_servers[..] else { panic!("{config:?}") };
        assert_eq!(
            server.urls,
            [
                "turn:192.0.2.1:8080?transport=udp",
                "turn:[2001:db8::1]:8080?transport=udp",
                "turn:192.0.2.1:8080?transport=tcp",
                "turn:[2001:db8::1]:8080?transport=tcp"
            ]
        );
        assert_eq!((&server.username[..], &server.credential[..]), ("9:name", "secret"));
        assert_eq!(ice_config(RelayPolicy::Auto, None, ios), IceConfig { ice_servers: vec![], ice_transport_policy: "relay" });
        for other in [None, Some("Sora JavaScript SDK 2026.1.0"), Some("")] {
            assert_eq!(ice_config(RelayPolicy::Auto, Some(&reach(true)), other), IceConfig::default());
            let always = ice_config(RelayPolicy::Always, Some(&reach(false)), other);
            assert_eq!((always.ice_transport_policy, always.ice_servers[0].urls.len()), ("all", 2));
        }
    }

    #[test]
    fn links_name_each_url_with_its_login() {
        let links = reach(false).links();
        assert_eq!(links.len(), 2);
        assert_eq!(
            links[0],
            "<turn:192.0.2.1:8080?transport=udp>; rel=\"ice-server\"; username=\"9:name\"; credential=\"secret\"; credential-type=\"password\""
        );
    }

    #[test]
    fn tls_is_the_last_resort() {
        let reach = Reach { over_tls: Some("live.example:443".into()), ..reach(true) };
        let urls = reach.urls();
        assert_eq!((urls.len(), urls[4].as_str()), (5, "turns:live.example:443?transport=tcp"));
    }
}
