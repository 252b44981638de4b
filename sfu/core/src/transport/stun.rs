//! ICE-lite's half of STUN (RFC 8489, RFC 8445 §7.3): authenticate a binding request, answer it, nothing else.
//!
//! The walk over attributes is ours, strict and without allocation, because it runs on bytes of strangers; `rtc-stun` writes the answer.

use std::net::SocketAddr;

use bytes::BytesMut;
use rtc_crypto::{HmacAlgorithm, RTCCrypto};
use rtc_stun::fingerprint::{FINGERPRINT, fingerprint_value};
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_SUCCESS, MAGIC_COOKIE, Message, Setter, TransactionId};
use rtc_stun::xoraddr::XorMappedAddress;

use crate::model::IceCredentials;

const HEADER: usize = 20;
const BINDING_REQUEST: u16 = 0x0001;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT_TYPE: u16 = 0x8028;

/// An authenticated binding request.
#[derive(Debug)]
pub(super) struct Check {
    /// The peer nominates the route (RFC 8445 §7.1.2).
    pub(super) use_candidate: bool,
    transaction: [u8; 12],
}

/// Not a binding request of this peer, or not authentic. No answer: an answer to a stranger serves only strangers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rejected;

/// What a request says before anything of it is believed.
struct Request<'a> {
    transaction: [u8; 12],
    username: &'a [u8],
    use_candidate: bool,
    /// Where MESSAGE-INTEGRITY begins, and its value.
    integrity: (usize, &'a [u8]),
    /// Where FINGERPRINT begins, and its value.
    fingerprint: (usize, u32),
}

/// Authenticates a request against our password: FINGERPRINT first (cheap), then USERNAME, then MESSAGE-INTEGRITY.
pub(super) fn authenticate(data: &[u8], ice: &IceCredentials, crypto: &dyn RTCCrypto) -> Result<Check, Rejected> {
    let request = parse(data).ok_or(Rejected)?;
    let (at, expected) = request.fingerprint;
    if fingerprint_value(&data[..at]) != expected || local_ufrag(request.username) != Some(ice.ufrag.as_bytes()) {
        return Err(Rejected);
    }
    let (at, tag) = request.integrity;
    // RFC 8489 §14.5: the length field that was signed ends with MESSAGE-INTEGRITY itself (4 + 20 bytes).
    let signed_length = u16::try_from(at + 24 - HEADER).map_err(|_| Rejected)?.to_be_bytes();
    let mut mac = crypto.new_hmac(HmacAlgorithm::Sha1, ice.pwd.as_bytes()).map_err(|_| Rejected)?;
    mac.verify(&[&data[..2], &signed_length, &data[4..at]], tag).map_err(|_| Rejected)?;
    Ok(Check { use_candidate: request.use_candidate, transaction: request.transaction })
}

/// The success response: XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY, FINGERPRINT.
pub(super) fn answer(check: &Check, remote: SocketAddr, ice: &IceCredentials, crypto: &dyn RTCCrypto) -> Option<BytesMut> {
    let integrity = MessageIntegrity::new_short_term_integrity_with_provider(ice.pwd.clone(), crypto);
    let mut message = Message::new();
    let setters: [Box<dyn Setter + '_>; 5] = [
        Box::new(TransactionId(check.transaction)),
        Box::new(BINDING_SUCCESS),
        Box::new(XorMappedAddress { ip: remote.ip(), port: remote.port() }),
        Box::new(integrity),
        Box::new(FINGERPRINT),
    ];
    message.build(&setters).ok()?;
    Some(BytesMut::from(&message.raw[..]))
}

/// See [`super::stun_ufrag`].
pub(super) fn ufrag(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(local_ufrag(parse(data)?.username)?).ok()
}

/// `ours` of `ours:theirs`.
fn local_ufrag(username: &[u8]) -> Option<&[u8]> {
    let colon = username.iter().position(|&byte| byte == b':')?;
    Some(&username[..colon])
}

fn parse(data: &[u8]) -> Option<Request<'_>> {
    let header = data.get(..HEADER)?;
    let length = usize::from(be16(&header[2..]));
    let well_formed = be16(header) == BINDING_REQUEST
        && header[4..8] == MAGIC_COOKIE.to_be_bytes()
        && length % 4 == 0
        && data.len() == HEADER + length;
    if !well_formed {
        return None;
    }
    let (mut username, mut use_candidate, mut integrity, mut fingerprint) = (None, false, None, None);
    for attribute in attributes(data) {
        let (at, kind, value) = attribute?;
        match kind {
            FINGERPRINT_TYPE if at + 8 == data.len() && value.len() == 4 => {
                fingerprint = Some((at, u32::from_be_bytes([value[0], value[1], value[2], value[3]])));
            }
            // What follows MESSAGE-INTEGRITY is not protected by it and counts for nothing (RFC 8489 §14.5).
            _ if integrity.is_some() => {}
            MESSAGE_INTEGRITY if value.len() == 20 => integrity = Some((at, value)),
            USERNAME => username = Some(value),
            USE_CANDIDATE => use_candidate = true,
            _ => {}
        }
    }
    let mut transaction = [0; 12];
    transaction.copy_from_slice(&header[8..]);
    Some(Request { transaction, username: username?, use_candidate, integrity: integrity?, fingerprint: fingerprint? })
}

/// Offset, type and value of each attribute; one `None` at the end when the last one does not fit.
fn attributes(data: &[u8]) -> impl Iterator<Item = Option<(usize, u16, &[u8])>> {
    let mut at = HEADER;
    std::iter::from_fn(move || {
        if at >= data.len() {
            return None;
        }
        let begin = at;
        let attribute = data.get(begin..begin + 4).and_then(|head| {
            let length = usize::from(be16(&head[2..]));
            at = begin + 4 + length.next_multiple_of(4);
            let value = data.get(begin + 4..begin + 4 + length)?;
            (at <= data.len()).then_some((begin, be16(head), value))
        });
        if attribute.is_none() {
            at = data.len();
        }
        Some(attribute)
    })
}

fn be16(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}
