//! The demo's publisher: the synthetic source through a real PeerConnection into a real channel, for ever.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use minamo_media::NtpTime;
use minamo_media::rtp::h264::Packetizer;
use rtc::rtcp::sender_report::SenderReport;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::peer::{LocalTrack, Peer, PeerEvent, PeerOptions};
use crate::source::{Encoded, Epoch, Source, SourceOptions};

/// How the demo publishes.
#[derive(Clone, Debug, Default)]
pub struct DemoOptions {
    /// The synthetic programme.
    pub source: SourceOptions,
}

/// RTP payload bytes per packet: an Ethernet frame less IP, UDP, SRTP and extension headers.
const PAYLOAD_MAX: usize = 1180;

/// Publishes until `shutdown`; a lost connection is made anew with a growing pause (0.5 to 8 s).
///
/// # Errors
/// When the source cannot start at all. Losing the server is not an error.
pub async fn run(signaling_url: String, channel_id: String, options: DemoOptions, shutdown: CancellationToken) -> Result<()> {
    let mut pause = Duration::from_millis(500);
    while !shutdown.is_cancelled() {
        let began = Instant::now();
        if let Err(error) = publish_once(&signaling_url, &channel_id, &options, &shutdown).await {
            tracing::warn!(error = format!("{error:#}"), "the demo publisher lost its connection");
        }
        pause = if began.elapsed() > Duration::from_secs(30) {
            Duration::from_millis(500)
        } else {
            (pause * 2).min(Duration::from_secs(8))
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    Ok(())
}

async fn publish_once(url: &str, channel: &str, options: &DemoOptions, shutdown: &CancellationToken) -> Result<()> {
    let (sender, mut events) = mpsc::channel(64);
    let peer_options = PeerOptions {
        signaling_url: url.to_owned(),
        channel_id: channel.to_owned(),
        role: "sendonly",
        udp: local_udp(url).to_owned(),
        video_kbps: Some(options.source.video_bps / 1000),
    };
    let peer = Peer::join(&peer_options, sender).await?;
    let (audio, video) = (peer.audio.clone().context("no audio track")?, peer.video.clone().context("no video track")?);
    let stop = shutdown.child_token();
    let _guard = stop.clone().drop_guard();
    let running = tokio::spawn(peer.run(stop));
    let result = stream(&mut events, options.source, audio, video).await;
    if shutdown.is_cancelled() {
        let _ = running.await;
    }
    result
}

/// Where ICE listens: loopback for a server on this machine, every interface otherwise.
fn local_udp(url: &str) -> &'static str {
    if url.contains("//127.0.0.1") || url.contains("//localhost") { "127.0.0.1:0" } else { "0.0.0.0:0" }
}

/// Waits for the connection, then pours the source into it until it ends.
async fn stream(
    events: &mut mpsc::Receiver<PeerEvent>,
    options: SourceOptions,
    audio: Arc<LocalTrack>,
    video: Arc<LocalTrack>,
) -> Result<()> {
    loop {
        match events.recv().await {
            Some(PeerEvent::Connected) => break,
            Some(PeerEvent::Closed(reason)) => anyhow::bail!(reason),
            Some(_) => {}
            None => return Ok(()),
        }
    }
    let mut source = Source::start(options)?;
    let mut audio = Stream::new(audio, 48_000, source.epoch).await?;
    let mut video = Stream::new(video, 90_000, source.epoch).await?;
    let packetizer = Packetizer::new(PAYLOAD_MAX);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(PeerEvent::KeyFrameRequested) => source.request_key_frame(),
                Some(PeerEvent::Closed(reason)) => anyhow::bail!(reason),
                Some(_) => {}
                None => return Ok(()),
            },
            piece = source.encoded.recv() => match piece.context("the synthetic source ended")? {
                Encoded::Video { ticks, data } => {
                    let payloads = packetizer.packetize(&data);
                    let last = payloads.len().saturating_sub(1);
                    for (index, payload) in payloads.into_iter().enumerate() {
                        video.send(ticks, index == last, payload).await?;
                    }
                }
                Encoded::Audio { ticks, data } => audio.send(ticks, false, data).await?,
            },
        }
    }
}

/// One RTP stream with exact timestamps, and sender reports that say the capture time rather than the sending time.
struct Stream {
    track: Arc<LocalTrack>,
    epoch: Epoch,
    clock_rate: u32,
    payload_type: u8,
    sequence: u16,
    first_timestamp: u32,
    packets: u32,
    octets: u32,
    next_report: Instant,
}

impl Stream {
    async fn new(track: Arc<LocalTrack>, clock_rate: u32, epoch: Epoch) -> Result<Self> {
        let payload_type = track.payload_type().await?;
        Ok(Self {
            track,
            epoch,
            clock_rate,
            payload_type,
            sequence: rand::random(),
            first_timestamp: rand::random(),
            packets: 0,
            octets: 0,
            next_report: Instant::now(),
        })
    }

    async fn send(&mut self, ticks: u64, marker: bool, payload: Bytes) -> Result<()> {
        let header = rtc::rtp::Header {
            version: 2,
            marker,
            payload_type: self.payload_type,
            sequence_number: self.sequence,
            timestamp: self.first_timestamp.wrapping_add(ticks as u32),
            ssrc: self.track.ssrc,
            ..Default::default()
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload.len() as u32);
        self.track.write(header, payload).await?;
        if Instant::now() >= self.next_report {
            self.next_report = Instant::now() + Duration::from_secs(1);
            self.report().await?;
        }
        Ok(())
    }

    async fn report(&mut self) -> Result<()> {
        let since = self.epoch.instant.elapsed();
        let ticks = (since.as_nanos() * u128::from(self.clock_rate) / 1_000_000_000) as u32;
        let report = SenderReport {
            ssrc: self.track.ssrc,
            ntp_time: NtpTime::from_unix(self.epoch.unix + since).0,
            rtp_time: self.first_timestamp.wrapping_add(ticks),
            packet_count: self.packets,
            octet_count: self.octets,
            ..Default::default()
        };
        self.track.write_rtcp(Box::new(report)).await
    }
}
