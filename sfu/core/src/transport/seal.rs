//! Sealing SRTP and SRTCP of AES-128-GCM (RFC 7714) at the place where the datagram leaves from. `rtc-srtp` does the same into an
//! allocation of its own, for each packet to each subscriber; the profile without GCM stays with it.

use bytes::BytesMut;
use rtc_crypto::{AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CryptoError, RTCCrypto};

use super::open::RTCP_HEADER;

/// What a sealed packet is longer.
pub(super) const TAG: usize = 16;
/// Packets under one key (RFC 3711 §9.2).
const INDEX_MAX: u64 = 1 << 48;

/// Compounds under one key (RFC 3711 §9.2).
const RTCP_INDEX_MAX: u32 = 1 << 31;
/// The flag of encryption before the index (RFC 3711 §3.4).
const ENCRYPTED: u32 = 1 << 31;

/// Labels of the key derivation (RFC 3711 §4.3.2): for the key, and for the salt.
pub(super) type Labels = [u8; 2];
pub(super) const RTP: Labels = [0, 2];
pub(super) const RTCP: Labels = [3, 5];

/// The sending side of a session. Remembers an index for every SSRC that it has sealed: as many as we have ever sent the peer.
pub(super) struct Sealer {
    cipher: Box<dyn AeadCipher>,
    salt: [u8; 12],
    rtcp: Box<dyn AeadCipher>,
    rtcp_salt: [u8; 12],
    /// Compounds so far, of all SSRCs: each has its own count to be fresh, and one for all is.
    rtcp_index: u32,
    sources: Vec<Source>,
    /// Where in `sources` the last packet's is: packets come in bursts of one.
    latest: usize,
}

/// An SSRC and its highest packet index: rollover counter and sequence number (RFC 3711 §3.3.1).
struct Source {
    ssrc: u32,
    index: u64,
}

impl Sealer {
    pub(super) fn new(master_key: &[u8; 16], master_salt: &[u8; 12], crypto: &dyn RTCCrypto) -> Result<Self, CryptoError> {
        let (key, salt) = derive(RTP, master_key, master_salt, crypto)?;
        let (rtcp_key, rtcp_salt) = derive(RTCP, master_key, master_salt, crypto)?;
        let cipher = crypto.new_aead(AeadAlgorithm::Aes128Gcm, &key)?;
        let rtcp = crypto.new_aead(AeadAlgorithm::Aes128Gcm, &rtcp_key)?;
        Ok(Self { cipher, salt, rtcp, rtcp_salt, rtcp_index: 0, sources: Vec::new(), latest: 0 })
    }

    /// Appends the sealed packet to `out`; it comes in two pieces, the header in the first. False, and nothing is appended, when it is no
    /// RTP, or from before the stream's beginning or beyond its last index.
    pub(super) fn seal_rtp(&mut self, head: &[u8], rest: &[u8], out: &mut BytesMut) -> bool {
        let Some(header) = header_length(head) else { return false };
        let (Some(&[a, b]), Some(&ssrc)) =
            (head.get(2..4).and_then(<[u8]>::first_chunk), head.get(8..12).and_then(<[u8]>::first_chunk))
        else {
            return false;
        };
        let Some(index) = self.index(u32::from_be_bytes(ssrc), u16::from_be_bytes([a, b])) else { return false };
        let nonce = nonce(&self.salt, ssrc, index);
        let start = out.len();
        out.extend_from_slice(head);
        out.extend_from_slice(rest);
        let (aad, plain) = out[start..].split_at_mut(header);
        let mut tag = [0; TAG];
        if self.cipher.seal_in_place(&nonce, aad, plain, &mut tag).is_err() {
            out.truncate(start);
            return false;
        }
        out.extend_from_slice(&tag);
        true
    }

    /// Appends the sealed compound, with its index behind it. False, and nothing is appended, when it is too short, or the key used up.
    pub(super) fn seal_rtcp(&mut self, compound: &[u8], out: &mut BytesMut) -> bool {
        let Some(header) = compound.first_chunk::<RTCP_HEADER>() else { return false };
        let Some(index) = Some(self.rtcp_index + 1).filter(|index| *index < RTCP_INDEX_MAX) else { return false };
        let word = (ENCRYPTED | index).to_be_bytes();
        let mut aad = [0; RTCP_HEADER + 4];
        aad[..RTCP_HEADER].copy_from_slice(header);
        aad[RTCP_HEADER..].copy_from_slice(&word);
        let nonce = nonce(&self.rtcp_salt, [header[4], header[5], header[6], header[7]], u64::from(index));
        let start = out.len();
        out.extend_from_slice(compound);
        let mut tag = [0; TAG];
        if self.rtcp.seal_in_place(&nonce, &aad, &mut out[start + RTCP_HEADER..], &mut tag).is_err() {
            out.truncate(start);
            return false;
        }
        self.rtcp_index = index;
        out.extend_from_slice(&tag);
        out.extend_from_slice(&word);
        true
    }

    /// See [`Transport::warm`](super::Transport::warm).
    pub(super) fn warm(&self) -> u64 {
        self.sources.get(self.latest).map_or(0, |source| source.index) ^ u64::from(self.salt[0])
    }

    /// The index nearest to the highest so far. The first packet begins the first cycle.
    fn index(&mut self, ssrc: u32, sequence: u16) -> Option<u64> {
        if self.sources.get(self.latest).is_none_or(|source| source.ssrc != ssrc) {
            self.latest = self.sources.iter().position(|source| source.ssrc == ssrc).unwrap_or(self.sources.len());
        }
        let Some(source) = self.sources.get_mut(self.latest) else {
            self.sources.push(Source { ssrc, index: u64::from(sequence) });
            return Some(u64::from(sequence));
        };
        let step = sequence.wrapping_sub(source.index as u16) as i16;
        let index = source.index.checked_add_signed(i64::from(step)).filter(|index| *index < INDEX_MAX)?;
        source.index = source.index.max(index);
        Some(index)
    }
}

/// RFC 7714 §8.1 and §9.1: SRTCP's index is shorter.
pub(super) fn nonce(salt: &[u8; 12], ssrc: [u8; 4], index: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc);
    nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
    for (byte, salt) in nonce.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    nonce
}

/// The length of a packet's RTP header. `None` if it is not all there.
pub(super) fn header_length(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let fixed = 12 + 4 * usize::from(first & 0x0F);
    let length = if first & 0x10 == 0 {
        fixed
    } else {
        let words = packet.get(fixed + 2..fixed + 4)?;
        fixed + 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]))
    };
    (first >> 6 == 2 && packet.len() >= length).then_some(length)
}

/// Session key and salt.
pub(super) fn derive(
    labels: Labels,
    key: &[u8; 16],
    salt: &[u8; 12],
    crypto: &dyn RTCCrypto,
) -> Result<([u8; 16], [u8; 12]), CryptoError> {
    let [for_key, for_salt] = labels;
    let [session_salt @ .., _, _, _, _] = block(for_salt, key, salt, crypto)?;
    Ok((block(for_key, key, salt, crypto)?, session_salt))
}

/// AES-CM key derivation at a rate of zero (RFC 3711 §4.3.3, RFC 7714 §11): one block is enough for a key and for a salt.
fn block(label: u8, key: &[u8; 16], salt: &[u8; 12], crypto: &dyn RTCCrypto) -> Result<[u8; 16], CryptoError> {
    let mut block = [0; 16];
    block[..12].copy_from_slice(salt);
    block[7] ^= label;
    crypto.block_encrypt(BlockCipherAlgorithm::Aes128, key, &mut block)?;
    Ok(block)
}

#[cfg(test)]
mod tests {
    use rtc_crypto::RTCCryptoProvider;
    use rtc_crypto::providers::AwsLcRsProvider;

    use super::super::gcm_fixtures::{KEY, SALT, context, packet};
    use super::*;

    fn sealer() -> Sealer {
        Sealer::new(&KEY, &SALT, AwsLcRsProvider::new().crypto()).unwrap()
    }

    #[test]
    fn it_seals_as_rtc_srtp_does_through_rollovers_and_late_packets() {
        let (mut ours, mut theirs) = (sealer(), context());
        let mut out = BytesMut::new();
        for step in 0..30_000u64 {
            // Two streams; every 50th packet is one of some before, as a resent one.
            let index = 1000 + step * 7 - if step % 50 == 0 { 6 * step.min(100) } else { 0 };
            let packet = packet(5 + (step % 2) as u32, index as u16);
            out.clear();
            // In one piece, in two.
            let (head, rest) = packet.split_at(if step % 2 == 0 { packet.len() } else { 20 + (step % 100) as usize });
            assert!(ours.seal_rtp(head, rest, &mut out));
            assert_eq!(out, theirs.encrypt_rtp(&packet).unwrap(), "packet {index}");
        }
    }

    #[test]
    fn rtc_srtp_opens_its_compounds() {
        let (mut ours, mut theirs, mut out) = (sealer(), context(), BytesMut::new());
        for step in 0..100u8 {
            let compound = [0x80, 201, 0, 2, 0, 0, 0, step % 3, step, 1, 2, 3];
            out.clear();
            assert!(ours.seal_rtcp(&compound, &mut out));
            assert_eq!(out.len(), compound.len() + TAG + 4);
            assert_eq!(theirs.decrypt_rtcp(&out).unwrap(), compound[..]);
        }
        assert!(!ours.seal_rtcp(&[0x80; 7], &mut out));
        ours.rtcp_index = RTCP_INDEX_MAX - 1;
        assert!(!ours.seal_rtcp(&[0x80; 8], &mut out), "another key is needed");
    }

    #[test]
    fn it_appends() {
        let (mut ours, mut out) = (sealer(), BytesMut::from(&b"before"[..]));
        assert!(ours.seal_rtp(&packet(5, 1), &[], &mut out));
        assert_eq!((&out[..6], out.len()), (&b"before"[..], 6 + 120 + TAG));
        assert_eq!(out[6..26], packet(5, 1)[..20], "the header stays readable");
        assert_ne!(out[26..126], packet(5, 1)[20..]);
    }

    #[test]
    fn what_has_no_index_is_not_sealed() {
        let (mut ours, mut out) = (sealer(), BytesMut::new());
        assert!(!ours.seal_rtp(&[0x80; 11], &[0; 9], &mut out), "no header");
        assert!(ours.seal_rtp(&packet(5, 3), &[], &mut out));
        out.clear();
        assert!(!ours.seal_rtp(&packet(5, 0xfff0), &[], &mut out), "from before the first packet");
        ours.sources[0].index = INDEX_MAX - 1;
        assert!(!ours.seal_rtp(&packet(5, 0), &[], &mut out), "another key is needed");
        assert!(out.is_empty());
    }
}
