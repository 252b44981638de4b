//! The delivery directives of a playlist request (rfc8216bis §6.2.5), parsed strictly (rules 17 and 19).

use thiserror::Error;

/// Which delta update was asked for by `_HLS_skip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// `YES`
    Yes,
    /// `v2`: the client also understands skipped date ranges.
    V2,
}

/// What a request for a playlist says. Equal values get the same answer, whatever the order in the query was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `_HLS_msn`: wait until this segment is there.
    pub msn: Option<u64>,
    /// `_HLS_part`: wait only until this part of it is there. Never without `msn`.
    pub part: Option<u64>,
    /// `_HLS_skip`.
    pub skip: Option<Skip>,
}

/// A query that is answered with 400. The words are fit for the answer's body; they never repeat the query.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BadDirective {
    /// The same directive twice.
    #[error("{0} is given twice")]
    Duplicate(&'static str),
    /// Not a decimal integer of 1 to 18 digits.
    #[error("{0} must be a decimal integer")]
    NotANumber(&'static str),
    /// `_HLS_part` alone.
    #[error("_HLS_part needs _HLS_msn")]
    PartWithoutMsn,
    /// Another value than `YES` or `v2`.
    #[error("_HLS_skip must be YES or v2")]
    BadSkip,
}

impl Directives {
    /// Parses a URL's query (without the `?`). Unknown parameters, `_HLS_*` or not, are ignored.
    ///
    /// # Errors
    /// When a known directive is malformed, given twice, or `_HLS_part` stands without `_HLS_msn`.
    pub fn parse(query: &str) -> Result<Self, BadDirective> {
        let mut found = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "_HLS_msn" => set_once(&mut found.msn, "_HLS_msn", number("_HLS_msn", value)?)?,
                "_HLS_part" => set_once(&mut found.part, "_HLS_part", number("_HLS_part", value)?)?,
                "_HLS_skip" => set_once(&mut found.skip, "_HLS_skip", skip(value)?)?,
                _ => {}
            }
        }
        if found.part.is_some() && found.msn.is_none() {
            return Err(BadDirective::PartWithoutMsn);
        }
        Ok(found)
    }
}

fn set_once<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), BadDirective> {
    if slot.replace(value).is_some() { Err(BadDirective::Duplicate(name)) } else { Ok(()) }
}

fn number(name: &'static str, text: &str) -> Result<u64, BadDirective> {
    let digits = (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return Err(BadDirective::NotANumber(name));
    }
    text.parse().map_err(|_| BadDirective::NotANumber(name))
}

fn skip(text: &str) -> Result<Skip, BadDirective> {
    match text {
        "YES" => Ok(Skip::Yes),
        "v2" => Ok(Skip::V2),
        _ => Err(BadDirective::BadSkip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_reordered_directives_are_one_value() {
        let wanted = Directives { msn: Some(7), part: Some(2), skip: Some(Skip::Yes) };
        assert_eq!(Directives::parse("_HLS_msn=7&_HLS_part=2&_HLS_skip=YES"), Ok(wanted));
        assert_eq!(Directives::parse("_HLS_skip=YES&token=a&_HLS_part=2&_HLS_msn=7"), Ok(wanted));
        assert_eq!(Directives::parse(""), Ok(Directives::default()));
        assert_eq!(Directives::parse("_HLS_push=1&_HLS_report"), Ok(Directives::default()));
    }

    #[test]
    fn rule_17_a_part_needs_an_msn() {
        assert_eq!(Directives::parse("_HLS_part=0"), Err(BadDirective::PartWithoutMsn));
    }

    #[test]
    fn rule_19_malformed_directives_are_refused() {
        for value in ["-1", "", "+1", "1.0", "0x1", " 1", "1e3", "9999999999999999999", "%31", "１"] {
            let query = format!("_HLS_msn={value}");
            assert_eq!(Directives::parse(&query), Err(BadDirective::NotANumber("_HLS_msn")), "{value}");
        }
        assert_eq!(Directives::parse("_HLS_msn"), Err(BadDirective::NotANumber("_HLS_msn")));
        assert_eq!(Directives::parse("_HLS_msn=1&_HLS_msn=1"), Err(BadDirective::Duplicate("_HLS_msn")));
        assert_eq!(Directives::parse("_HLS_msn=1&_HLS_part=1&_HLS_part=2"), Err(BadDirective::Duplicate("_HLS_part")));
        assert_eq!(Directives::parse("_HLS_skip=no"), Err(BadDirective::BadSkip));
    }
}
