//! TURN's part of STUN on the wire (RFC 8489 §5, RFC 8656 §18): strict, without believing anything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{BufMut, BytesMut};
use rtc_crypto::{HmacAlgorithm, RTCCrypto};

pub(super) const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

const MESSAGE_INTEGRITY: u16 = 0x0008;
const INTEGRITY_BYTES: usize = 24;
const FINGERPRINT: u16 = 0x8028;
pub(super) const USERNAME: u16 = 0x0006;
pub(super) const ERROR_CODE: u16 = 0x0009;
pub(super) const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
pub(super) const CHANNEL_NUMBER: u16 = 0x000c;
pub(super) const LIFETIME: u16 = 0x000d;
pub(super) const XOR_PEER_ADDRESS: u16 = 0x0012;
pub(super) const DATA: u16 = 0x0013;
pub(super) const REALM: u16 = 0x0014;
pub(super) const NONCE: u16 = 0x0015;
pub(super) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
pub(super) const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
pub(super) const REQUESTED_TRANSPORT: u16 = 0x0019;
pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// Attributes below 0x8000 that a request may carry. Others must be refused (RFC 8489 §6.3.1), as must DONT-FRAGMENT, EVEN-PORT and
/// RESERVATION-TOKEN, which make no sense where no port is opened.
const UNDERSTOOD: [u16; 11] = [
    USERNAME,
    MESSAGE_INTEGRITY,
    CHANNEL_NUMBER,
    LIFETIME,
    XOR_PEER_ADDRESS,
    DATA,
    REALM,
    NONCE,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    // Of ICE: PRIORITY, in Binding requests of some clients.
    0x0024,
];

/// Attributes of one message that are looked at; a message with more is none of ours.
const ATTRIBUTES_MAX: usize = 32;

pub(super) const BINDING: u16 = 0x0001;
pub(super) const ALLOCATE: u16 = 0x0003;
pub(super) const REFRESH: u16 = 0x0004;
pub(super) const CREATE_PERMISSION: u16 = 0x0008;
pub(super) const CHANNEL_BIND: u16 = 0x0009;
pub(super) const SEND: u16 = 0x0016;
pub(super) const DATA_INDICATION: u16 = 0x0017;
const SUCCESS: u16 = 0x0100;
const ERROR: u16 = 0x0110;

/// A message whose lengths are right.
pub(super) struct Message<'a> {
    data: &'a [u8],
    pub(super) kind: u16,
    pub(super) transaction: [u8; 12],
    /// Type and value, up to MESSAGE-INTEGRITY: what follows is not protected.
    attributes: Vec<(u16, &'a [u8])>,
    integrity: Option<(usize, &'a [u8])>,
}

impl<'a> Message<'a> {
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let header = data.get(..HEADER)?;
        let length = usize::from(be16(&header[2..]));
        let well_formed = header[0] < 64 && header[4..8] == COOKIE && length % 4 == 0 && data.len() == HEADER + length;
        if !well_formed {
            return None;
        }
        let (mut attributes, mut integrity, mut at) = (Vec::new(), None, HEADER);
        while at < data.len() && integrity.is_none() {
            let head = data.get(at..at + 4)?;
            let (kind, length) = (be16(head), usize::from(be16(&head[2..])));
            let value = data.get(at + 4..at + 4 + length)?;
            match kind {
                MESSAGE_INTEGRITY if length == 20 => integrity = Some((at, value)),
                FINGERPRINT => {}
                _ => attributes.push((kind, value)),
            }
            if attributes.len() > ATTRIBUTES_MAX {
                return None;
            }
            at += 4 + length.next_multiple_of(4);
        }
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&header[8..]);
        Some(Self { data, kind: be16(header), transaction, attributes, integrity })
    }

    pub(super) fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes(kind).next()
    }

    pub(super) fn attributes(&self, kind: u16) -> impl Iterator<Item = &'a [u8]> {
        self.attributes.iter().filter(move |(found, _)| *found == kind).map(|(_, value)| *value)
    }

    pub(super) fn text(&self, kind: u16) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(kind)?).ok()
    }

    pub(super) fn number(&self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.attribute(kind)?.try_into().ok()?))
    }

    pub(super) fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether MESSAGE-INTEGRITY was made with this key.
    pub(super) fn is_signed_with(&self, key: &[u8], crypto: &dyn RTCCrypto) -> bool {
        let Some((at, tag)) = self.integrity else { return false };
        let Ok(length) = u16::try_from(at + INTEGRITY_BYTES - HEADER) else { return false };
        let Ok(mut mac) = crypto.new_hmac(HmacAlgorithm::Sha1, key) else { return false };
        mac.verify(&[&self.data[..2], &length.to_be_bytes(), &self.data[4..at]], tag).is_ok()
    }

    pub(super) fn not_understood(&self) -> Vec<u16> {
        let unknown = |kind: &u16| *kind < 0x8000 && !UNDERSTOOD.contains(kind);
        self.attributes.iter().map(|(kind, _)| *kind).filter(unknown).collect()
    }

    pub(super) fn success(&self) -> Writer {
        Writer::new(self.kind | SUCCESS, self.transaction)
    }

    /// Without a reason phrase: the number says it, and answers to strangers should be short.
    pub(super) fn error(&self, code: u16) -> Writer {
        Writer::new(self.kind | ERROR, self.transaction).with(ERROR_CODE, &[0, 0, (code / 100) as u8, (code % 100) as u8])
    }
}

/// A message in the making.
pub(super) struct Writer(BytesMut);

impl Writer {
    pub(super) fn new(kind: u16, transaction: [u8; 12]) -> Self {
        let mut bytes = BytesMut::with_capacity(128);
        bytes.put_u16(kind);
        bytes.put_u16(0);
        bytes.put_slice(&COOKIE);
        bytes.put_slice(&transaction);
        Self(bytes)
    }

    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        put_attribute(&mut self.0, kind, value);
        self
    }

    pub(super) fn with_address(self, kind: u16, address: SocketAddr) -> Self {
        let transaction = self.transaction();
        let (bytes, length) = xored(address, &transaction);
        self.with(kind, &bytes[..length])
    }

    pub(super) fn plain(mut self) -> BytesMut {
        self.write_length(0);
        self.0
    }

    pub(super) fn signed(mut self, key: &[u8], crypto: &dyn RTCCrypto) -> BytesMut {
        self.write_length(INTEGRITY_BYTES);
        let mut tag = [0; 20];
        // A provider without HMAC-SHA1 fails long before this: then the client finds the answer not authentic.
        if let Ok(mut mac) = crypto.new_hmac(HmacAlgorithm::Sha1, key) {
            let _ = mac.sign(&[&self.0], &mut tag);
        }
        put_attribute(&mut self.0, MESSAGE_INTEGRITY, &tag);
        self.0
    }

    fn transaction(&self) -> [u8; 12] {
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&self.0[8..HEADER]);
        transaction
    }

    fn write_length(&mut self, more: usize) {
        let length = (self.0.len() - HEADER + more) as u16;
        self.0[2..4].copy_from_slice(&length.to_be_bytes());
    }
}

fn put_attribute(out: &mut BytesMut, kind: u16, value: &[u8]) {
    out.put_u16(kind);
    out.put_u16(value.len() as u16);
    out.put_slice(value);
    out.put_bytes(0, value.len().next_multiple_of(4) - value.len());
}

/// A Data indication (RFC 8656 §11.4), appended. Its length depends on those of address and payload alone.
pub(super) fn put_data_indication(out: &mut BytesMut, peer: SocketAddr, payload: &[u8]) {
    // Indications are answered by nobody: nothing needs to tell them apart.
    let transaction = [0; 12];
    let (address, length) = xored(peer, &transaction);
    let body = 4 + length + 4 + payload.len().next_multiple_of(4);
    out.put_u16(DATA_INDICATION);
    out.put_u16(body as u16);
    out.put_slice(&COOKIE);
    out.put_slice(&transaction);
    put_attribute(out, XOR_PEER_ADDRESS, &address[..length]);
    put_attribute(out, DATA, payload);
}

/// RFC 8489 §14.2, and how many bytes of it count.
fn xored(address: SocketAddr, transaction: &[u8; 12]) -> ([u8; 20], usize) {
    let mut bytes = [0; 20];
    bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
    let length = match address.ip() {
        IpAddr::V4(ip) => {
            bytes[1] = 1;
            bytes[4..8].copy_from_slice(&ip.octets());
            8
        }
        IpAddr::V6(ip) => {
            bytes[1] = 2;
            bytes[4..20].copy_from_slice(&ip.octets());
            20
        }
    };
    apply_mask(&mut bytes, transaction);
    (bytes, length)
}

fn apply_mask(bytes: &mut [u8; 20], transaction: &[u8; 12]) {
    bytes[2] ^= COOKIE[0];
    bytes[3] ^= COOKIE[1];
    for (byte, mask) in bytes[4..].iter_mut().zip(COOKIE.iter().chain(transaction)) {
        *byte ^= mask;
    }
}

/// An address out of an attribute's value.
pub(super) fn address(value: &[u8], transaction: &[u8; 12]) -> Option<SocketAddr> {
    let mut bytes = [0; 20];
    bytes.get_mut(..value.len())?.copy_from_slice(value);
    apply_mask(&mut bytes, transaction);
    let port = be16(&bytes[2..]);
    let ip = match (bytes[1], value.len()) {
        (1, 8) => IpAddr::from(Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7])),
        (2, 20) => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[4..]).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

pub(super) fn be16(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}
