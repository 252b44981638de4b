//! EXT-X-DATERANGE (rule 28): an id is never used again, its attributes never change, and all renditions say the same.

use std::collections::BTreeMap;

use super::Violation;
use super::attributes::{Attributes, Date};
use super::playlist::MediaPlaylist;

/// Attributes of every range that one rendition ever listed, by id.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    known: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    attributes: BTreeMap<String, String>,
    gone: bool,
}

impl Ranges {
    /// Takes the next version. A delta update of version 2 may leave out what was there.
    pub(super) fn advance(&mut self, playlist: &MediaPlaylist, found: &mut Vec<Violation>) {
        let mut add = |what: String| found.push(Violation::new(28, what));
        let mut listed: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
        for range in &playlist.date_ranges {
            let Some(id) = range.quoted("ID") else {
                add("EXT-X-DATERANGE without ID".into());
                continue;
            };
            judge_form(id, range, &mut add);
            let all = listed.entry(id).or_default();
            for (name, value) in range.iter() {
                if all.insert(name.to_owned(), value.to_owned()).is_some_and(|before| before != value) {
                    add(format!("{id}: two values of {name} in one version"));
                }
            }
        }
        for (id, attributes) in &listed {
            match self.known.get_mut(*id) {
                None => {
                    if !attributes.contains_key("START-DATE") {
                        add(format!("{id} has no START-DATE"));
                    }
                    self.known.insert((*id).to_owned(), Known { attributes: attributes.clone(), gone: false });
                }
                Some(known) if known.gone => add(format!("{id} left the playlist and is used again")),
                Some(known) => {
                    for (name, value) in attributes {
                        let before = known.attributes.entry(name.clone()).or_insert_with(|| value.clone());
                        if before != value {
                            add(format!("{id}: {name} went from {before} to {value}"));
                        }
                    }
                    if let Some(lost) = known.attributes.keys().find(|name| !attributes.contains_key(*name)) {
                        add(format!("{id} lost its {lost}"));
                    }
                }
            }
        }
        if playlist.skipped.is_none() || playlist.version != Some(10) {
            for (_, known) in self.known.iter_mut().filter(|(id, _)| !listed.contains_key(id.as_str())) {
                known.gone = true;
            }
        }
    }

    /// What both have of one id must be the same; one may be a version ahead.
    pub(super) fn judge_beside(&self, name: &str, other: &Self, found: &mut Vec<Violation>) {
        for (id, ours) in &self.known {
            let Some(theirs) = other.known.get(id) else { continue };
            let differs = |(name, value): &(&String, &String)| theirs.attributes.get(*name).is_some_and(|other| other != *value);
            if let Some((attribute, value)) = ours.attributes.iter().find(differs) {
                found.push(Violation::new(28, format!("{id}: {attribute} is {value} here and another in {name}")));
            }
        }
    }

    /// Is an id missing here that the other rendition lists?
    pub(super) fn lacks<'a>(&self, other: &'a Self) -> Option<&'a str> {
        let missing = other.known.iter().find(|(id, known)| !known.gone && !self.known.contains_key(*id));
        missing.map(|(id, _)| id.as_str())
    }
}

fn judge_form(id: &str, range: &Attributes, add: &mut impl FnMut(String)) {
    if range.quoted("START-DATE").is_some_and(|text| Date::parse(text).is_none()) {
        add(format!("{id}: START-DATE is no date with a zone"));
    }
    for name in ["SCTE35-OUT", "SCTE35-IN", "SCTE35-CMD"] {
        let Some(text) = range.plain(name) else { continue };
        let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or_default();
        let whole = hex.get(3..6).and_then(|length| usize::from_str_radix(length, 16).ok());
        let is_section = hex.get(..2).is_some_and(|table| table.eq_ignore_ascii_case("FC"));
        if !is_section || whole.is_none_or(|length| hex.len() != 2 * (length + 3)) {
            add(format!("{id}: {name} is no whole splice_info_section"));
        }
    }
    for name in ["DURATION", "PLANNED-DURATION"] {
        if range.plain(name).is_some() && range.seconds(name).is_none() {
            add(format!("{id}: {name} is no number of seconds"));
        }
    }
}
