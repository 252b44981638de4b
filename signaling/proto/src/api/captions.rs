//! `POST /v1/channels/{channel_id}/captions`.

use minamo_media::ConnectionId;
use serde_json::Value;

use super::field::{Field, InvalidField};

const CUES_MAX: usize = 100;
const TEXT_BYTES_MAX: usize = 2048;
/// Programmes do not last for years.
const SECONDS_MAX: f64 = 31_536_000.0;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptionsWish {
    /// One of the channel's languages; its first when it is left out.
    pub language: Option<String>,
    /// In this publisher's programme only.
    pub publisher: Option<ConnectionId>,
    /// 1 to 100.
    pub cues: Vec<CueWish>,
}

/// One caption.
#[derive(Clone, Debug, PartialEq)]
pub struct CueWish {
    /// From then on.
    pub start: CueMoment,
    /// Until then.
    pub end: CueMoment,
    /// WebVTT cue text.
    pub text: String,
}

/// A moment, as it may be written.
#[derive(Clone, Debug, PartialEq)]
pub enum CueMoment {
    /// RFC 3339, unparsed.
    Date(String),
    /// Seconds since the programme's beginning.
    Seconds(f64),
}

impl CaptionsWish {
    /// Reads the request's body.
    ///
    /// # Errors
    /// The first member that is missing or wrong.
    pub fn parse(body: &Value) -> Result<Self, InvalidField> {
        let body = Field::body(body)?;
        let cues = body.required("cues")?.items(1..=CUES_MAX)?.iter().map(cue).collect::<Result<_, _>>()?;
        Ok(Self {
            language: body.member("language").map(|field| field.bounded_text(35).map(str::to_owned)).transpose()?,
            publisher: body.member("connection_id").map(|field| field.bounded_text(128)).transpose()?.map(Into::into),
            cues,
        })
    }
}

fn cue(item: &Field<'_>) -> Result<CueWish, InvalidField> {
    item.object()?;
    let text = item.required("text")?.bounded_text(TEXT_BYTES_MAX)?;
    Ok(CueWish { start: moment(&item.required("start")?)?, end: moment(&item.required("end")?)?, text: text.to_owned() })
}

fn moment(field: &Field<'_>) -> Result<CueMoment, InvalidField> {
    match field.value() {
        Value::String(_) => field.bounded_text(64).map(|text| CueMoment::Date(text.to_owned())),
        _ => field.number(0.0..=SECONDS_MAX).map(CueMoment::Seconds),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moments_are_dates_or_seconds() {
        let body = json!({"language": "ja", "cues": [{"start": "2026-11-20T12:00:00Z", "end": 12.5, "text": "x"}]});
        let wish = CaptionsWish::parse(&body).unwrap();
        let cue =
            CueWish { start: CueMoment::Date("2026-11-20T12:00:00Z".into()), end: CueMoment::Seconds(12.5), text: "x".into() };
        assert_eq!((wish.language.as_deref(), wish.cues), (Some("ja"), vec![cue]));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let cue = json!({"start": 1, "end": 2, "text": "x"});
        for (body, words) in [
            (json!({}), "cues: is missing"),
            (json!({"cues": []}), "cues: must be"),
            (json!({"cues": vec![cue.clone(); 101]}), "cues: must be"),
            (json!({"cues": [{"start": 1, "end": 2}]}), "cues[0].text: is missing"),
            (json!({"cues": [{"start": -1, "end": 2, "text": "x"}]}), "cues[0].start: must be"),
            (json!({"cues": [{"start": 1, "end": true, "text": "x"}]}), "cues[0].end: must be"),
            (json!({"cues": [{"start": 1, "end": 2, "text": ""}]}), "cues[0].text: must have"),
        ] {
            let found = CaptionsWish::parse(&body).unwrap_err().to_string();
            assert!(found.starts_with(words), "{found}");
        }
    }
}
