//! One TCP connection that carries datagrams.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use minamo_sfu_core::transport::Route;

use super::framing::{Framing, OPENING_BYTES, Opening, opening};
use super::socket::Socket;

/// From the connection's begin to its first whole message.
const FIRST_WITHIN: Duration = Duration::from_secs(10);
/// Without a byte from the client for so long it is over. ICE checks every few seconds.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Bytes that wait to be sent; a datagram that does not fit is dropped. Half a second at 2 Mbit/s.
const OUT_MAX: usize = 128 * 1024;
/// Taken from one connection before the others get their turn.
const READ_MAX: usize = 256 * 1024;
const READ_CHUNK: usize = 16 * 1024;

pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) route: Route,
    /// Unknown until the first bytes came.
    pub(super) framing: Option<Framing>,
    since: Instant,
    heard: Option<Instant>,
    input: BytesMut,
    output: BytesMut,
}

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadEnd {
    /// There is no more for now.
    Empty,
    /// There may be more.
    More,
    /// It is over.
    Closed,
}

impl Connection {
    pub(super) fn new(now: Instant, socket: Socket, route: Route) -> Self {
        let (input, output) = (BytesMut::new(), BytesMut::new());
        Self { socket, route, framing: None, since: now, heard: None, input, output }
    }

    /// Reads what is there and gives each whole message to `each`, which may write to the second argument what is to be sent back.
    pub(super) fn read(&mut self, now: Instant, mut each: impl FnMut(Route, Framing, BytesMut, &mut Vec<BytesMut>)) -> ReadEnd {
        let mut answers = Vec::new();
        let end = self.read_some(now, &mut each, &mut answers);
        for answer in answers {
            self.write(&answer);
        }
        if end == ReadEnd::Closed || self.flush().is_err() { ReadEnd::Closed } else { end }
    }

    fn read_some(
        &mut self,
        now: Instant,
        each: &mut impl FnMut(Route, Framing, BytesMut, &mut Vec<BytesMut>),
        answers: &mut Vec<BytesMut>,
    ) -> ReadEnd {
        let mut chunk = [0; READ_CHUNK];
        for _ in 0..READ_MAX / READ_CHUNK {
            match self.socket.read(&mut chunk) {
                Ok(0) => return ReadEnd::Closed,
                Ok(length) => self.input.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return ReadEnd::Empty,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return ReadEnd::Closed,
            }
            let Ok(framing) = self.framing() else { return ReadEnd::Closed };
            let Some(framing) = framing else { continue };
            loop {
                match framing.split(&mut self.input) {
                    Ok(Some(message)) => {
                        self.heard = Some(now);
                        each(self.route, framing, message, answers);
                    }
                    Ok(None) => break,
                    Err(_) => return ReadEnd::Closed,
                }
            }
        }
        ReadEnd::More
    }

    /// Err: it is none of ours.
    fn framing(&mut self) -> Result<Option<Framing>, ()> {
        if self.framing.is_none() {
            match opening(&self.input[..self.input.len().min(OPENING_BYTES)]) {
                Opening::Media(framing) => self.framing = Some(framing),
                Opening::Other => return Err(()),
                Opening::Unclear => {}
            }
        }
        Ok(self.framing)
    }

    /// False if there is no room: then it is dropped. Call [`Self::flush`] after the last.
    pub(super) fn write(&mut self, datagram: &[u8]) -> bool {
        let Some(framing) = self.framing else { return false };
        if self.output.len() + datagram.len() + 2 > OUT_MAX {
            return false;
        }
        if let Some(head) = framing.head(datagram.len()) {
            self.output.extend_from_slice(&head);
        }
        self.output.extend_from_slice(datagram);
        true
    }

    /// Sends what the system takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.socket.write(&self.output) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => self.output.advance(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match self.socket.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// `keep`: something else vouches for it, such as an allocation that its client refreshes every few minutes.
    pub(super) fn is_dead(&self, now: Instant, keep: bool) -> bool {
        match self.heard {
            None => now.saturating_duration_since(self.since) > FIRST_WITHIN,
            Some(heard) => !keep && now.saturating_duration_since(heard) > IDLE_MAX,
        }
    }
}
