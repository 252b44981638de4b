//! The HTTP side's sockets: a bounded number of connections, and an end that waits for what is under way, but not for ever.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use minamo_sfu::{OPENING_BYTES, Opening, Sfu, opening};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Open connections; at the bound new ones wait in the system's backlog.
const CONNECTIONS_MAX: usize = 20_000;
/// A connection that does not send a whole request head for so long is closed, idle ones too.
const HEAD_WITHIN: Duration = Duration::from_secs(60);
/// What is under way at the end may take so long.
const DRAIN: Duration = Duration::from_secs(10);
/// Between two looks at the few bytes of a connection that cannot be told yet.
const PEEK_AGAIN: Duration = Duration::from_millis(5);
/// After an error of accept: usually no file descriptors are left, and some may come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct HttpServer {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl HttpServer {
    /// Connections that carry media go to `sfu`.
    pub(crate) fn spawn(listener: TcpListener, router: Router, sfu: Sfu) -> Self {
        Self::spawn_with(listener, router, Some(sfu), DRAIN)
    }

    fn spawn_with(listener: TcpListener, router: Router, sfu: Option<Sfu>, drain: Duration) -> Self {
        let stop = CancellationToken::new();
        let running = tokio::spawn(serve(listener, router, sfu, drain, stop.clone()));
        Self { stop, running }
    }

    /// Takes no more connections and waits until requests under way are answered, at most [`DRAIN`].
    pub(crate) async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.running.await {
            tracing::error!(%error, "the HTTP server ended badly");
        }
    }
}

async fn serve(listener: TcpListener, router: Router, sfu: Option<Sfu>, drain: Duration, stop: CancellationToken) {
    let builder = builder();
    let connections = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut tasks = JoinSet::new();
    while let Some((stream, slot)) = next(&listener, &slots, &stop).await {
        let (builder, watcher, service) = (builder.clone(), connections.watcher(), TowerToHyperService::new(router.clone()));
        let (sfu, stop) = (sfu.clone(), stop.clone());
        tasks.spawn(async move {
            let looked = stop.run_until_cancelled(unless_media(stream, sfu.as_ref())).await;
            let Some(stream) = looked.flatten() else { return };
            let connection = watcher.watch(builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned());
            if let Err(error) = connection.await {
                tracing::trace!(error, "a connection ended");
            }
            drop(slot);
        });
        while tasks.try_join_next().is_some() {}
    }
    drop(listener);
    if tokio::time::timeout(drain, connections.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way, cut off");
    }
    tasks.shutdown().await;
}

/// Looks at the first bytes without taking them. Media goes to the SFU; `None` then, and when nothing comes.
async fn unless_media(stream: TcpStream, sfu: Option<&Sfu>) -> Option<TcpStream> {
    let Some(sfu) = sfu.filter(|sfu| sfu.takes_tcp()) else { return Some(stream) };
    let looked = tokio::time::timeout(HEAD_WITHIN, async {
        let mut first = [0; OPENING_BYTES];
        loop {
            let length = stream.peek(&mut first).await.ok()?;
            match opening(&first[..length]) {
                // Closed before it said anything.
                Opening::Unclear if length == 0 => return None,
                // Peeking does not wait for more than what is there.
                Opening::Unclear => tokio::time::sleep(PEEK_AGAIN).await,
                clear => return Some(clear),
            }
        }
    });
    match looked.await {
        Ok(Some(Opening::Media(_))) => {
            sfu.take_stream(stream.into_std().ok()?);
            None
        }
        Ok(Some(_)) => Some(stream),
        Ok(None) | Err(_) => None,
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD_WITHIN);
    builder
}

/// The next connection with its place among the open ones; `None` when it is time to stop.
async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let accepted = async {
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, slot)),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    let (stream, slot) = stop.run_until_cancelled(accepted).await??;
    // Parts are small and late at once: never wait to fill a packet.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::trace!(%error, "no TCP_NODELAY");
    }
    Some((stream, slot))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;

    use super::HttpServer;

    /// Far longer than any test takes: who waits for it hangs.
    const NEVER: Duration = Duration::from_secs(3600);

    async fn start(router: Router, drain: Duration) -> (HttpServer, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (HttpServer::spawn_with(listener, router, None, drain), address)
    }

    async fn rest_of(mut stream: TcpStream) -> String {
        let mut text = Vec::new();
        // Closed or reset: in any case it is over.
        let _ = stream.read_to_end(&mut text).await;
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn what_is_under_way_is_answered_and_idle_connections_are_closed() {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begin, wait) = (Arc::clone(&begun), Arc::clone(&go_on));
        let slow = get(async move || {
            begin.notify_one();
            wait.notified().await;
            "answered"
        });
        let (server, address) = start(Router::new().route("/", slow), NEVER).await;
        let idle = TcpStream::connect(address).await.unwrap();
        let mut busy = TcpStream::connect(address).await.unwrap();
        busy.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        begun.notified().await;
        let stopping = tokio::spawn(server.shutdown());
        assert_eq!(rest_of(idle).await, "");
        assert!(!stopping.is_finished(), "a request is still under way");
        go_on.notify_one();
        assert!(rest_of(busy).await.ends_with("answered"));
        stopping.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "the port is still open");
    }

    #[tokio::test]
    async fn half_a_request_does_not_hold_up_the_end_for_ever() {
        let (server, address) = start(Router::new(), Duration::from_millis(50)).await;
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        server.shutdown().await;
        assert_eq!(rest_of(half).await, "");
    }
}
