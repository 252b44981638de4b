//! From tap events to HTTP answers, without sockets, on a clock that passes only when told to.

mod forms;
mod garbage;
mod http;
mod lifecycle;
mod measures;
mod playlist;
mod protected;
mod source;
mod transcode;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use minamo_media::{ChannelId, TapEvent, TapSink, TrackId, Upstream};
use minamo_transcode::{Pool, PoolConfig};
use tower::ServiceExt;

use crate::clock::Clock;
use crate::origin::{Origin, ProgrammeKey};
use crate::programme::{Programme, Surroundings};
use crate::{Gateway, GatewayConfig, ProgrammeSettings};
use source::{ManualClock, Source};

const TICK: Duration = Duration::from_millis(20);

/// Key-frame wishes that came up and were not fulfilled yet.
#[derive(Default)]
struct Wishes(Mutex<HashSet<TrackId>>);

impl Upstream for Wishes {
    fn request_key_frame(&self, track: TrackId) {
        self.0.lock().unwrap().insert(track);
    }
    fn request_bitrate(&self, _track: TrackId, _bits_per_second: u64) {}
}

/// One answer, read to its end.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn error_type(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert!(json["error"].as_str().is_some_and(|words| !words.is_empty()));
        json["error_type"].as_str().unwrap().to_owned()
    }
}

/// A gateway, its clock, and one channel named `c`.
struct Theatre {
    gateway: Gateway,
    clock: Arc<ManualClock>,
    wishes: Arc<Wishes>,
    channel: ChannelId,
    router: Router,
}

impl Theatre {
    fn new() -> Self {
        Self::with(GatewayConfig::default(), ProgrammeSettings::default())
    }

    fn with(config: GatewayConfig, settings: ProgrammeSettings) -> Self {
        let clock = Arc::new(ManualClock::new());
        let gateway = Gateway::start_with(config, clock.clone());
        let wishes = Arc::new(Wishes::default());
        gateway.set_upstream(wishes.clone());
        let channel = ChannelId::from("c");
        gateway.open(channel.clone(), settings);
        let router = gateway.router();
        Self { gateway, clock, wishes, channel, router }
    }

    fn push(&self, source: &Source, event: TapEvent) {
        self.gateway.push(&self.channel, &source.id, event);
    }

    fn join(&self, source: &Source) {
        for event in source.tracks() {
            self.push(source, event);
        }
    }

    fn leave(&self, source: &Source, clean: bool) {
        self.push(source, TapEvent::PublisherGone { clean });
    }

    /// Time passes while these publish.
    async fn run(&self, sources: &mut [&mut Source], time: Duration) {
        for _ in 0..time.as_millis() / TICK.as_millis() {
            self.clock.advance(TICK);
            for source in sources.iter_mut() {
                let wished = source.video_track().is_some_and(|track| self.wishes.0.lock().unwrap().remove(&track));
                if wished {
                    source.force_key_frame();
                }
                for event in source.tick(self.clock.now()) {
                    self.push(source, event);
                }
            }
            self.gateway.settle().await;
        }
    }

    async fn run_secs(&self, source: &mut Source, seconds: u64) {
        self.run(&mut [source], Duration::from_secs(seconds)).await;
    }

    async fn request(&self, request: Request<Body>) -> Answer {
        send(self.router.clone(), request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.request(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn playlist(&self, rendition: &str) -> String {
        let answer = self.get(&format!("/hls/c/{rendition}.m3u8")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.text().to_owned()
    }

    /// The same in the background, for answers that take time.
    fn ask(&self, path: String) -> tokio::task::JoinHandle<Answer> {
        let request = Request::get(path).body(Body::empty()).unwrap();
        tokio::spawn(send(self.router.clone(), request))
    }
}

async fn send(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// What a programme needs around it when a test drives it without a worker: channel `c` is open.
fn surroundings() -> Surroundings {
    let origin = Arc::new(Origin::new(1));
    origin.open("c".into(), ProgrammeSettings::default());
    let pool = Pool::start(&PoolConfig { threads: 0, pixels_per_second: None });
    Surroundings {
        pool,
        origin,
        upstream: Arc::new(OnceLock::new()),
        reconnect_window: Duration::from_secs(5),
        ended_retention: Duration::from_secs(5),
    }
}

fn programme() -> Programme {
    Programme::new(ProgrammeKey { channel: "c".into(), publisher: None }, ProgrammeSettings::default())
}

/// Lets spawned requests get as far as they can.
async fn breathe() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// The value of a tag, such as `#EXT-X-MEDIA-SEQUENCE:`.
fn tag<'a>(playlist: &'a str, name: &str) -> Option<&'a str> {
    playlist.lines().find_map(|line| line.strip_prefix(name))
}

/// All URIs of lines that begin so.
fn uris(playlist: &str, prefix: &str) -> Vec<String> {
    let lines = playlist.lines().filter(|line| line.starts_with(prefix));
    lines.filter_map(|line| line.split("URI=\"").nth(1)?.split('"').next().map(str::to_owned)).collect()
}

fn segments(playlist: &str) -> Vec<String> {
    playlist.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
}

fn count(playlist: &str, line: &str) -> usize {
    playlist.lines().filter(|there| *there == line).count()
}

/// Types of the boxes (ISO/IEC 14496-12 §4.2) that follow one another; an error when they do not add up.
fn boxes(mut data: &[u8]) -> Result<Vec<String>, usize> {
    let mut types = Vec::new();
    while !data.is_empty() {
        let (size, rest) = data.split_first_chunk::<4>().ok_or(data.len())?;
        let size = u32::from_be_bytes(*size) as usize;
        if size < 8 || size > data.len() {
            return Err(data.len());
        }
        types.push(String::from_utf8_lossy(&rest[..4]).into_owned());
        data = &data[size..];
    }
    Ok(types)
}
