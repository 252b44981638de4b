//! Where a stream's bytes belong, and where one message ends and the next begins.

use bytes::{Buf, BytesMut};

/// The largest message that is taken; media and its control stay below 1500 bytes. A larger one ends the connection.
const MESSAGE_MAX: usize = 8192;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// How messages follow one another on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// ICE-TCP: each behind its length (RFC 4571).
    Ice,
    /// TURN over TCP: each says its length itself (RFC 8656 §3.1).
    Turn,
}

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It carries media.
    Media(Framing),
    /// Something else: HTTP, TLS.
    Other,
    /// Not enough bytes yet.
    Unclear,
}

/// So many bytes tell for certain.
pub const OPENING_BYTES: usize = 10;

/// Tells media from everything else on a shared port: both kinds begin with a STUN message.
#[must_use]
pub fn opening(bytes: &[u8]) -> Opening {
    // Our kinds of STUN begin with a zero, a framed message with its length: text and TLS begin with more.
    if bytes.first().is_some_and(|byte| *byte >= 4) {
        return Opening::Other;
    }
    if bytes.len() < OPENING_BYTES {
        return Opening::Unclear;
    }
    if bytes[4..8] == COOKIE {
        Opening::Media(Framing::Turn)
    } else if bytes[2..4] == [0, 1] && bytes[6..10] == COOKIE {
        Opening::Media(Framing::Ice)
    } else {
        Opening::Other
    }
}

/// The stream says nonsense and cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl Framing {
    /// Takes the next whole message.
    pub(super) fn split(self, buffer: &mut BytesMut) -> Result<Option<BytesMut>, Broken> {
        let Some((skip, length, padding)) = self.next(buffer) else { return Ok(None) };
        if length > MESSAGE_MAX {
            return Err(Broken);
        }
        if self == Self::Turn && buffer[0] < 4 && buffer.get(4..8).is_some_and(|cookie| cookie != COOKIE) {
            return Err(Broken);
        }
        if buffer.len() < skip + length + padding {
            return Ok(None);
        }
        buffer.advance(skip);
        let message = buffer.split_to(length);
        buffer.advance(padding);
        Ok(Some(message))
    }

    /// Bytes to skip, bytes of the message, bytes of padding behind it.
    fn next(self, buffer: &BytesMut) -> Option<(usize, usize, usize)> {
        let be16 = |at: usize| Some(usize::from(u16::from_be_bytes([*buffer.get(at)?, *buffer.get(at + 1)?])));
        match (self, *buffer.first()?) {
            (Self::Ice, _) => Some((2, be16(0)?, 0)),
            (Self::Turn, 0x40..=0x4f) => {
                let length = 4 + be16(2)?;
                Some((0, length, length.next_multiple_of(4) - length))
            }
            (Self::Turn, 0..=3) => Some((0, 20 + be16(2)?, 0)),
            (Self::Turn, _) => Some((0, MESSAGE_MAX + 1, 0)),
        }
    }

    /// Bytes in front of a message of that length, when it is sent. What [`Self::Turn`] sends is complete.
    pub(super) fn head(self, length: usize) -> Option<[u8; 2]> {
        match self {
            Self::Ice => Some((length as u16).to_be_bytes()),
            Self::Turn => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stun(kind: u16, body: usize) -> Vec<u8> {
        let mut message = [kind.to_be_bytes(), (body as u16).to_be_bytes()].concat();
        message.extend_from_slice(&COOKIE);
        message.resize(20 + body, 9);
        message
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&(message.len() as u16).to_be_bytes(), message].concat()
    }

    #[test]
    fn the_first_bytes_tell_media_from_http_and_tls() {
        assert_eq!(opening(&stun(3, 8)), Opening::Media(Framing::Turn));
        assert_eq!(opening(&framed(&stun(1, 80))), Opening::Media(Framing::Ice));
        for other in [
            &b"GET / HTTP/1.1"[..],
            b"PRI * HTTP/2.0",
            b"\x16\x03\x01\x02\x00\x01",
            b"G",
            &[0; 10],
            &[0, 80, 0, 3, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(opening(other), Opening::Other, "{other:?}");
        }
        let whole = framed(&stun(1, 80));
        assert!((0..OPENING_BYTES).all(|length| opening(&whole[..length]) == Opening::Unclear));
    }

    #[test]
    fn messages_come_out_whole_however_the_bytes_arrive() {
        let (request, channel) = (stun(3, 12), b"\x40\x01\x00\x05hello".to_vec());
        let cases = [
            (
                Framing::Ice,
                [framed(&request), framed(b"\x80media"), framed(&[])].concat(),
                [request.clone(), b"\x80media".to_vec(), Vec::new()],
            ),
            (Framing::Turn, [&channel[..], &[0; 3], &request, &channel, &[0; 3]].concat(), [channel.clone(), request, channel]),
        ];
        for (framing, bytes, expected) in cases {
            let (mut buffer, mut got) = (BytesMut::new(), Vec::new());
            for byte in bytes {
                buffer.extend_from_slice(&[byte]);
                got.extend(framing.split(&mut buffer).unwrap().map(|message| message.to_vec()));
            }
            assert_eq!((got, buffer.len()), (expected.to_vec(), 0));
        }
    }

    #[test]
    fn nonsense_ends_the_stream() {
        let cases: [(Framing, &[u8]); 4] = [
            (Framing::Ice, &[0xff, 0xff]),
            (Framing::Turn, &[0x40, 1, 0xff, 0xff]),
            (Framing::Turn, b"GET "),
            (Framing::Turn, &[0; 20]),
        ];
        for (framing, bytes) in cases {
            assert_eq!(framing.split(&mut BytesMut::from(bytes)), Err(Broken), "{bytes:?}");
        }
    }
}
