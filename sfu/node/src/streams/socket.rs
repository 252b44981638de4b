//! A TCP connection's bytes, as they came or inside TLS.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use rustls::ServerConnection;

/// A connection that somebody else accepted. Non-blocking; it must begin like media, see [`opening`](super::opening), and nothing of that may
/// have been taken: not from the socket, and inside TLS not from the session.
pub struct MediaStream {
    tcp: std::net::TcpStream,
    tls: Option<Box<ServerConnection>>,
}

impl MediaStream {
    /// Without TLS.
    #[must_use]
    pub fn plain(tcp: std::net::TcpStream) -> Self {
        Self { tcp, tls: None }
    }

    /// After the handshake.
    #[must_use]
    pub fn tls(tcp: std::net::TcpStream, session: ServerConnection) -> Self {
        Self { tcp, tls: Some(Box::new(session)) }
    }
}

/// Both directions never block.
pub(super) struct Socket {
    pub(super) tcp: TcpStream,
    tls: Option<Box<ServerConnection>>,
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Self {
        Self { tcp, tls: None }
    }
}

impl From<MediaStream> for Socket {
    fn from(MediaStream { tcp, tls }: MediaStream) -> Self {
        Self { tcp: TcpStream::from_std(tcp), tls }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.tcp.read(buffer) };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if tls.read_tls(&mut self.tcp)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

impl Write for Socket {
    /// Takes no more before what it took is on its way: TLS buffers nothing beyond one call.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let Some(tls) = &mut self.tls else { return self.tcp.write(data) };
        let taken = tls.writer().write(data)?;
        match self.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            tls.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }
}
