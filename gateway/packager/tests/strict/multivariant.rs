//! Rule 9: what a multivariant playlist must say.

use super::Findings;
use super::parse::{Attributes, attributes};

#[derive(Debug, Default)]
pub(super) struct Found {
    /// URIs of audio renditions.
    pub audio: Vec<String>,
    pub bandwidth: u64,
}

pub(super) fn check(body: &str, findings: &mut Findings) -> Found {
    let mut found = Found::default();
    findings.must(9, body.starts_with("#EXTM3U\n"), || "does not start with #EXTM3U".into());
    let mut groups = Vec::new();
    let mut variants = 0;
    let mut lines = body.lines();
    while let Some(line) = lines.next() {
        if let Some(media) = line.strip_prefix("#EXT-X-MEDIA:").map(attributes) {
            let text = |name: &str| media.get(name).cloned().unwrap_or_default();
            if text("TYPE") == "AUDIO" {
                groups.push(text("GROUP-ID"));
                found.audio.push(text("URI"));
            }
            let complete = ["TYPE", "GROUP-ID", "NAME"].iter().all(|name| media.contains_key(*name));
            findings.must(9, complete, || format!("incomplete: {line}"));
        } else if let Some(variant) = line.strip_prefix("#EXT-X-STREAM-INF:").map(attributes) {
            variants += 1;
            let uri = lines.next().unwrap_or_default();
            findings.must(9, !uri.is_empty() && !uri.starts_with(['#', '/']), || format!("variant URI {uri:?}"));
            check_variant(&variant, &groups, findings);
            found.bandwidth = variant.get("BANDWIDTH").and_then(|value| value.parse().ok()).unwrap_or(0);
        }
    }
    findings.must(9, variants > 0, || "no variant".into());
    found
}

fn check_variant(variant: &Attributes, groups: &[String], findings: &mut Findings) {
    let number = |name: &str| variant.get(name).and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0);
    findings.must(9, number("BANDWIDTH") >= 1.0, || "no BANDWIDTH".into());
    findings.must(9, number("AVERAGE-BANDWIDTH") >= 1.0, || "no AVERAGE-BANDWIDTH".into());
    findings.must(9, number("AVERAGE-BANDWIDTH") <= number("BANDWIDTH"), || "AVERAGE-BANDWIDTH over BANDWIDTH".into());
    let codecs = variant.get("CODECS").cloned().unwrap_or_default();
    let known = |codec: &str| codec == "mp4a.40.2" || (codec.starts_with("avc1.") && codec.len() == 11);
    findings.must(9, !codecs.is_empty() && codecs.split(',').all(known), || format!("CODECS {codecs:?}"));
    if codecs.contains("avc1") {
        let size = variant.get("RESOLUTION").and_then(|size| size.split_once('x'));
        let pixels = |side: &str| side.parse::<u32>().is_ok_and(|pixels| pixels > 0);
        findings.must(9, size.is_some_and(|(w, h)| pixels(w) && pixels(h)), || "no RESOLUTION".into());
        findings.must(9, number("FRAME-RATE") > 0.0, || "no FRAME-RATE".into());
    }
    let group = variant.get("AUDIO");
    findings.must(9, group.is_none_or(|group| groups.contains(group)), || format!("no audio group {group:?}"));
    findings.must(9, groups.is_empty() || codecs.contains("mp4a"), || "an audio group and no audio codec".into());
}
