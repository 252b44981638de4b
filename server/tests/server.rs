//! The server as a value: started on free ports, asked over HTTP, stopped, started again.

#![allow(clippy::unwrap_used, missing_docs)]

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use minamo::{Config, Server, StartError, TokenOrigin};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CREATE: &str = "ImageFlux_20180905.CreateChannel";
const LIST_IDS: &str = "ImageFlux_20200729.ListChannelIDs";

fn config(data_dir: &Path) -> Config {
    let listen = [("http.listen", "127.0.0.1:0".to_owned()), ("data_dir", data_dir.display().to_string())];
    Config::load(None, [], &listen).unwrap()
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// One request on a connection of its own.
async fn send(server: SocketAddr, request: String) -> Answer {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

async fn get(server: &Server, path: &str) -> Answer {
    let address = server.addresses().http;
    send(address, format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")).await
}

async fn call(server: &Server, target: &str, body: &Value) -> Answer {
    let (address, token, body) = (server.addresses().http, server.token().secret.expose(), body.to_string());
    let head = format!("POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}", body.len());
    send(address, format!("{head}\r\nx-sora-target: {target}\r\nauthorization: Bearer {token}\r\n\r\n{body}")).await
}

async fn create(server: &Server) -> Value {
    let hls = json!({"hls": [{"video": {"width": 640, "height": 480, "fps": 30, "bps": 1_000_000}, "audio": {"bps": 64000}}]});
    let answer = call(server, CREATE, &hls).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(config(folder.path())).await.unwrap();
    for (path, status, holds) in [
        ("/", 200, "<!doctype html>"),
        ("/studio", 200, "<!doctype html>"),
        ("/watch/x", 200, "<!doctype html>"),
        ("/healthz", 200, "ok"),
        ("/readyz", 200, "ready"),
        ("/metrics", 200, "minamo_build_info"),
        ("/v1/channels", 401, "UNAUTHORIZED"),
        ("/hls/nobody/playlist.m3u8", 404, "UNKNOWN_CHANNEL"),
        ("/nothing/here", 404, "NOT_FOUND"),
        ("/assets/nothing.js", 404, "NOT_FOUND"),
    ] {
        let answer = get(&server, path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.body.to_lowercase().contains(&holds.to_lowercase()), "{path}: {}", answer.body);
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{path}: {}", answer.head);
    }
    // A route that takes an upgrade only.
    assert!((400..500).contains(&get(&server, "/signaling").await.status));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_channels_and_token_and_knows_what_is_not_live() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(config(folder.path())).await.unwrap();
    assert_eq!(server.token().origin, TokenOrigin::Made);
    let made = create(&server).await;
    let address = server.addresses().http;
    assert_eq!(made["sora_url"], format!("ws://{address}/signaling"));
    server.shutdown().await;
    assert!(TcpStream::connect(address).await.is_err(), "the port is still open");

    let server = Server::start(config(folder.path())).await.unwrap();
    assert_eq!(server.token().origin, TokenOrigin::Kept);
    let ids: Value = serde_json::from_str(&call(&server, LIST_IDS, &json!({})).await.body).unwrap();
    assert_eq!(ids, json!({"channel_ids": [made["channel_id"]]}));
    let playlist = get(&server, &format!("/hls/{}/playlist.m3u8", made["channel_id"].as_str().unwrap())).await;
    assert_eq!(playlist.status, 404);
    assert!(playlist.body.contains("NOT_LIVE"), "{}", playlist.body);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut tcp = config(folder.path());
    tcp.http.listen = taken.local_addr().unwrap();
    let error = Server::start(tcp).await.err().unwrap();
    assert!(matches!(error, StartError::Http { .. }));
    let port = taken.local_addr().unwrap().port().to_string();
    let words = error.to_string();
    assert!(words.contains(&port) && words.contains("TCP") && words.contains("in use") && !words.contains('\n'), "{words}");

    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut udp = config(folder.path());
    udp.rtc.listen = Some(taken.local_addr().unwrap());
    let error = Server::start(udp).await.err().unwrap();
    assert!(matches!(error, StartError::Media(_)));
    let port = taken.local_addr().unwrap().port().to_string();
    let words = error.to_string();
    assert!(words.contains(&port) && words.contains("UDP") && words.contains("in use") && !words.contains('\n'), "{words}");

    // Negative control: the same folder with free ports starts.
    Server::start(config(folder.path())).await.unwrap().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwritable_data_folder_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Server::start(config(&file)).await.err().unwrap().to_string();
    assert!(error.contains("file") && !error.contains('\n'), "{error}");
}
