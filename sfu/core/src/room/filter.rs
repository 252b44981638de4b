//! Forwarding filters: which tracks a receiver is not sent, whatever else it wishes.

use minamo_media::Kind;

/// What happens to the tracks that a filter matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FilterAction {
    /// They are not sent.
    Block,
    /// They are sent, whatever later filters say.
    Allow,
}

/// What a rule looks at, of the track and who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The sender's connection id.
    Connection,
    /// The sender's client id.
    Client,
    /// `audio` or `video`.
    Kind,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What is compared.
    pub subject: Subject,
    /// With these.
    pub values: Vec<String>,
    /// The condition holds when it is not one of them.
    pub negated: bool,
}

/// Matches where all rules of any of its lists hold: an empty list of rules always does, no list at all never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The lowest is looked at first.
    pub priority: u32,
    /// What then happens.
    pub action: FilterAction,
    /// Alternatives.
    pub any_of: Vec<Vec<Rule>>,
}

/// A track and who sends it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offering<'a> {
    pub connection: &'a str,
    pub client: &'a str,
    pub kind: Kind,
}

impl Rule {
    fn holds(&self, offering: &Offering<'_>) -> bool {
        let value = match (self.subject, offering.kind) {
            (Subject::Connection, _) => offering.connection,
            (Subject::Client, _) => offering.client,
            (Subject::Kind, Kind::Audio) => "audio",
            (Subject::Kind, Kind::Video) => "video",
        };
        self.values.iter().any(|listed| listed == value) != self.negated
    }
}

impl Filter {
    fn matches(&self, offering: &Offering<'_>) -> bool {
        self.any_of.iter().any(|rules| rules.iter().all(|rule| rule.holds(offering)))
    }
}

/// Whether the track is sent to a receiver with these filters. Of those that match, the one of the lowest priority decides; of
/// equal ones the channel's, then the one that was there first.
///
/// Where none matches the track is sent, unless there are filters and all of them allow: such a list says what is wanted, and
/// would say nothing otherwise. (The protocol's notes leave that open.)
pub(super) fn lets_through(channel: &[Filter], own: &[Filter], offering: &Offering<'_>) -> bool {
    let all = || channel.iter().chain(own);
    let decisive = all().filter(|filter| filter.matches(offering)).min_by_key(|filter| filter.priority);
    match decisive {
        Some(filter) => filter.action == FilterAction::Allow,
        None => all().next().is_none() || all().any(|filter| filter.action == FilterAction::Block),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(subject: Subject, values: &[&str], negated: bool) -> Rule {
        Rule { subject, values: values.iter().map(ToString::to_string).collect(), negated }
    }

    fn filter(priority: u32, action: FilterAction, any_of: Vec<Vec<Rule>>) -> Filter {
        Filter { priority, action, any_of }
    }

    fn sent(channel: &[Filter], own: &[Filter]) -> String {
        let mut sent = String::new();
        for (connection, client) in [("a", "x"), ("b", "x"), ("c", "y")] {
            for (kind, letter) in [(Kind::Audio, 'a'), (Kind::Video, 'v')] {
                if lets_through(channel, own, &Offering { connection, client, kind }) {
                    sent.push_str(&format!("{connection}{letter} "));
                }
            }
        }
        sent.trim_end().to_owned()
    }

    #[test]
    fn rules_are_ands_in_ors() {
        use FilterAction::Block;
        use Subject::{Client, Connection, Kind};
        assert_eq!(sent(&[], &[]), "aa av ba bv ca cv");
        let video_of_x = vec![rule(Kind, &["video"], false), rule(Client, &["x"], false)];
        assert_eq!(sent(&[], &[filter(1, Block, vec![video_of_x.clone()])]), "aa ba ca cv");
        let or_c = vec![video_of_x, vec![rule(Connection, &["c"], false)]];
        assert_eq!(sent(&[], &[filter(1, Block, or_c)]), "aa ba");
        assert_eq!(sent(&[], &[filter(1, Block, vec![vec![rule(Connection, &["a", "c"], true)]])]), "aa av ca cv");
        assert_eq!(sent(&[], &[filter(1, Block, vec![vec![]])]), "", "no condition holds always");
        assert_eq!(sent(&[], &[filter(1, Block, vec![])]), "aa av ba bv ca cv", "no alternative holds never");
        assert_eq!(sent(&[], &[filter(1, Block, vec![vec![rule(Kind, &[], false)]])]), "aa av ba bv ca cv");
    }

    #[test]
    fn the_lowest_priority_decides_and_the_channel_goes_first() {
        use FilterAction::{Allow, Block};
        let everything = || vec![vec![]];
        let a = || vec![vec![rule(Subject::Connection, &["a"], false)]];
        assert_eq!(sent(&[filter(2, Block, everything())], &[filter(1, Allow, a())]), "aa av");
        assert_eq!(sent(&[filter(1, Block, everything())], &[filter(2, Allow, a())]), "");
        assert_eq!(sent(&[filter(1, Block, everything())], &[filter(1, Allow, a())]), "");
        assert_eq!(sent(&[filter(1, Allow, everything())], &[filter(1, Block, a())]), "aa av ba bv ca cv");
        assert_eq!(sent(&[], &[filter(1, Allow, a())]), "aa av", "only what is allowed");
        assert_eq!(sent(&[filter(9, Block, vec![])], &[filter(1, Allow, a())]), "aa av ba bv ca cv");
    }
}
