//! Rules that an answer's header lines show (24–26).

use super::Violation;

/// What the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A multivariant playlist.
    Multivariant,
    /// A media playlist.
    Playlist {
        /// The request had `_HLS_msn`.
        blocking: bool,
        /// TARGETDURATION in seconds.
        target_duration: u64,
    },
    /// An init section, a segment or a part.
    Media,
    /// A status from 400 on.
    Error,
}

/// Judges the header lines that `header` looks up (by lower-case name). `zipped`: the request had `Accept-Encoding: gzip` and
/// nobody between has unpacked the answer.
pub fn judge_headers(kind: Kind, zipped: bool, header: impl Fn(&str) -> Option<String>) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut add = |rule: u8, what: String| found.push(Violation::new(rule, what));
    let of = |name: &str| header(name).unwrap_or_default();
    if of("access-control-allow-origin").is_empty() {
        add(24, "no Access-Control-Allow-Origin".into());
    }
    if of("date").is_empty() {
        add(26, "no Date".into());
    }
    let content_type = of("content-type").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let playlist = matches!(kind, Kind::Multivariant | Kind::Playlist { .. });
    let types: &[&str] = match kind {
        Kind::Error => &[],
        Kind::Media => &["video/mp4", "audio/mp4", "video/iso.segment", "audio/iso.segment", "text/vtt"],
        _ => &["application/vnd.apple.mpegurl", "audio/mpegurl"],
    };
    if !types.is_empty() && !types.contains(&content_type.as_str()) {
        add(24, format!("Content-Type {content_type:?}"));
    }
    if playlist && zipped && of("content-encoding") != "gzip" {
        add(24, "gzip was asked for and not used".into());
    }
    let cache = of("cache-control").to_ascii_lowercase();
    let age = cache.split(',').find_map(|item| item.trim().strip_prefix("max-age=")?.parse::<u64>().ok());
    let kept = !cache.contains("no-store") && !cache.contains("no-cache");
    let right = match kind {
        Kind::Multivariant => true,
        // One that came later than what it waited for may be kept for less than half a target, which of two seconds is none.
        Kind::Playlist { blocking: true, target_duration } => kept && age.is_some_and(|age| age > 0 || target_duration <= 2),
        Kind::Playlist { target_duration, .. } => !kept || age.is_some_and(|age| age * 2 < target_duration),
        Kind::Media => kept && age.is_some_and(|age| age >= 31_536_000),
        Kind::Error => !kept || age.is_some_and(|age| age <= 1),
    };
    if !right {
        add(25, format!("Cache-Control {cache:?} for {kind:?}"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(kind: Kind, lines: &[(&str, &str)]) -> Vec<u8> {
        let header = |name: &str| lines.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        judge_headers(kind, true, header).into_iter().map(|violation| violation.rule).collect()
    }

    const PLAYLIST: [(&str, &str); 5] = [
        ("access-control-allow-origin", "*"),
        ("date", "Thu, 01 Oct 2026 12:00:00 GMT"),
        ("content-type", "application/vnd.apple.mpegurl"),
        ("content-encoding", "gzip"),
        ("cache-control", "public, max-age=1"),
    ];

    #[test]
    fn right_header_lines_pass_and_every_missing_one_is_named() {
        let kind = Kind::Playlist { blocking: false, target_duration: 4 };
        assert_eq!(judged(kind, &PLAYLIST), Vec::<u8>::new());
        for (index, rule) in [24, 26, 24, 24, 25].into_iter().enumerate() {
            let mut lines = PLAYLIST.to_vec();
            lines.remove(index);
            assert_eq!(judged(kind, &lines), [rule], "without {}", PLAYLIST[index].0);
        }
    }

    #[test]
    fn each_kind_has_its_own_lifetime() {
        let with = |kind, content_type, cache| {
            judged(kind, &[PLAYLIST[0], PLAYLIST[1], ("content-type", content_type), ("cache-control", cache)])
        };
        assert_eq!(with(Kind::Media, "video/mp4", "public, max-age=31536000, immutable"), Vec::<u8>::new());
        assert_eq!(with(Kind::Media, "video/mp4", "max-age=60"), [25]);
        assert_eq!(with(Kind::Media, "text/plain", "max-age=31536000"), [24]);
        assert_eq!(with(Kind::Error, "application/json", "max-age=1"), Vec::<u8>::new());
        assert_eq!(with(Kind::Error, "application/json", "max-age=60"), [25]);
    }
}
