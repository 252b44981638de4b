//! Reads answers. Untrusted text: every bound is checked, every line that does not matter is skipped.

use super::extension::Extension;

/// Longest answer that is read, in bytes.
pub const SDP_BYTES_MAX: usize = 256 * 1024;
/// Most m-sections that are read.
pub const SECTIONS_MAX: usize = 512;
/// Most payload types, and most header extensions, of one section that are kept; the rest is skipped.
const LIST_MAX: usize = 64;
const MID_BYTES_MAX: usize = 64;
/// RFC 8852 §3.1 has no bound; the one-byte header extension has 16.
const RID_BYTES_MAX: usize = 16;
const LAYERS_READ_MAX: usize = 8;

/// Why a text is no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BadSdp {
    #[error("longer than {SDP_BYTES_MAX} bytes")]
    TooLong,
    #[error("does not begin with v=0")]
    NoVersion,
    #[error("line {0} is not of the form x=…")]
    NotALine(usize),
    #[error("line {0} has a value that cannot be read")]
    BadValue(usize),
    #[error("more than {SECTIONS_MAX} m-sections")]
    TooManySections,
    #[error("no m-section")]
    NoSections,
}

/// An answer's sections, session-level lines already spread over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// In order, 1 to [`SECTIONS_MAX`].
    pub sections: Vec<AnswerSection>,
}

/// What an m-section is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum MediaKind {
    Audio,
    Video,
    Application,
    Other,
}

/// Who sends, seen from the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of RFC 8866 §6.7")]
pub enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    /// The client sends.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// The client receives.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// Who opens DTLS (RFC 4145 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the RFC")]
pub enum Setup {
    Active,
    Passive,
    ActPass,
}

/// One m-section of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerSection {
    /// Audio, video or data.
    pub kind: MediaKind,
    /// Port 0: the client takes no part in it.
    pub rejected: bool,
    /// `a=mid`.
    pub mid: Option<String>,
    /// Who sends.
    pub direction: Direction,
    /// The payload types of the m-line.
    pub payload_types: Vec<u8>,
    /// `a=extmap`: id and URI.
    pub extensions: Vec<(u8, String)>,
    /// The SSRC of the media: the first of `a=ssrc-group:FID`, or the first `a=ssrc`. Absent with simulcast.
    pub ssrc: Option<u32>,
    /// The SSRC of the retransmissions.
    pub rtx_ssrc: Option<u32>,
    /// The layers that the client sends, from `a=simulcast:send`, in its order, paused ones included; none without simulcast.
    pub rids: Vec<String>,
    /// The client's ICE user name fragment.
    pub ice_ufrag: Option<String>,
    /// SHA-256 of the client's certificate.
    pub fingerprint: Option<[u8; 32]>,
    /// Who opens DTLS.
    pub setup: Option<Setup>,
}

impl AnswerSection {
    /// Whether the client agreed to that header extension under our id.
    #[must_use]
    pub fn agrees(&self, extension: Extension) -> bool {
        self.extensions.iter().any(|(id, uri)| *id == extension.id && uri == extension.uri)
    }

    fn new(kind: MediaKind, session: &AnswerSection) -> Self {
        Self { kind, ..session.clone() }
    }
}

const SESSION: AnswerSection = AnswerSection {
    kind: MediaKind::Other,
    rejected: false,
    mid: None,
    direction: Direction::SendRecv,
    payload_types: Vec::new(),
    extensions: Vec::new(),
    ssrc: None,
    rtx_ssrc: None,
    rids: Vec::new(),
    ice_ufrag: None,
    fingerprint: None,
    setup: None,
};

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// It is too long, not SDP, or one of the lines that matter cannot be read.
    pub fn parse(text: &str) -> Result<Self, BadSdp> {
        if text.len() > SDP_BYTES_MAX {
            return Err(BadSdp::TooLong);
        }
        let mut session = SESSION;
        let mut sections: Vec<AnswerSection> = Vec::new();
        let mut version_seen = false;
        for (index, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let (key, value) = split_line(line).ok_or(BadSdp::NotALine(index + 1))?;
            if !version_seen && (key, value) != ('v', "0") {
                return Err(BadSdp::NoVersion);
            }
            version_seen = true;
            if key == 'm' {
                if sections.len() == SECTIONS_MAX {
                    return Err(BadSdp::TooManySections);
                }
                sections.push(media_line(value, &session).ok_or(BadSdp::BadValue(index + 1))?);
            } else if key == 'a' {
                let section = sections.last_mut().unwrap_or(&mut session);
                attribute(section, value).ok_or(BadSdp::BadValue(index + 1))?;
            }
        }
        match (version_seen, sections.is_empty()) {
            (false, _) => Err(BadSdp::NoVersion),
            (true, true) => Err(BadSdp::NoSections),
            (true, false) => Ok(Self { sections }),
        }
    }

    /// The one fingerprint of all sections that were not rejected; `None` when there is none or they disagree.
    #[must_use]
    pub fn fingerprint(&self) -> Option<[u8; 32]> {
        let mut all = self.sections.iter().filter(|section| !section.rejected).filter_map(|section| section.fingerprint);
        let first = all.next()?;
        all.all(|other| other == first).then_some(first)
    }
}

fn split_line(line: &str) -> Option<(char, &str)> {
    let (key, value) = line.split_once('=')?;
    let mut letters = key.chars();
    let letter = letters.next().filter(char::is_ascii_lowercase)?;
    letters.next().is_none().then_some((letter, value))
}

/// `<media> <port>[/<count>] <proto> <fmt> …`
fn media_line(value: &str, session: &AnswerSection) -> Option<AnswerSection> {
    let mut words = value.split_ascii_whitespace();
    let kind = match words.next()? {
        "audio" => MediaKind::Audio,
        "video" => MediaKind::Video,
        "application" => MediaKind::Application,
        _ => MediaKind::Other,
    };
    let port: u16 = words.next()?.split('/').next()?.parse().ok()?;
    let _proto = words.next()?;
    let payload_types = match kind {
        MediaKind::Audio | MediaKind::Video => words.take(LIST_MAX).map(str::parse).collect::<Result<_, _>>().ok()?,
        MediaKind::Application | MediaKind::Other => Vec::new(),
    };
    Some(AnswerSection { rejected: port == 0, payload_types, ..AnswerSection::new(kind, session) })
}

/// Takes in one `a=` line. `None` when it matters and cannot be read.
fn attribute(section: &mut AnswerSection, attribute: &str) -> Option<()> {
    let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
    match name {
        "mid" => section.mid = Some(token(value, MID_BYTES_MAX)?),
        "sendrecv" => section.direction = Direction::SendRecv,
        "sendonly" => section.direction = Direction::SendOnly,
        "recvonly" => section.direction = Direction::RecvOnly,
        "inactive" => section.direction = Direction::Inactive,
        "setup" => section.setup = Some(setup(value)?),
        "ice-ufrag" => section.ice_ufrag = Some(token(value, 256)?),
        "fingerprint" => {
            // Other hashes may stand beside it (RFC 8122 §5); only SHA-256 is compared.
            if let Some(hex) = strip_sha256(value) {
                section.fingerprint = Some(fingerprint(hex)?);
            }
        }
        "extmap" if section.extensions.len() < LIST_MAX => section.extensions.push(extmap(value)?),
        "simulcast" => {
            if let Some(rids) = sent_rids(value) {
                section.rids = rids;
            }
        }
        "ssrc" => {
            let ssrc = value.split(' ').next()?.parse().ok()?;
            section.ssrc.get_or_insert(ssrc);
        }
        "ssrc-group" => {
            if let Some(ssrcs) = value.strip_prefix("FID ") {
                let mut ssrcs = ssrcs.split_ascii_whitespace();
                section.ssrc = Some(ssrcs.next()?.parse().ok()?);
                section.rtx_ssrc = Some(ssrcs.next()?.parse().ok()?);
            }
        }
        _ => {}
    }
    Some(())
}

/// `send r0;~r1,alternative recv …` (RFC 8853 §5.1): of alternatives the first. A client that writes nonsense does without.
fn sent_rids(value: &str) -> Option<Vec<String>> {
    let mut words = value.split_ascii_whitespace();
    let list = words.by_ref().find(|word| *word == "send").and_then(|_| words.next())?;
    let name = |layer: &str| {
        let first = layer.split(',').next()?;
        token(first.strip_prefix('~').unwrap_or(first), RID_BYTES_MAX)
    };
    list.split(';').take(LAYERS_READ_MAX).map(name).collect()
}

fn token(value: &str, bytes_max: usize) -> Option<String> {
    let fits = !value.is_empty() && value.len() <= bytes_max && value.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| value.to_owned())
}

fn setup(value: &str) -> Option<Setup> {
    match value {
        "active" => Some(Setup::Active),
        "passive" => Some(Setup::Passive),
        "actpass" => Some(Setup::ActPass),
        _ => None,
    }
}

fn strip_sha256(value: &str) -> Option<&str> {
    let (hash, hex) = value.split_once(' ')?;
    hash.eq_ignore_ascii_case("sha-256").then_some(hex)
}

fn fingerprint(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let mut pairs = hex.trim().split(':');
    for byte in &mut bytes {
        let pair = pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(bytes)
}

/// `<id>[/<direction>] <uri> …`
fn extmap(value: &str) -> Option<(u8, String)> {
    let mut words = value.split_ascii_whitespace();
    let id = words.next()?.split('/').next()?.parse().ok()?;
    Some((id, token(words.next()?, 256)?))
}
