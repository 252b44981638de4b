//! `POST /v1/channels/{channel_id}/metadata`: timed metadata, which becomes EXT-X-DATERANGE.

use std::collections::BTreeMap;

use minamo_media::ConnectionId;
use serde_json::Value;

use super::field::{Field, InvalidField};

const ID_BYTES_MAX: usize = 128;
const TEXT_BYTES_MAX: usize = 2048;
const ATTRIBUTES_MAX: usize = 16;
/// A splice_info_section has at most 4095 bytes behind its third (SCTE 35 §9.6).
const SECTION_BYTES_MAX: usize = 4098;
const DAY: f64 = 86_400.0;

/// What is said of a span of time.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedMetadata {
    /// Names it; made by the server when it is left out.
    pub id: Option<String>,
    /// In this publisher's programme only.
    pub publisher: Option<ConnectionId>,
    /// RFC 3339, unparsed; now, when it is left out.
    pub start_date: Option<String>,
    /// Seconds; 0 for a moment.
    pub duration: Option<f64>,
    /// Seconds.
    pub planned_duration: Option<f64>,
    /// As they are written behind `NAME=` in the tag.
    pub attributes: BTreeMap<String, String>,
}

impl TimedMetadata {
    /// Reads the request's body. What says nothing of its length and begins no splice is a moment.
    ///
    /// # Errors
    /// The first member that is wrong.
    pub fn parse(body: &Value) -> Result<Self, InvalidField> {
        let body = Field::body(body)?;
        let seconds = |name| body.member(name).map(|field| field.number(0.0..=DAY)).transpose();
        let (duration, planned_duration) = (seconds("duration")?, seconds("planned_duration")?);
        let attributes = attributes(&body)?;
        let is_open = planned_duration.is_some() || attributes.contains_key("SCTE35-OUT");
        Ok(Self {
            id: body.member("id").map(|field| quotable(&field, ID_BYTES_MAX).map(str::to_owned)).transpose()?,
            publisher: body.member("connection_id").map(|field| field.bounded_text(ID_BYTES_MAX)).transpose()?.map(Into::into),
            start_date: body.member("start_date").map(|field| field.bounded_text(64).map(str::to_owned)).transpose()?,
            duration: if is_open { duration } else { duration.or(Some(0.0)) },
            planned_duration,
            attributes,
        })
    }
}

fn attributes(body: &Field<'_>) -> Result<BTreeMap<String, String>, InvalidField> {
    let mut all = BTreeMap::new();
    if let Some(field) = body.member("class") {
        all.insert("CLASS".to_owned(), format!("\"{}\"", quotable(&field, ID_BYTES_MAX)?));
    }
    for (member, name) in [("scte35_out", "SCTE35-OUT"), ("scte35_in", "SCTE35-IN"), ("scte35_cmd", "SCTE35-CMD")] {
        if let Some(field) = body.member(member) {
            all.insert(name.to_owned(), section(&field)?);
        }
    }
    let Some(own) = body.member("attributes") else { return Ok(all) };
    own.object()?;
    let members = own.value().as_object().map(serde_json::Map::keys).into_iter().flatten();
    for name in members {
        let Some(field) = own.member(name) else { continue };
        if all.len() >= ATTRIBUTES_MAX {
            return Err(own.wrong(format!("must have at most {ATTRIBUTES_MAX}")));
        }
        let plain = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-');
        if !name.starts_with("X-") || name.len() > ID_BYTES_MAX || !plain {
            return Err(field.wrong("must have a name of X- and A-Z, 0-9, -"));
        }
        all.insert(name.clone(), written(&field)?);
    }
    Ok(all)
}

/// rfc8216bis §4.2: a quoted string or a number.
fn written(field: &Field<'_>) -> Result<String, InvalidField> {
    match field.value() {
        Value::Number(number) => Ok(number.to_string()),
        _ => Ok(format!("\"{}\"", quotable(field, TEXT_BYTES_MAX)?)),
    }
}

/// What may stand in a quoted string of a playlist.
pub(super) fn quotable<'a>(field: &Field<'a>, bytes_max: usize) -> Result<&'a str, InvalidField> {
    let text = field.bounded_text(bytes_max)?;
    if text.chars().any(|c| c == '"' || c.is_control()) {
        return Err(field.wrong("must have no quotation marks and no control characters"));
    }
    Ok(text)
}

/// A whole splice_info_section in hex (rule 28): its table id, and the length that it says.
fn section(field: &Field<'_>) -> Result<String, InvalidField> {
    let text = field.bounded_text(2 + 2 * SECTION_BYTES_MAX)?;
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text).to_ascii_uppercase();
    let digits = hex.len() >= 6 && hex.len().is_multiple_of(2) && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let length = || usize::from_str_radix(&hex[3..6], 16).ok();
    let whole = digits && hex.starts_with("FC") && length().is_some_and(|length| hex.len() == 2 * (length + 3));
    if whole { Ok(format!("0x{hex}")) } else { Err(field.wrong("must be a whole splice_info_section in hex")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Of SCTE 35: a splice_insert.
    const OUT: &str = "0xFC302F000000000000FFFFF014054800008F7FEFFE7369C02EFE0052CCF500000000000A0008435545490000013562DBA30A";

    fn refusal(body: &Value) -> String {
        TimedMetadata::parse(body).unwrap_err().to_string()
    }

    #[test]
    fn everything_arrives_as_it_is_written() {
        let body = json!({"id": "ad-1", "class": "com.example.ad", "start_date": "2026-11-20T12:00:00Z", "planned_duration": 30,
            "scte35_out": OUT.to_lowercase(), "attributes": {"X-TITLE": "夏", "X-N": 1.5}, "connection_id": "P"});
        let parsed = TimedMetadata::parse(&body).unwrap();
        let attributes: Vec<_> = parsed.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(attributes, ["CLASS=\"com.example.ad\"", &format!("SCTE35-OUT={OUT}"), "X-N=1.5", "X-TITLE=\"夏\""]);
        assert_eq!((parsed.duration, parsed.planned_duration), (None, Some(30.0)));
        assert_eq!((parsed.id.as_deref(), parsed.publisher), (Some("ad-1"), Some(ConnectionId::from("P"))));
    }

    #[test]
    fn what_says_no_length_is_a_moment() {
        assert_eq!(TimedMetadata::parse(&json!({})).unwrap().duration, Some(0.0));
        assert_eq!(TimedMetadata::parse(&json!({"duration": 2})).unwrap().duration, Some(2.0));
        assert_eq!(TimedMetadata::parse(&json!({"scte35_out": OUT})).unwrap().duration, None);
    }

    #[test]
    fn what_cannot_stand_in_a_playlist_is_refused() {
        for (body, path) in [
            (json!({"id": "a\"b"}), "id: must have no quotation marks"),
            (json!({"id": "a\nb"}), "id: must have no"),
            (json!({"id": ""}), "id: must have 1 to"),
            (json!({"duration": -1}), "duration: must be"),
            (json!({"attributes": {"TITLE": "x"}}), "attributes.TITLE: must have a name"),
            (json!({"attributes": {"X-title": "x"}}), "attributes.X-title: must have a name"),
            (json!({"attributes": {"X-A": ["x"]}}), "attributes.X-A: must be a string"),
            (json!({"scte35_out": "FC"}), "scte35_out: must be a whole"),
            (json!({"scte35_out": &OUT[..OUT.len() - 2]}), "scte35_out: must be a whole"),
            (json!({"scte35_in": "00302F"}), "scte35_in: must be a whole"),
        ] {
            assert!(refusal(&body).starts_with(path), "{}", refusal(&body));
        }
        let many: serde_json::Map<_, _> = (0..17).map(|n| (format!("X-{n}"), json!("x"))).collect();
        assert!(refusal(&json!({"attributes": many})).starts_with("attributes: must have at most"));
    }
}
