//! SRTP and SRTCP of the profile without GCM (RFC 3711) over `rtc-srtp`, with what it leaves open: a bound on SSRCs, and no allocation
//! for headers.

use bytes::{Bytes, BytesMut};
use rtc_crypto::RTCCrypto;
use rtc_rtp::header::{Extension, Header};
use rtc_shared::error::Error;
use rtc_srtp::config::SessionKeys;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

use super::srtp::{MAX_SOURCES, OpenError};

/// `rtc-srtp` remembers every SSRC that it was asked about, authentic or not. Unknown ones are therefore tried in a context that is
/// thrown away after so many forgeries, and reach the real one only when they are authentic.
const MAX_FORGERIES: u32 = 64;

/// How many packets late one may come (a resent packet keeps its sequence number when RTX is not negotiated).
const REPLAY_WINDOW: usize = 1024;

const PROFILE: ProtectionProfile = ProtectionProfile::Aes128CmHmacSha1_80;

/// The longest header extension that RFC 3550 can express.
static ZEROS: [u8; 4 * 0xFFFF] = [0; 4 * 0xFFFF];

/// Both directions of a keyed session.
pub(super) struct Cm80 {
    seal: Context,
    open: Context,
    probation: Context,
    forgeries: u32,
    keys: SessionKeys,
    rtp_sources: Vec<u32>,
    rtcp_sources: Vec<u32>,
    header: Header,
}

impl Cm80 {
    pub(super) fn new(keys: SessionKeys, crypto: &dyn RTCCrypto) -> Result<Self, Error> {
        let seal = Context::new(&keys.local_master_key, &keys.local_master_salt, PROFILE, None, None, crypto)?;
        let (open, probation) = (opener(&keys, crypto)?, opener(&keys, crypto)?);
        let (rtp_sources, rtcp_sources, header) = (Vec::new(), Vec::new(), blank_header());
        Ok(Self { seal, open, probation, forgeries: 0, keys, rtp_sources, rtcp_sources, header })
    }

    /// Appends the sealed packet to `out`. False, and nothing is appended, when it cannot be sealed.
    pub(super) fn seal_rtp(&mut self, packet: &[u8], out: &mut BytesMut) -> bool {
        if outline(&mut self.header, packet).is_none() {
            return false;
        }
        let sealed = self.seal.encrypt_rtp_with_header(packet, &self.header);
        sealed.map(|sealed| out.extend_from_slice(&sealed)).is_ok()
    }

    /// Like [`Self::seal_rtp`], for RTCP.
    pub(super) fn seal_rtcp(&mut self, packet: &[u8], out: &mut BytesMut) -> bool {
        self.seal.encrypt_rtcp(packet).map(|sealed| out.extend_from_slice(&sealed)).is_ok()
    }

    pub(super) fn open_rtp(&mut self, packet: &[u8], crypto: &dyn RTCCrypto) -> Result<BytesMut, OpenError> {
        outline(&mut self.header, packet).ok_or(OpenError::Malformed)?;
        let ssrc = self.header.ssrc;
        if !self.rtp_sources.contains(&ssrc) {
            let tried = self.probation.decrypt_rtp_with_header(packet, &self.header).map(drop);
            self.admit(tried, crypto)?;
            admit_source(&mut self.rtp_sources, ssrc)?;
        }
        self.open.decrypt_rtp_with_header(packet, &self.header).map_err(|error| verdict(&error))
    }

    pub(super) fn open_rtcp(&mut self, packet: &[u8], crypto: &dyn RTCCrypto) -> Result<BytesMut, OpenError> {
        let ssrc = packet.get(4..8).and_then(|bytes| bytes.first_chunk::<4>()).map(|bytes| u32::from_be_bytes(*bytes));
        let ssrc = ssrc.ok_or(OpenError::Malformed)?;
        if !self.rtcp_sources.contains(&ssrc) {
            let tried = self.probation.decrypt_rtcp(packet).map(drop);
            self.admit(tried, crypto)?;
            admit_source(&mut self.rtcp_sources, ssrc)?;
        }
        self.open.decrypt_rtcp(packet).map_err(|error| verdict(&error))
    }

    fn admit(&mut self, tried: Result<(), Error>, crypto: &dyn RTCCrypto) -> Result<(), OpenError> {
        let Err(error) = tried else { return Ok(()) };
        self.forgeries += 1;
        if self.forgeries >= MAX_FORGERIES
            && let Ok(fresh) = opener(&self.keys, crypto)
        {
            (self.probation, self.forgeries) = (fresh, 0);
        }
        Err(verdict(&error))
    }
}

fn admit_source(sources: &mut Vec<u32>, ssrc: u32) -> Result<(), OpenError> {
    if sources.len() >= MAX_SOURCES {
        return Err(OpenError::TooManySources);
    }
    sources.push(ssrc);
    Ok(())
}

fn opener(keys: &SessionKeys, crypto: &dyn RTCCrypto) -> Result<Context, Error> {
    let (rtp, rtcp) = (srtp_replay_protection(REPLAY_WINDOW), srtcp_replay_protection(REPLAY_WINDOW));
    Context::new(&keys.remote_master_key, &keys.remote_master_salt, PROFILE, Some(rtp), Some(rtcp), crypto)
}

fn verdict(error: &Error) -> OpenError {
    match error {
        Error::SrtpSsrcDuplicated(..) | Error::SrtcpSsrcDuplicated(..) | Error::ErrDuplicated => OpenError::Replayed,
        Error::ErrTooShortRtp | Error::ErrTooShortRtcp | Error::SrtpTooSmall(..) | Error::SrtcpTooSmall(..) => {
            OpenError::Malformed
        }
        _ => OpenError::NotAuthentic,
    }
}

fn blank_header() -> Header {
    Header { version: 2, extensions: vec![Extension { id: 0, payload: Bytes::new() }], ..Header::default() }
}

/// Fills in what SRTP needs of a header: its exact length on the wire, the SSRC and the sequence number. Extensions are opaque here, so
/// that no odd padding changes the length, and nothing is allocated. Returns the header's length.
fn outline(header: &mut Header, packet: &[u8]) -> Option<usize> {
    let fixed = packet.get(..12)?;
    if fixed[0] >> 6 != 2 {
        return None;
    }
    let csrcs = usize::from(fixed[0] & 0x0F);
    header.csrc.resize(csrcs, 0);
    header.sequence_number = u16::from_be_bytes([fixed[2], fixed[3]]);
    header.ssrc = u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
    header.extension = fixed[0] & 0x10 != 0;
    let mut length = 12 + 4 * csrcs;
    if header.extension {
        let head = packet.get(length..length + 4)?;
        let size = 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
        header.extensions.first_mut()?.payload = Bytes::from_static(&ZEROS[..size]);
        length += 4 + size;
    }
    (packet.len() >= length).then_some(length)
}
