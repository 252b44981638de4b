//! Rules of the directives: what a request may ask, what its answer must hold, when it must come (15–19).

use std::time::Duration;

use super::change::SLACK;
use super::playlist::MediaPlaylist;
use super::{Answer, Violation};

/// What a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    want: Want,
    /// `_HLS_skip` is there.
    pub skip: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Now,
    Until {
        msn: u64,
        part: Option<u64>,
    },
    /// Only 400 is right. The rule that says so.
    Wrong {
        rule: u8,
    },
    /// 400 or what a canonical reading gives.
    Odd,
}

impl Asked {
    pub(super) fn parse(query: &str) -> Self {
        let pairs = || query.split('&').filter_map(|pair| pair.split_once('='));
        let of = |name: &'static str| pairs().filter(move |(known, _)| *known == name).map(|(_, value)| value);
        let skip = of("_HLS_skip").next().is_some();
        let (msns, parts) = (of("_HLS_msn").collect::<Vec<_>>(), of("_HLS_part").collect::<Vec<_>>());
        if msns.len() > 1 || parts.len() > 1 {
            return Self { want: Want::Odd, skip };
        }
        let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        let want = match (msns.first().map(|text| number(text)), parts.first().map(|text| number(text))) {
            (Some(None), _) | (_, Some(None)) => Want::Wrong { rule: 19 },
            (None, Some(_)) => Want::Wrong { rule: 17 },
            (Some(Some(msn)), part) => Want::Until { msn, part: part.flatten() },
            (None, None) => Want::Now,
        };
        Self { want, skip }
    }

    /// Rule 15 and what goes with it: a 200 to this query.
    pub(super) fn judge_body(self, playlist: &MediaPlaylist) -> Vec<Violation> {
        if playlist.ended {
            return Vec::new();
        }
        match self.want {
            Want::Until { msn, part } if !holds(playlist, msn, part) => {
                let asked = part.map_or(format!("segment {msn}"), |part| format!("part {part} of segment {msn}"));
                vec![Violation::new(15, format!("{asked} was asked for, the answer ends at {:?}", playlist.edge()))]
            }
            Want::Wrong { rule } => vec![Violation::new(rule, "200 to directives that only 400 answers")],
            _ => Vec::new(),
        }
    }

    /// Status and time of an answer; `known` is the newest version seen before the request.
    pub(super) fn judge_answer(self, answer: &Answer<'_>, known: Option<&MediaPlaylist>) -> Vec<Violation> {
        let mut found = Vec::new();
        let waited = answer.answered.saturating_sub(answer.asked);
        let limit = Duration::from_secs(3 * known.and_then(|known| known.target_duration).unwrap_or(10));
        if waited > limit + SLACK {
            found.push(Violation::new(
                18,
                format!("answered after {:.1} s, 3 × TARGETDURATION is {} s", waited.as_secs_f64(), limit.as_secs()),
            ));
        }
        let right = self.right_answers(known);
        let status = answer.status;
        let late = status == 503 && waited + SLACK > limit;
        let must_refuse = right.statuses == [400];
        let excused = late && !must_refuse;
        if !right.statuses.contains(&status) && !excused {
            found.push(Violation::new(
                right.rule,
                format!("{:?} was answered with {status}, right is {:?}", answer.query, right.statuses),
            ));
        }
        if must_refuse && status == 400 && waited > SLACK {
            found.push(Violation::new(
                right.rule,
                format!("{:?} was refused only after {:.1} s", answer.query, waited.as_secs_f64()),
            ));
        }
        found
    }

    fn right_answers(self, known: Option<&MediaPlaylist>) -> Right {
        let right = |rule, statuses| Right { rule, statuses };
        if known.is_some_and(|known| known.ended) {
            return right(18, &[200]);
        }
        match (self.want, known) {
            (Want::Now, _) => right(15, &[200]),
            (Want::Odd, _) => right(19, &[200, 400]),
            (Want::Wrong { rule }, _) => right(rule, &[400]),
            (Want::Until { .. }, None) => right(15, &[200, 400]),
            (Want::Until { msn, part }, Some(known)) => {
                let next = known.next_msn();
                // The server may be ahead of what we know: what is refused must be beyond that too.
                let far = msn > next + 10 || (msn >= next && part.is_some_and(|part| part > 300));
                match msn {
                    _ if far => right(17, &[400]),
                    _ if msn < next => right(16, &[200]),
                    _ if msn == next
                        && part.is_none_or(|part| part <= known.open.as_ref().map_or(0, |open| open.parts.len() as u64)) =>
                    {
                        right(15, &[200])
                    }
                    _ => right(15, &[200, 400]),
                }
            }
        }
    }
}

struct Right {
    rule: u8,
    statuses: &'static [u16],
}

/// Rule 15: `playlist` holds that segment, or that part, or what comes after it.
fn holds(playlist: &MediaPlaylist, msn: u64, part: Option<u64>) -> bool {
    let next = playlist.next_msn();
    let open_parts = playlist.open.as_ref().map_or(0, |open| open.parts.len() as u64);
    let Some(part) = part else { return msn < next };
    if msn == next {
        return part < open_parts;
    }
    if msn.checked_add(1) == Some(next) {
        // Past its last part means part 0 of the next segment.
        let parts = playlist.segments.last().map_or(0, |last| last.parts.len() as u64);
        return part < parts || open_parts > 0 || parts == 0;
    }
    msn < next
}
