//! I-frame playlists over HTTP (rule 29): what they list is there, as byte ranges that begin with a fragment.

use minamo_llhls_checker::{Kind, Multivariant, Violation, judge_headers, judge_iframes};

use super::Session;

/// Byte ranges that are fetched of each playlist: the newest.
const FETCHED_MAX: usize = 3;

pub(super) async fn look(session: &Session, multivariant: &Multivariant) {
    for name in multivariant.iframes.iter().filter_map(|list| list.quoted("URI")) {
        if let Err(error) = playlist(session, name).await {
            session.found(vec![Violation::new(29, format!("{name}: no answer: {error:#}"))]);
        }
    }
}

async fn playlist(session: &Session, name: &str) -> anyhow::Result<()> {
    let answer = session.fetcher.playlist(name, "").await?;
    if answer.status != 200 {
        session.found(vec![Violation::new(29, format!("{name} is answered with {}", answer.status))]);
        return Ok(());
    }
    let kind = Kind::Playlist { blocking: false, target_duration: 1_000 };
    session.found(judge_headers(kind, false, |header| answer.header(header)));
    let (frames, found) = judge_iframes(&answer.text());
    session.found(found);
    for frame in frames.iter().rev().take(FETCHED_MAX) {
        let (length, offset) = (usize::try_from(frame.range.0)?, usize::try_from(frame.range.1)?);
        let range = (offset, (offset + length).saturating_sub(1));
        let answer = session.fetcher.media(name, &frame.uri, Some(range)).await?;
        let right = answer.status == 206 && answer.body.len() == length && answer.body.get(4..8) == Some(b"moof");
        if !right {
            let what = format!("{name}: {length} bytes from {offset} on of {} are answered with {}", frame.uri, answer.status);
            session.found(vec![Violation::new(29, what)]);
        }
    }
    Ok(())
}
