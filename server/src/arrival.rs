//! What a connection on the HTTP port carries: HTTP, HTTPS, or media over TCP or TLS. The first bytes tell.

use std::time::Duration;

use minamo_sfu::{MediaStream, OPENING_BYTES, Opening, Sfu, opening};
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// From the first byte to the end of a TLS handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// A connection that says nothing for so long is closed.
pub(crate) const FIRST_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at the few bytes of a connection that cannot be told yet.
const PEEK_AGAIN: Duration = Duration::from_millis(5);
/// First byte of a TLS record that carries a handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;

/// A connection that carries HTTP.
pub(crate) enum Arrival {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
    /// Plain, where TLS is wanted.
    Elsewhere(TcpStream),
}

/// Who takes what.
#[derive(Clone, Default)]
pub(crate) struct Doors {
    pub(crate) sfu: Option<Sfu>,
    pub(crate) tls: Option<TlsAcceptor>,
}

impl Doors {
    /// `None` when the connection was media, which now belongs to the SFU, and when nothing good came of it.
    pub(crate) async fn sort(&self, stream: TcpStream) -> Option<Arrival> {
        if self.tls.is_none() && self.takes_media().is_none() {
            return Some(Arrival::Plain(stream));
        }
        match tokio::time::timeout(FIRST_WITHIN, look(&stream)).await {
            Ok(Some((Opening::Media(_), _))) => {
                self.takes_media()?.take_stream(MediaStream::plain(stream.into_std().ok()?));
                None
            }
            Ok(Some((_, TLS_HANDSHAKE))) if self.tls.is_some() => self.secure(stream).await,
            Ok(Some(_)) => Some(self.plain(stream)),
            Ok(None) | Err(_) => None,
        }
    }

    fn takes_media(&self) -> Option<&Sfu> {
        self.sfu.as_ref().filter(|sfu| sfu.takes_tcp())
    }

    /// Where there is TLS, plain HTTP is for this machine only: proxies in front, health checks.
    fn plain(&self, stream: TcpStream) -> Arrival {
        let local = stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback());
        if self.tls.is_none() || local { Arrival::Plain(stream) } else { Arrival::Elsewhere(stream) }
    }

    async fn secure(&self, stream: TcpStream) -> Option<Arrival> {
        let handshake = tokio::time::timeout(HANDSHAKE_WITHIN, self.tls.as_ref()?.accept(stream)).await;
        let mut stream = match handshake {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                return None;
            }
            Err(_) => return None,
        };
        if let Some(sfu) = self.takes_media() {
            // Media begins with a whole STUN message in one record; whoever sends less of it is not worth waiting for.
            let first = tokio::time::timeout(FIRST_WITHIN, stream.fill_buf()).await.ok()?.ok()?;
            if let Opening::Media(_) = opening(&first[..first.len().min(OPENING_BYTES)]) {
                let (stream, session) = stream.into_inner();
                sfu.take_stream(MediaStream::tls(stream.into_std().ok()?, session));
                return None;
            }
        }
        Some(Arrival::Secure(Box::new(stream)))
    }
}

/// Looks at the first bytes without taking them. `None` when the connection ends before it says anything.
async fn look(stream: &TcpStream) -> Option<(Opening, u8)> {
    let mut first = [0; OPENING_BYTES];
    loop {
        let length = stream.peek(&mut first).await.ok()?;
        match opening(&first[..length]) {
            Opening::Unclear if length == 0 => return None,
            // Peeking does not wait for more than what is there.
            Opening::Unclear => tokio::time::sleep(PEEK_AGAIN).await,
            clear => return Some((clear, first[0])),
        }
    }
}
