//! The HTTP side's sockets: a bounded number of connections, and an end that waits for what is under way, but not for ever.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
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
/// After an error of accept: usually no file descriptors are left, and some may come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct HttpServer {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl HttpServer {
    pub(crate) fn spawn(listener: TcpListener, router: Router) -> Self {
        let stop = CancellationToken::new();
        let running = tokio::spawn(serve(listener, router, stop.clone()));
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

async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let builder = builder();
    let connections = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut tasks = JoinSet::new();
    while let Some((stream, slot)) = next(&listener, &slots, &stop).await {
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let connection = connections.watch(connection.into_owned());
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::trace!(error, "a connection ended");
            }
            drop(slot);
        });
        while tasks.try_join_next().is_some() {}
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, connections.shutdown()).await.is_err() {
        tracing::warn!(seconds = DRAIN.as_secs(), "requests were still under way, cut off");
    }
    tasks.shutdown().await;
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
