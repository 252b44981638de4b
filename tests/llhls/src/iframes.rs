//! I-frame playlists (rule 29), and the gaps in them (30).

use super::Violation;

/// One I-frame: a byte range of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IFrame {
    /// Of the segment, relative to the playlist.
    pub uri: String,
    /// (length, offset) of EXT-X-BYTERANGE.
    pub range: (u64, u64),
}

/// Reads and judges an I-frame playlist: its frames that are no gaps, and what is wrong.
#[must_use]
pub fn judge_iframes(body: &str) -> (Vec<IFrame>, Vec<Violation>) {
    let (mut frames, mut found) = (Vec::new(), Vec::new());
    let mut add = |what: String| found.push(Violation::new(29, what));
    if !body.lines().any(|line| line == "#EXT-X-I-FRAMES-ONLY") {
        add("no EXT-X-I-FRAMES-ONLY".into());
    }
    if body.contains("#EXT-X-PART:") || body.contains("#EXT-X-PART-INF") || body.contains("#EXT-X-PRELOAD-HINT") {
        add("there are parts".into());
    }
    if !body.contains("#EXT-X-MAP:") {
        add("no EXT-X-MAP".into());
    }
    let (mut range, mut gap, mut duration) = (None, false, None);
    for line in body.lines() {
        if let Some(text) = line.strip_prefix("#EXT-X-BYTERANGE:") {
            range = text.split_once('@').and_then(|(length, offset)| Some((length.parse().ok()?, offset.parse().ok()?)));
        } else if let Some(text) = line.strip_prefix("#EXTINF:") {
            duration = text.split(',').next().and_then(|text| text.parse::<f64>().ok());
        } else if line == "#EXT-X-GAP" {
            gap = true;
        } else if !line.starts_with('#') && !line.is_empty() {
            if duration.take().is_none_or(|seconds| seconds <= 0.0) {
                add(format!("{line} without EXTINF"));
            }
            match range.take() {
                Some(range) => frames.push(IFrame { uri: line.to_owned(), range }),
                None if gap => {}
                None => add(format!("{line} without EXT-X-BYTERANGE")),
            }
            gap = false;
        }
    }
    (frames, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:4\n#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:URI=\"i.mp4\"\n\
        #EXTINF:2.0,\n#EXT-X-BYTERANGE:900@0\nv-1.m4s\n#EXT-X-GAP\n#EXTINF:2.0,\nv-2.m4s\n";

    #[test]
    fn a_good_one_passes_and_each_fault_is_found() {
        let (frames, found) = judge_iframes(GOOD);
        assert_eq!((frames.len(), found), (1, Vec::new()));
        for (from, to) in [
            ("#EXT-X-I-FRAMES-ONLY\n", ""),
            ("#EXT-X-MAP:URI=\"i.mp4\"\n", "#EXT-X-PART-INF:PART-TARGET=1\n#EXT-X-MAP:URI=\"i.mp4\"\n"),
            ("#EXT-X-MAP", "#EXT-X-MOP"),
            ("#EXT-X-BYTERANGE:900@0\n", ""),
            ("#EXT-X-GAP\n", ""),
            ("#EXTINF:2.0,\n#EXT-X-BYTERANGE", "#EXT-X-BYTERANGE"),
        ] {
            assert!(!judge_iframes(&GOOD.replacen(from, to, 1)).1.is_empty(), "{from}");
        }
    }
}
