//! A peer that costs little: one connectivity check, DTLS, SRTP, and the feedback that a browser gives. It opens one packet in
//! `SAMPLE` and believes the rest, so that a thousand of them fit beside the server on one machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::BytesMut;
use minamo_media::rtp::Packet;
use minamo_sfu_core::model::{Fingerprint, IceCredentials};
use minamo_sfu_core::rtcp;
use rtc_crypto::providers::AwsLcRsProvider;
use rtc_crypto::{HashAlgorithm, RTCCryptoProvider};
use rtc_dtls::config::{ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_srtp::config::{Config, LABEL_EXTRACTOR_DTLS_SRTP};
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;
use rtc_stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME, AttrType};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter, TransactionId};
use rtc_stun::textattrs::TextAttribute;
use rtc_stun::xoraddr::XorMappedAddress;

/// One received packet in so many is decrypted, and must be whole.
const SAMPLE: u64 = 64;
/// Chromium reports transport-wide arrivals this often at such bitrates, and checks consent this often.
const FEEDBACK: Duration = Duration::from_millis(50);
const REPORT: Duration = Duration::from_secs(1);
const CHECK: Duration = Duration::from_millis(2500);
/// A packet is asked for again this often, though it came.
const ASK: Duration = Duration::from_secs(2);
/// Of most media only so much is shown to it: the header.
pub const GLANCE: usize = 64;
/// Packets come one after another over a link of so many bits in a microsecond: a sender that probes its way wants to see that.
const LINK: i64 = 50;
/// What a packet of which only the header is shown counts as, in bytes.
const WHOLE: usize = 1200;
/// The id of the transport-cc extension toward these peers.
pub const TRANSPORT_CC: u8 = 3;
/// Its ICE credentials, where the other side wants to know them.
pub const UFRAG: &str = "light";
/// See [`UFRAG`].
pub const PASSWORD: &str = "light-password-of-22-chars";
/// A DTLS endpoint wants some address.
const SERVER: &str = "127.0.0.1:9";

/// Certificate and configuration that all of them share.
pub struct Kit {
    provider: Arc<dyn RTCCryptoProvider>,
    config: Arc<HandshakeConfig>,
    /// For the answer.
    pub fingerprint: Fingerprint,
}

impl Kit {
    /// Makes a certificate.
    ///
    /// # Errors
    /// When the crypto provider fails.
    pub fn new() -> Result<Self> {
        let provider: Arc<dyn RTCCryptoProvider> = Arc::new(AwsLcRsProvider::new());
        let certificate = Certificate::generate_self_signed(vec!["light".to_owned()], provider.crypto())?;
        let der = certificate.certificate.first().context("no certificate")?;
        let digest = provider.crypto().hash(HashAlgorithm::Sha256, der.as_ref())?;
        let Ok(digest) = digest.try_into() else { bail!("SHA-256 has 32 bytes") };
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider.clone())
            .with_certificates(vec![certificate])
            .with_srtp_protection_profiles(vec![SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm])
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .build(true, Some(SERVER.parse()?))?;
        Ok(Self { provider, config: Arc::new(config), fingerprint: Fingerprint(digest) })
    }
}

/// What came on one SSRC.
#[derive(Clone, Copy)]
struct Flow {
    ssrc: u32,
    highest: u16,
    packets: u64,
    /// Sequence numbers from the first to the highest.
    span: u64,
}

/// Arrivals since the last feedback, by transport-wide number.
#[derive(Default)]
struct Arrivals {
    base: u16,
    times: Vec<Option<i64>>,
    count: u8,
    /// When the last packet was through the link, in microseconds.
    through: i64,
}

/// The peer.
pub struct Light {
    ice: IceCredentials,
    server: SocketAddr,
    dtls: Endpoint,
    keys: Option<Keys>,
    start: Instant,
    flows: Vec<Flow>,
    arrivals: Arrivals,
    feedback_at: Instant,
    report_at: Instant,
    check_at: Instant,
    ask_at: Instant,
    /// The id of the transport-cc extension.
    pub transport_cc: u8,
    /// RTP packets that came.
    pub packets: u64,
    /// Packets whose sample did not open.
    pub broken: u64,
}

struct Keys {
    seal: Context,
    open: Context,
}

struct Attribute(AttrType, Vec<u8>);

impl Setter for Attribute {
    fn add_to(&self, message: &mut Message) -> Result<(), rtc_shared::error::Error> {
        message.add(self.0, &self.1);
        Ok(())
    }
}

impl Light {
    /// A peer that will connect to a server that expects these credentials. `phase` (0–1) spreads what it says at intervals.
    ///
    /// # Errors
    /// Never in practice.
    pub fn new(now: Instant, ice: IceCredentials, phase: f64) -> Result<Self> {
        let server: SocketAddr = SERVER.parse()?;
        let at = |interval: Duration| now + interval.mul_f64(phase);
        Ok(Self {
            ice,
            server,
            dtls: Endpoint::new(server, TransportProtocol::UDP, None),
            keys: None,
            start: now,
            flows: Vec::new(),
            arrivals: Arrivals::default(),
            feedback_at: at(FEEDBACK),
            report_at: at(REPORT),
            check_at: at(CHECK),
            ask_at: at(ASK),
            transport_cc: TRANSPORT_CC,
            packets: 0,
            broken: 0,
        })
    }

    /// The first datagrams: a check that nominates, and the ClientHello.
    ///
    /// # Errors
    /// When DTLS cannot begin.
    pub fn begin(&mut self, now: Instant, kit: &Kit, out: &mut Vec<BytesMut>) -> Result<()> {
        out.push(self.check(kit)?);
        self.dtls.connect(now, self.server, kit.config.clone(), None)?;
        self.drain(out);
        Ok(())
    }

    /// Whether SRTP is keyed.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.keys.is_some()
    }

    /// One datagram of the server.
    ///
    /// # Errors
    /// When DTLS fails.
    pub fn handle(&mut self, now: Instant, datagram: &[u8], kit: &Kit, out: &mut Vec<BytesMut>) -> Result<()> {
        match datagram.first() {
            Some(0..=3) => out.extend(self.answer(datagram, kit)?),
            Some(20..=63) => {
                let events = self.dtls.read(now, self.server, None, BytesMut::from(datagram))?;
                self.drain(out);
                if events.iter().any(|event| matches!(event, EndpointEvent::HandshakeComplete)) {
                    self.key(kit)?;
                }
            }
            Some(128..=191) => self.media(now, datagram),
            _ => {}
        }
        Ok(())
    }

    /// Packets between the first and the highest of each stream that did not come.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.flows.iter().map(|flow| flow.span.saturating_sub(flow.packets)).sum()
    }

    /// Sends a lost flight again.
    ///
    /// # Errors
    /// When DTLS gives up.
    pub fn retry(&mut self, now: Instant, kit: &Kit, out: &mut Vec<BytesMut>) -> Result<()> {
        if self.keys.is_none() {
            out.push(self.check(kit)?);
            self.dtls.handle_timeout(self.server, now)?;
            self.drain(out);
        }
        Ok(())
    }

    /// What it says by itself now: feedback, reports, checks, and now and then a NACK.
    ///
    /// # Errors
    /// When sealing fails.
    pub fn speak(&mut self, now: Instant, kit: &Kit, out: &mut Vec<BytesMut>) -> Result<()> {
        if now >= self.check_at {
            self.check_at += CHECK;
            out.push(self.check(kit)?);
        }
        if self.keys.is_none() || self.flows.is_empty() {
            return Ok(());
        }
        if now >= self.feedback_at {
            self.feedback_at = (self.feedback_at + FEEDBACK).max(now);
            self.feedback(out)?;
        }
        if now >= self.report_at {
            self.report_at += REPORT;
            self.report(out)?;
        }
        if now >= self.ask_at {
            self.ask_at += ASK;
            let flow = *self.flows.iter().max_by_key(|flow| flow.packets).context("some flow")?;
            let mut nack = Vec::new();
            rtcp::nack(&mut nack, 1, flow.ssrc, &[flow.highest.wrapping_sub(2)]);
            self.seal_rtcp(&nack, out)?;
        }
        Ok(())
    }

    /// Seals a plain RTP packet.
    ///
    /// # Errors
    /// Before it is connected.
    pub fn seal_rtp(&mut self, packet: &[u8]) -> Result<BytesMut> {
        Ok(self.keys.as_mut().context("not connected")?.seal.encrypt_rtp(packet)?)
    }

    /// Seals a plain RTCP compound.
    ///
    /// # Errors
    /// Before it is connected.
    pub fn seal_rtcp(&mut self, compound: &[u8], out: &mut Vec<BytesMut>) -> Result<()> {
        out.push(self.keys.as_mut().context("not connected")?.seal.encrypt_rtcp(compound)?);
        Ok(())
    }

    fn media(&mut self, now: Instant, datagram: &[u8]) {
        if matches!(datagram.get(1), None | Some(192..=223)) {
            return;
        }
        // The header is in clear. How much of a probe is padding stands under the cipher: without the flag it parses all the same.
        let mut head = [0; 128];
        let length = datagram.len().min(head.len());
        head[..length].copy_from_slice(&datagram[..length]);
        head[0] &= !0x20;
        let Ok(packet) = Packet::parse(&head[..length]) else { return };
        self.packets += 1;
        let wide = packet.extension(self.transport_cc).and_then(|data| data.try_into().ok()).map(u16::from_be_bytes);
        let (ssrc, sequence) = (packet.ssrc(), packet.sequence());
        let length = if datagram.len() > GLANCE { datagram.len() } else { WHOLE };
        self.arrivals.note(wide, now.saturating_duration_since(self.start).as_micros() as i64, length);
        match self.flows.iter_mut().find(|flow| flow.ssrc == ssrc) {
            Some(flow) => {
                flow.packets += 1;
                let step = sequence.wrapping_sub(flow.highest) as i16;
                if step > 0 {
                    flow.highest = sequence;
                    flow.span += step as u64;
                }
            }
            None => self.flows.push(Flow { ssrc, highest: sequence, packets: 1, span: 1 }),
        }
        if datagram.len() > GLANCE
            && self.packets.is_multiple_of(SAMPLE)
            && let Some(keys) = &mut self.keys
        {
            self.broken += u64::from(keys.open.decrypt_rtp(datagram).is_err());
        }
    }

    fn feedback(&mut self, out: &mut Vec<BytesMut>) -> Result<()> {
        if self.arrivals.times.is_empty() {
            return Ok(());
        }
        let Arrivals { base, times, count, .. } = &mut self.arrivals;
        let mut message = Vec::new();
        let media = self.flows.first().map_or(0, |flow| flow.ssrc);
        rtcp::Feedback { sender: 1, media, count: *count, base: *base, arrivals: times }.write(&mut message);
        *base = base.wrapping_add(times.len() as u16);
        *count = count.wrapping_add(1);
        times.clear();
        self.seal_rtcp(&message, out)
    }

    fn report(&mut self, out: &mut Vec<BytesMut>) -> Result<()> {
        let block = |flow: &Flow| rtcp::ReportBlock {
            ssrc: flow.ssrc,
            fraction_lost: 0,
            lost: 0,
            highest: u32::from(flow.highest),
            jitter: 5,
            lsr: 0,
            dlsr: 0,
        };
        let blocks: Vec<_> = self.flows.iter().map(block).collect();
        let mut compound = Vec::new();
        rtcp::receiver_report(&mut compound, 1, &blocks);
        rtcp::sdes(&mut compound, &[1], "light");
        self.seal_rtcp(&compound, out)
    }

    fn check(&self, kit: &Kit) -> Result<BytesMut> {
        let crypto = kit.provider.crypto();
        let setters: [Box<dyn Setter + '_>; 8] = [
            Box::new(TransactionId::new()),
            Box::new(BINDING_REQUEST),
            Box::new(TextAttribute::new(ATTR_USERNAME, format!("{}:{UFRAG}", self.ice.ufrag))),
            Box::new(Attribute(ATTR_PRIORITY, vec![110, 0, 1, 255])),
            Box::new(Attribute(ATTR_ICE_CONTROLLING, vec![7; 8])),
            Box::new(Attribute(ATTR_USE_CANDIDATE, Vec::new())),
            Box::new(MessageIntegrity::new_short_term_integrity_with_provider(self.ice.pwd.clone(), crypto)),
            Box::new(FINGERPRINT),
        ];
        let mut message = Message::new();
        message.build(&setters)?;
        Ok(BytesMut::from(&message.raw[..]))
    }

    /// To a check of the other side: a lite agent sends none, but that of `rtc` takes no nomination before one of its own was answered.
    fn answer(&self, datagram: &[u8], kit: &Kit) -> Result<Option<BytesMut>> {
        let Some(id) = datagram.get(8..20).and_then(|id| id.try_into().ok()).filter(|_| datagram[..2] == [0, 1]) else {
            return Ok(None);
        };
        let crypto = kit.provider.crypto();
        let setters: [Box<dyn Setter + '_>; 5] = [
            Box::new(TransactionId(id)),
            Box::new(BINDING_SUCCESS),
            Box::new(XorMappedAddress { ip: self.server.ip(), port: self.server.port() }),
            Box::new(MessageIntegrity::new_short_term_integrity_with_provider(PASSWORD.to_owned(), crypto)),
            Box::new(FINGERPRINT),
        ];
        let mut message = Message::new();
        message.build(&setters)?;
        Ok(Some(BytesMut::from(&message.raw[..])))
    }

    fn key(&mut self, kit: &Kit) -> Result<()> {
        let state = self.dtls.get_connection_state(self.server).context("no DTLS state")?;
        let mut config = Config { profile: ProtectionProfile::AeadAes128Gcm, ..Config::default() };
        let material = state.export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], config.keying_material_len())?;
        config.set_session_keys_from_keying_material(material.as_ref(), true)?;
        let (keys, profile, crypto) = (&config.keys, config.profile, kit.provider.crypto());
        let seal = Context::new(&keys.local_master_key, &keys.local_master_salt, profile, None, None, crypto)?;
        let open = Context::new(&keys.remote_master_key, &keys.remote_master_salt, profile, None, None, crypto)?;
        self.keys = Some(Keys { seal, open });
        Ok(())
    }

    fn drain(&mut self, out: &mut Vec<BytesMut>) {
        out.extend(std::iter::from_fn(|| self.dtls.poll_transmit()).map(|transmit| transmit.message));
    }
}

impl Arrivals {
    /// Where the server does not number its packets they are numbered as they come.
    fn note(&mut self, wide: Option<u16>, at: i64, length: usize) {
        self.through = self.through.max(at) + length as i64 * 8 / LINK;
        let end = self.base.wrapping_add(self.times.len() as u16);
        let wide = wide.unwrap_or(end);
        if self.times.is_empty() {
            self.base = wide;
        }
        let index = usize::from(wide.wrapping_sub(self.base));
        if index < 2000 {
            if index >= self.times.len() {
                self.times.resize(index + 1, None);
            }
            self.times[index] = Some(self.through);
        }
    }
}
