//! The RTP header (RFC 3550 §5.1) and its extensions (RFC 8285).

use std::ops::Range;

use bytes::BufMut;

const FIXED_LEN: usize = 12;
/// Most headers are no longer than this.
const USUAL: usize = 64;
/// `defined by profile` of one-byte extensions (RFC 8285 §4.2).
const ONE_BYTE: u16 = 0xBEDE;
/// The same of two-byte extensions; the low four bits are the application's (§4.3).
const TWO_BYTE: u16 = 0x1000;

/// Why a datagram is no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It ends before its header does.
    #[error("shorter than its header")]
    TooShort,
    /// Not version 2.
    #[error("not RTP version 2")]
    Version,
    /// The padding is longer than what is there, or has no length.
    #[error("bad padding")]
    Padding,
}

/// Whether a datagram that is RTP or RTCP is RTCP, by its packet type (RFC 5761 §4).
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram.get(1), Some(192..=223))
}

/// A parsed packet that borrows its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    buf: &'a [u8],
    profile: u16,
    extensions: Range<usize>,
    payload: Range<usize>,
}

impl<'a> Packet<'a> {
    /// Parses a whole plain packet.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn parse(buf: &'a [u8]) -> Result<Self, HeaderError> {
        let first = *buf.first().ok_or(HeaderError::TooShort)?;
        if first >> 6 != 2 {
            return Err(HeaderError::Version);
        }
        let mut at = FIXED_LEN + 4 * usize::from(first & 0x0F);
        if buf.len() < at {
            return Err(HeaderError::TooShort);
        }
        let (mut profile, mut extensions) = (0, at..at);
        if first & 0x10 != 0 {
            let head: [u8; 4] = read(buf, at).ok_or(HeaderError::TooShort)?;
            profile = u16::from_be_bytes([head[0], head[1]]);
            let words = u16::from_be_bytes([head[2], head[3]]);
            extensions = at + 4..at + 4 + 4 * usize::from(words);
            at = extensions.end;
            if buf.len() < at {
                return Err(HeaderError::TooShort);
            }
        }
        let end = buf.len() - padding(first, &buf[at..])?;
        Ok(Self { buf, profile, extensions, payload: at..end })
    }

    /// The marker bit: for video the last packet of a picture, for audio the first of a talk spurt.
    #[must_use]
    pub fn marker(&self) -> bool {
        self.buf[1] & 0x80 != 0
    }

    /// The payload type, 0–127.
    #[must_use]
    pub fn payload_type(&self) -> u8 {
        self.buf[1] & 0x7F
    }

    /// The sequence number as it came.
    #[must_use]
    pub fn sequence(&self) -> u16 {
        u16::from_be_bytes([self.buf[2], self.buf[3]])
    }

    /// The timestamp as it came.
    #[must_use]
    pub fn timestamp(&self) -> u32 {
        u32::from_be_bytes([self.buf[4], self.buf[5], self.buf[6], self.buf[7]])
    }

    /// The synchronisation source.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        u32::from_be_bytes([self.buf[8], self.buf[9], self.buf[10], self.buf[11]])
    }

    /// The payload without padding. Empty in a packet that is only padding.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.buf[self.payload.clone()]
    }

    /// Where [`Self::payload`] lies in the packet, for slicing an owned copy of it.
    #[must_use]
    pub fn payload_range(&self) -> Range<usize> {
        self.payload.clone()
    }

    /// The header extensions in their order, one-byte or two-byte form. Stops at the first malformed one.
    #[must_use]
    pub fn extensions(&self) -> Extensions<'a> {
        let two_byte = self.profile & 0xFFF0 == TWO_BYTE;
        let known = two_byte || self.profile == ONE_BYTE;
        let rest = if known { &self.buf[self.extensions.clone()] } else { &[] };
        Extensions { rest, two_byte }
    }

    /// The first header extension with this negotiated id.
    #[must_use]
    pub fn extension(&self, id: u8) -> Option<&'a [u8]> {
        self.extensions().find(|(found, _)| *found == id).map(|(_, data)| data)
    }
}

fn read<const N: usize>(buf: &[u8], at: usize) -> Option<[u8; N]> {
    buf.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn padding(first: u8, after_header: &[u8]) -> Result<usize, HeaderError> {
    if first & 0x20 == 0 {
        return Ok(0);
    }
    match after_header.last().map(|count| usize::from(*count)) {
        Some(count) if count > 0 && count <= after_header.len() => Ok(count),
        _ => Err(HeaderError::Padding),
    }
}

/// Iterator over header extensions: id and data.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    rest: &'a [u8],
    two_byte: bool,
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while let [0, rest @ ..] = self.rest {
            self.rest = rest;
        }
        let (id, len, data) = match (self.two_byte, self.rest) {
            (true, [id, len, data @ ..]) => (*id, usize::from(*len), data),
            // Id 15 is reserved and ends the list (RFC 8285 §4.2).
            (false, [head, data @ ..]) if head >> 4 != 15 => (head >> 4, usize::from(head & 0x0F) + 1, data),
            _ => {
                self.rest = &[];
                return None;
            }
        };
        let Some((value, rest)) = data.split_at_checked(len) else {
            self.rest = &[];
            return None;
        };
        self.rest = rest;
        Some((id, value))
    }
}

/// A header to be written. No CSRCs, no padding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header<'a> {
    /// Marker bit.
    pub marker: bool,
    /// Payload type; the upper bit is ignored.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Extensions: in the one-byte form (ids 1–14 with 1–16 bytes each), or all of them in the two-byte form if one has more, up to
    /// 255 bytes. What fits neither is left out.
    pub extensions: &'a [(u8, &'a [u8])],
}

impl Header<'_> {
    /// Bytes that [`Self::write`] writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        match self.extension_bytes() {
            (0, _) => FIXED_LEN,
            (bytes, _) => FIXED_LEN + 4 + bytes.next_multiple_of(4),
        }
    }

    /// Appends the header to `out`; the payload follows it.
    pub fn write(&self, out: &mut impl BufMut) {
        let (bytes, long) = self.extension_bytes();
        let whole = FIXED_LEN + if bytes > 0 { 4 + bytes.next_multiple_of(4) } else { 0 };
        // Made in place and appended at once: it is written for every packet to every subscriber.
        let mut space = [0; USUAL];
        let Some(usual) = space.get_mut(..whole) else { return self.fill(bytes, long, out) };
        self.fill(bytes, long, &mut &mut *usual);
        out.put_slice(usual);
    }

    fn fill(&self, bytes: usize, long: bool, out: &mut impl BufMut) {
        out.put_u8(0x80 | if bytes > 0 { 0x10 } else { 0 });
        out.put_u8((u8::from(self.marker) << 7) | (self.payload_type & 0x7F));
        out.put_u16(self.sequence);
        out.put_u32(self.timestamp);
        out.put_u32(self.ssrc);
        if bytes == 0 {
            return;
        }
        let words = bytes.div_ceil(4);
        out.put_u16(if long { TWO_BYTE } else { ONE_BYTE });
        out.put_u16(words as u16);
        for (id, data) in self.writable() {
            if long {
                out.put_u8(id);
                out.put_u8(data.len() as u8);
            } else {
                out.put_u8((id << 4) | (data.len() as u8 - 1));
            }
            out.put_slice(data);
        }
        out.put_bytes(0, 4 * words - bytes);
    }

    fn writable(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let fits = |(id, data): &(u8, &[u8])| (1..=14).contains(id) && (1..=255).contains(&data.len());
        self.extensions.iter().copied().filter(fits)
    }

    /// Bytes of the extensions, and whether they need the two-byte form.
    fn extension_bytes(&self) -> (usize, bool) {
        let (mut bytes, mut count, mut long) = (0, 0, false);
        for (_, data) in self.writable() {
            bytes += data.len();
            count += 1;
            long |= data.len() > 16;
        }
        (bytes + count * if long { 2 } else { 1 }, long)
    }
}
