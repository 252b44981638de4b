//! Wall time as Sora writes it.

use time::OffsetDateTime;
use time::macros::format_description;

/// RFC 3339, UTC, exactly six digits of a second.
pub(crate) fn timestamp(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    // Fails only for a writer that fails; a String does not.
    at.to_offset(time::UtcOffset::UTC).format(format).unwrap_or_default()
}

pub(crate) fn now() -> String {
    timestamp(OffsetDateTime::now_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_always() {
        let at = |nanos| OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap();
        assert_eq!(timestamp(at(1_767_323_045_678_901_234)), "2026-01-02T03:04:05.678901Z");
        assert_eq!(timestamp(at(0)), "1970-01-01T00:00:00.000000Z");
    }
}
