//! `MINAMO_HTTP__LISTEN` is `http.listen`.

use super::ConfigError;

const PREFIX: &str = "MINAMO_";

/// Names that belong to the command line, not to the configuration: `MINAMO_CONFIG` names the file.
const NOT_KEYS: [&str; 1] = ["MINAMO_CONFIG"];

/// (variable, dotted key, value) of every variable that sets a key, in order of their names. An empty value counts as
/// not set: that is what a compose file makes of a missing one.
pub(super) fn keys(variables: impl IntoIterator<Item = (String, String)>) -> Result<Vec<(String, String, String)>, ConfigError> {
    let mut keys = Vec::new();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if NOT_KEYS.contains(&name.as_str()) || value.is_empty() {
            continue;
        }
        let key = rest.to_ascii_lowercase().replace("__", ".");
        if key.is_empty() || key.split('.').any(str::is_empty) {
            return Err(ConfigError::Wrong { why: format!("{name} names no key"), place: name });
        }
        keys.push((name, key, value));
    }
    keys.sort();
    Ok(keys)
}
