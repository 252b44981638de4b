//! Requests, and their answers with the times at which they came.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, Url};

/// Longer than any answer may take: three times the TARGETDURATION that a live programme has, and some.
const TIMEOUT: Duration = Duration::from_secs(40);

pub(super) struct Fetcher {
    multivariant: Url,
    start: Instant,
    /// Asks for gzip and unpacks it.
    unzipping: Client,
    /// Shows answers as they come.
    bare: Client,
}

pub(super) struct Fetched {
    /// Since the start.
    pub asked: Duration,
    /// Since the start, when the last byte was there.
    pub answered: Duration,
    pub status: u16,
    pub body: Vec<u8>,
    headers: HeaderMap,
}

impl Fetched {
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// Content-Length, or what came where it was not stated.
    pub(super) fn stated_length(&self) -> u64 {
        self.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(self.body.len() as u64)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn waited(&self) -> Duration {
        self.answered.saturating_sub(self.asked)
    }
}

impl Fetcher {
    pub(super) fn new(multivariant: &str, start: Instant) -> Result<Self> {
        let client = |gzip| crate::http_client().gzip(gzip).timeout(TIMEOUT).connect_timeout(Duration::from_secs(5)).build();
        let multivariant = Url::parse(multivariant).context("this is no URL")?;
        Ok(Self { multivariant, start, unzipping: client(true)?, bare: client(false)? })
    }

    fn url(&self, rendition: &str) -> Result<Url> {
        self.multivariant.join(rendition).with_context(|| format!("{rendition} is no URI"))
    }

    /// `packed`: gzip is asked for and left as it comes.
    pub(super) async fn multivariant(&self, packed: bool) -> Result<Fetched> {
        let url = self.multivariant.clone();
        match packed {
            true => self.send(self.bare.get(url).header("accept-encoding", "gzip")).await,
            false => self.send(self.unzipping.get(url)).await,
        }
    }

    pub(super) async fn playlist(&self, rendition: &str, query: &str) -> Result<Fetched> {
        let mut url = self.url(rendition)?;
        if !query.is_empty() {
            // A signature stays before the directives.
            let joined = url.query().map_or_else(|| query.to_owned(), |own| format!("{own}&{query}"));
            url.set_query(Some(&joined));
        }
        self.send(self.unzipping.get(url)).await
    }

    /// A plain playlist with its gzip left as it comes.
    pub(super) async fn packed_playlist(&self, rendition: &str) -> Result<Fetched> {
        self.send(self.bare.get(self.url(rendition)?).header("accept-encoding", "gzip")).await
    }

    /// Bytes `range.0..=range.1`, or all of them.
    pub(super) async fn media(&self, rendition: &str, uri: &str, range: Option<(usize, usize)>) -> Result<Fetched> {
        let request = self.bare.get(self.url(rendition)?.join(uri)?);
        match range {
            Some((from, to)) => self.send(request.header("range", format!("bytes={from}-{to}"))).await,
            None => self.send(request).await,
        }
    }

    /// What GetEncryptKey tells of the `kid` in a key's URI.
    pub(super) async fn media_key(&self, uri: &str, token: &str) -> Result<[u8; 16]> {
        let uri = Url::parse(uri)?;
        let (_, kid) = uri.query_pairs().find(|(name, _)| name == "kid").context("no kid in its query")?;
        let request = self.bare.post(self.multivariant.join("/")?).bearer_auth(token);
        let request = request.header("x-sora-target", "ImageFlux_20200707.GetEncryptKey");
        let body = request.body(serde_json::json!({ "kid": kid }).to_string()).send().await?.error_for_status()?.bytes().await?;
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        let hex = answer["encrypt_key"].as_str().filter(|hex| hex.len() == 32).context("no key in the answer")?;
        Ok(u128::from_str_radix(hex, 16)?.to_be_bytes())
    }

    pub(super) async fn preflight(&self) -> Result<Fetched> {
        let request = self.bare.request(Method::OPTIONS, self.multivariant.clone());
        let request = request.header("access-control-request-method", "GET");
        self.send(request.header("access-control-request-headers", "range")).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Fetched> {
        let asked = self.start.elapsed();
        let response = request.header("origin", "http://viewer.example").send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await?.to_vec();
        Ok(Fetched { asked, answered: self.start.elapsed(), status, body, headers })
    }
}
