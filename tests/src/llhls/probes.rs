//! Questions that a server must refuse, or answer in spite of their oddness.

use std::time::Duration;

use super::Session;
use super::fetch::Fetcher;
use super::rendition;
use minamo_llhls_checker::{Kind, MediaPlaylist, Violation, judge_headers};

/// A refusal comes at once: a request that waits for what never comes would take 3 × TARGETDURATION.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Which probe is next.
#[derive(Default)]
pub(super) struct Probes {
    round: u64,
}

impl Probes {
    /// One directive, one piece of media. In the order of the rendition's own requests, so that versions stay in order.
    pub(super) async fn next(&mut self, session: &Session, name: &str, playlist: &MediaPlaylist) {
        let queries = directives(playlist);
        let query = &queries[(self.round % queries.len() as u64) as usize];
        session.playlist(name, query).await;
        match self.round % 4 {
            0 => unknown(session, name, playlist, |uri| format!("never-{uri}")).await,
            1 => unknown(session, name, playlist, far_ahead).await,
            2 => removed(session, name).await,
            _ => packed(session, name, playlist).await,
        }
        self.round += 1;
    }
}

/// Rules 16, 17 and 19: the checker knows what each deserves.
fn directives(playlist: &MediaPlaylist) -> Vec<String> {
    let (first, next) = (playlist.media_sequence, playlist.next_msn());
    vec![
        format!("_HLS_msn={first}"),
        "_HLS_part=1".into(),
        format!("_HLS_msn={}", next + 100),
        "_HLS_msn=-1".into(),
        "_HLS_msn=0&_HLS_part=0".into(),
        format!("_HLS_msn={next}&_HLS_part=5000"),
        "_HLS_msn=abc&_HLS_part=0".into(),
        format!("_HLS_part=0&_HLS_msn={first}"),
        "_HLS_msn=99999999999999999999999999".into(),
        format!("_HLS_msn={first}&_HLS_msn={first}"),
        "_HLS_nobody_knows=1".into(),
        "_HLS_msn=1.5".into(),
        format!("_HLS_msn={next}&_HLS_part=-1"),
    ]
}

/// `v-7.3.m4s` → `v-7.399999.m4s`: a part that is far from being hinted.
fn far_ahead(uri: &str) -> String {
    let (stem, extension) = uri.rsplit_once('.').unwrap_or((uri, ""));
    format!("{stem}99999.{extension}")
}

/// Rule 22: 404, at once.
async fn unknown(session: &Session, name: &str, playlist: &MediaPlaylist, alter: impl Fn(&str) -> String) {
    let last = playlist.all().flat_map(|segment| &segment.parts).last();
    let Some(uri) = last.map(|part| alter(&part.uri)) else { return };
    match session.fetcher.media(name, &uri, None).await {
        Ok(answer) => {
            let mut found = rendition::judge(session, name, &uri, &answer);
            if answer.waited() > AT_ONCE {
                found.push(Violation::new(
                    22,
                    format!("{name}: {uri} is unknown and was refused only after {:?}", answer.waited()),
                ));
            }
            session.found(found);
        }
        Err(error) => session.found(vec![Violation::new(22, format!("{name}: {uri}: no answer: {error:#}"))]),
    }
}

/// Rule 4: what just left the playlist is still there.
async fn removed(session: &Session, name: &str) {
    let now = session.start.elapsed();
    let Some(uri) = session.judge(|checker| checker.removed_but_kept(now, name)) else { return };
    if let Ok(answer) = session.fetcher.media(name, &uri, None).await {
        session.found(rendition::judge(session, name, &uri, &answer));
    }
}

/// Rule 24: gzip when it is asked for.
async fn packed(session: &Session, name: &str, playlist: &MediaPlaylist) {
    let Ok(answer) = session.fetcher.packed_playlist(name).await else { return };
    let kind = Kind::Playlist { blocking: false, target_duration: playlist.target_duration.unwrap_or(0) };
    let mut found = judge_headers(kind, true, |name| answer.header(name));
    if !answer.body.starts_with(&[0x1f, 0x8b]) {
        found.push(Violation::new(24, format!("{name}: the body is not gzip")));
    }
    session.found(found);
}

/// Rule 24: a browser's question before a request with `Range`.
pub(super) async fn preflight(fetcher: &Fetcher) -> Vec<Violation> {
    let answer = match fetcher.preflight().await {
        Ok(answer) => answer,
        Err(error) => return vec![Violation::new(24, format!("OPTIONS: no answer: {error:#}"))],
    };
    let mut found = Vec::new();
    if !(200..300).contains(&answer.status) {
        found.push(Violation::new(24, format!("OPTIONS is answered with {}", answer.status)));
    }
    for name in ["access-control-allow-origin", "access-control-max-age"] {
        if answer.header(name).is_none() {
            found.push(Violation::new(24, format!("OPTIONS is answered without {name}")));
        }
    }
    if !answer.header("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase().contains("range") {
        found.push(Violation::new(24, "OPTIONS does not allow Range"));
    }
    found
}
