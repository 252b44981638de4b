//! Plays a programme over HTTP as a strict client and lets the [`Checker`] judge what comes.
//!
//! Every rendition has a task: a plain playlist, then one blocking reload for each next part, the hinted part requested as
//! soon as its hint appears, every listed part, segment and init section fetched, and now and then a question that a server
//! must refuse.

mod fetch;
mod iframes;
mod probes;
mod rendition;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use fetch::{Fetched, Fetcher};
use minamo_llhls_checker::{Answer, Checker, Kind, MediaPlaylist, Multivariant, Violation, judge_headers, parse, sabotage};
use tokio::task::JoinSet;

/// Violations that are printed; further ones are only counted.
const PRINTED_MAX: u64 = 200;
/// The multivariant playlist is read again this often.
const MULTIVARIANT_PERIOD: Duration = Duration::from_secs(15);

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of the multivariant playlist.
    pub url: String,
    /// How long to watch.
    pub watch: Duration,
    /// Alter playlists before they are judged, so that violations must be found.
    pub sabotage: bool,
    /// Of the server's API, for the keys of encrypted media.
    pub api_token: Option<String>,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Seconds watched.
    pub seconds: u64,
    /// Media playlists that the multivariant playlist names.
    pub renditions: usize,
    /// Media playlists answered with 200.
    pub playlists: u64,
    /// Parts fetched.
    pub parts: u64,
    /// Whole segments fetched.
    pub segments: u64,
    /// Rules broken.
    pub violations: u64,
    /// Every rule that was broken.
    pub rules: Vec<u8>,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seconds, renditions, playlists, parts, segments, violations, .. } = self;
        write!(
            f,
            "llhls: {seconds} s, {renditions} renditions, {playlists} playlists, {parts} parts, {segments} segments, {violations} violations"
        )
    }
}

#[derive(Debug, Default)]
struct Counters {
    playlists: AtomicU64,
    parts: AtomicU64,
    segments: AtomicU64,
    violations: AtomicU64,
}

/// What the tasks of all renditions share.
struct Session {
    fetcher: Fetcher,
    api_token: Option<String>,
    start: Instant,
    watch: Duration,
    sabotage: bool,
    checker: Mutex<Checker>,
    rules: Mutex<BTreeSet<u8>>,
    counters: Counters,
}

/// Watches for [`Options::watch`], or until every rendition has ended. Prints each violation on a line.
///
/// # Errors
/// When there is nothing to watch: the URL cannot be reached or is no multivariant playlist.
pub async fn run(options: Options) -> Result<Summary> {
    let start = Instant::now();
    let session = Arc::new(Session {
        fetcher: Fetcher::new(&options.url, start)?,
        api_token: options.api_token,
        start,
        watch: options.watch,
        sabotage: options.sabotage,
        checker: Mutex::default(),
        rules: Mutex::default(),
        counters: Counters::default(),
    });
    let first = session.multivariant().await.with_context(|| format!("nothing to watch at {}", options.url))?;
    let renditions = first.renditions();
    if renditions.is_empty() {
        bail!("{} names no media playlist", options.url);
    }
    session.found(probes::preflight(&session.fetcher).await);
    let mut playing = JoinSet::new();
    for name in &renditions {
        playing.spawn(rendition::play(Arc::clone(&session), name.clone()));
    }
    while !playing.is_empty() {
        tokio::select! {
            Some(ended) = playing.join_next() => ended?,
            () = tokio::time::sleep(MULTIVARIANT_PERIOD) => session.read_multivariant_again().await,
        }
    }
    iframes::look(&session, &first).await;
    let last = session.judge(|checker| checker.finish());
    session.found(last);
    Ok(session.summary(renditions.len()))
}

impl Session {
    fn running(&self) -> bool {
        !self.left().is_zero()
    }

    fn left(&self) -> Duration {
        self.watch.saturating_sub(self.start.elapsed())
    }

    async fn read_multivariant_again(&self) {
        if let Err(error) = self.multivariant().await {
            self.found(vec![Violation::new(9, format!("the multivariant playlist is gone: {error:#}"))]);
        }
    }

    fn judge<T>(&self, with: impl FnOnce(&mut Checker) -> T) -> T {
        with(&mut self.checker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn found(&self, violations: Vec<Violation>) {
        for violation in violations {
            let before = self.counters.violations.fetch_add(1, Ordering::Relaxed);
            if before < PRINTED_MAX {
                println!("[{:8.3}] {violation}", self.start.elapsed().as_secs_f64());
            } else if before == PRINTED_MAX {
                println!("… further violations are only counted");
            }
            self.rules.lock().unwrap_or_else(PoisonError::into_inner).insert(violation.rule);
        }
    }

    async fn multivariant(&self) -> Result<Multivariant> {
        let wire = self.fetcher.multivariant(true).await?;
        if wire.status != 200 {
            bail!("status {}", wire.status);
        }
        self.found(judge_headers(Kind::Multivariant, true, |name| wire.header(name)));
        let body = self.fetcher.multivariant(false).await?.text();
        let (multivariant, faults) = Multivariant::parse(&body);
        if multivariant.variants.is_empty() {
            bail!("it is no multivariant playlist: {faults:?}");
        }
        let found = self.judge(|checker| checker.observe_multivariant(&body));
        self.found(found);
        Ok(multivariant)
    }

    /// Fetches a media playlist and has it judged. `None`: there was none in the answer.
    async fn playlist(&self, rendition: &str, query: &str) -> Option<MediaPlaylist> {
        let fetched = match self.fetcher.playlist(rendition, query).await {
            Ok(fetched) => fetched,
            Err(error) => {
                self.found(vec![Violation::new(18, format!("{rendition}?{query}: no answer: {error:#}"))]);
                return None;
            }
        };
        let body = fetched.text();
        let (playlist, _) = parse(&body);
        self.learn_keys(&playlist).await;
        let blocking = query.contains("_HLS_msn=") && !playlist.ended;
        let kind = match fetched.status {
            200 => Kind::Playlist { blocking, target_duration: playlist.target_duration.unwrap_or(0) },
            _ => Kind::Error,
        };
        let mut found = judge_headers(kind, false, |name| fetched.header(name));
        found.extend(self.observe(rendition, query, &fetched, &body));
        self.found(found);
        (fetched.status == 200).then_some(playlist)
    }

    /// Asks for keys that no playlist had before.
    async fn learn_keys(&self, playlist: &MediaPlaylist) {
        let Some(token) = &self.api_token else { return };
        let keys = playlist.all().flat_map(|segment| segment.key.iter().chain(&segment.map_key));
        let new: BTreeSet<String> =
            keys.map(|key| key.uri.clone()).filter(|uri| self.judge(|checker| checker.lacks_key(uri))).collect();
        for uri in new {
            match self.fetcher.media_key(&uri, token).await {
                Ok(key) => self.judge(|checker| checker.add_key(&uri, key)),
                Err(error) => self.found(vec![Violation::new(27, format!("no key behind {uri}: {error:#}"))]),
            }
        }
    }

    fn observe(&self, rendition: &str, query: &str, fetched: &Fetched, body: &str) -> Vec<Violation> {
        let mut round = 0;
        if fetched.status == 200 {
            round = self.counters.playlists.fetch_add(1, Ordering::Relaxed);
        }
        let altered = (self.sabotage && round % 5 == 4).then(|| sabotage(round / 5, body));
        let answer = Answer {
            asked: fetched.asked,
            answered: fetched.answered,
            rendition,
            query,
            status: fetched.status,
            body: altered.as_deref().unwrap_or(body),
        };
        self.judge(|checker| checker.observe_answer(&answer))
    }

    fn summary(&self, renditions: usize) -> Summary {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Summary {
            seconds: self.start.elapsed().as_secs(),
            renditions,
            playlists: of(&self.counters.playlists),
            parts: of(&self.counters.parts),
            segments: of(&self.counters.segments),
            violations: of(&self.counters.violations),
            rules: self.rules.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect(),
        }
    }
}
