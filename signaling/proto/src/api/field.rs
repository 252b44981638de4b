//! A JSON member together with its path, so that every error can name it.

use std::ops::RangeInclusive;

use serde_json::Value;

/// A member of a request that cannot be taken as it is. Displays as `path: why`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct InvalidField {
    /// Where, as `hls[0].video.width`.
    pub path: String,
    /// What is wrong with it.
    pub why: String,
}

/// Longest excerpt of a wrong value in an error.
const EXCERPT_CHARS_MAX: usize = 40;

pub(crate) struct Field<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> Field<'a> {
    /// The whole request. An empty body arrives here as `null` and counts as `{}`.
    pub(crate) fn body(value: &'a Value) -> Result<Self, InvalidField> {
        let field = Self { path: String::new(), value };
        if value.is_object() || value.is_null() {
            return Ok(field);
        }
        Err(InvalidField { path: "body".into(), why: format!("must be a JSON object, got {}", field.excerpt()) })
    }

    /// A member; `null` counts as absent.
    pub(crate) fn member(&self, name: &str) -> Option<Field<'a>> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Field { path: self.join(name), value })
    }

    pub(crate) fn required(&self, name: &str) -> Result<Field<'a>, InvalidField> {
        self.member(name).ok_or_else(|| InvalidField { path: self.join(name), why: "is missing".into() })
    }

    fn join(&self, name: &str) -> String {
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) }
    }

    pub(crate) fn wrong(&self, why: impl Into<String>) -> InvalidField {
        InvalidField { path: self.path.clone(), why: why.into() }
    }

    fn must(&self, what: &str) -> InvalidField {
        self.wrong(format!("must be {what}, got {}", self.excerpt()))
    }

    fn excerpt(&self) -> String {
        let text = match self.value {
            Value::Array(items) => return format!("an array of {}", items.len()),
            Value::Object(_) => return "an object".into(),
            other => other.to_string(),
        };
        if text.chars().count() <= EXCERPT_CHARS_MAX {
            return text;
        }
        text.chars().take(EXCERPT_CHARS_MAX).chain("…".chars()).collect()
    }

    pub(crate) fn text(&self) -> Result<&'a str, InvalidField> {
        self.value.as_str().ok_or_else(|| self.must("a string"))
    }

    /// Text of 1 to so many bytes.
    pub(crate) fn bounded_text(&self, bytes_max: usize) -> Result<&'a str, InvalidField> {
        let text = self.text()?;
        if text.is_empty() || text.len() > bytes_max {
            return Err(self.wrong(format!("must have 1 to {bytes_max} bytes, got {}", text.len())));
        }
        Ok(text)
    }

    pub(crate) fn flag(&self) -> Result<bool, InvalidField> {
        self.value.as_bool().ok_or_else(|| self.must("true or false"))
    }

    /// As it is.
    pub(crate) fn value(&self) -> &'a Value {
        self.value
    }

    pub(crate) fn object(&self) -> Result<(), InvalidField> {
        if self.value.is_object() { Ok(()) } else { Err(self.must("an object")) }
    }

    /// A whole number; `30.0` counts as one.
    pub(crate) fn integer(&self, range: RangeInclusive<u32>) -> Result<u32, InvalidField> {
        let whole = |float: f64| (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64);
        let number = self.value.as_i64().or_else(|| self.value.as_f64().and_then(whole));
        number
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.must(&between(&range)))
    }

    pub(crate) fn number(&self, range: RangeInclusive<f64>) -> Result<f64, InvalidField> {
        let number = self.value.as_f64().filter(|number| range.contains(number));
        number.ok_or_else(|| self.must(&between(&range)))
    }

    pub(crate) fn one_of<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, InvalidField> {
        let text = self.text()?;
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
            return Ok(*choice);
        }
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        Err(self.must(&format!("one of {}", names.join(", "))))
    }

    /// The elements of an array whose length is in `count`.
    pub(crate) fn items(&self, count: RangeInclusive<usize>) -> Result<Vec<Field<'a>>, InvalidField> {
        let Some(items) = self.value.as_array().filter(|items| count.contains(&items.len())) else {
            return Err(self.must(&format!("an array of {} to {}", count.start(), count.end())));
        };
        let at = |(index, value)| Field { path: format!("{}[{index}]", self.path), value };
        Ok(items.iter().enumerate().map(at).collect())
    }
}

fn between<T: std::fmt::Display>(range: &RangeInclusive<T>) -> String {
    format!("{} to {}", range.start(), range.end())
}
