//! HTTPS on the HTTP port: HTTP/2, URLs that say so, TURN inside it, plain HTTP beside it.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use minamo::{Config, Server};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

struct Secure {
    server: Server,
    certificate: Vec<u8>,
    _folder: tempfile::TempDir,
}

impl Secure {
    async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        config.http.listen = "127.0.0.1:0".parse().unwrap();
        config.rtc.public_ips = vec!["127.0.0.1".parse().unwrap()];
        config.tls.self_signed = true;
        let server = Server::start(config).await.unwrap();
        let certificate = std::fs::read(folder.path().join("tls/certificate.pem")).unwrap();
        Self { server, certificate, _folder: folder }
    }

    fn port(&self) -> u16 {
        self.server.addresses().http.port()
    }

    fn client(&self) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(&self.certificate).unwrap();
        reqwest::Client::builder().tls_certs_only([root]).build().unwrap()
    }

    async fn tls(&self) -> tokio_rustls::client::TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.certificate).unwrap()).unwrap();
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", self.port())).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
    }
}

const CREATE: (&str, &str) = ("X-Sora-Target", "ImageFlux_20180905.CreateChannel");
const BODY: &str = r#"{"hls":[{"audio":{"bps":64000}}]}"#;

#[tokio::test]
async fn https_is_http_2_and_its_urls_say_https() {
    let secure = Secure::start().await;
    let url = format!("https://localhost:{}/", secure.port());
    let token = secure.server.token().secret.expose().to_owned();
    let request = secure.client().post(&url).header(CREATE.0, CREATE.1).bearer_auth(&token).body(BODY);
    let answer = request.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    let text = answer.text().await.unwrap();
    assert!(text.contains(&format!("wss://localhost:{}/signaling", secure.port())), "{text}");
    assert!(text.contains(&format!("https://localhost:{}/hls/", secure.port())), "{text}");
    assert!(secure.server.public_url().to_string().starts_with("https://127.0.0.1:"));
    secure.server.shutdown().await;
}

#[tokio::test]
async fn this_machine_may_still_speak_plain_http() {
    let secure = Secure::start().await;
    let answer = reqwest::get(format!("http://127.0.0.1:{}/healthz", secure.port())).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    secure.server.shutdown().await;
}

#[tokio::test]
async fn a_stranger_to_the_certificate_gets_nothing() {
    let secure = Secure::start().await;
    let stranger = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    assert!(stranger.get(format!("https://localhost:{}/healthz", secure.port())).send().await.is_err());
    secure.server.shutdown().await;
}

/// An Allocate request without a login (RFC 8656 §7.1), to which the TURN server says 401 and its realm.
#[tokio::test]
async fn turn_is_inside_tls_on_the_same_port() {
    let secure = Secure::start().await;
    let mut stream = secure.tls().await;
    let request = [&[0, 3, 0, 8, 0x21, 0x12, 0xa4, 0x42][..], b"transaction!", &[0, 0x19, 0, 4, 17, 0, 0, 0]].concat();
    stream.write_all(&request).await.unwrap();
    let mut head = [0; 20];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!((&head[..2], &head[8..20]), (&[0x01, 0x13][..], &b"transaction!"[..]), "not an Allocate error response");
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    assert!(body.windows(4).any(|bytes| bytes == [0, 0, 4, 1]), "not 401: {body:?}");
    // The same request once more on the same connection: the session goes on.
    stream.write_all(&request).await.unwrap();
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head[..2], &[0x01, 0x13]);
    secure.server.shutdown().await;
}

#[tokio::test]
async fn nonsense_inside_and_instead_of_tls_ends_the_connection_only() {
    let secure = Secure::start().await;
    let mut inside = secure.tls().await;
    inside.write_all(&[0; 64]).await.unwrap();
    let mut rest = Vec::new();
    let _ = inside.read_to_end(&mut rest).await;
    let mut instead = TcpStream::connect(("127.0.0.1", secure.port())).await.unwrap();
    instead.write_all(&[22, 3, 1, 0, 4, 9, 9, 9, 9, 0, 0, 0]).await.unwrap();
    let _ = instead.read_to_end(&mut rest).await;
    let url = format!("https://localhost:{}/healthz", secure.port());
    assert_eq!(secure.client().get(url).send().await.unwrap().status().as_u16(), 200);
    secure.server.shutdown().await;
}
