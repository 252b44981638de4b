//! The HTTP side's sockets: a bounded number of connections, and an end that waits for what is under way, but not for ever.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::uri::{Authority, PathAndQuery};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use minamo_signaling::api::OverTls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::arrival::{Arrival, Doors, FIRST_WITHIN};
use crate::patience::Patient;

/// Open connections; at the bound new ones wait in the system's backlog.
pub(crate) const CONNECTIONS_MAX: usize = 20_000;
/// A connection that does not send a whole request head for so long is closed, idle ones too.
const HEAD_WITHIN: Duration = FIRST_WITHIN;
/// Who takes almost nothing of an answer for so long is cut off.
const STALL_MAX: Duration = Duration::from_secs(30);
/// What is under way at the end may take so long.
const DRAIN: Duration = Duration::from_secs(10);
/// After an error of accept: usually no file descriptors are left, and some may come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct HttpServer {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl HttpServer {
    pub(crate) fn spawn(listener: TcpListener, router: Router, doors: Doors) -> Self {
        Self::spawn_with(listener, router, doors, DRAIN)
    }

    fn spawn_with(listener: TcpListener, router: Router, doors: Doors, drain: Duration) -> Self {
        let stop = CancellationToken::new();
        let running = tokio::spawn(serve(listener, Routers::new(router), doors, drain, stop.clone()));
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

async fn serve(listener: TcpListener, routers: Routers, doors: Doors, drain: Duration, stop: CancellationToken) {
    let builder = builder();
    let connections = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut tasks = JoinSet::new();
    while let Some((stream, slot)) = next(&listener, &slots, &stop).await {
        let (builder, watcher, routers) = (builder.clone(), connections.watcher(), routers.clone());
        let (doors, stop) = (doors.clone(), stop.clone());
        tasks.spawn(async move {
            let sorted = stop.run_until_cancelled(doors.sort(stream)).await;
            let Some(arrival) = sorted.flatten() else { return };
            routers.serve(arrival, &builder, watcher).await;
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

/// Each connection is served by the router for how it came.
#[derive(Clone)]
struct Routers {
    plain: Router,
    secure: Router,
    elsewhere: Router,
}

impl Routers {
    fn new(router: Router) -> Self {
        let secure = router.clone().layer(Extension(OverTls));
        Self { plain: router, secure, elsewhere: Router::new().fallback(to_https) }
    }

    async fn serve(&self, arrival: Arrival, builder: &Builder<TokioExecutor>, watcher: Watcher) {
        match arrival {
            Arrival::Plain(stream) => serve_one(stream, &self.plain, builder, watcher).await,
            Arrival::Secure(stream) => serve_one(*stream, &self.secure, builder, watcher).await,
            Arrival::Elsewhere(stream) => serve_one(stream, &self.elsewhere, builder, watcher).await,
        }
    }
}

async fn serve_one<S>(stream: S, router: &Router, builder: &Builder<TokioExecutor>, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router.clone());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(Patient::new(stream, STALL_MAX)), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::trace!(error, "a connection ended");
    }
}

/// The same place over TLS.
async fn to_https(request: Request) -> Response {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = named.and_then(|host| host.parse::<Authority>().ok()).filter(|host| !host.as_str().contains('@'));
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    match host {
        Some(host) => Redirect::permanent(&format!("https://{host}{path}")).into_response(),
        None => (StatusCode::BAD_REQUEST, "this server speaks HTTPS here\n").into_response(),
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
    use axum::body::Body;
    use axum::http::Request;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;

    use super::{Doors, HttpServer, to_https};

    /// Far longer than any test takes: who waits for it hangs.
    const NEVER: Duration = Duration::from_secs(3600);

    async fn start(router: Router, drain: Duration) -> (HttpServer, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (HttpServer::spawn_with(listener, router, Doors::default(), drain), address)
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

    #[tokio::test]
    async fn plain_http_from_elsewhere_is_sent_to_https() {
        let location = async |host: Option<&str>, path: &str| {
            let request = Request::builder().uri(path);
            let request = host.into_iter().fold(request, |request, host| request.header("host", host));
            let answer = to_https(request.body(Body::empty()).unwrap()).await;
            (answer.status().as_u16(), answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned()))
        };
        let to = |url: &str| (308, Some(url.to_owned()));
        assert_eq!(location(Some("live.example:8080"), "/watch/a?x=1").await, to("https://live.example:8080/watch/a?x=1"));
        assert_eq!(location(Some("[2001:db8::1]"), "/").await, to("https://[2001:db8::1]/"));
        for host in [None, Some("a b"), Some("me:secret@host")] {
            assert_eq!(location(host, "/").await, (400, None), "{host:?}");
        }
    }
}
