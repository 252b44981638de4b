//! Rules that only the media itself shows: 6, 10, 13 and the measured part of 9.

use std::collections::BTreeMap;

use super::Findings;
use super::boxes::{self, Fragment};
use super::parse::{Playlist, SegmentTags};

/// Dates are written in milliseconds.
const DATE_TOLERANCE_MS: f64 = 3.0;

#[derive(Debug, Default)]
pub(super) struct Library {
    parts: BTreeMap<(String, String), Vec<u8>>,
    scales: BTreeMap<String, u32>,
    /// (seconds, bits) of segments by rendition, in the order they came.
    sizes: BTreeMap<String, Vec<(f64, f64)>>,
    /// Decode time in seconds of the first fragment of a part or segment.
    starts: BTreeMap<(String, String), f64>,
    /// Date in milliseconds of media time zero, by segment and rendition.
    zeros: BTreeMap<u64, BTreeMap<String, f64>>,
    target: f64,
}

impl Library {
    pub(super) fn observe(
        &mut self,
        of: &str,
        uri: &str,
        answer: Option<&[u8]>,
        latest: Option<&Playlist>,
        findings: &mut Findings,
    ) {
        let segments = latest.map_or(&[][..], |playlist| &playlist.segments);
        let part = segments.iter().flat_map(|segment| &segment.parts).find(|part| part.uri == uri);
        let segment = segments.iter().find(|segment| segment.uri == uri && segment.duration.is_some());
        let Some(bytes) = answer else {
            let listed = part.is_some_and(|part| !part.gap) || segment.is_some_and(|segment| !segment.gap);
            return findings.must(4, !listed, || format!("{uri} is listed and answered with 404"));
        };
        if let Some(scale) = boxes::timescale(bytes) {
            self.scales.insert(of.into(), scale);
            return;
        }
        let Some(fragments) = boxes::fragments(bytes).filter(|all| !all.is_empty()) else {
            return findings.must(13, false, || format!("{uri} is not fragments"));
        };
        let key = (of.to_owned(), uri.to_owned());
        let scale = f64::from(self.scales.get(of).copied().unwrap_or(1));
        self.starts.insert(key.clone(), fragments[0].decode_time as f64 / scale);
        check_contiguous(uri, &fragments, findings);
        let seconds = fragments.iter().map(|fragment| fragment.duration).sum::<u64>() as f64 / scale;
        if let Some(part) = part {
            findings.must(13, !part.independent || fragments[0].sync, || format!("{uri}: INDEPENDENT without a key frame"));
            findings
                .must(10, (seconds - part.duration).abs() < 0.001, || format!("{uri}: DURATION {}, {seconds}", part.duration));
            self.parts.insert(key, bytes.to_vec());
        } else if let Some(segment) = segment {
            self.target = latest.and_then(|playlist| playlist.target_duration).unwrap_or(0) as f64;
            self.segment(of, segment, bytes, seconds, findings);
            findings.must(13, fragments[0].sync, || format!("{uri} does not start with a key frame"));
        }
    }

    fn segment(&mut self, of: &str, segment: &SegmentTags, bytes: &[u8], seconds: f64, findings: &mut Findings) {
        let uri = &segment.uri;
        let told = segment.length();
        findings.must(1, (seconds - told).abs() < 0.001, || format!("{uri}: EXTINF {told}, {seconds}"));
        self.sizes.entry(of.into()).or_default().push((seconds, bytes.len() as f64 * 8.0));
        let known = segment.parts.iter().map(|part| self.parts.get(&(of.to_owned(), part.uri.clone())));
        if let Some(parts) = known.collect::<Option<Vec<_>>>().filter(|parts| !parts.is_empty()) {
            let joined: Vec<u8> = parts.into_iter().flatten().copied().collect();
            findings.must(13, joined == bytes, || format!("{uri} is not its parts joined"));
        }
    }

    /// Rule 6: date minus media time is the same in all renditions.
    pub(super) fn check_dates(&mut self, of: &str, playlist: &Playlist, findings: &mut Findings) {
        for segment in &playlist.segments {
            let Some(zero) = self.zero(of, segment) else { continue };
            let dated = self.zeros.entry(segment.msn).or_default();
            dated.insert(of.into(), zero);
            let apart = dated.values().fold(0.0_f64, |most, other| most.max((other - zero).abs()));
            findings.must(6, apart <= DATE_TOLERANCE_MS, || {
                format!("segment {}: the renditions date the same content {apart:.1} ms apart", segment.msn)
            });
        }
    }

    /// The date in milliseconds of media time zero, by this segment.
    fn zero(&self, of: &str, segment: &SegmentTags) -> Option<f64> {
        let names = segment.parts.first().map(|part| &part.uri).into_iter().chain([&segment.uri]);
        let start = names.filter_map(|uri| self.starts.get(&(of.to_owned(), uri.clone()))).next()?;
        Some(segment.date_ms? as f64 - start * 1000.0)
    }

    /// The dearest run of 0.5–1.5 TARGETDURATION of each rendition, added. `None` until ten segments are known.
    pub(super) fn peak_bps(&self) -> Option<f64> {
        let enough = !self.sizes.is_empty() && self.sizes.values().all(|sizes| sizes.len() >= 10);
        enough.then(|| self.sizes.values().map(|sizes| peak(sizes, self.target)).sum())
    }
}

fn check_contiguous(uri: &str, fragments: &[Fragment], findings: &mut Findings) {
    for pair in fragments.windows(2) {
        let (end, next) = (pair[0].decode_time + pair[0].duration, pair[1].decode_time);
        findings.must(5, end == next, || format!("{uri}: a fragment ends at {end}, the next starts at {next}"));
    }
}

fn peak(sizes: &[(f64, f64)], target: f64) -> f64 {
    let mut most: f64 = 0.0;
    for from in 0..sizes.len() {
        let (mut seconds, mut bits) = (0.0, 0.0);
        for (more, bits_more) in &sizes[from..] {
            seconds += more;
            bits += bits_more;
            if seconds >= target * 0.5 && seconds <= target * 1.5 {
                most = most.max(bits / seconds);
            }
        }
    }
    most
}
