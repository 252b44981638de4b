//! A live programme through the whole server: it begins, ends well with the server, and begins again after a restart.

#![allow(clippy::unwrap_used, missing_docs)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use minamo::{Config, Server};
use minamo_client::demo::{self, DemoOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a slow machine; reached only by a failure.
const AT_LAST: Duration = Duration::from_secs(60);

async fn start(data_dir: &Path) -> Server {
    let flags = [("http.listen", "127.0.0.1:0".to_owned()), ("data_dir", data_dir.display().to_string())];
    Server::start(Config::load(None, [], &flags).unwrap()).await.unwrap()
}

async fn send(server: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn get(server: SocketAddr, path: &str) -> (u16, String) {
    send(server, &format!("GET {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n")).await
}

async fn create(server: &Server) -> String {
    let (address, token) = (server.addresses().http, server.token().secret.expose());
    let body = json!({"hls": [{"audio": {"bps": 64000}}]}).to_string();
    let head = format!("POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}", body.len());
    let target = "x-sora-target: ImageFlux_20180905.CreateChannel";
    let (status, body) = send(address, &format!("{head}\r\n{target}\r\nauthorization: Bearer {token}\r\n\r\n{body}")).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<Value>(&body).unwrap()["channel_id"].as_str().unwrap().to_owned()
}

/// Publishes until the playlist is there, then gives back its text and what stops the publisher.
async fn publish(server: &Server, channel: &str) -> (String, CancellationToken) {
    let stop = CancellationToken::new();
    let url = format!("ws://{}/signaling", server.addresses().http);
    tokio::spawn(demo::run(url, channel.to_owned(), DemoOptions::default(), stop.clone()));
    let live = async {
        loop {
            let (status, playlist) = get(server.addresses().http, &format!("/hls/{channel}/video.m3u8")).await;
            if status == 200 {
                return playlist;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    (tokio::time::timeout(AT_LAST, live).await.expect("the programme never began"), stop)
}

fn last_msn(playlist: &str) -> u64 {
    let first: u64 = playlist.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")).unwrap().parse().unwrap();
    first + playlist.lines().filter(|line| line.starts_with("#EXTINF")).count() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_programme_ends_with_the_server_and_begins_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let channel = create(&server).await;
    let (live, _publisher) = publish(&server, &channel).await;
    // Negative control for the end below: while it lives, no playlist says that it has ended.
    assert!(!live.contains("#EXT-X-ENDLIST"), "{live}");

    let address = server.addresses().http;
    let next = format!("/hls/{channel}/video.m3u8?_HLS_msn={}", last_msn(&live) + 1);
    let waiting = tokio::spawn(async move { get(address, &next).await });
    // The request must be under way before the end, or it would find a closed port.
    while !get(address, "/metrics").await.1.contains("minamo_hls_blocked_requests 1") {
        assert!(!waiting.is_finished(), "the next segment came before the end could be tried");
    }
    server.shutdown().await;
    let (status, ended) = waiting.await.unwrap();
    assert_eq!(status, 200, "{ended}");
    assert!(ended.trim_end().ends_with("#EXT-X-ENDLIST"), "{ended}");

    let server = start(folder.path()).await;
    let (again, publisher) = publish(&server, &channel).await;
    assert!(!again.contains("#EXT-X-ENDLIST"), "{again}");
    assert!(last_msn(&again) > last_msn(&live), "the sequence went backwards");
    publisher.cancel();
    server.shutdown().await;
}
