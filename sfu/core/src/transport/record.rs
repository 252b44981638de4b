//! A look at DTLS records and the ClientHello from outside (RFC 6347 §4.1, §4.2.2), before `rtc-dtls` sees them.
//!
//! Needed because `rtc-dtls` follows the client's order of SRTP profiles: to get AES-GCM, only GCM may be offered back, and whether
//! the client has it stands in its ClientHello, which Chromium always splits over two datagrams.

const RECORD_HEADER: usize = 13;
const FRAGMENT_HEADER: usize = 12;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const CLIENT_HELLO: u8 = 1;
const USE_SRTP: u16 = 14;
const AEAD_AES_128_GCM: u16 = 0x0007;

/// The longest ClientHello that is put together; with post-quantum key shares they reach 2 kB.
const MAX_HELLO: usize = 8192;

/// One record: its content type, epoch and body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    kind: u8,
    epoch: u16,
    body: &'a [u8],
}

/// All records of a datagram; `None` when it does not consist of whole ones. Such datagrams are dropped (RFC 6347 §4.1.2.7).
pub(super) fn records(data: &[u8]) -> Option<Vec<Record<'_>>> {
    let mut records = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let header = rest.get(..RECORD_HEADER)?;
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        // 1 is the major version of every DTLS, in one's complement.
        if header[1] != 0xFE || length == 0 {
            return None;
        }
        let body = rest.get(RECORD_HEADER..RECORD_HEADER + length)?;
        records.push(Record { kind: header[0], epoch: u16::from_be_bytes([header[3], header[4]]), body });
        rest = &rest[RECORD_HEADER + length..];
    }
    Some(records)
}

impl Record<'_> {
    pub(super) fn is_handshake(&self) -> bool {
        self.kind == HANDSHAKE
    }

    /// The first fragment in it is of a ClientHello: the client begins, or begins again.
    pub(super) fn is_client_hello(&self) -> bool {
        self.is_handshake() && self.epoch == 0 && self.body.first() == Some(&CLIENT_HELLO)
    }

    pub(super) fn is_application_data(&self) -> bool {
        self.kind == APPLICATION_DATA
    }
}

/// Puts a ClientHello together from the fragments of several datagrams, in any order.
#[derive(Debug, Default)]
pub(super) struct HelloAssembly {
    body: Vec<u8>,
    filled: Vec<bool>,
}

impl HelloAssembly {
    /// The whole ClientHello, once all of it is here.
    pub(super) fn push(&mut self, records: &[Record<'_>]) -> Option<&[u8]> {
        for record in records.iter().filter(|record| record.is_handshake() && record.epoch == 0) {
            self.push_fragments(record.body);
        }
        let whole = !self.filled.is_empty() && self.filled.iter().all(|&byte| byte);
        whole.then_some(&self.body[..])
    }

    fn push_fragments(&mut self, mut rest: &[u8]) {
        while let Some(header) = rest.get(..FRAGMENT_HEADER) {
            let (total, offset, length) = (be24(&header[1..]), be24(&header[6..]), be24(&header[9..]));
            let Some(fragment) = rest.get(FRAGMENT_HEADER..FRAGMENT_HEADER + length) else { return };
            if header[0] == CLIENT_HELLO && total <= MAX_HELLO && offset + length <= total {
                if self.body.len() != total {
                    self.body = vec![0; total];
                    self.filled = vec![false; total];
                }
                self.body[offset..offset + length].copy_from_slice(fragment);
                self.filled[offset..offset + length].fill(true);
            }
            rest = &rest[FRAGMENT_HEADER + length..];
        }
    }
}

/// Whether a ClientHello (RFC 5246 §7.4.1.2, RFC 6347 §4.2.1) offers SRTP_AEAD_AES_128_GCM (RFC 7714 §14.2). False when it is malformed.
pub(super) fn offers_gcm(hello: &[u8]) -> bool {
    extension(hello, USE_SRTP).is_some_and(|value| {
        let Some((length, profiles)) = value.split_first_chunk::<2>() else { return false };
        let profiles = profiles.get(..usize::from(u16::from_be_bytes(*length))).unwrap_or_default();
        profiles.chunks_exact(2).any(|profile| u16::from_be_bytes([profile[0], profile[1]]) == AEAD_AES_128_GCM)
    })
}

fn extension(hello: &[u8], wanted: u16) -> Option<&[u8]> {
    let rest = hello.get(2 + 32..)?;
    let rest = skip::<1>(rest)?; // session id
    let rest = skip::<1>(rest)?; // cookie
    let rest = skip::<2>(rest)?; // cipher suites
    let rest = skip::<1>(rest)?; // compression methods
    let mut rest = rest.get(2..)?;
    while let Some((kind, tail)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*tail.first_chunk::<2>()?));
        let value = tail.get(2..2 + length)?;
        if u16::from_be_bytes(*kind) == wanted {
            return Some(value);
        }
        rest = &tail[2 + length..];
    }
    None
}

/// What comes after a vector with an `N`-byte length in front.
fn skip<const N: usize>(data: &[u8]) -> Option<&[u8]> {
    let length = data.get(..N)?.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    data.get(N + length..)
}

fn be24(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2])
}
