//! The whole client against a server of a few lines that plays the sample programme, faster than it would be.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Options, Summary};
use minamo_llhls_checker::sample::{FIRST_MSN, MULTIVARIANT, PARTS, fmp4, is_gap, part_bytes, playlist, segment_bytes};

/// What a server may get wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    RefusesOldNumbers,
    NoGzip,
    NoHint,
}

type Parts = watch::Receiver<u64>;

async fn serve(fault: Fault) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hls/x/playlist.m3u8", listener.local_addr().unwrap());
    let (publish, parts) = watch::channel(30);
    let clock = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(40)).await;
            publish.send_modify(|parts| *parts += 1);
        }
    });
    let parts = Arc::new(parts);
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, (*parts).clone(), fault));
        }
        clock.abort();
    });
    (url, server)
}

async fn connection(mut stream: TcpStream, mut parts: Parts, fault: Fault) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let mut first = request.split([' ', '\r']);
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let name = path.rsplit('/').next().unwrap();
    let (status, body) = match method {
        "OPTIONS" => (204, Vec::new()),
        _ => answer(name, query, &mut parts, fault).await,
    };
    let text = name.ends_with(".m3u8");
    let zip = text && status == 200 && request.contains("gzip") && fault != Fault::NoGzip;
    let body = if zip { gzip(&body) } else { body };
    let kind = if text { "application/vnd.apple.mpegurl" } else { "video/mp4" };
    let age = if text || status != 200 { 1 } else { 31_536_000 };
    let zipped = if zip { "Content-Encoding: gzip\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\nContent-Type: {kind}\r\nCache-Control: max-age={age}\r\n{zipped}\
        Date: Thu, 01 Oct 2026 12:00:00 GMT\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Max-Age: 86400\r\n\
        Access-Control-Allow-Headers: Range\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
}

async fn answer(name: &str, query: &str, parts: &mut Parts, fault: Fault) -> (u16, Vec<u8>) {
    match name {
        "playlist.m3u8" => (200, MULTIVARIANT.into()),
        "v.m3u8" | "a.m3u8" => media_playlist(name.chars().next().unwrap(), query, parts, fault).await,
        _ => match media(name, parts).await {
            Some(bytes) => (200, bytes),
            None => (404, Vec::new()),
        },
    }
}

async fn media_playlist(letter: char, query: &str, parts: &mut Parts, fault: Fault) -> (u16, Vec<u8>) {
    let of = |name: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.parse::<u64>())
    };
    let here = *parts.borrow();
    let wanted = match (of("_HLS_msn"), of("_HLS_part")) {
        (None, None) => 0,
        (Some(Ok(msn)), None) => (msn + 1).saturating_sub(FIRST_MSN).saturating_mul(PARTS),
        (Some(Ok(msn)), Some(Ok(part))) => msn.saturating_sub(FIRST_MSN).saturating_mul(PARTS).saturating_add(part + 1),
        _ => return (400, Vec::new()),
    };
    let old = wanted <= here && query == format!("_HLS_msn={FIRST_MSN}");
    if wanted > here + 30 || (fault == Fault::RefusesOldNumbers && old) {
        return (400, Vec::new());
    }
    let now = *parts.wait_for(|parts| *parts >= wanted).await.unwrap();
    let text = playlist(letter, now);
    let text = if fault == Fault::NoHint { text.replace("PART,URI=\"v-", "PART,URI=\"w-") } else { text };
    (200, text.into())
}

async fn media(name: &str, parts: &mut Parts) -> Option<Vec<u8>> {
    let letter = name.chars().next()?;
    let stem = name.get(2..)?.strip_suffix(".m4s");
    if name.get(1..)?.starts_with("-init-") {
        return Some(fmp4::init(letter));
    }
    let (msn, part) = match stem?.split_once('.') {
        Some((msn, part)) => (msn.parse::<u64>().ok()?, Some(part.parse::<u64>().ok()?)),
        None => (stem?.parse().ok()?, None),
    };
    if part.is_some_and(|part| part >= PARTS) || msn < FIRST_MSN || !['v', 'a'].contains(&letter) {
        return None;
    }
    let index = (msn - FIRST_MSN) * PARTS + part.unwrap_or(PARTS - 1);
    if index > *parts.borrow() || part.is_some_and(|part| is_gap(letter, msn, part)) {
        return None;
    }
    parts.wait_for(|parts| *parts > index).await.ok()?;
    Some(part.map_or_else(|| segment_bytes(letter, msn), |part| part_bytes(letter, msn, part)))
}

/// RFC 1952 with stored blocks: packed in form only.
fn gzip(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let length = u16::try_from(data.len()).unwrap();
    out.push(1);
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend_from_slice(data);
    let crc = data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    });
    out.extend((!crc).to_le_bytes());
    out.extend(u32::from(length).to_le_bytes());
    out
}

async fn watched(fault: Fault, sabotage: bool) -> Summary {
    let (url, server) = serve(fault).await;
    let summary = super::run(Options { url, watch: Duration::from_secs(2), sabotage, api_token: None }).await.unwrap();
    server.abort();
    summary
}

#[tokio::test]
async fn a_good_server_breaks_no_rule() {
    let summary = watched(Fault::None, false).await;
    assert_eq!(summary.rules, Vec::<u8>::new());
    assert!(summary.playlists > 0 && summary.parts > 0 && summary.segments > 0, "{summary}");
}

#[tokio::test]
async fn sabotage_and_wrong_servers_are_found() {
    let (sabotaged, old, packed, hint) = tokio::join!(
        watched(Fault::None, true),
        watched(Fault::RefusesOldNumbers, false),
        watched(Fault::NoGzip, false),
        watched(Fault::NoHint, false)
    );
    assert!(sabotaged.violations > 0, "{sabotaged}");
    assert!(old.rules.contains(&16), "{old:?}");
    assert!(packed.rules.contains(&24), "{packed:?}");
    assert!(hint.rules.contains(&22), "{hint:?}");
}

#[tokio::test]
async fn nothing_to_watch_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hls/x/playlist.m3u8", listener.local_addr().unwrap());
    drop(listener);
    assert!(super::run(Options { url, watch: Duration::from_secs(1), sabotage: false, api_token: None }).await.is_err());
}
