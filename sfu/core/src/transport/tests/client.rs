//! An `rtc` peer connection as the client, offering Opus both ways and a data channel. Also included by the tests of sfu/node.

#![allow(dead_code)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use rtc::data_channel::RTCDataChannelId;
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::{SctpMaxMessageSize, SettingEngineBuilder};
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate, RTCSctpTransportState};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use crate::model::{Fingerprint, IceCredentials};

/// What the client sends as, and what it expects from us.
pub(crate) const CLIENT_SSRC: u32 = 0x1111;
pub(crate) const SERVER_SSRC: u32 = 0x2222;
pub(crate) const PT: u8 = 111;
/// The channel that the client opens: without one there would be no `m=application` in its offer.
pub(crate) const OWN_CHANNEL: &str = "test";

pub(crate) struct Client {
    pc: RTCPeerConnection,
    sender: RTCRtpSenderId,
    addr: SocketAddr,
    server: SocketAddr,
    sequence: u16,
    pub(crate) connected: bool,
    pub(crate) received: Vec<Bytes>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) channels: Channels,
}

/// What happened on the client's data channels.
#[derive(Default)]
pub(crate) struct Channels {
    ids: HashMap<String, RTCDataChannelId>,
    /// Labels, in the order in which they opened.
    pub(crate) opened: Vec<String>,
    pub(crate) closed: Vec<String>,
    /// Label, whether it is text, payload.
    pub(crate) messages: Vec<(String, bool, Bytes)>,
}

impl Channels {
    fn label(&self, id: RTCDataChannelId) -> String {
        self.ids.iter().find(|(_, known)| **known == id).map(|(label, _)| label.clone()).unwrap()
    }
}

pub(crate) enum Profiles {
    /// As `rtc` has it by default.
    Default,
    /// Browsers' order: CM-80 first, then GCM.
    Cm80First,
    /// No GCM at all.
    Cm80Only,
}

impl Client {
    pub(crate) fn new(
        now: Instant,
        addr: SocketAddr,
        server: SocketAddr,
        ice: &IceCredentials,
        server_fingerprint: Fingerprint,
        profiles: &Profiles,
    ) -> Self {
        let mut pc = peer_connection(now, profiles);
        let sender = pc.add_track(track()).unwrap();
        let own = pc.create_data_channel(OWN_CHANNEL, None).unwrap().id();
        let host = CandidateConfig {
            network: "udp".into(),
            address: addr.ip().to_string(),
            port: addr.port(),
            component: 1,
            ..Default::default()
        };
        let candidate = CandidateHostConfig { base_config: host, ..Default::default() }.new_candidate_host().unwrap();
        pc.add_local_candidate(RTCIceCandidate::from(&candidate).to_json().unwrap()).unwrap();
        let offer = pc.create_offer(None).unwrap();
        pc.set_local_description(now, offer.clone()).unwrap();
        let answer = answer(&offer.sdp, server, ice, server_fingerprint);
        pc.set_remote_description(now, RTCSessionDescription::answer(answer).unwrap()).unwrap();
        let fingerprint = fingerprint_in(&offer.sdp);
        let channels = Channels { ids: HashMap::from([(OWN_CHANNEL.to_owned(), own)]), ..Channels::default() };
        Self { pc, sender, addr, server, sequence: 100, connected: false, received: Vec::new(), fingerprint, channels }
    }

    pub(crate) fn receive(&mut self, now: Instant, datagram: &[u8]) {
        let transport = TransportContext {
            local_addr: self.addr,
            peer_addr: self.server,
            ecn: None,
            transport_protocol: TransportProtocol::UDP,
        };
        let _ = self.pc.handle_read(TaggedBytesMut { now, transport, message: BytesMut::from(datagram) });
    }

    /// What the client sends to the server, after its events were taken.
    pub(crate) fn poll(&mut self, now: Instant) -> Vec<BytesMut> {
        if self.pc.poll_timeout().is_some_and(|at| at <= now) {
            let _ = self.pc.handle_timeout(now);
        }
        let mut datagrams = Vec::new();
        while let Some(message) = self.pc.poll_write() {
            if message.transport.peer_addr == self.server {
                datagrams.push(message.message);
            }
        }
        self.take_events();
        datagrams
    }

    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        self.pc.poll_timeout()
    }

    pub(crate) fn send(&mut self, now: Instant, payload: &'static [u8]) {
        let header = rtc::rtp::Header {
            version: 2,
            payload_type: PT,
            sequence_number: self.sequence,
            ssrc: CLIENT_SSRC,
            ..Default::default()
        };
        self.sequence = self.sequence.wrapping_add(1);
        let packet = rtc::rtp::Packet { header, payload: Bytes::from_static(payload) };
        self.pc.rtp_sender(self.sender).unwrap().write_rtp(now, packet).unwrap();
    }

    pub(crate) fn sctp_is_up(&self) -> bool {
        self.pc.sctp().is_some_and(|sctp| sctp.state() == RTCSctpTransportState::Connected)
    }

    pub(crate) fn close(&mut self) {
        self.pc.close().unwrap();
    }

    fn take_events(&mut self) {
        while let Some(event) = self.pc.poll_event() {
            match event {
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) => {
                    self.connected = state == RTCPeerConnectionState::Connected;
                }
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(id)) => {
                    let label = self.pc.data_channel(id).unwrap().label().to_owned();
                    self.channels.opened.push(label.clone());
                    self.channels.ids.insert(label, id);
                }
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnClose(id)) => {
                    let label = self.channels.label(id);
                    self.channels.closed.push(label);
                }
                _ => {}
            }
        }
        while let Some(message) = self.pc.poll_read() {
            match message.message {
                RTCMessage::RtpPacket(_, packet) => self.received.push(packet.payload),
                RTCMessage::DataChannelMessage(id, message) => {
                    let label = self.channels.label(id);
                    self.channels.messages.push((label, message.is_string, message.data.freeze()));
                }
                _ => {}
            }
        }
    }

    /// Sends a message on an open channel. False if the client has no such channel, or not any more.
    pub(crate) fn send_data(&mut self, now: Instant, label: &str, text: bool, payload: &[u8]) -> bool {
        let Some(mut channel) = self.channels.ids.get(label).and_then(|id| self.pc.data_channel(*id)) else { return false };
        if text {
            channel.send_text(now, std::str::from_utf8(payload).unwrap()).is_ok()
        } else {
            channel.send(now, BytesMut::from(payload)).is_ok()
        }
    }

    pub(crate) fn close_channel(&mut self, label: &str) {
        self.pc.data_channel(self.channels.ids[label]).unwrap().close().unwrap();
    }

    /// How a channel came out: its protocol, and whether it is ordered. `rtc` does not say how reliable it is.
    pub(crate) fn channel_kind(&mut self, label: &str) -> (String, bool) {
        let channel = self.pc.data_channel(self.channels.ids[label]).unwrap();
        (channel.protocol().to_owned(), channel.ordered())
    }
}

fn peer_connection(now: Instant, profiles: &Profiles) -> RTCPeerConnection {
    let (cm80, gcm) = (SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80, SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm);
    let settings = SettingEngineBuilder::new().with_sctp_max_message_size(SctpMaxMessageSize::Bounded(256 * 1024));
    let settings = match profiles {
        Profiles::Default => settings.build(),
        Profiles::Cm80First => settings.with_srtp_protection_profiles(vec![cm80, gcm]).build(),
        Profiles::Cm80Only => settings.with_srtp_protection_profiles(vec![cm80]).build(),
    };
    let mut media = MediaEngine::default();
    media.register_default_codecs().unwrap();
    let registry = register_default_interceptors(Registry::new(), &mut media).unwrap();
    let builder = RTCPeerConnectionBuilder::new().with_setting_engine(settings).with_media_engine(media);
    builder.with_interceptor_registry(registry).build(now).unwrap()
}

fn track() -> MediaStreamTrack {
    let codec = RTCRtpCodec { mime_type: "audio/opus".into(), clock_rate: 48_000, channels: 2, ..Default::default() };
    let coding = RTCRtpCodingParameters { ssrc: Some(CLIENT_SSRC), ..Default::default() };
    let encoding = RTCRtpEncodingParameters { rtp_coding_parameters: coding, codec, ..Default::default() };
    MediaStreamTrack::new("stream".into(), "track".into(), "label".into(), RtpCodecKind::Audio, vec![encoding])
}

fn answer(offer: &str, server: SocketAddr, ice: &IceCredentials, fingerprint: Fingerprint) -> String {
    let mids: Vec<&str> = offer.lines().filter_map(|line| line.strip_prefix("a=mid:")).map(str::trim).collect();
    let transport = format!(
        "c=IN IP4 0.0.0.0\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:sha-256 {}\r\na=setup:passive\r\n\
         a=candidate:1 1 udp 2130706431 {} {} typ host\r\na=end-of-candidates\r\n",
        ice.ufrag,
        ice.pwd,
        hex(fingerprint),
        server.ip(),
        server.port()
    );
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE {}\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF {PT}\r\na=mid:{}\r\n{transport}a=rtcp-mux\r\na=sendrecv\r\na=rtpmap:{PT} opus/48000/2\r\n\
         a=msid:s t\r\na=ssrc:{SERVER_SSRC} cname:c\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:{}\r\n{transport}a=sctp-port:5000\r\na=max-message-size:262144\r\n",
        mids.join(" "),
        mids[0],
        mids[1]
    )
}

fn hex(fingerprint: Fingerprint) -> String {
    fingerprint.0.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn fingerprint_in(sdp: &str) -> Fingerprint {
    let line = sdp.lines().find_map(|line| line.strip_prefix("a=fingerprint:sha-256 ")).unwrap();
    let bytes: Vec<u8> = line.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    Fingerprint(bytes.try_into().unwrap())
}
