//! Connections whose other end does not take what it asked for are cut off, lest each keeps a segment in memory for ever.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// So much taken within the time is progress: 17 kbit/s, below any sound.
const PROGRESS: usize = 64 * 1024;

/// A stream of which each [`PROGRESS`] bytes that do not go at once must go within a time.
pub(crate) struct Patient<S> {
    stream: S,
    limit: Duration,
    stall: Option<Stall>,
}

/// Something could not be written.
struct Stall {
    timer: Pin<Box<Sleep>>,
    taken: usize,
}

impl<S> Patient<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, stall: None }
    }

    /// What to make of an attempt to write `wanted` bytes.
    fn judge(&mut self, context: &mut Context<'_>, attempt: Poll<Result<usize>>, wanted: usize) -> Poll<Result<usize>> {
        match attempt {
            Poll::Ready(Ok(written)) => {
                if let Some(stall) = &mut self.stall {
                    stall.taken += written;
                    if written == wanted || stall.taken >= PROGRESS {
                        self.stall = None;
                    }
                }
                attempt
            }
            Poll::Pending => {
                let limit = self.limit;
                let stall = self.stall.get_or_insert_with(|| Stall { timer: Box::pin(tokio::time::sleep(limit)), taken: 0 });
                match stall.timer.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the other end does not read"))),
                    Poll::Pending => Poll::Pending,
                }
            }
            Poll::Ready(Err(_)) => attempt,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        let attempt = Pin::new(&mut self.stream).poll_write(context, data);
        self.judge(context, attempt, data.len())
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        let attempt = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        let wanted = slices.iter().map(|slice| slice.len()).sum();
        self.judge(context, attempt, wanted)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn who_takes_nothing_is_cut_off() {
        let (near, _far) = duplex(1000);
        let mut stream = Patient::new(near, Duration::from_millis(50));
        stream.write_all(&[0; 1000]).await.unwrap();
        assert_eq!(stream.write_all(&[0; 1]).await.unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_reads_gets_everything_and_an_idle_time_is_no_stall() {
        let (near, mut far) = duplex(1000);
        let reader = tokio::spawn(async move {
            let mut taken = Vec::new();
            far.read_to_end(&mut taken).await.unwrap();
            taken.len()
        });
        let mut stream = Patient::new(near, Duration::from_secs(3600));
        stream.write_all(&[0; 300_000]).await.unwrap();
        assert!(stream.stall.is_none(), "all of it is gone, so nothing runs");
        drop(stream);
        assert_eq!(reader.await.unwrap(), 300_000);
    }
}
