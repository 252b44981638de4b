//! Attribute lists, decimal seconds and dates as the playlists write them (rfc8216bis §4.2).

/// A decimal number of seconds, exact, with the step that its digits can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds {
    /// Nanoseconds.
    pub nanos: i64,
    /// What the last written digit stands for, in nanoseconds.
    pub step: i64,
}

impl Seconds {
    /// Nothing, exactly.
    pub const ZERO: Self = Self { nanos: 0, step: 0 };

    /// `1.92000`. No sign, no exponent, at most nine decimals count.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() || !digits(whole) || !digits(fraction) || whole.len() > 9 {
            return None;
        }
        let (nanos, step) = fraction_nanos(fraction)?;
        Some(Self { nanos: whole.parse::<i64>().ok()? * NANOS + nanos, step })
    }

    /// For messages.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.nanos as f64 / NANOS as f64
    }
}

/// Nanoseconds of one second.
pub const NANOS: i64 = 1_000_000_000;

/// How far a date may be off the sum of EXTINF at each segment (rule 6): clocks of publishers drift against that of the server, so
/// a programme of days must be able to follow it. Nanoseconds.
pub(crate) const SLEW: i64 = NANOS / 1000;

fn digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn fraction_nanos(fraction: &str) -> Option<(i64, i64)> {
    let shown = fraction.get(..fraction.len().min(9))?;
    let step = 10_i64.pow(9 - u32::try_from(shown.len()).ok()?);
    let count = if shown.is_empty() { 0 } else { shown.parse::<i64>().ok()? };
    Some((count * step, step))
}

/// An instant out of EXT-X-PROGRAM-DATE-TIME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// Nanoseconds since the Unix epoch.
    pub nanos: i64,
    /// What the last written digit stands for, in nanoseconds.
    pub step: i64,
}

impl Date {
    /// ISO 8601 with `T` and a zone, as `2026-10-01T12:00:00.250Z` or `…+09:00`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (day, rest) = text.split_once('T')?;
        let at = rest.find(['Z', '+', '-'])?;
        let (clock, zone) = rest.split_at(at);
        let [year, month, date] = numbers::<3>(day, '-')?;
        if !(1..=12).contains(&month) || !(1..=31).contains(&date) {
            return None;
        }
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
        let [hour, minute, second] = numbers::<3>(clock, ':')?;
        if !digits(fraction) || hour > 24 || minute > 59 || second > 60 {
            return None;
        }
        let (nanos, step) = fraction_nanos(fraction)?;
        let seconds = days_since_epoch(year, month, date) * 86_400 + hour * 3600 + minute * 60 + second - offset(zone)?;
        Some(Self { nanos: seconds.checked_mul(NANOS)?.checked_add(nanos)?, step })
    }

    /// Later by `nanos`.
    #[must_use]
    pub fn plus(self, nanos: i64) -> Self {
        Self { nanos: self.nanos + nanos, step: self.step }
    }
}

fn numbers<const N: usize>(text: &str, separator: char) -> Option<[i64; N]> {
    let mut found = [0; N];
    let mut fields = text.split(separator);
    for slot in &mut found {
        let field = fields.next().filter(|field| !field.is_empty() && field.len() <= 4 && digits(field))?;
        *slot = field.parse().ok()?;
    }
    if fields.next().is_some() { None } else { Some(found) }
}

/// Seconds that the zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let zone = zone.get(1..)?.replace(':', "");
    if zone.len() != 4 || !digits(&zone) {
        return None;
    }
    let [hours, minutes] = [zone[..2].parse::<i64>().ok()?, zone[2..].parse::<i64>().ok()?];
    Some(sign * (hours * 3600 + minutes * 60))
}

/// Of the proleptic Gregorian calendar; the year begins in March, so that the leap day is its last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// An attribute list: `NAME=value,NAME="quoted, value"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Vec<(String, Value)>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    text: String,
    quoted: bool,
}

impl Attributes {
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(mut text: &str) -> Result<Self, String> {
        let mut found: Vec<(String, Value)> = Vec::new();
        while !text.is_empty() {
            let (name, rest) = text.split_once('=').ok_or_else(|| format!("no value in {text:?}"))?;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-') {
                return Err(format!("{name:?} is not an attribute name"));
            }
            if found.iter().any(|(known, _)| known == name) {
                return Err(format!("{name} twice"));
            }
            let (value, rest) = value(rest)?;
            found.push((name.to_owned(), value));
            text = rest;
        }
        Ok(Self(found))
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// How many there are.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "an empty list is refused where it is read")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Names with their values, quoted or not.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.text.as_str()))
    }

    /// Of a quoted string.
    #[must_use]
    pub fn quoted(&self, name: &str) -> Option<&str> {
        self.value(name).filter(|value| value.quoted).map(|value| value.text.as_str())
    }

    /// Of an unquoted value.
    #[must_use]
    pub fn plain(&self, name: &str) -> Option<&str> {
        self.value(name).filter(|value| !value.quoted).map(|value| value.text.as_str())
    }

    /// `YES` and nothing else.
    #[must_use]
    pub fn yes(&self, name: &str) -> bool {
        self.plain(name) == Some("YES")
    }

    /// A decimal-integer.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<u64> {
        self.plain(name).filter(|text| digits(text)).and_then(|text| text.parse().ok())
    }

    /// A decimal-floating-point that counts seconds.
    #[must_use]
    pub fn seconds(&self, name: &str) -> Option<Seconds> {
        self.plain(name).and_then(Seconds::parse)
    }

    /// The same names with the same values, in whatever order.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().all(|(name, value)| other.value(name) == Some(value))
    }
}

fn value(text: &str) -> Result<(Value, &str), String> {
    if let Some(inside) = text.strip_prefix('"') {
        let (value, rest) = inside.split_once('"').ok_or_else(|| format!("the quote does not end in {text:?}"))?;
        let rest = if rest.is_empty() { rest } else { rest.strip_prefix(',').ok_or("no comma after a quote")? };
        return Ok((Value { text: value.to_owned(), quoted: true }, rest));
    }
    let (value, rest) = text.split_once(',').unwrap_or((text, ""));
    if value.is_empty() || value.contains([' ', '"', '\t']) {
        return Err(format!("{value:?} is not a value"));
    }
    Ok((Value { text: value.to_owned(), quoted: false }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        assert_eq!(Seconds::parse("0.33334"), Some(Seconds { nanos: 333_340_000, step: 10_000 }));
        assert_eq!(Seconds::parse("12"), Some(Seconds { nanos: 12 * NANOS, step: NANOS }));
        for wrong in ["", "-1", "1e3", ".5", "1.-2", "NaN"] {
            assert_eq!(Seconds::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn dates_are_instants() {
        let date = Date::parse("2026-10-01T12:00:00.250Z").unwrap();
        assert_eq!((date.nanos, date.step), (1_790_856_000_250_000_000, 1_000_000));
        assert_eq!(Date::parse("2026-10-01T21:00:00.250+09:00"), Some(date));
        assert_eq!(Date::parse("1970-01-01T00:00:00Z").unwrap().nanos, 0);
        assert_eq!(Date::parse("2024-02-29T00:00:00Z").unwrap().nanos, 1_709_164_800 * NANOS);
        for wrong in ["2026-10-01 12:00:00Z", "2026-10-01T12:00:00", "2026-13-01T12:00:00Z", "noon"] {
            assert_eq!(Date::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn attribute_lists_are_read_or_refused() {
        let list = Attributes::parse("A=1,B-C=\"x,y=z\",D=YES").unwrap();
        assert_eq!((list.integer("A"), list.quoted("B-C"), list.yes("D")), (Some(1), Some("x,y=z"), true));
        assert!(list.same(&Attributes::parse("D=YES,A=1,B-C=\"x,y=z\"").unwrap()));
        assert!(!list.same(&Attributes::parse("D=YES,A=1").unwrap()));
        for wrong in ["A", "a=1", "A=1,A=2", "A=\"x", "A=", "A=\"x\"B=1", "A= 1"] {
            assert!(Attributes::parse(wrong).is_err(), "{wrong}");
        }
    }
}
