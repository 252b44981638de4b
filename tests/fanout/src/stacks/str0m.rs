//! str0m in RTP mode.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::BytesMut;
use minamo_media::rtp::Packet;
use str0m::config::{DtlsVersion, Fingerprint};
use str0m::format::Codec;
use str0m::ice::IceCreds;
use str0m::media::{MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpWrite, Ssrc};
use str0m::{Candidate, Input, Output, Rtc};

use super::{SERVER, Stack};
use crate::engine::credentials;
use crate::light::{Kit, PASSWORD, TRANSPORT_CC, UFRAG};

/// One `Rtc`.
pub struct Str0m {
    rtc: Rtc,
    pt: Pt,
    ssrc: Ssrc,
    sequence: u64,
    due: Instant,
}

impl Stack for Str0m {
    fn new(now: Instant, number: usize, _: SocketAddr, kit: &Kit) -> Result<Self> {
        let ours = credentials(number);
        let mut rtc = Rtc::builder()
            .set_crypto_provider(str0m::crypto::from_feature_flags().into())
            .set_ice_lite(true)
            .set_rtp_mode(true)
            .set_dtls_version(DtlsVersion::Dtls12)
            .build(now);
        rtc.add_local_candidate(Candidate::host(SERVER.parse()?, "udp")?);
        let h264 = rtc.codec_config().params().iter().find(|params| params.spec().codec == Codec::H264);
        let pt = h264.context("str0m has no H.264")?.pt();
        let (mid, ssrc) = (Mid::from("v"), Ssrc::from(0x20_0000));
        let mut api = rtc.direct_api();
        api.set_local_ice_credentials(IceCreds { ufrag: ours.ufrag, pass: ours.pwd });
        api.set_remote_ice_credentials(IceCreds { ufrag: UFRAG.to_owned(), pass: PASSWORD.to_owned() });
        api.set_ice_controlling(false);
        api.set_remote_fingerprint(Fingerprint { hash_func: "sha-256".to_owned(), bytes: kit.fingerprint.0.to_vec() });
        api.start_dtls(false)?;
        api.declare_media(mid, MediaKind::Video);
        api.declare_stream_tx(ssrc, Some(Ssrc::from(0x20_0002)), mid, None);
        Ok(Self { rtc, pt, ssrc, sequence: 1000, due: now })
    }

    fn receive(&mut self, now: Instant, client: SocketAddr, datagram: BytesMut) -> Result<()> {
        let contents = datagram[..].try_into()?;
        let receive = Receive { proto: Protocol::Udp, source: client, destination: SERVER.parse()?, contents };
        Ok(self.rtc.handle_input(Input::Receive(now, receive))?)
    }

    fn forward(&mut self, now: Instant, packet: &[u8]) -> Result<()> {
        let packet = Packet::parse(packet)?;
        self.sequence += 1;
        let write = RtpWrite::new(self.pt, self.sequence.into(), packet.timestamp(), now, packet.payload())
            .marker(packet.marker())
            .nackable(true);
        self.rtc.direct_api().stream_tx(&self.ssrc).context("no stream")?.write_rtp(write);
        Ok(())
    }

    fn drain(&mut self, now: Instant, send: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.rtc.handle_input(Input::Timeout(now))?;
        loop {
            match self.rtc.poll_output()? {
                Output::Transmit(transmit) => send(&transmit.contents),
                Output::Timeout(due) => {
                    self.due = due;
                    return Ok(());
                }
                Output::Event(_) => {}
            }
        }
    }

    fn due(&mut self) -> Option<Instant> {
        Some(self.due)
    }

    fn transport_cc(&self) -> u8 {
        TRANSPORT_CC
    }
}
