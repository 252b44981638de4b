//! `rtc` peer connections with their default interceptors.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use minamo_media::rtp::Packet;
use minamo_sfu_core::model::Fingerprint;
use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use super::{SERVER, Stack};
use crate::engine::credentials;
use crate::light::{Kit, PASSWORD, UFRAG};

const SSRC: u32 = 0x20_0000;

/// One peer connection that offers one track.
pub struct PeerConnection {
    connection: RTCPeerConnection,
    sender: RTCRtpSenderId,
    transport_cc: u8,
    pt: u8,
    sequence: u16,
}

impl Stack for PeerConnection {
    fn new(now: Instant, number: usize, client: SocketAddr, kit: &Kit) -> Result<Self> {
        let ours = credentials(number);
        let settings = SettingEngineBuilder::new().with_lite(true).with_ice_credentials(ours.ufrag, ours.pwd).build();
        let mut media = MediaEngine::default();
        media.register_default_codecs()?;
        let registry = register_default_interceptors(Registry::new(), &mut media)?;
        let builder = RTCPeerConnectionBuilder::new().with_setting_engine(settings).with_media_engine(media);
        let mut connection = builder.with_interceptor_registry(registry).build(now)?;
        let codec = RTCRtpCodec {
            mime_type: "video/H264".into(),
            clock_rate: 90_000,
            sdp_fmtp_line: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f".into(),
            ..Default::default()
        };
        let coding = RTCRtpCodingParameters { ssrc: Some(SSRC), ..Default::default() };
        let encoding = RTCRtpEncodingParameters { rtp_coding_parameters: coding, codec, ..Default::default() };
        let sender = connection.add_track(MediaStreamTrack::new(
            "stream".into(),
            "track".into(),
            "label".into(),
            RtpCodecKind::Video,
            vec![encoding],
        ))?;
        let server: SocketAddr = SERVER.parse()?;
        let host = CandidateConfig {
            network: "udp".into(),
            address: server.ip().to_string(),
            port: server.port(),
            component: 1,
            ..Default::default()
        };
        let candidate = CandidateHostConfig { base_config: host, ..Default::default() }.new_candidate_host()?;
        connection.add_local_candidate(RTCIceCandidate::from(&candidate).to_json()?)?;
        let offer = connection.create_offer(None)?;
        connection.set_local_description(now, offer.clone())?;
        let transport_cc = number_before(&offer.sdp, "a=extmap:", "transport-wide-cc").unwrap_or(3);
        let pt = number_before(&offer.sdp, "a=rtpmap:", "H264/90000").context("no H.264 in the offer")?;
        connection.set_remote_description(now, RTCSessionDescription::answer(answer(&offer.sdp, client, kit.fingerprint))?)?;
        Ok(Self { connection, sender, transport_cc, pt, sequence: 1000 })
    }

    fn receive(&mut self, now: Instant, client: SocketAddr, datagram: BytesMut) -> Result<()> {
        let transport = TransportContext {
            local_addr: SERVER.parse()?,
            peer_addr: client,
            ecn: None,
            transport_protocol: TransportProtocol::UDP,
        };
        Ok(self.connection.handle_read(TaggedBytesMut { now, transport, message: datagram })?)
    }

    fn forward(&mut self, now: Instant, packet: &[u8]) -> Result<()> {
        let packet = Packet::parse(packet)?;
        self.sequence = self.sequence.wrapping_add(1);
        let header = rtc::rtp::Header {
            version: 2,
            marker: packet.marker(),
            payload_type: self.pt,
            sequence_number: self.sequence,
            timestamp: packet.timestamp(),
            ssrc: SSRC,
            ..Default::default()
        };
        let packet = rtc::rtp::Packet { header, payload: Bytes::copy_from_slice(packet.payload()) };
        Ok(self.connection.rtp_sender(self.sender).context("no sender")?.write_rtp(now, packet)?)
    }

    fn drain(&mut self, now: Instant, send: &mut dyn FnMut(&[u8])) -> Result<()> {
        if self.connection.poll_timeout().is_some_and(|due| due <= now) {
            self.connection.handle_timeout(now)?;
        }
        while let Some(message) = self.connection.poll_write() {
            send(&message.message);
        }
        while self.connection.poll_event().is_some() {}
        while self.connection.poll_read().is_some() {}
        Ok(())
    }

    fn due(&mut self) -> Option<Instant> {
        self.connection.poll_timeout()
    }

    fn transport_cc(&self) -> u8 {
        self.transport_cc
    }
}

/// The number behind `prefix` in the first line that has it and contains `word`.
fn number_before(sdp: &str, prefix: &str, word: &str) -> Option<u8> {
    let line = sdp.lines().filter(|line| line.contains(word)).find_map(|line| line.strip_prefix(prefix))?;
    line.split([' ', '/']).next()?.parse().ok()
}

/// What a client would answer that takes everything as it is offered.
fn answer(offer: &str, client: SocketAddr, fingerprint: Fingerprint) -> String {
    let hex = fingerprint.0.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
    let mut lines = Vec::new();
    for line in offer.lines().map(str::trim) {
        let kind = line.split(':').next().unwrap_or_default();
        match kind {
            "a=ice-ufrag" => lines.push(format!("a=ice-ufrag:{UFRAG}")),
            "a=ice-pwd" => lines.push(format!("a=ice-pwd:{PASSWORD}")),
            "a=fingerprint" => lines.push(format!("a=fingerprint:sha-256 {hex}")),
            "a=setup" => lines.push("a=setup:active".to_owned()),
            "a=sendrecv" | "a=sendonly" => lines.push("a=recvonly".to_owned()),
            "a=mid" => {
                lines.push(line.to_owned());
                lines.push(format!("a=candidate:1 1 udp 2130706431 {} {} typ host", client.ip(), client.port()));
            }
            "a=ssrc" | "a=ssrc-group" | "a=msid" | "a=candidate" | "a=ice-lite" | "a=end-of-candidates" => {}
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\r\n") + "\r\n"
}
