//! One rendition, played as a strict client plays it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;

use super::probes::Probes;
use super::{Fetched, Session};
use minamo_llhls_checker::{Kind, MediaPlaylist, Violation, judge_headers};

/// Playlists between two rounds of probes.
const PROBE_PERIOD: u64 = 7;
/// Requests for media whose answers may still come when the time is over.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// Answers without a playlist in a row that end the task.
const FAILURES_MAX: u32 = 20;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Hint,
    Init,
    Part,
    Segment,
}

pub(super) async fn play(session: Arc<Session>, name: String) {
    let mut fetches = JoinSet::new();
    let mut fetched = BTreeSet::new();
    let mut probes = Probes::default();
    let (mut query, mut round, mut failures) = (String::new(), 0, 0);
    while session.running() && failures < FAILURES_MAX {
        let Some(playlist) = session.playlist(&name, &query).await else {
            failures += 1;
            query.clear();
            tokio::time::sleep(Duration::from_millis(250)).await;
            continue;
        };
        failures = 0;
        for (what, uri) in media_of(&playlist) {
            if fetched.insert((what, uri.clone())) {
                fetches.spawn(fetch(Arc::clone(&session), name.clone(), what, uri));
            }
        }
        if playlist.ended {
            break;
        }
        while fetches.try_join_next().is_some() {}
        round += 1;
        if round % PROBE_PERIOD == 0 {
            probes.next(&session, &name, &playlist).await;
        }
        query = next_query(&playlist, round);
    }
    let rest = async { while fetches.join_next().await.is_some() {} };
    // What still hangs then is a hinted part of a programme that nobody watches any more.
    let _ = tokio::time::timeout(LAST_ANSWERS, rest).await;
}

fn media_of(playlist: &MediaPlaylist) -> Vec<(What, String)> {
    let mut found: Vec<_> = playlist.part_hint().map(|uri| (What::Hint, uri.to_owned())).into_iter().collect();
    for segment in playlist.all() {
        found.extend(segment.map.clone().map(|uri| (What::Init, uri)));
        let parts = segment.parts.iter().filter(|part| !part.gap && !part.ranged);
        found.extend(parts.map(|part| (What::Part, part.uri.clone())));
        if !segment.uri.is_empty() && !segment.gap {
            found.push((What::Segment, segment.uri.clone()));
        }
    }
    found
}

/// The next part; sometimes the whole next segment, sometimes as a delta update.
fn next_query(playlist: &MediaPlaylist, round: u64) -> String {
    let msn = playlist.next_msn();
    let part = playlist.open.as_ref().map_or(0, |open| open.parts.len());
    if part == 0 && round.is_multiple_of(5) {
        return format!("_HLS_msn={msn}");
    }
    let skip = if round.is_multiple_of(9) { "&_HLS_skip=YES" } else { "" };
    format!("_HLS_msn={msn}&_HLS_part={part}{skip}")
}

async fn fetch(session: Arc<Session>, rendition: String, what: What, uri: String) {
    match session.fetcher.media(&rendition, &uri, None).await {
        Ok(answer) => {
            session.found(judge(&session, &rendition, &uri, &answer));
            let count = match what {
                _ if answer.status != 200 => return,
                What::Part => session.counters.parts.fetch_add(1, Ordering::Relaxed),
                What::Segment => session.counters.segments.fetch_add(1, Ordering::Relaxed),
                What::Hint | What::Init => return,
            };
            if count % 20 == 3 {
                range(&session, &rendition, &uri, &answer.body).await;
            }
        }
        // A hint's answer is cut off when the programme ends.
        Err(_) if what == What::Hint => {}
        Err(error) => session.found(vec![Violation::new(4, format!("{rendition}: {uri}: no answer: {error:#}"))]),
    }
}

/// The checker's judgement of an answer with media.
pub(super) fn judge(session: &Session, rendition: &str, uri: &str, answer: &Fetched) -> Vec<Violation> {
    let kind = if answer.status == 200 { Kind::Media } else { Kind::Error };
    let mut found = judge_headers(kind, false, |name| answer.header(name));
    let length = answer.stated_length();
    found.extend(
        session.judge(|checker| checker.observe_media(answer.answered, rendition, uri, answer.status, length, &answer.body)),
    );
    found
}

/// A byte range is that range, or everything (RFC 9110 §14.2).
async fn range(session: &Session, rendition: &str, uri: &str, whole: &[u8]) {
    let (from, to) = (whole.len() / 3, whole.len() / 2);
    let Ok(answer) = session.fetcher.media(rendition, uri, Some((from, to))).await else { return };
    let right = match answer.status {
        206 => whole.get(from..=to) == Some(&answer.body),
        200 => whole == answer.body,
        _ => false,
    };
    let stated = answer.header("content-range");
    let named = answer.status != 206 || stated.as_deref() == Some(&format!("bytes {from}-{to}/{}", whole.len()));
    if !right || !named {
        let what = format!("{rendition}: bytes {from} to {to} of {uri} are answered with {}, {stated:?}", answer.status);
        session.found(vec![Violation::new(24, what)]);
    }
}
