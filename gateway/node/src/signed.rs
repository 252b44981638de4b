//! Signed playlist URLs: who may open a programme, and who goes on watching it (ADR 8).
//!
//! An application signs the multivariant playlist's URL with an end (`?expires=…&signature=…`). Who opens it in time is handed media
//! playlist URLs with a session's signature, which is the same for everybody who opens within the same part of a day: a CDN
//! collapses their requests as it does without signatures. Media carries tokens that are the same for all ([`MediaTokens`]).

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use minamo_packager::MediaTokens;

/// A session's end is rounded up to this part of its length, so that few different ones are about.
const SESSION_PARTS: u64 = 24;

/// What a channel with signed URLs checks requests with.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    secret: [u8; 16],
    session: Duration,
    tokens: MediaTokens,
}

/// What a signature opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The multivariant playlist, before the time that the application chose.
    Start,
    /// Media playlists, before the session's end.
    Session,
}

impl Scope {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Session => "session",
        }
    }
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unsigned,
    Wrong,
    Expired,
}

impl Access {
    /// From a channel's secret. `session`: how long one who opened in time may go on.
    #[must_use]
    pub fn new(secret: &[u8; 32], session: Duration) -> Self {
        let mut second = [0; 16];
        second.copy_from_slice(&secret[16..]);
        Self { secret: second, session, tokens: MediaTokens::new(secret) }
    }

    /// The query that opens the multivariant playlist at `path` (`/hls/…/playlist.m3u8`) until `expires`, in Unix seconds.
    #[must_use]
    pub fn sign(&self, path: &str, expires: u64) -> String {
        self.query(Scope::Start, path, expires)
    }

    /// The tokens of a programme's media.
    pub(crate) fn tokens(&self, publisher: Option<&str>) -> MediaTokens {
        publisher.map_or(self.tokens, |publisher| self.tokens.of_publisher(publisher))
    }

    /// What media playlists' URLs carry that are handed out at `now`.
    pub(crate) fn session(&self, path: &str, now: Duration) -> String {
        let length = self.session.as_secs().max(SESSION_PARTS);
        let step = length / SESSION_PARTS;
        self.query(Scope::Session, path, (now.as_secs() + length).div_ceil(step) * step)
    }

    /// Whether `query` opens that much of the programme whose multivariant playlist is at `path`.
    pub(crate) fn check(&self, scope: Scope, path: &str, query: &str, now: Duration) -> Result<(), Refusal> {
        let of = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let (Some(expires), Some(signature)) = (of("expires"), of("signature")) else { return Err(Refusal::Unsigned) };
        let plain = (1..=12).contains(&expires.len()) && expires.bytes().all(|byte| byte.is_ascii_digit());
        let expires = expires.parse::<u64>().ok().filter(|_| plain).ok_or(Refusal::Wrong)?;
        let right = self.signature(scope, path, expires);
        verify_slices_are_equal(right.as_bytes(), signature.as_bytes()).map_err(|_| Refusal::Wrong)?;
        // Only who has a right signature learns that it is too old.
        if now.as_secs() < expires { Ok(()) } else { Err(Refusal::Expired) }
    }

    fn query(&self, scope: Scope, path: &str, expires: u64) -> String {
        format!("expires={expires}&signature={}", self.signature(scope, path, expires))
    }

    fn signature(&self, scope: Scope, path: &str, expires: u64) -> String {
        let key = hmac::Key::new(HMAC_SHA256, &self.secret);
        let said = format!("{}\n{path}\n{expires}", scope.word());
        hmac::sign(&key, said.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Access({:?})", self.session)
    }
}

/// Puts a query behind every URI of a multivariant playlist.
pub(crate) fn with_query(multivariant: &str, query: &str) -> String {
    let joined = |uri: &str| format!("{uri}{}{query}", if uri.contains('?') { '&' } else { '?' });
    let mut out = String::with_capacity(multivariant.len() + 8 * (query.len() + 1));
    for line in multivariant.lines() {
        match line.split_once("URI=\"").and_then(|(before, rest)| Some((before, rest.split_once('"')?))) {
            Some((before, (uri, after))) if line.starts_with('#') => {
                out += &format!("{before}URI=\"{}\"{after}", joined(uri));
            }
            _ if line.is_empty() || line.starts_with('#') => out += line,
            _ => out += &joined(line),
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/hls/c/playlist.m3u8";
    const NOW: Duration = Duration::from_secs(1_795_000_000);

    fn access() -> Access {
        Access::new(&[3; 32], Duration::from_secs(86_400))
    }

    #[test]
    fn a_signature_opens_its_playlist_until_it_expires() {
        let access = access();
        let query = access.sign(PATH, NOW.as_secs() + 10);
        let check = |query: &str, now| access.check(Scope::Start, PATH, query, now);
        assert_eq!(check(&query, NOW), Ok(()));
        assert_eq!(check(&format!("a=b&{query}&_HLS_msn=1"), NOW), Ok(()));
        assert_eq!(check(&query, NOW + Duration::from_secs(10)), Err(Refusal::Expired));
        for unsigned in ["", "expires=9999999999", "signature=00"] {
            assert_eq!(check(unsigned, NOW), Err(Refusal::Unsigned), "{unsigned}");
        }
        let (expires, signature) = query.split_once('&').unwrap();
        for wrong in [
            format!("{expires}0&{signature}"),
            format!("{expires}&{signature}0"),
            format!("{expires}&signature="),
            format!("expires=-1&{signature}"),
            format!("expires=9999999999999&{signature}"),
        ] {
            assert_eq!(check(&wrong, NOW), Err(Refusal::Wrong), "{wrong}");
        }
        assert_eq!(access.check(Scope::Session, PATH, &query, NOW), Err(Refusal::Wrong), "it opens the start alone");
        assert_eq!(access.check(Scope::Start, "/hls/c/P/playlist.m3u8", &query, NOW), Err(Refusal::Wrong));
        let other = Access::new(&[4; 32], Duration::ZERO);
        assert_eq!(other.check(Scope::Start, PATH, &query, NOW), Err(Refusal::Wrong));
    }

    #[test]
    fn sessions_outlast_the_start_and_are_shared() {
        let access = access();
        let session = access.session(PATH, NOW);
        assert_eq!(access.check(Scope::Session, PATH, &session, NOW + Duration::from_secs(86_399)), Ok(()));
        assert_eq!(
            access.check(Scope::Session, PATH, &session, NOW + Duration::from_secs(86_400 + 3_600)),
            Err(Refusal::Expired)
        );
        assert_eq!(access.check(Scope::Start, PATH, &session, NOW), Err(Refusal::Wrong), "nobody starts with it");
        let same = (0..3_600).filter(|later| access.session(PATH, NOW + Duration::from_secs(*later)) == session).count();
        assert!(same > 0 && access.session(PATH, NOW + Duration::from_secs(3_600)) != session, "{same}");
    }

    #[test]
    fn every_uri_gets_the_query() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"audio.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nvideo.m3u8\n\
            #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"iframes.m3u8?a=b\"\n";
        let expected = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"audio.m3u8?q=1\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nvideo.m3u8?q=1\n\
            #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"iframes.m3u8?a=b&q=1\"\n";
        assert_eq!(with_query(text, "q=1"), expected);
    }
}
