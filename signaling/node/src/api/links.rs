//! The URLs that answers carry: they name the host by which the caller came, or the configured public URL.

use std::net::SocketAddr;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{Uri, header};
use minamo_catalog::Channel;

use super::SharedState;
use super::error::ApiError;

/// Put into the extensions of requests that came over TLS of our own: the URLs in their answers say `https`.
#[derive(Clone, Copy, Debug)]
pub struct OverTls;

/// `http(s)://host[:port]`, nothing behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    secure: bool,
    authority: String,
}

/// Why a text is no [`PublicUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be http://host[:port] or https://host[:port] without a path, got {0:?}")]
pub struct InvalidPublicUrl(String);

impl FromStr for PublicUrl {
    type Err = InvalidPublicUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPublicUrl> {
        let invalid = || InvalidPublicUrl(text.to_owned());
        let parts = text.parse::<Uri>().map_err(|_| invalid())?.into_parts();
        let secure = match parts.scheme {
            Some(scheme) if scheme == Scheme::HTTPS => true,
            Some(scheme) if scheme == Scheme::HTTP => false,
            _ => return Err(invalid()),
        };
        let authority = parts.authority.filter(is_host_and_port).ok_or_else(invalid)?;
        if parts.path_and_query.is_some_and(|path| path.as_str() != "/") {
            return Err(invalid());
        }
        Ok(Self { secure, authority: authority.to_string() })
    }
}

impl std::fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

impl PublicUrl {
    /// The URL of a server at that address, without TLS.
    #[must_use]
    pub fn of_address(address: SocketAddr) -> Self {
        Self { secure: false, authority: address.to_string() }
    }

    /// The same with TLS.
    #[must_use]
    pub fn over_tls(self) -> Self {
        Self { secure: true, ..self }
    }

    /// Whether it says `https`.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// `host:port` for clients that know no default port.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        let has_port = self.authority.parse::<Authority>().is_ok_and(|authority| authority.port().is_some());
        let port = if self.secure { 443 } else { 80 };
        if has_port { self.authority.clone() } else { format!("{}:{port}", self.authority) }
    }

    /// A name or an address; an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let port = self.authority.rfind(':').filter(|at| !self.authority[*at..].contains(']'));
        &self.authority[..port.unwrap_or(self.authority.len())]
    }

    /// Where Sora SDKs connect.
    #[must_use]
    pub fn sora_url(&self) -> String {
        format!("{}://{}/signaling", if self.secure { "wss" } else { "ws" }, self.authority)
    }

    /// The playlist of a channel with a single publisher; `None` for the other kinds.
    #[must_use]
    pub fn playlist_url(&self, channel: &Channel) -> Option<String> {
        has_one_programme(channel).then(|| self.absolute(&format!("/hls/{}/playlist.m3u8", channel.id)))
    }

    /// The watch page of a channel with a single publisher; `None` for the other kinds.
    #[must_use]
    pub fn watch_url(&self, channel: &Channel) -> Option<String> {
        has_one_programme(channel).then(|| self.absolute(&format!("/watch/{}", channel.id)))
    }

    /// The watch page of what one publisher shows, in a channel where each has a playlist of its own.
    pub(super) fn watch_url_of(&self, channel: &Channel, publisher: &str) -> String {
        self.absolute(&format!("/watch/{}/{publisher}", channel.id))
    }

    /// A URL of a path on this host.
    #[must_use]
    pub fn absolute(&self, path: &str) -> String {
        format!("{self}/{}", path.strip_prefix('/').unwrap_or(path))
    }
}

fn has_one_programme(channel: &Channel) -> bool {
    channel.kind.has_hls() && !channel.kind.has_playlist_per_publisher()
}

/// Behind a proxy, the first value is what the caller used.
fn first_value<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let value = parts.headers.get(name)?.to_str().ok()?;
    value.split(',').next().map(str::trim).filter(|value| !value.is_empty())
}

/// No user and password, which [`Authority`] would let through into every URL.
fn is_host_and_port(authority: &Authority) -> bool {
    !authority.host().is_empty() && !authority.as_str().contains('@')
}

fn origin_of(parts: &Parts) -> Option<PublicUrl> {
    let own = parts.extensions.get::<OverTls>().is_some();
    let secure = first_value(parts, "x-forwarded-proto").map_or(own, |proto| proto.eq_ignore_ascii_case("https"));
    let named = first_value(parts, "x-forwarded-host").or_else(|| first_value(parts, header::HOST.as_str()));
    // HTTP/2 has no Host header: the authority is in the request's URI.
    let named = named.or_else(|| parts.uri.authority().map(Authority::as_str))?;
    let authority = named.parse::<Authority>().ok().filter(is_host_and_port)?;
    Some(PublicUrl { secure, authority: authority.to_string() })
}

/// The base of the URLs in this request's answer.
pub(super) struct Links(pub PublicUrl);

impl FromRequestParts<SharedState> for Links {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &SharedState) -> Result<Self, ApiError> {
        let origin = state.public_url.clone().or_else(|| origin_of(parts));
        origin.map(Self).ok_or_else(|| ApiError::invalid_parameter("the Host header is missing or names no host"))
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{OverTls, PublicUrl, origin_of};

    fn origin(headers: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        origin_of(&parts).map(|origin| origin.sora_url())
    }

    #[test]
    fn the_host_by_which_the_caller_came() {
        assert_eq!(origin(&[("host", "live.example:8080")]).unwrap(), "ws://live.example:8080/signaling");
        assert_eq!(origin(&[("host", "[::1]:8080")]).unwrap(), "ws://[::1]:8080/signaling");
        let proxied =
            [("host", "10.0.0.1:8080"), ("x-forwarded-host", "live.example, inner"), ("x-forwarded-proto", "HTTPS, http")];
        assert_eq!(origin(&proxied).unwrap(), "wss://live.example/signaling");
    }

    #[test]
    fn over_tls_of_our_own_urls_are_secure_unless_a_proxy_says_otherwise() {
        let request = |proto: Option<&str>| {
            let mut request = Request::builder().uri("/").header("host", "live.example").extension(OverTls);
            request = proto.into_iter().fold(request, |request, proto| request.header("x-forwarded-proto", proto));
            let (parts, ()) = request.body(()).unwrap().into_parts();
            origin_of(&parts).unwrap().to_string()
        };
        assert_eq!((request(None), request(Some("http"))), ("https://live.example".into(), "http://live.example".into()));
    }

    #[test]
    fn hosts_and_ports() {
        for (url, host, both) in [
            ("https://live.example", "live.example", "live.example:443"),
            ("http://live.example:8080", "live.example", "live.example:8080"),
            ("https://[2001:db8::1]", "[2001:db8::1]", "[2001:db8::1]:443"),
            ("https://[2001:db8::1]:8443", "[2001:db8::1]", "[2001:db8::1]:8443"),
        ] {
            let url = url.parse::<PublicUrl>().unwrap();
            assert_eq!((url.host(), url.host_and_port().as_str()), (host, both));
        }
    }

    #[test]
    fn no_usable_host_is_none() {
        for headers in [&[][..], &[("host", "")], &[("host", "a b")], &[("host", "user:pw@host")], &[("host", "a/b")]] {
            assert_eq!(origin(headers), None, "{headers:?}");
        }
    }

    #[test]
    fn a_public_url_is_scheme_and_host_only() {
        assert_eq!("https://live.example/".parse::<PublicUrl>().unwrap().to_string(), "https://live.example");
        assert_eq!("http://1.2.3.4:80".parse::<PublicUrl>().unwrap().absolute("/hls/a"), "http://1.2.3.4:80/hls/a");
        for wrong in
            ["", "live.example", "ftp://live.example", "https://live.example/path", "https://u:p@live.example", "https://"]
        {
            assert!(wrong.parse::<PublicUrl>().is_err(), "{wrong:?}");
        }
    }
}
