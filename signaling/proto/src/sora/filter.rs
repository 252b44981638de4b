//! Forwarding filters: what a connection is not sent.

use serde::Serialize;
use serde_json::Value;

use super::BadMessage;
use crate::api::InvalidField;
use crate::api::field::Field;

/// Filters of one connection, and of one channel.
pub const FORWARDING_FILTERS_MAX: usize = 16;
/// Alternatives of a filter, and conditions of an alternative.
const RULES_MAX: usize = 32;
const VALUES_MAX: usize = 256;
const TEXT_BYTES_MAX: usize = 255;
const METADATA_BYTES_MAX: usize = 8 * 1024;
/// What a filter without a name is called.
pub const FILTER_NAME_DEFAULT: &str = "default";
/// The priority of a filter that names none.
pub const FILTER_PRIORITY_DEFAULT: u32 = 32_767;
const FILTER_PRIORITY_MAX: u32 = 65_535;

/// What happens to the tracks that a filter matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FilterAction {
    /// They are not forwarded.
    #[default]
    Block,
    /// They are forwarded, whatever later filters say.
    Allow,
}

/// What a rule looks at, of the track's sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FilterField {
    ConnectionId,
    ClientId,
    /// `audio` or `video`.
    Kind,
}

/// How a rule compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FilterOperator {
    IsIn,
    IsNotIn,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FilterRule {
    /// What is looked at.
    pub field: FilterField,
    /// How it is compared.
    pub operator: FilterOperator,
    /// With these: 0 to 256.
    pub values: Vec<String>,
}

/// One filter. Serialises to the form in which it came, defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ForwardingFilter {
    /// Unique among the filters beside it; [`FILTER_NAME_DEFAULT`] where none was given.
    pub name: String,
    /// The filter with the lowest number is looked at first; [`FILTER_PRIORITY_DEFAULT`] where none was given.
    pub priority: u32,
    /// Blocks unless told otherwise.
    pub action: FilterAction,
    /// For whoever updates it: not interpreted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Not interpreted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// The filter matches where all conditions of any of these lists hold.
    pub rules: Vec<Vec<FilterRule>>,
}

impl ForwardingFilter {
    pub(crate) fn read(field: &Field<'_>) -> Result<Self, InvalidField> {
        field.object()?;
        let text = |name: &str| field.member(name).map(|field| field.bounded_text(TEXT_BYTES_MAX).map(str::to_owned)).transpose();
        let actions = [("block", FilterAction::Block), ("allow", FilterAction::Allow)];
        let priority = field.member("priority").map(|field| field.integer(0..=FILTER_PRIORITY_MAX)).transpose()?;
        let metadata = field.member("metadata").map(|field| match field.value().to_string().len() {
            0..=METADATA_BYTES_MAX => Ok(field.value().clone()),
            _ => Err(field.wrong(format!("must have at most {METADATA_BYTES_MAX} bytes as JSON"))),
        });
        let rules = field.required("rules")?.items(0..=RULES_MAX)?;
        let all_of = |rules: &Field<'_>| rules.items(0..=RULES_MAX)?.iter().map(rule).collect::<Result<_, _>>();
        Ok(Self {
            name: text("name")?.unwrap_or_else(|| FILTER_NAME_DEFAULT.to_owned()),
            priority: priority.unwrap_or(FILTER_PRIORITY_DEFAULT),
            action: field.member("action").map(|field| field.one_of(&actions)).transpose()?.unwrap_or_default(),
            version: text("version")?,
            metadata: metadata.transpose()?,
            rules: rules.iter().map(all_of).collect::<Result<_, _>>()?,
        })
    }
}

fn rule(field: &Field<'_>) -> Result<FilterRule, InvalidField> {
    let fields =
        [("connection_id", FilterField::ConnectionId), ("client_id", FilterField::ClientId), ("kind", FilterField::Kind)];
    let operators = [("is_in", FilterOperator::IsIn), ("is_not_in", FilterOperator::IsNotIn)];
    let values = field.required("values")?.items(0..=VALUES_MAX)?;
    let value = |field: &Field<'_>| field.bounded_text(TEXT_BYTES_MAX).map(str::to_owned);
    Ok(FilterRule {
        field: field.required("field")?.one_of(&fields)?,
        operator: field.required("operator")?.one_of(&operators)?,
        values: values.iter().map(value).collect::<Result<_, _>>()?,
    })
}

/// Reads `forwarding_filters`, or else the single `forwarding_filter` of older clients, out of a `connect` or an answer of the
/// auth webhook. `None` where there is neither.
///
/// # Errors
/// `INVALID-FORWARDING-FILTERS` or, for two of one name, `DUPLICATE-FORWARDING-FILTER-NAME`.
pub fn forwarding_filters(message: &Value) -> Result<Option<Vec<ForwardingFilter>>, BadMessage> {
    const INVALID: BadMessage = BadMessage("INVALID-FORWARDING-FILTERS");
    let body = Field::body(message).map_err(|_| INVALID)?;
    let read = || match (body.member("forwarding_filters"), body.member("forwarding_filter")) {
        (Some(list), _) => {
            let items = list.items(0..=FORWARDING_FILTERS_MAX)?;
            items.iter().map(ForwardingFilter::read).collect::<Result<Vec<_>, _>>().map(Some)
        }
        (None, Some(single)) => Ok(Some(vec![ForwardingFilter::read(&single)?])),
        (None, None) => Ok(None),
    };
    let filters = read().map_err(|_: InvalidField| INVALID)?;
    let twice = |filters: &Vec<ForwardingFilter>| {
        let named = |(at, filter): (usize, &ForwardingFilter)| filters[..at].iter().any(|other| other.name == filter.name);
        filters.iter().enumerate().any(named)
    };
    match filters {
        Some(filters) if twice(&filters) => Err(BadMessage("DUPLICATE-FORWARDING-FILTER-NAME")),
        filters => Ok(filters),
    }
}
