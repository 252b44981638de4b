//! Publishers that cost little: a clip that was encoded once, sent by WHIP to a channel each, with sender reports and feedback as
//! browsers give them. All of them live on one thread.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use minamo_fanout::light::{Kit, Light, TRANSPORT_CC};
use minamo_media::rtp::Header;
use minamo_sfu_core::model::IceCredentials;
use minamo_sfu_core::rtcp::{self, SenderInfo};

use super::clip::{Clip, FPS, SOUNDS};

/// Payload types of the offer.
const VIDEO: u8 = 102;
const AUDIO: u8 = 111;
const VIDEO_SSRC: u32 = 0x1000;
const AUDIO_SSRC: u32 = 0x2000;
const REPORT: Duration = Duration::from_secs(1);
const JOIN_LIMIT: Duration = Duration::from_secs(60);
/// From 1900 to 1970.
const NTP_UNIX: u64 = 2_208_988_800;

/// The offer of every publisher (its ICE words are what [`Light`] says).
#[must_use]
pub fn offer(kit: &Kit) -> String {
    let bytes: Vec<String> = kit.fingerprint.0.iter().map(|byte| format!("{byte:02X}")).collect();
    let common = format!(
        "c=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=sendonly\r\na=setup:active\r\na=ice-ufrag:light\r\na=ice-pwd:light-password-of-many-characters\r\n\
         a=fingerprint:sha-256 {}\r\na=extmap:{TRANSPORT_CC} http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n",
        bytes.join(":")
    );
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF {AUDIO}\r\na=mid:0\r\n{common}a=rtpmap:{AUDIO} opus/48000/2\r\na=ssrc:{AUDIO_SSRC} cname:light\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF {VIDEO}\r\na=mid:1\r\n{common}a=rtpmap:{VIDEO} H264/90000\r\na=rtcp-fb:{VIDEO} nack pli\r\n\
         a=rtcp-fb:{VIDEO} transport-cc\r\na=fmtp:{VIDEO} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
         a=ssrc:{VIDEO_SSRC} cname:light\r\n"
    )
}

/// The server's ICE words in its answer.
///
/// # Errors
/// When they are not in it.
pub fn credentials(answer: &str) -> Result<IceCredentials> {
    let word =
        |name: &str| answer.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned).context("no ICE in the answer");
    Ok(IceCredentials { ufrag: word("a=ice-ufrag:")?, pwd: word("a=ice-pwd:")? })
}

/// One flow's numbers.
struct Flow {
    ssrc: u32,
    sequence: u16,
    units: u64,
    packets: u32,
    octets: u32,
}

impl Flow {
    fn new(ssrc: u32, units: u64) -> Self {
        Self { ssrc, sequence: 1000, units, packets: 0, octets: 0 }
    }
}

struct Publisher {
    socket: UdpSocket,
    light: Light,
    wide: u16,
    video: Flow,
    audio: Flow,
    /// Publishers are not all at the same place of the clip.
    phase: Duration,
    pictures: u64,
    report_at: Duration,
    out: Vec<BytesMut>,
}

/// The publishers' thread.
pub struct Publishers {
    kit: Arc<Kit>,
    clip: Arc<Clip>,
    publishers: Vec<Publisher>,
    begun: Instant,
}

impl Publishers {
    /// Connects them; `answers` are the server's credentials toward each.
    ///
    /// # Errors
    /// When one of them does not connect within a minute.
    pub fn join(kit: Arc<Kit>, clip: Arc<Clip>, server: SocketAddr, answers: Vec<IceCredentials>) -> Result<Self> {
        let mut publishers = Vec::new();
        for (index, ice) in answers.into_iter().enumerate() {
            publishers.push(Publisher::join(&kit, server, ice, (index as f64 * 0.618_034).fract())?);
        }
        Ok(Self { kit, clip, publishers, begun: Instant::now() })
    }

    /// Sends until told to stop. Answers the share of its pace that it kept.
    ///
    /// # Errors
    /// When sealing fails.
    pub fn run(mut self, stop: &AtomicBool) -> Result<f64> {
        self.begun = Instant::now();
        let mut turns = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            let at = self.begun.elapsed();
            for publisher in &mut self.publishers {
                publisher.send(at, &self.clip)?;
                if turns.is_multiple_of(16) {
                    publisher.receive(&self.kit)?;
                }
            }
            turns += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        let due = self.begun.elapsed().as_secs_f64() * FPS as f64 * self.publishers.len() as f64;
        Ok(self.publishers.iter().map(|publisher| publisher.pictures as f64).sum::<f64>() / due)
    }
}

impl Publisher {
    fn join(kit: &Kit, server: SocketAddr, ice: IceCredentials, phase: f64) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        let began = Instant::now();
        let light = Light::new(began, ice, phase)?;
        let mut publisher = Self {
            socket,
            light,
            wide: 0,
            video: Flow::new(VIDEO_SSRC, (2.0 * phase * FPS as f64) as u64),
            audio: Flow::new(AUDIO_SSRC, (2.0 * phase * SOUNDS as f64) as u64),
            phase: Duration::from_secs(2).mul_f64(phase),
            pictures: 0,
            report_at: REPORT.mul_f64(phase),
            out: Vec::new(),
        };
        publisher.light.begin(began, kit, &mut publisher.out)?;
        let mut retry = began + REPORT;
        while !publisher.light.is_connected() {
            publisher.flush();
            std::thread::sleep(Duration::from_millis(1));
            publisher.receive(kit)?;
            if Instant::now() > retry {
                retry += REPORT;
                publisher.light.retry(Instant::now(), kit, &mut publisher.out)?;
            }
            if began.elapsed() > JOIN_LIMIT {
                bail!("a publisher does not connect");
            }
        }
        publisher.flush();
        Ok(publisher)
    }

    fn flush(&mut self) {
        for datagram in self.out.drain(..) {
            // A full buffer is a loss like any other.
            let _ = self.socket.send(&datagram);
        }
    }

    fn receive(&mut self, kit: &Kit) -> Result<()> {
        let mut buffer = [0; 2048];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.light.handle(Instant::now(), &buffer[..length], kit, &mut self.out)?;
        }
        self.light.speak(Instant::now(), kit, &mut self.out)?;
        self.flush();
        Ok(())
    }

    fn send(&mut self, at: Duration, clip: &Clip) -> Result<()> {
        let at = at + self.phase;
        if self.video.units * 1000 < at.as_millis() as u64 * FPS {
            let payloads = &clip.pictures[self.video.units as usize % clip.pictures.len()];
            let timestamp = (self.video.units * 90_000 / FPS) as u32;
            for (index, payload) in payloads.iter().enumerate() {
                self.rtp(true, index + 1 == payloads.len(), timestamp, payload)?;
            }
            self.video.units += 1;
            self.pictures += 1;
        }
        if self.audio.units * 1000 < at.as_millis() as u64 * SOUNDS {
            let payload = &clip.sounds[self.audio.units as usize % clip.sounds.len()];
            self.rtp(false, false, (self.audio.units * 48_000 / SOUNDS) as u32, payload)?;
            self.audio.units += 1;
        }
        if at >= self.report_at {
            self.report_at = at + REPORT;
            self.report(at)?;
        }
        self.flush();
        Ok(())
    }

    fn rtp(&mut self, video: bool, marker: bool, timestamp: u32, payload: &[u8]) -> Result<()> {
        self.wide = self.wide.wrapping_add(1);
        let wide = self.wide.to_be_bytes();
        let (flow, payload_type) = if video { (&mut self.video, VIDEO) } else { (&mut self.audio, AUDIO) };
        flow.sequence = flow.sequence.wrapping_add(1);
        flow.packets += 1;
        flow.octets = flow.octets.wrapping_add(payload.len() as u32);
        let mut packet = Vec::with_capacity(payload.len() + 24);
        let extensions: &[(u8, &[u8])] = &[(TRANSPORT_CC, &wide)];
        Header { marker, payload_type, sequence: flow.sequence, timestamp, ssrc: flow.ssrc, extensions }.write(&mut packet);
        packet.extend_from_slice(payload);
        self.out.push(self.light.seal_rtp(&packet)?);
        Ok(())
    }

    /// Both flows' sender reports, on one clock.
    fn report(&mut self, at: Duration) -> Result<()> {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        let ntp = minamo_media::NtpTime((unix.as_secs() + NTP_UNIX) << 32 | fraction);
        for (flow, rate) in [(&self.video, 90_000), (&self.audio, 48_000)] {
            let rtp = (at.as_nanos() * rate / 1_000_000_000) as u32;
            let mut compound = Vec::new();
            let info = SenderInfo { ssrc: flow.ssrc, ntp, rtp, packets: flow.packets, octets: flow.octets };
            rtcp::sender_report(&mut compound, &info);
            rtcp::sdes(&mut compound, &[flow.ssrc], "light");
            self.light.seal_rtcp(&compound, &mut self.out)?;
        }
        Ok(())
    }
}
