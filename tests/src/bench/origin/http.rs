//! A client that costs little: HTTP/1.1 with keep-alive, bodies counted and thrown away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A head is no longer than this.
const HEAD_MAX: usize = 4096;

/// The bytes of a GET.
#[must_use]
pub fn get(path: &str, gzip: bool) -> Arc<[u8]> {
    let encoding = if gzip { "accept-encoding: gzip\r\n" } else { "" };
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\n{encoding}\r\n").into_bytes().into()
}

/// One connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens, or no port or descriptor is left.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn ask(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(request).await?)
    }

    /// Takes an answer of status 200; answers the length of its body. `room` is how much is read at once.
    ///
    /// # Errors
    /// When the connection ends, or the status is another.
    pub async fn take(&mut self, room: usize) -> Result<usize> {
        // Of a connection that waits nothing is kept but the socket.
        self.stream.readable().await?;
        self.buffer.resize(room.max(HEAD_MAX), 0);
        let mut have = 0;
        let (body, length) = loop {
            let read = self.stream.read(&mut self.buffer[have..]).await?;
            if read == 0 {
                bail!("the connection ended");
            }
            have += read;
            if let Some(head) = self.buffer[..have].windows(4).position(|four| four == b"\r\n\r\n") {
                break (have - head - 4, length(&self.buffer[..head])?);
            }
            if have == self.buffer.len() {
                bail!("a head without an end");
            }
        };
        let mut left = length.checked_sub(body).context("more than was asked for")?;
        while left > 0 {
            let room = left.min(self.buffer.len());
            let read = self.stream.read(&mut self.buffer[..room]).await?;
            if read == 0 {
                bail!("the connection ended inside a body");
            }
            left -= read;
        }
        Ok(length)
    }

    /// The same, whole.
    ///
    /// # Errors
    /// As [`Self::take`], and for bodies above 16 MiB.
    pub async fn fetch(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        self.ask(request).await?;
        let mut all = vec![0; 16 << 20];
        let mut have = 0;
        loop {
            let read = self.stream.read(&mut all[have..]).await?;
            if read == 0 {
                bail!("the connection ended");
            }
            have += read;
            let Some(head) = all[..have].windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let whole = head + 4 + length(&all[..head])?;
            if have >= whole {
                return Ok(all[head + 4..whole].to_vec());
            }
        }
    }
}

fn length(head: &[u8]) -> Result<usize> {
    let head = std::str::from_utf8(head)?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("answered {:?}", head.lines().next());
    }
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let value = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length")).context("no content-length")?.1;
    Ok(value.trim().parse()?)
}

/// Many connections that ask again as soon as they are answered, for so long. Answers how many answers came.
///
/// # Errors
/// When one of them fails.
pub async fn hammer(address: SocketAddr, request: &Arc<[u8]>, connections: usize, length: Duration) -> Result<u64> {
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let mut connection = Connection::open(address).await?;
        let (stop, count, request) = (Arc::clone(&stop), Arc::clone(&count), Arc::clone(request));
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                connection.ask(&request).await?;
                connection.take(64 << 10).await?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    tokio::time::sleep(length).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(count.load(Ordering::Relaxed))
}
