//! The multivariant playlist, and what can be held against it later (rule 9).

use super::Violation;
use super::attributes::Attributes;
use super::boxes::Init;

/// One EXT-X-STREAM-INF with its URI.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Of its media playlist.
    pub uri: String,
    /// Of EXT-X-STREAM-INF.
    pub attributes: Attributes,
}

/// What a multivariant playlist offers.
#[derive(Clone, Debug, Default)]
pub struct Multivariant {
    /// In order.
    pub variants: Vec<Variant>,
    /// EXT-X-MEDIA.
    pub media: Vec<Attributes>,
    /// EXT-X-I-FRAME-STREAM-INF.
    pub iframes: Vec<Attributes>,
}

impl Multivariant {
    /// Reads it; the second value names what is not as rfc8216bis §4 writes it.
    #[must_use]
    pub fn parse(body: &str) -> (Self, Vec<String>) {
        let (mut found, mut faults) = (Self::default(), Vec::new());
        let mut lines = body.lines().filter(|line| !line.is_empty());
        if lines.next() != Some("#EXTM3U") {
            faults.push("the first line is not #EXTM3U".into());
            return (found, faults);
        }
        let mut pending = None;
        for line in lines {
            let list = |text: &str, faults: &mut Vec<String>| Attributes::parse(text).map_err(|fault| faults.push(fault)).ok();
            if let Some(text) = line.strip_prefix("#EXT-X-STREAM-INF:") {
                pending = list(text, &mut faults);
            } else if let Some(text) = line.strip_prefix("#EXT-X-MEDIA:") {
                found.media.extend(list(text, &mut faults));
            } else if let Some(text) = line.strip_prefix("#EXT-X-I-FRAME-STREAM-INF:") {
                found.iframes.extend(list(text, &mut faults));
            } else if line.starts_with("#EXTINF") || line.starts_with("#EXT-X-TARGETDURATION") {
                faults.push(format!("{line} in a multivariant playlist"));
            } else if !line.starts_with('#') {
                match pending.take() {
                    Some(attributes) => found.variants.push(Variant { uri: line.to_owned(), attributes }),
                    None => faults.push(format!("{line} without EXT-X-STREAM-INF")),
                }
            }
        }
        (found, faults)
    }

    /// URIs of every media playlist, each once.
    #[must_use]
    pub fn renditions(&self) -> Vec<String> {
        let mut uris: Vec<String> = Vec::new();
        let media = self.media.iter().filter_map(|media| media.quoted("URI"));
        for uri in self.variants.iter().map(|variant| variant.uri.as_str()).chain(media) {
            if !uris.iter().any(|known| known == uri) {
                uris.push(uri.to_owned());
            }
        }
        uris
    }

    /// Is this the sound of a programme whose pictures are apart?
    pub(super) fn is_sound(&self, rendition: &str) -> bool {
        self.media.iter().any(|media| media.plain("TYPE") == Some("AUDIO") && media.quoted("URI") == Some(rendition))
    }

    /// URIs of the variant and of the audio that is played with it.
    pub(super) fn played_together<'a>(&'a self, variant: &'a Variant) -> Vec<&'a str> {
        let group = variant.attributes.quoted("AUDIO");
        let audio = self.media.iter().find(|media| group.is_some() && media.quoted("GROUP-ID") == group);
        std::iter::once(variant.uri.as_str()).chain(audio.and_then(|media| media.quoted("URI"))).collect()
    }

    /// Rule 9, as far as the playlist alone shows it.
    pub(super) fn judge(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        if self.variants.is_empty() {
            found.push(Violation::new(9, "no variant"));
        }
        for variant in &self.variants {
            self.judge_variant(variant, &mut found);
        }
        self.iframes.iter().for_each(|list| judge_iframes(list, &mut found));
        found
    }

    fn judge_variant(&self, variant: &Variant, found: &mut Vec<Violation>) {
        let (list, uri) = (&variant.attributes, &variant.uri);
        let mut add = |what: String| found.push(Violation::new(9, format!("{uri}: {what}")));
        match (list.integer("BANDWIDTH"), list.integer("AVERAGE-BANDWIDTH")) {
            (Some(peak), Some(average)) if average > peak => add(format!("AVERAGE-BANDWIDTH {average} above BANDWIDTH {peak}")),
            (Some(1..), Some(1..)) => {}
            _ => add("BANDWIDTH and AVERAGE-BANDWIDTH must be there and not 0".into()),
        }
        let codecs = list.quoted("CODECS").unwrap_or_default();
        let pictures = ["avc1.", "avc3.", "hvc1.", "av01."].iter().any(|codec| codecs.contains(codec));
        if codecs.is_empty() {
            add("no CODECS".into());
        }
        if pictures && list.plain("RESOLUTION").is_none() {
            add("no RESOLUTION".into());
        }
        if pictures && list.plain("FRAME-RATE").is_none() {
            add("no FRAME-RATE".into());
        }
        if let Some(group) = list.quoted("AUDIO") {
            let audio =
                self.media.iter().find(|media| media.quoted("GROUP-ID") == Some(group) && media.plain("TYPE") == Some("AUDIO"));
            if audio.is_none_or(|media| media.quoted("NAME").is_none()) {
                add(format!("no EXT-X-MEDIA with a NAME for the group {group:?}"));
            }
            if !codecs.contains("mp4a.") && !codecs.contains("Opus") {
                add(format!("CODECS {codecs:?} says nothing of the sound"));
            }
        } else if pictures && codecs.contains("mp4a.") {
            add("sound is not in an EXT-X-MEDIA group of its own".into());
        }
    }

    /// Rule 9, held against the init section that a rendition really has.
    pub(super) fn judge_init(&self, rendition: &str, init: &Init) -> Vec<Violation> {
        let mut found = Vec::new();
        for variant in self.variants.iter().filter(|variant| self.played_together(variant).contains(&rendition)) {
            let codecs = variant.attributes.quoted("CODECS").unwrap_or_default();
            if !init.codec.is_empty() && !codecs.split(',').any(|codec| codec.trim().eq_ignore_ascii_case(&init.codec)) {
                found.push(Violation::new(9, format!("{rendition} is {}, CODECS says {codecs:?}", init.codec)));
            }
            let stated = variant.attributes.plain("RESOLUTION");
            if let Some((width, height)) = init.size
                && stated != Some(&format!("{width}x{height}"))
            {
                found.push(Violation::new(9, format!("{rendition} is {width}x{height}, RESOLUTION says {stated:?}")));
            }
        }
        found
    }

    /// Rule 9: `peak_bps` was measured in these renditions together.
    pub(super) fn judge_peak(&self, peak_bps: impl Fn(&str) -> Option<u64>) -> Vec<Violation> {
        let mut found = Vec::new();
        for variant in &self.variants {
            let stated = variant.attributes.integer("BANDWIDTH").unwrap_or(0);
            let peak: u64 = self.played_together(variant).into_iter().filter_map(&peak_bps).sum();
            if peak * 4 > stated * 5 {
                found.push(Violation::new(9, format!("{}: {peak} bit/s at the peak, BANDWIDTH says {stated}", variant.uri)));
            }
        }
        found
    }
}

/// Rule 29.
fn judge_iframes(list: &Attributes, found: &mut Vec<Violation>) {
    let uri = list.quoted("URI").unwrap_or_default();
    let mut add = |what: String| found.push(Violation::new(29, format!("EXT-X-I-FRAME-STREAM-INF {uri}: {what}")));
    if uri.is_empty() || list.integer("BANDWIDTH").is_none_or(|bps| bps == 0) {
        add("no URI, or no BANDWIDTH".into());
    }
    for name in ["AUDIO", "SUBTITLES", "CLOSED-CAPTIONS", "FRAME-RATE"] {
        if list.iter().any(|(known, _)| known == name) {
            add(format!("{name} has no place here"));
        }
    }
}
