//! Opening SRTP and SRTCP of AES-128-GCM (RFC 7714) in the datagram itself: nothing is copied or allocated per packet, and an SSRC is
//! remembered only once a packet of it was authentic.

use bytes::BytesMut;
use rtc_crypto::{AeadAlgorithm, AeadCipher, CryptoError, RTCCrypto};

use super::seal::{Labels, RTCP, RTP, TAG, derive, header_length, nonce};
use super::srtp::{MAX_SOURCES, OpenError};

/// Behind the tag of an SRTCP packet: the flag of encryption and 31 bits of index (RFC 3711 §3.4).
pub(super) const INDEX: usize = 4;
/// What SRTCP leaves in clear: the first header up to its SSRC.
pub(super) const RTCP_HEADER: usize = 8;
/// How many packets late one may come (a resent packet keeps its sequence number when RTX is not negotiated).
const WINDOW: u64 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;

/// The receiving side of a session.
pub(super) struct Opener {
    rtp: Half,
    rtcp: Half,
}

/// RTP or RTCP: a key, and at most [`MAX_SOURCES`] sources.
struct Half {
    cipher: Box<dyn AeadCipher>,
    salt: [u8; 12],
    sources: Vec<Source>,
    /// Where in `sources` the last packet's is.
    latest: usize,
}

/// An SSRC, its highest index, and which of the [`WINDOW`] indices up to it have come.
struct Source {
    ssrc: u32,
    highest: u64,
    seen: [u64; WORDS],
}

impl Opener {
    pub(super) fn new(master_key: &[u8; 16], master_salt: &[u8; 12], crypto: &dyn RTCCrypto) -> Result<Self, CryptoError> {
        let half = |labels| Half::new(master_key, master_salt, labels, crypto);
        Ok(Self { rtp: half(RTP)?, rtcp: half(RTCP)? })
    }

    /// The plain packet out of a sealed one.
    pub(super) fn open_rtp(&mut self, mut packet: BytesMut) -> Result<BytesMut, OpenError> {
        let header = header_length(&packet).ok_or(OpenError::Malformed)?;
        let end = packet.len().checked_sub(TAG).filter(|end| *end >= header).ok_or(OpenError::Malformed)?;
        let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let index = self.rtp.source(ssrc).map_or(Some(u64::from(sequence)), |source| source.index(sequence));
        let index = index.ok_or(OpenError::Replayed)?;
        let (aad, rest) = packet.split_at_mut(header);
        let (body, tag) = rest.split_at_mut(end - header);
        self.rtp.open(ssrc, index, aad, body, tag)?;
        packet.truncate(end);
        Ok(packet)
    }

    /// The plain compound out of a sealed one.
    pub(super) fn open_rtcp(&mut self, mut packet: BytesMut) -> Result<BytesMut, OpenError> {
        let end = packet.len().checked_sub(TAG + INDEX).filter(|end| *end >= RTCP_HEADER).ok_or(OpenError::Malformed)?;
        let (header, rest) = packet.split_at_mut(RTCP_HEADER);
        let (body, rest) = rest.split_at_mut(end - RTCP_HEADER);
        let (tag, word) = rest.split_at_mut(TAG);
        let (&[.., a, b, c, d], &[e, f, g, h]) = (&*header, &*word) else { return Err(OpenError::Malformed) };
        // What is authentic but not encrypted (RFC 3711 §3.4) nobody sends.
        if e & 0x80 == 0 {
            return Err(OpenError::NotAuthentic);
        }
        let index = u64::from(u32::from_be_bytes([e & 0x7f, f, g, h]));
        let mut aad = [0; RTCP_HEADER + INDEX];
        aad[..RTCP_HEADER].copy_from_slice(header);
        aad[RTCP_HEADER..].copy_from_slice(word);
        self.rtcp.open(u32::from_be_bytes([a, b, c, d]), index, &aad, body, tag)?;
        packet.truncate(end);
        Ok(packet)
    }
}

impl Half {
    fn new(key: &[u8; 16], salt: &[u8; 12], labels: Labels, crypto: &dyn RTCCrypto) -> Result<Self, CryptoError> {
        let (key, salt) = derive(labels, key, salt, crypto)?;
        let cipher = crypto.new_aead(AeadAlgorithm::Aes128Gcm, &key)?;
        Ok(Self { cipher, salt, sources: Vec::new(), latest: 0 })
    }

    fn source(&mut self, ssrc: u32) -> Option<&mut Source> {
        if self.sources.get(self.latest).is_none_or(|source| source.ssrc != ssrc) {
            self.latest = self.sources.iter().position(|source| source.ssrc == ssrc)?;
        }
        self.sources.get_mut(self.latest)
    }

    fn open(&mut self, ssrc: u32, index: u64, aad: &[u8], body: &mut [u8], tag: &[u8]) -> Result<(), OpenError> {
        if self.source(ssrc).is_some_and(|source| source.has_seen(index)) {
            return Err(OpenError::Replayed);
        }
        let nonce = nonce(&self.salt, ssrc.to_be_bytes(), index);
        self.cipher.open_in_place(&nonce, aad, body, tag).map_err(|_| OpenError::NotAuthentic)?;
        if let Some(source) = self.source(ssrc) {
            source.note(index);
        } else if self.sources.len() < MAX_SOURCES {
            // Most have one: a vector by itself begins with room for four.
            if self.sources.is_empty() {
                self.sources.reserve_exact(1);
            }
            self.sources.push(Source::new(ssrc, index));
        } else {
            return Err(OpenError::TooManySources);
        }
        Ok(())
    }
}

impl Source {
    fn new(ssrc: u32, index: u64) -> Self {
        let mut source = Self { ssrc, highest: index, seen: [0; WORDS] };
        source.mark(index);
        source
    }

    /// The index nearest to the highest so far (RFC 3711 §3.3.1); `None` from before the first cycle.
    fn index(&self, sequence: u16) -> Option<u64> {
        let step = sequence.wrapping_sub(self.highest as u16) as i16;
        self.highest.checked_add_signed(i64::from(step))
    }

    /// It was here before, or is too late to tell.
    fn has_seen(&self, index: u64) -> bool {
        let (word, bit) = place(index);
        index <= self.highest && (self.highest - index >= WINDOW || self.seen[word] & bit != 0)
    }

    fn note(&mut self, index: u64) {
        if index > self.highest {
            if index - self.highest >= WINDOW {
                self.seen = [0; WORDS];
            } else {
                for skipped in self.highest + 1..index {
                    let (word, bit) = place(skipped);
                    self.seen[word] &= !bit;
                }
            }
            self.highest = index;
        }
        self.mark(index);
    }

    fn mark(&mut self, index: u64) {
        let (word, bit) = place(index);
        self.seen[word] |= bit;
    }
}

fn place(index: u64) -> (usize, u64) {
    ((index % WINDOW / 64) as usize, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use rtc_crypto::RTCCryptoProvider;
    use rtc_crypto::providers::AwsLcRsProvider;

    use super::super::gcm_fixtures::{KEY, SALT, context, packet};
    use super::*;

    fn opener() -> Opener {
        Opener::new(&KEY, &SALT, AwsLcRsProvider::new().crypto()).unwrap()
    }

    fn compound(ssrc: u32, mark: u8) -> Vec<u8> {
        let mut compound = vec![0x80, 201, 0, 2];
        compound.extend(ssrc.to_be_bytes());
        compound.extend([mark; 4]);
        compound
    }

    #[test]
    fn what_rtc_srtp_sealed_opens_through_rollovers_losses_and_late_packets() {
        let (mut ours, mut theirs) = (opener(), context());
        let mut held = None;
        for step in 0..30_000u64 {
            let plain = packet(5 + (step % 2) as u32, (1000 + step * 7) as u16);
            let sealed = theirs.encrypt_rtp(&plain).unwrap();
            match step % 50 {
                // Lost.
                10 => continue,
                // Overtaken by some.
                20 => held = Some((plain, sealed)),
                25 => {
                    let (plain, sealed) = held.take().unwrap();
                    assert_eq!(ours.open_rtp(sealed).unwrap(), plain[..]);
                }
                _ => assert_eq!(ours.open_rtp(sealed).unwrap(), plain[..], "step {step}"),
            }
        }
    }

    #[test]
    fn compounds_open_in_any_order_and_once() {
        let (mut ours, mut theirs) = (opener(), context());
        let plain: Vec<Vec<u8>> = (0..200).map(|mark| compound(5, mark)).collect();
        let sealed: Vec<BytesMut> = plain.iter().map(|plain| theirs.encrypt_rtcp(plain).unwrap()).collect();
        for at in (0..200).map(|at| at ^ 3) {
            assert_eq!(ours.open_rtcp(sealed[at].clone()).unwrap(), plain[at][..]);
        }
        for sealed in sealed {
            assert_eq!(ours.open_rtcp(sealed).unwrap_err(), OpenError::Replayed);
        }
    }

    #[test]
    fn what_came_before_or_is_too_late_is_not_opened_again() {
        let (mut ours, mut theirs) = (opener(), context());
        let sealed: Vec<BytesMut> = (0..3000).map(|sequence| theirs.encrypt_rtp(&packet(5, sequence)).unwrap()).collect();
        for (at, sealed) in sealed.iter().enumerate().filter(|(at, _)| at % 3 > 0) {
            assert!(ours.open_rtp(sealed.clone()).is_ok(), "{at}");
            assert_eq!(ours.open_rtp(sealed.clone()).unwrap_err(), OpenError::Replayed, "{at}");
        }
        assert!(ours.open_rtp(sealed[2100].clone()).is_ok(), "late, but not too late");
        assert_eq!(ours.open_rtp(sealed[2100].clone()).unwrap_err(), OpenError::Replayed);
        assert_eq!(ours.open_rtp(sealed[1500].clone()).unwrap_err(), OpenError::Replayed, "too late");
    }

    #[test]
    fn forgeries_leave_nothing_behind() {
        let (mut ours, mut theirs) = (opener(), context());
        for ssrc in 0..1000 {
            let mut sealed = theirs.encrypt_rtp(&packet(ssrc, 60_000)).unwrap();
            sealed[30] ^= 1;
            assert_eq!(ours.open_rtp(sealed).unwrap_err(), OpenError::NotAuthentic);
            let mut sealed = theirs.encrypt_rtcp(&compound(ssrc, 1)).unwrap();
            *sealed.last_mut().unwrap() ^= 1;
            assert_eq!(ours.open_rtcp(sealed).unwrap_err(), OpenError::NotAuthentic);
        }
        assert!(ours.rtp.sources.is_empty() && ours.rtcp.sources.is_empty());
        for ssrc in 0..MAX_SOURCES as u32 {
            assert!(ours.open_rtp(theirs.encrypt_rtp(&packet(ssrc, 60_001)).unwrap()).is_ok());
        }
        let more = theirs.encrypt_rtp(&packet(5000, 1)).unwrap();
        assert_eq!(ours.open_rtp(more).unwrap_err(), OpenError::TooManySources);
    }

    #[test]
    fn what_is_no_packet_does_not_open() {
        let mut ours = opener();
        for length in 0..60 {
            let rtp = BytesMut::from(&[0x9F; 60][..length]);
            assert!(ours.open_rtp(rtp).is_err());
            let rtcp = BytesMut::from(&[0xC8; 60][..length]);
            assert!(ours.open_rtcp(rtcp).is_err());
        }
    }
}
