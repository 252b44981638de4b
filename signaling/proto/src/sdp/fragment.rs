//! SDP fragments (RFC 8840 §9) as `PATCH` carries them: a client's candidates, or its new ICE credentials and then ours.

use std::fmt::{self, Display, Formatter};

use super::candidate::{Candidate, write_candidates};

/// Longest fragment that is read, in bytes: a few dozen candidates.
pub const FRAGMENT_BYTES_MAX: usize = 16 * 1024;

/// Why a text is no usable fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BadFragment {
    #[error("longer than {FRAGMENT_BYTES_MAX} bytes")]
    TooLong,
    #[error("line {0} is not of the form x=…")]
    NotALine(usize),
    #[error("there is neither a=ice-ufrag nor a=candidate in it")]
    Nothing,
    #[error("a=ice-ufrag must have 4 to 256 letters, digits, + or /")]
    BadUfrag,
    #[error("a=ice-pwd must have 22 to 256 letters, digits, + or /, and stand beside each a=ice-ufrag")]
    BadPwd,
    #[error("there are different a=ice-ufrag in it")]
    ManyUfrags,
}

/// What a client's fragment says. Its candidates do not matter to an ICE-lite agent: checks show where they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFragment {
    /// The client's user name fragment: of its ICE session, or of the one that it begins.
    pub ice_ufrag: Option<String>,
    /// How many candidates are in it.
    pub candidates: usize,
}

impl ClientFragment {
    /// Reads a fragment.
    ///
    /// # Errors
    /// It is none, or its credentials are not as RFC 8839 §5.4 wants them.
    pub fn parse(text: &str) -> Result<Self, BadFragment> {
        if text.len() > FRAGMENT_BYTES_MAX {
            return Err(BadFragment::TooLong);
        }
        let mut fragment = Self::default();
        let mut pwd = None;
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
            if !(line.as_bytes()[0].is_ascii_lowercase() && line.as_bytes().get(1) == Some(&b'=')) {
                return Err(BadFragment::NotALine(index + 1));
            }
            if let Some(ufrag) = line.strip_prefix("a=ice-ufrag:") {
                let ufrag = Some(ice_chars(ufrag, 4).ok_or(BadFragment::BadUfrag)?);
                if fragment.ice_ufrag.is_some() && fragment.ice_ufrag != ufrag {
                    return Err(BadFragment::ManyUfrags);
                }
                fragment.ice_ufrag = ufrag;
            } else if let Some(value) = line.strip_prefix("a=ice-pwd:") {
                pwd = Some(ice_chars(value, 22).ok_or(BadFragment::BadPwd)?);
            }
            fragment.candidates += usize::from(line.starts_with("a=candidate:"));
        }
        match (&fragment.ice_ufrag, pwd) {
            (Some(_), None) => Err(BadFragment::BadPwd),
            (None, _) if fragment.candidates == 0 && !text.contains("a=end-of-candidates") => Err(BadFragment::Nothing),
            _ => Ok(fragment),
        }
    }
}

fn ice_chars(value: &str, min: usize) -> Option<String> {
    let fits = (min..=256).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
    fits.then(|| value.to_owned())
}

/// Our answer to an ICE restart. Its `Display` is the text.
#[derive(Clone, Copy, Debug)]
pub struct ServerFragment<'a> {
    /// Media, protocol and first format of the m-section that stands for the bundle.
    pub words: &'a [String; 3],
    /// Its mid.
    pub mid: &'a str,
    /// Our new ICE user name fragment.
    pub ice_ufrag: &'a str,
    /// Our new ICE password.
    pub ice_pwd: &'a str,
    /// All our candidates, best first.
    pub candidates: &'a [Candidate],
}

impl Display for ServerFragment<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { words: [media, protocol, format], mid, ice_ufrag, ice_pwd, candidates } = self;
        write!(f, "a=ice-lite\r\na=group:BUNDLE {mid}\r\na=ice-ufrag:{ice_ufrag}\r\na=ice-pwd:{ice_pwd}\r\n")?;
        write!(f, "m={media} 9 {protocol} {format}\r\na=mid:{mid}\r\na=ice-ufrag:{ice_ufrag}\r\na=ice-pwd:{ice_pwd}\r\n")?;
        write_candidates(f, candidates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PWD: &str = "a=ice-pwd:0123456789abcdefghijkl\r\n";

    #[test]
    fn candidates_and_credentials_are_read() {
        let text =
            format!("a=ice-ufrag:abcd\r\n{PWD}m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.7 9 typ host\r\n");
        assert_eq!(ClientFragment::parse(&text), Ok(ClientFragment { ice_ufrag: Some("abcd".into()), candidates: 1 }));
        let without = "m=audio 9 RTP/AVP 0\na=mid:0\na=candidate:1 1 udp 1 192.0.2.7 9 typ host\na=end-of-candidates\n";
        assert_eq!(ClientFragment::parse(without).map(|fragment| fragment.candidates), Ok(1));
        assert!(ClientFragment::parse("a=mid:0\r\na=end-of-candidates\r\n").is_ok());
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        let cases = [
            (String::new(), BadFragment::Nothing),
            ("hello".into(), BadFragment::NotALine(1)),
            ("\u{e9}=x".into(), BadFragment::NotALine(1)),
            ("a=mid:0\r\n".into(), BadFragment::Nothing),
            (format!("a=ice-ufrag:abc\r\n{PWD}"), BadFragment::BadUfrag),
            (format!("a=ice-ufrag:ab d\r\n{PWD}"), BadFragment::BadUfrag),
            ("a=ice-ufrag:abcd\r\n".into(), BadFragment::BadPwd),
            ("a=ice-ufrag:abcd\r\na=ice-pwd:short\r\n".into(), BadFragment::BadPwd),
            (format!("a=ice-ufrag:abcd\r\n{PWD}m=x\r\na=ice-ufrag:efgh\r\n{PWD}"), BadFragment::ManyUfrags),
            ("a=x\n".repeat(FRAGMENT_BYTES_MAX / 4 + 1), BadFragment::TooLong),
        ];
        for (text, bad) in cases {
            assert_eq!(ClientFragment::parse(&text), Err(bad), "{bad}");
        }
    }
}
