//! Names of media that cannot be guessed, for channels whose playlists need a signature.
//!
//! A media URI carries a token of its segment's number, the same for all viewers: so a CDN keeps one copy under the full URL, and
//! who cannot read a playlist cannot ask for media. The playlist itself is protected by whoever serves it.

use crate::derive::{Derivation, What};

/// Makes and checks the tokens of one programme.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MediaTokens(Derivation);

impl MediaTokens {
    /// From the channel's secret.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Derivation::new(secret))
    }

    /// The same for the programme of one publisher among several of the channel.
    #[must_use]
    pub fn of_publisher(self, publisher: &str) -> Self {
        Self(self.0.of_publisher(publisher))
    }

    /// What is added to the name of media of segment (or init section) `number`: `?t=` and 32 hex digits.
    #[must_use]
    pub fn query(&self, number: u64) -> String {
        format!("?t={:032x}", u128::from_be_bytes(self.0.block(What::Token, number)))
    }

    /// Whether a request's query holds the token of this name.
    #[must_use]
    pub fn opens(&self, name: &str, query: &str) -> bool {
        let Some(number) = number_of(name) else { return false };
        let Some(given) = query.split('&').find_map(|pair| pair.strip_prefix("t=")) else { return false };
        let right = self.query(number);
        let right = &right.as_bytes()["?t=".len()..];
        // Every byte is looked at, wherever the first wrong one is.
        given.len() == right.len() && given.bytes().zip(right).fold(0, |wrong, (a, b)| wrong | (a ^ b)) == 0
    }
}

impl std::fmt::Debug for MediaTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MediaTokens")
    }
}

/// The number in a media name: `v-7.m4s`, `v1-7.0.m4s`, `a-init-7.mp4`.
fn number_of(name: &str) -> Option<u64> {
    let rest = name.split_once('-')?.1;
    let rest = rest.strip_prefix("init-").unwrap_or(rest);
    rest.split_once('.')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_its_segment_and_no_other() {
        let tokens = MediaTokens::new(&[9; 32]);
        let query = tokens.query(7);
        let query = query.strip_prefix('?').unwrap();
        for name in ["v-7.m4s", "v-7.3.m4s", "v1-7.0.m4s", "a-init-7.mp4", "c-7.vtt"] {
            assert!(tokens.opens(name, query), "{name}");
            assert!(tokens.opens(name, &format!("a=b&{query}")), "{name}");
        }
        for name in ["v-8.m4s", "v-17.m4s", "v.m4s", "7.m4s", ""] {
            assert!(!tokens.opens(name, query), "{name}");
        }
        for wrong in ["", "t=", "t=00", &query.replace("t=", "s="), &query.to_uppercase(), &query[..query.len() - 1]] {
            assert!(!tokens.opens("v-7.m4s", wrong), "{wrong}");
        }
        assert!(!MediaTokens::new(&[8; 32]).opens("v-7.m4s", query));
        assert!(!tokens.of_publisher("P").opens("v-7.m4s", query));
    }
}
