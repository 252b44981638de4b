//! Reads offers of clients, as WHIP and WHEP carry them. Untrusted text; what is common to offers and answers is read by
//! [`Answer::parse`], the codecs here.

use minamo_media::Codec;

use super::extension::{
    ABS_SEND_TIME, AUDIO_LEVEL, DEPENDENCY_DESCRIPTOR, Extension, MID, REPAIRED_RID, RID, TRANSPORT_CC, VIDEO_ORIENTATION,
};
use super::simulcast::Layers;
use super::{Answer, AnswerSection, BadSdp, Format, MediaKind, SECTIONS_MAX, Setup};

/// Most codec lines of one kind in one section that are kept; the rest is skipped.
const LINES_MAX: usize = 128;
/// Most codec names that a refusal repeats.
const NAMES_MAX: usize = 16;
/// In rtpmap lines, but no codecs of their own.
const HELPERS: [&str; 6] = ["rtx", "red", "ulpfec", "flexfec-03", "CN", "telephone-event"];
/// Longest `a=fmtp` that is kept, in bytes; a longer one counts as absent.
const FMTP_BYTES_MAX: usize = 1024;
/// Longest word of an m-line that is echoed, in bytes.
const WORD_BYTES_MAX: usize = 64;

/// Why an offer cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BadOffer {
    #[error("the body is not a session description: {0}")]
    Sdp(#[from] BadSdp),
    #[error("an m-section has no a=mid")]
    NoMid,
    #[error("two m-sections have the same a=mid")]
    SameMid,
    #[error(
        "there are several m-sections, but no a=group:BUNDLE that begins with a live one: everything goes over one transport"
    )]
    NoBundle,
    #[error("an m-section has no a=rtcp-mux: RTP and RTCP share one port")]
    NoRtcpMux,
    #[error("an m-section has no a=ice-ufrag")]
    NoIce,
    #[error("there must be one a=fingerprint with sha-256, the same in all m-sections")]
    NoFingerprint,
    #[error("a=setup:passive: the client must open DTLS, so a=setup must be actpass or active")]
    Passive,
}

/// An offer that can be answered: one transport, one certificate, the client opens DTLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOffer {
    /// In order, at least one.
    pub sections: Vec<OfferedSection>,
    /// SHA-256 of the client's certificate.
    pub fingerprint: [u8; 32],
    /// The client's ICE user name fragment.
    pub ice_ufrag: String,
}

/// One m-section of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedSection {
    /// What offers and answers have in common. `rejected` also where the section is outside of the bundle.
    pub common: AnswerSection,
    /// `a=mid`, empty only where the section is rejected.
    pub mid: String,
    /// The m-line's words that an answer repeats: media, protocol, first format.
    pub words: [String; 3],
    /// The codecs that we know, in the client's order, with its payload types.
    pub formats: Vec<Format>,
    /// Names of all its codecs as the client wrote them, without RTX and FEC, each once: for words of refusal.
    pub codec_names: Vec<String>,
    /// `a=rtcp-fb`: payload type (`None` for all of them) and what.
    pub feedback: Vec<(Option<u8>, String)>,
    /// The simulcast layers that the client would send, lowest first, none or 2 to 4 of them.
    pub rids: Vec<String>,
    /// `a=extmap-allow-mixed` (RFC 8285 §6): the two-byte form of header extensions may be used too.
    pub mixed: bool,
}

impl ClientOffer {
    /// Reads an offer.
    ///
    /// # Errors
    /// It is not SDP, or not one that a WHIP or WHEP client may send (RFC 9725 §4.4).
    pub fn parse(text: &str) -> Result<Self, BadOffer> {
        let common = Answer::parse(text)?.sections;
        let (bundle, mut drafts) = scan(text);
        let mut sections: Vec<OfferedSection> = common
            .into_iter()
            .zip(&mut drafts)
            .map(|(mut common, draft)| {
                // RFC 9143 §6: port 0 with a=bundle-only is alive.
                common.rejected &= !draft.bundle_only;
                draft.section(common)
            })
            .collect();
        keep_bundle(&mut sections, bundle.as_deref())?;
        let (fingerprint, ice_ufrag) = check(&sections, &drafts)?;
        Ok(Self { sections, fingerprint, ice_ufrag })
    }
}

/// Sections outside of the bundle count as rejected: there is one transport (RFC 9725 §4.4.1).
fn keep_bundle(sections: &mut [OfferedSection], bundle: Option<&[String]>) -> Result<(), BadOffer> {
    let live = sections.iter().filter(|section| !section.common.rejected).count();
    if sections.iter().any(|section| !section.common.rejected && section.mid.is_empty()) {
        return Err(BadOffer::NoMid);
    }
    for (index, section) in sections.iter().enumerate() {
        if !section.mid.is_empty() && sections[..index].iter().any(|other| other.mid == section.mid) {
            return Err(BadOffer::SameMid);
        }
    }
    match bundle {
        Some(mids) => {
            for section in sections.iter_mut().filter(|section| !mids.contains(&section.mid)) {
                section.common.rejected = true;
            }
            let none_left = live > 0 && sections.iter().all(|section| section.common.rejected);
            if none_left { Err(BadOffer::NoBundle) } else { Ok(()) }
        }
        None if live > 1 => Err(BadOffer::NoBundle),
        None => Ok(()),
    }
}

fn check(sections: &[OfferedSection], drafts: &[Draft]) -> Result<([u8; 32], String), BadOffer> {
    let live = || sections.iter().zip(drafts).filter(|(section, _)| !section.common.rejected);
    let is_media = |section: &OfferedSection| matches!(section.common.kind, MediaKind::Audio | MediaKind::Video);
    if live().any(|(section, draft)| is_media(section) && !draft.rtcp_mux) {
        return Err(BadOffer::NoRtcpMux);
    }
    if live().any(|(section, _)| section.common.setup == Some(Setup::Passive)) {
        return Err(BadOffer::Passive);
    }
    // Bundled sections may leave the transport to the first one.
    let ufrag = live().find_map(|(section, _)| section.common.ice_ufrag.clone()).ok_or(BadOffer::NoIce)?;
    let mut fingerprints = live().filter_map(|(section, _)| section.common.fingerprint);
    let fingerprint = fingerprints.next().ok_or(BadOffer::NoFingerprint)?;
    if fingerprints.any(|other| other != fingerprint) {
        return Err(BadOffer::NoFingerprint);
    }
    Ok((fingerprint, ufrag))
}

impl OfferedSection {
    /// Whether the client would send here.
    #[must_use]
    pub fn sends(&self, kind: MediaKind) -> bool {
        !self.common.rejected && self.common.kind == kind && self.common.direction.sends()
    }

    /// Whether the client would receive here.
    #[must_use]
    pub fn receives(&self, kind: MediaKind) -> bool {
        !self.common.rejected && self.common.kind == kind && self.common.direction.receives()
    }

    /// The client's id of that header extension, where it offers it in the one-byte form (RFC 8285 §4.2).
    #[must_use]
    pub fn id_of(&self, extension: Extension) -> Option<u8> {
        let offered = self.common.extensions.iter().find(|(_, uri)| uri == extension.uri);
        offered.map(|(id, _)| *id).filter(|id| (1..=14).contains(id))
    }

    /// The extensions that are agreed to where the client sends that codec, under its ids.
    #[must_use]
    pub fn uplink_extensions(&self, codec: Codec) -> Vec<(u8, Extension)> {
        let mut known = vec![MID, TRANSPORT_CC, ABS_SEND_TIME, self.own_extension()];
        if !self.rids.is_empty() {
            known.extend([RID, REPAIRED_RID]);
        }
        // A descriptor that describes a key frame is too long for the one-byte form.
        if codec == Codec::Av1 && self.mixed {
            known.push(DEPENDENCY_DESCRIPTOR);
        }
        self.agreed(&known)
    }

    /// The extensions that are agreed to where the client receives.
    #[must_use]
    pub fn downlink_extensions(&self) -> Vec<(u8, Extension)> {
        let mut known = vec![MID, TRANSPORT_CC, self.own_extension()];
        if self.mixed && self.formats.iter().any(|format| format.codec == Codec::Av1) {
            known.push(DEPENDENCY_DESCRIPTOR);
        }
        let mut agreed = self.agreed(&known);
        // The one-byte form that we write has room for 16 bytes (RFC 8285 §4.2).
        agreed.retain(|(_, extension)| *extension != MID || self.mid.len() <= 16);
        agreed
    }

    fn own_extension(&self) -> Extension {
        if self.common.kind == MediaKind::Audio { AUDIO_LEVEL } else { VIDEO_ORIENTATION }
    }

    fn agreed(&self, known: &[Extension]) -> Vec<(u8, Extension)> {
        known.iter().filter_map(|extension| Some((self.id_of(*extension)?, *extension))).collect()
    }

    /// Whether the client lists the first payload type, if it does, before the other.
    pub(super) fn lists_first(&self, pt: Option<u8>, other: u8) -> bool {
        let place = |pt: u8| self.common.payload_types.iter().position(|listed| *listed == pt);
        pt.and_then(place).is_some_and(|at| Some(at) < place(other))
    }

    /// Whether the client offers that feedback for the payload type.
    #[must_use]
    pub fn offers_feedback(&self, pt: u8, what: &str) -> bool {
        self.feedback.iter().any(|(offered, name)| offered.is_none_or(|offered| offered == pt) && name == what)
    }
}

/// The codec lines of one section.
#[derive(Default)]
struct Draft {
    words: [String; 3],
    rtpmaps: Vec<(u8, String)>,
    fmtps: Vec<(u8, String)>,
    feedback: Vec<(Option<u8>, String)>,
    layers: Layers,
    bundle_only: bool,
    rtcp_mux: bool,
    mixed: bool,
}

/// The mids of the first bundle, and every section's codec lines. What cannot be read is skipped: [`Answer::parse`] has
/// refused what matters.
fn scan(text: &str) -> (Option<Vec<String>>, Vec<Draft>) {
    let (mut bundle, mut mixed) = (None, false);
    let mut drafts: Vec<Draft> = Vec::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if let Some(media) = line.strip_prefix("m=") {
            drafts.push(Draft { words: m_words(media), mixed, ..Draft::default() });
        } else if let Some(attribute) = line.strip_prefix("a=") {
            match drafts.last_mut() {
                Some(draft) => draft.attribute(attribute),
                None if attribute == "extmap-allow-mixed" => mixed = true,
                None => {
                    if let Some(mids) = attribute.strip_prefix("group:BUNDLE") {
                        bundle
                            .get_or_insert_with(|| mids.split_ascii_whitespace().take(SECTIONS_MAX).map(str::to_owned).collect());
                    }
                }
            }
        }
    }
    (bundle, drafts)
}

fn m_words(media: &str) -> [String; 3] {
    let mut words = media.split_ascii_whitespace();
    let mut word = |skip: usize| {
        let word = words.nth(skip).unwrap_or("0");
        let fits = word.len() <= WORD_BYTES_MAX && word.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { word.to_owned() } else { "0".to_owned() }
    };
    [word(0), word(1), word(0)]
}

impl Draft {
    fn attribute(&mut self, attribute: &str) {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        let (first, rest) = value.split_once(' ').unwrap_or((value, ""));
        let pt = first.parse().ok();
        match (name, pt) {
            ("rtcp-mux", _) => self.rtcp_mux = true,
            ("bundle-only", _) => self.bundle_only = true,
            ("extmap-allow-mixed", _) => self.mixed = true,
            ("rid", _) => self.layers.rid(value),
            ("simulcast", _) => self.layers.simulcast(value),
            ("rtpmap", Some(pt)) if self.rtpmaps.len() < LINES_MAX => self.rtpmaps.push((pt, rest.trim().to_owned())),
            ("fmtp", Some(pt)) if self.fmtps.len() < LINES_MAX && rest.len() <= FMTP_BYTES_MAX => {
                self.fmtps.push((pt, rest.trim().to_owned()));
            }
            ("rtcp-fb", pt) if self.feedback.len() < LINES_MAX && (pt.is_some() || first == "*") => {
                self.feedback.push((pt, rest.trim().to_owned()));
            }
            _ => {}
        }
    }

    fn section(&mut self, common: AnswerSection) -> OfferedSection {
        let formats = common.payload_types.iter().filter_map(|pt| self.format(*pt, &common.payload_types)).collect();
        let mut codec_names: Vec<String> = Vec::new();
        for (_, rtpmap) in &self.rtpmaps {
            let name = rtpmap.split('/').next().unwrap_or_default();
            let is_helper = HELPERS.iter().any(|helper| helper.eq_ignore_ascii_case(name));
            if !is_helper
                && !codec_names.iter().any(|other| other == name)
                && codec_names.len() < NAMES_MAX
                && name.len() <= WORD_BYTES_MAX
            {
                codec_names.push(name.to_owned());
            }
        }
        let mut section = OfferedSection {
            rids: std::mem::take(&mut self.layers).lowest_first(),
            mixed: self.mixed,
            mid: common.mid.clone().unwrap_or_default(),
            common,
            words: std::mem::take(&mut self.words),
            formats,
            codec_names,
            feedback: std::mem::take(&mut self.feedback),
        };
        // Layers are told apart by their name in each packet, and by nothing else.
        if section.common.kind != MediaKind::Video || section.id_of(RID).is_none() {
            section.rids.clear();
        }
        section
    }

    /// The codec behind a payload type, when we know it.
    fn format(&self, pt: u8, listed: &[u8]) -> Option<Format> {
        let rtpmap = &self.rtpmaps.iter().find(|(known, _)| *known == pt)?.1;
        let codec = codec(rtpmap)?;
        let fmtp = self.fmtp(pt).unwrap_or_default().to_owned();
        let apt = |rtx: u8| parameter(self.fmtp(rtx)?, "apt")?.parse::<u8>().ok();
        let is_rtx = |rtpmap: &str| rtpmap.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("rtx/"));
        let mut rtxs =
            self.rtpmaps.iter().filter(|(rtx, rtpmap)| is_rtx(rtpmap) && listed.contains(rtx) && apt(*rtx) == Some(pt));
        let rtx_pt = rtxs.next().map(|(rtx, _)| *rtx);
        let red_pt = if codec == Codec::Opus { self.red(pt, listed) } else { None };
        Some(Format { codec, pt, rtx_pt, red_pt, fmtp })
    }

    /// The payload type of RED whose blocks are all of this one: `a=fmtp:63 111/111` (RFC 2198 §5).
    fn red(&self, of: u8, listed: &[u8]) -> Option<u8> {
        let is_red = |rtpmap: &str| rtpmap.eq_ignore_ascii_case("red/48000/2");
        let holds = |red: u8| {
            let blocks = self.fmtp(red).unwrap_or_default();
            !blocks.is_empty() && blocks.split('/').all(|block| block.trim().parse() == Ok(of))
        };
        let mut reds = self.rtpmaps.iter().filter(|(red, rtpmap)| is_red(rtpmap) && listed.contains(red) && holds(*red));
        reds.next().map(|(red, _)| *red)
    }

    fn fmtp(&self, pt: u8) -> Option<&str> {
        self.fmtps.iter().find(|(known, _)| *known == pt).map(|(_, fmtp)| fmtp.as_str())
    }
}

/// `<name>/<clock>[/<channels>]`
fn codec(rtpmap: &str) -> Option<Codec> {
    let mut words = rtpmap.split('/');
    let name = words.next()?;
    let clock: u32 = words.next()?.trim().parse().ok()?;
    let all = [Codec::Opus, Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H265];
    all.into_iter().find(|codec| codec.rtpmap_name().eq_ignore_ascii_case(name) && codec.clock_rate() == clock)
}

/// The value of a parameter in `a=fmtp`; names count in any case.
pub(super) fn parameter<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    let pairs = fmtp.split(';').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
