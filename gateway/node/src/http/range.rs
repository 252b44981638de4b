//! Byte ranges (RFC 9110 §14): one range is obeyed, anything else gets the whole file, as the RFC permits.

use std::ops::Range;

/// What a `Range` header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    Part(Range<usize>),
    OutOfReach,
}

/// Reads a `Range` header against a file of `length` bytes.
pub(super) fn wanted(header: Option<&str>, length: usize) -> Wanted {
    let Some(spec) = header.and_then(|text| text.strip_prefix("bytes=")) else { return Wanted::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    match (position(first), position(last)) {
        (Some(Some(first)), Some(last)) => {
            let end = last.map_or(length, |last| last.saturating_add(1).min(length));
            if last.is_some_and(|last| last < first) {
                Wanted::Whole
            } else if first >= length {
                Wanted::OutOfReach
            } else {
                Wanted::Part(first..end)
            }
        }
        (Some(None), Some(Some(0))) => Wanted::OutOfReach,
        (Some(None), Some(Some(_))) if length == 0 => Wanted::OutOfReach,
        (Some(None), Some(Some(tail))) => Wanted::Part(length.saturating_sub(tail)..length),
        _ => Wanted::Whole,
    }
}

/// `Some(None)` for nothing there, `None` for no number. Numbers too large for a file are its end.
fn position(text: &str) -> Option<Option<usize>> {
    if text.is_empty() {
        return Some(None);
    }
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| Some(text.parse().unwrap_or(usize::MAX)))
}

#[cfg(test)]
mod tests {
    use super::{Wanted, wanted};

    #[test]
    fn single_ranges() {
        for (header, expected) in [
            ("bytes=0-", Wanted::Part(0..100)),
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=10-19", Wanted::Part(10..20)),
            ("bytes=90-1000", Wanted::Part(90..100)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0..100)),
            ("bytes=-10", Wanted::Part(90..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=100-", Wanted::OutOfReach),
            ("bytes=-0", Wanted::OutOfReach),
        ] {
            assert_eq!(wanted(Some(header), 100), expected, "{header}");
        }
    }

    #[test]
    fn everything_else_is_the_whole_file() {
        for header in ["", "bytes=", "bytes=-", "bytes=5-3", "bytes=0-1,3-4", "bytes=a-b", "items=0-1", "bytes=+1-2"] {
            assert_eq!(wanted(Some(header), 100), Wanted::Whole, "{header}");
        }
        assert_eq!(wanted(None, 100), Wanted::Whole);
        assert_eq!(wanted(Some("bytes=-5"), 0), Wanted::OutOfReach);
    }
}
