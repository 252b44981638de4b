//! One PeerConnection that follows our signaling: answers offers and re-offers, sends tracks, reports received ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use rtc::interceptor::{ReceiverReportBuilder, Slot};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::{Registry, configure_nack, configure_twcc};
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_local::{TrackLocal, TrackLocalEvent};
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCPeerConnectionState,
    RTCSessionDescription, SettingEngineBuilder,
};
use webrtc::rtp_transceiver::RtpSender;

use crate::key_frame_requests::{KeyFrameRequests, is_key_frame_request};
use crate::signaling::{Incoming, Signaling};

/// What a peer wants to be.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// `ws://…/signaling`.
    pub signaling_url: String,
    /// The channel to join.
    pub channel_id: String,
    /// `sendonly`, `sendrecv` or `recvonly`.
    pub role: &'static str,
    /// Local UDP address for ICE, `127.0.0.1:0` for a server on this machine.
    pub udp: String,
    /// Video bitrate wished in `connect`, in kbit/s.
    pub video_kbps: Option<u32>,
}

/// What happens to a peer; the receiver of these owns its fate.
pub enum PeerEvent {
    /// ICE and DTLS are up.
    Connected,
    /// The server wants a key frame of our video.
    KeyFrameRequested,
    /// A track of somebody else begins.
    Track(Arc<dyn TrackRemote>),
    /// A notify from the server.
    Notify(Value),
    /// Signaling or transport is over, with the reason.
    Closed(String),
}

/// A track that we send.
pub struct LocalTrack {
    track: Arc<TrackLocalStaticRTP>,
    sender: Arc<dyn RtpSender>,
    /// Our SSRC.
    pub ssrc: u32,
}

impl LocalTrack {
    /// The payload type that the answer settled on.
    ///
    /// # Errors
    /// Before negotiation, or when the server refused the track.
    pub async fn payload_type(&self) -> Result<u8> {
        let parameters = self.sender.get_parameters().await?;
        let codec = parameters.rtp_parameters.codecs.first().context("the server refused this track")?;
        Ok(codec.payload_type)
    }

    /// Sends one RTP packet; waits while the connection's queue is full.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn write(&self, header: rtc::rtp::Header, payload: Bytes) -> Result<()> {
        self.track.write_rtp(rtc::rtp::Packet { header, payload }).await.map_err(|error| anyhow!("{error}"))
    }

    /// Sends RTCP about this track, for instance a sender report with exact capture times.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn write_rtcp(&self, packet: Box<dyn rtc::rtcp::Packet>) -> Result<()> {
        self.track.write_rtcp(vec![packet]).await.map_err(|error| anyhow!("{error}"))
    }
}

struct Handler {
    events: mpsc::Sender<PeerEvent>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let event = match state {
            RTCPeerConnectionState::Connected => PeerEvent::Connected,
            RTCPeerConnectionState::Failed => PeerEvent::Closed("transport failed".to_owned()),
            _ => return,
        };
        let _ = self.events.send(event).await;
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let _ = self.events.send(PeerEvent::Track(track)).await;
    }
}

/// A connected peer: `run` drives it until it ends.
pub struct Peer {
    connection: Arc<dyn PeerConnection>,
    /// Our audio, when the role sends.
    pub audio: Option<Arc<LocalTrack>>,
    /// Our video, when the role sends.
    pub video: Option<Arc<LocalTrack>>,
    signaling: Signaling,
    events: mpsc::Sender<PeerEvent>,
}

impl Peer {
    /// Joins a channel: connects, answers the first offer. Media flows after [`PeerEvent::Connected`].
    ///
    /// # Errors
    /// With the server's close code and reason when it refuses.
    pub async fn join(options: &PeerOptions, events: mpsc::Sender<PeerEvent>) -> Result<Self> {
        let mut signaling = Signaling::connect(&options.signaling_url, connect_message(options)).await?;
        let offer = match signaling.next().await? {
            Incoming::Offer { sdp, first: true } => sdp,
            Incoming::Closed { code, reason } => bail!("the server closed signaling with {code} {reason}"),
            other => bail!("expected an offer, got {other:?}"),
        };
        let connection = build_connection(&options.udp, events.clone()).await?;
        let (mut audio, mut video) = (None, None);
        if options.role != "recvonly" {
            audio = Some(Arc::new(add_track(&connection, opus()).await?));
            let track = Arc::new(add_track(&connection, h264()).await?);
            tokio::spawn(watch_key_frame_requests(track.clone(), events.clone()));
            video = Some(track);
        }
        let mut peer = Self { connection, audio, video, signaling, events };
        peer.answer(offer, "answer").await?;
        Ok(peer)
    }

    /// Follows the server until either side ends; on `stop` says a clean goodbye.
    pub async fn run(mut self, stop: tokio_util::sync::CancellationToken) {
        let reason = loop {
            let incoming = tokio::select! {
                () = stop.cancelled() => break "stopped".to_owned(),
                incoming = self.signaling.next() => incoming,
            };
            match incoming {
                Ok(Incoming::Offer { sdp, .. }) => {
                    if let Err(error) = self.answer(sdp, "re-answer").await {
                        break format!("cannot answer a re-offer: {error:#}");
                    }
                }
                Ok(Incoming::Notify(notify)) => {
                    let _ = self.events.try_send(PeerEvent::Notify(notify));
                }
                Ok(Incoming::Closed { code, reason }) => break format!("the server closed signaling with {code} {reason}"),
                Err(error) => break format!("{error:#}"),
            }
        };
        if stop.is_cancelled() {
            self.signaling.disconnect().await;
        }
        let _ = self.connection.close().await;
        let _ = self.events.send(PeerEvent::Closed(reason)).await;
    }

    async fn answer(&mut self, offer: String, kind: &str) -> Result<()> {
        self.connection.set_remote_description(RTCSessionDescription::offer(offer)?).await?;
        let answer = self.connection.create_answer(None).await?;
        self.connection.set_local_description(answer).await?;
        let local = self.connection.local_description().await.context("no local description after the answer")?;
        self.signaling.send(json!({"type": kind, "sdp": local.sdp})).await
    }
}

fn connect_message(options: &PeerOptions) -> Value {
    let mut video = json!({"codec_type": "H264"});
    if let Some(kbps) = options.video_kbps {
        video["bit_rate"] = kbps.into();
    }
    json!({
        "type": "connect",
        "role": options.role,
        "channel_id": options.channel_id,
        "audio": true,
        "video": video,
        "sora_client": concat!("Minamo client ", env!("CARGO_PKG_VERSION")),
        "environment": std::env::consts::OS,
    })
}

fn opus() -> RTCRtpCodecParameters {
    codec("audio/opus", 48_000, 2, "minptime=10;useinbandfec=1", 111)
}

fn h264() -> RTCRtpCodecParameters {
    codec("video/H264", 90_000, 0, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", 102)
}

fn codec(mime: &str, clock_rate: u32, channels: u16, fmtp: &str, payload_type: u8) -> RTCRtpCodecParameters {
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: mime.to_owned(),
            clock_rate,
            channels,
            sdp_fmtp_line: fmtp.to_owned(),
            rtcp_feedback: vec![],
        },
        payload_type,
    }
}

async fn build_connection(udp: &str, events: mpsc::Sender<PeerEvent>) -> Result<Arc<dyn PeerConnection>> {
    let mut engine = MediaEngine::default();
    engine.register_codec(opus(), RtpCodecKind::Audio)?;
    engine.register_codec(h264(), RtpCodecKind::Video)?;
    let registry = configure_nack(Registry::new(), &mut engine);
    // No sender reports from the interceptors: the source writes its own, with capture times instead of sending times.
    let registry = registry.with(Slot::ReceiverReport, ReceiverReportBuilder::new().build());
    let registry = configure_twcc(registry, &mut engine)?;
    let registry = registry.with(Slot::from(14_000), KeyFrameRequests::default());
    // Sora clients are always DTLS active; toward an ICE-lite offerer `rtc` would by itself answer passive.
    let settings = SettingEngineBuilder::new().with_answering_dtls_role(RTCDtlsRole::Client).build();
    let connection = PeerConnectionBuilder::new()
        .with_media_engine(engine)
        .with_setting_engine(settings)
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(Handler { events }))
        .with_udp_addrs(vec![udp.to_owned()])
        .build()
        .await?;
    Ok(Arc::new(connection))
}

async fn add_track(connection: &Arc<dyn PeerConnection>, codec: RTCRtpCodecParameters) -> Result<LocalTrack> {
    let ssrc = rand::random::<u32>() | 1;
    let kind = if codec.rtp_codec.channels > 0 { RtpCodecKind::Audio } else { RtpCodecKind::Video };
    let track = Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(
        "minamo".to_owned(),
        format!("minamo-{kind}"),
        format!("minamo-{kind}"),
        kind,
        vec![RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
            codec: codec.rtp_codec,
            ..Default::default()
        }],
    )));
    let sender = connection.add_track(track.clone() as Arc<dyn TrackLocal>).await?;
    Ok(LocalTrack { track, sender, ssrc })
}

async fn watch_key_frame_requests(track: Arc<LocalTrack>, events: mpsc::Sender<PeerEvent>) {
    let mut last = Instant::now() - Duration::from_secs(1);
    while let Some(TrackLocalEvent::OnRtcpPacket(packets)) = track.track.poll().await {
        let asked = packets.iter().any(|packet| is_key_frame_request(packet.as_ref()));
        // Two requests within a frame or two mean the same key frame.
        if asked && last.elapsed() > Duration::from_millis(100) {
            last = Instant::now();
            if events.send(PeerEvent::KeyFrameRequested).await.is_err() {
                return;
            }
        }
    }
}
