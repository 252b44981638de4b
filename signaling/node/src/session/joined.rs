//! A session that is in the room: offer, media, re-offers, pings.

use std::collections::VecDeque;
use std::time::Instant;

use minamo_media::{Codec, ConnectionId, Kind, TrackId, TrackInfo};
use minamo_sfu_core::model::{Command, PeerEvent, PeerId, Tap};
use minamo_signaling_proto::sdp::{opus_fmtp, video_fmtp};
use minamo_signaling_proto::sora::{
    ClientMessage, Connect, Control, Mids, Offer, OfferedData, OfferedIds, OfferedKinds, Role, SORA_VERSION, ServerMessage,
};

use super::ending::Ending;
use super::layers::{self, Layers};
use super::lines::{DataPlan, Line, Lines};
use super::media::Media;
use super::negotiation::{Agreed, Negotiation, UplinkWish};
use super::notice::Notice;
use super::pulse::Pulse;
use super::{Action, Admission, Closing, Published, Reason, Timing, Wanted};

type Actions = VecDeque<Action>;

/// What a client gets that leaves the choice open: the only codec that needs no transcoding on the way to HLS, and every
/// browser has it. The same without HLS, so that a channel's kind changes nothing else.
const VIDEO_CODEC_DEFAULT: Codec = Codec::H264;

pub(super) struct Joined {
    timing: Timing,
    peer: PeerId,
    role: Role,
    wants_audio: bool,
    wants_video: bool,
    connection: ConnectionId,
    tap: Option<Tap>,
    negotiation: Negotiation,
    layers: Layers,
    hears_spotlight: bool,
    /// Of the offer in flight.
    answer_deadline: Option<Instant>,
    published: Vec<Published>,
    media: Media,
    pulse: Pulse,
    lifetime_end: Option<Instant>,
    pub(super) lines: Lines,
}

impl Joined {
    pub(super) fn new(now: Instant, timing: Timing, connect: Connect, admission: &Admission, actions: &mut Actions) -> Self {
        let uplinks = uplinks(&connect, admission);
        let tap = admission.has_hls.then(|| Tap {
            channel: admission.channel.clone(),
            publisher: admission.connection.clone(),
            layers: admission.taps_layers,
        });
        let mut joined = Self {
            timing,
            peer: admission.peer,
            role: connect.role,
            wants_audio: connect.role.sends() || connect.audio.is_some(),
            wants_video: connect.role.sends() || connect.video.is_some(),
            connection: admission.connection.clone(),
            tap,
            negotiation: Negotiation::new(
                admission.seed,
                admission.endpoint.clone(),
                &uplinks,
                admission.data.is_some(),
                admission.downlinks_max,
            ),
            layers: Layers::default(),
            hears_spotlight: connect.forwarding.spotlight.is_some(),
            answer_deadline: Some(now + timing.answer),
            published: Vec::new(),
            media: Media::new(now, timing),
            pulse: Pulse::new(now, timing),
            lifetime_end: admission.grants.lifetime.map(|lifetime| now + lifetime),
            lines: Lines::new(now, admission.peer, &admission.data.clone().unwrap_or_default()),
        };
        let wanted = joined.layers.wish(admission.wanted.clone());
        let wanted = joined.receivable(wanted);
        joined.negotiation.include(wanted);
        let ice = joined.negotiation.ice().clone();
        actions.push_back(Action::Sfu(Command::AddPeer { peer: joined.peer, ice }));
        let offer = joined.offer(connect, admission, &uplinks);
        actions.push_back(Action::Send(ServerMessage::Offer(Box::new(offer)).to_text().into()));
        joined
    }

    fn offer(&self, connect: Connect, admission: &Admission, uplinks: &[UplinkWish]) -> Offer {
        let connection_id = admission.connection.to_string();
        let video = uplinks.iter().find(|uplink| uplink.codec.kind() == Kind::Video);
        let layers = layers::offered(&connect);
        Offer {
            sdp: self.negotiation.description(),
            config: admission.ice_config.clone(),
            ids: OfferedIds {
                session_id: admission.session_id.clone(),
                client_id: connect.client_id.unwrap_or_else(|| connection_id.clone()),
                bundle_id: connect.bundle_id.unwrap_or_else(|| connection_id.clone()),
                connection_id,
                channel_id: connect.channel_id,
            },
            mid: Mids { audio: self.negotiation.uplink_mid(Kind::Audio), video: self.negotiation.uplink_mid(Kind::Video) },
            version: SORA_VERSION,
            multistream: true,
            layers,
            data: OfferedData {
                rpc_methods: admission.grants.rpc_methods.clone(),
                ..admission.data.as_ref().map(DataPlan::offered).unwrap_or_default()
            },
            kinds: OfferedKinds {
                audio: connect.audio.is_some(),
                audio_codec_type: connect.audio.is_some().then_some("OPUS"),
                audio_bit_rate: connect.audio.and_then(|audio| audio.bit_rate_kbps),
                video: connect.video.is_some(),
                video_codec_type: video.map(|uplink| uplink.codec.rtpmap_name()),
                video_bit_rate: connect.video.and_then(|video| video.bit_rate_kbps),
            },
            metadata: admission.grants.metadata.clone(),
        }
    }

    pub(super) fn handle_message(&mut self, now: Instant, message: ClientMessage, actions: &mut Actions) -> Result<(), Reason> {
        self.pulse.heard(now);
        match message {
            ClientMessage::Connect(_) => Err(Reason("DUPLICATE-CONNECT")),
            ClientMessage::Answer { sdp } if self.negotiation.is_waiting(true) => self.handle_answer(now, &sdp, actions),
            ClientMessage::Answer { .. } => Err(Reason("UNEXPECTED-ANSWER")),
            ClientMessage::ReAnswer { sdp } if self.negotiation.is_waiting(false) => self.handle_answer(now, &sdp, actions),
            ClientMessage::ReAnswer { .. } => Err(Reason("UNEXPECTED-RE-ANSWER")),
            // Candidates: an ICE-lite agent learns the client's addresses from its checks.
            ClientMessage::Candidate | ClientMessage::Disconnect { .. } => Ok(()),
            ClientMessage::Pong { stats } => {
                actions.extend(stats.map(Action::ClientStats));
                Ok(())
            }
        }
    }

    fn handle_answer(&mut self, now: Instant, sdp: &str, actions: &mut Actions) -> Result<(), Reason> {
        let Agreed { fingerprint, uplinks, downlinks, downlinks_removed, data } =
            self.negotiation.answer(sdp, self.tap.as_ref())?;
        self.answer_deadline = None;
        let peer = self.peer;
        let mut tell = |command| actions.push_back(Action::Sfu(command));
        // Tracks first: the SFU knows every SSRC before the first packet can be decrypted.
        let published_before = self.published.len();
        for uplink in uplinks {
            let info = TrackInfo {
                track: uplink.track,
                publisher: self.connection.clone(),
                codec: uplink.payload.codec,
                rids: Vec::new(),
            };
            self.published.push(Published { fmtp: self.negotiation.fmtp(info.track), info });
            tell(Command::AddUplink(peer, uplink));
        }
        for track in downlinks_removed {
            self.layers.end(track);
            tell(Command::RemoveDownlink(peer, track));
        }
        downlinks.into_iter().for_each(|downlink| tell(Command::AddDownlink(peer, self.layers.begin(downlink))));
        if let Some(fingerprint) = fingerprint {
            tell(Command::SetRemote { peer, fingerprint });
            if data {
                self.lines.openings().for_each(tell);
            }
        }
        if self.media.is_up() && self.published.len() > published_before {
            actions.push_back(Action::Publish(self.published.clone()));
        }
        self.re_offer(now, actions);
        Ok(())
    }

    pub(super) fn handle_peer_event(&mut self, now: Instant, event: PeerEvent, actions: &mut Actions) -> Result<(), Reason> {
        match &event {
            PeerEvent::ChannelOpen(label) => self.handle_channel_open(label, actions),
            PeerEvent::ChannelClosed(label) => self.handle_channel_closed(label)?,
            PeerEvent::LayerSwitched { .. } | PeerEvent::Network(_) => actions.push_back(Action::Heard(event.clone())),
            PeerEvent::AudioLevel(..) if self.hears_spotlight => actions.push_back(Action::Heard(event.clone())),
            _ => {}
        }
        if self.media.handle_event(now, event)? {
            actions.push_back(Action::Created);
            if !self.published.is_empty() {
                actions.push_back(Action::Publish(self.published.clone()));
            }
        }
        Ok(())
    }

    fn handle_channel_open(&mut self, label: &str, actions: &mut Actions) {
        if let Some(ignore_disconnect_websocket) = self.lines.opened(label)
            && self.lines.socket_is_open()
        {
            let switched = Control::Switched { ignore_disconnect_websocket };
            actions.push_back(Action::Send(switched.to_text().into()));
        }
    }

    /// Clients never close a single channel: who does that without its WebSocket cannot be reached any more.
    fn handle_channel_closed(&mut self, label: &str) -> Result<(), Reason> {
        self.lines.closed(label);
        if label == Line::Signaling.label() && !self.lines.socket_is_open() { Err(Reason("DATA-CHANNEL-CLOSED")) } else { Ok(()) }
    }

    pub(super) fn survives_socket(&self) -> bool {
        self.lines.survives_socket()
    }

    /// Over the `stats` channel, or by a ping that asks for more than a pong.
    pub(super) fn ask_for_stats(&self) -> Option<Action> {
        if self.lines.has_switched() {
            return self.lines.say(Line::Stats, &Notice::from(Control::ReqStats.to_text()));
        }
        self.lines.socket_is_open().then(|| Action::Send(ServerMessage::Ping { stats: true }.to_text().into()))
    }

    pub(super) fn set_wanted(&mut self, now: Instant, wanted: Vec<Wanted>, actions: &mut Actions) {
        let wanted = self.layers.wish(wanted);
        let wanted = self.receivable(wanted);
        for track in self.negotiation.set_wanted(wanted) {
            self.layers.end(track);
            actions.push_back(Action::Sfu(Command::RemoveDownlink(self.peer, track)));
        }
        actions.extend(self.layers.changes(self.peer).into_iter().map(Action::Sfu));
        self.re_offer(now, actions);
    }

    /// A receiver that turned a kind off gets none of it. For a sender the switches speak of what it sends.
    fn receivable(&self, mut wanted: Vec<Published>) -> Vec<Published> {
        if !self.role.receives() {
            wanted.clear();
        }
        wanted.retain(|published| match published.info.codec.kind() {
            Kind::Audio => self.wants_audio,
            Kind::Video => self.wants_video,
        });
        wanted
    }

    fn re_offer(&mut self, now: Instant, actions: &mut Actions) {
        if let Some(sdp) = self.negotiation.re_offer() {
            self.answer_deadline = Some(now + self.timing.answer);
            let text = ServerMessage::ReOffer { sdp }.to_text();
            actions.extend(self.lines.say(Line::Signaling, &Notice::from(text)));
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let pulse = self.lines.socket_is_open().then(|| self.pulse.poll_timeout());
        [pulse, self.media.poll_timeout(), self.answer_deadline, self.lifetime_end].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, actions: &mut Actions) -> Result<(), Closing> {
        if self.answer_deadline.is_some_and(|deadline| deadline <= now) {
            return Err(Closing::error("ANSWER-TIMEOUT"));
        }
        if self.lifetime_end.is_some_and(|end| end <= now) {
            return Err(Closing::LIFETIME);
        }
        if let Some(minutes) = self.media.handle_timeout(now)? {
            actions.push_back(Action::Updated { minutes });
        }
        if self.lines.socket_is_open() {
            self.handle_pulse(now, actions)?;
        }
        Ok(())
    }

    fn handle_pulse(&mut self, now: Instant, actions: &mut Actions) -> Result<(), Reason> {
        match self.pulse.handle_timeout(now) {
            Ok(true) => actions.push_back(Action::Send(ServerMessage::Ping { stats: false }.to_text().into())),
            Ok(false) => {}
            Err(_) if self.survives_socket() => {
                self.lines.socket_lost();
                actions.push_back(Action::HangUp);
            }
            Err(reason) => return Err(reason),
        }
        Ok(())
    }

    pub(super) fn leave(self, clean: bool, actions: &mut Actions) {
        if !self.media.is_gone() {
            actions.push_back(Action::Sfu(Command::RemovePeer { peer: self.peer, clean }));
        }
        actions.push_back(Action::Leave);
    }

    /// Says goodbye where the client listens for it. Data channels are closed before the peer is removed: whoever asked for the end
    /// over one, or has nothing else, waits for that. A client that keeps its WebSocket hears of the end there and nowhere else:
    /// told twice, sora-js-sdk would tell its application twice.
    pub(super) fn end(self, now: Instant, closing: Closing, actions: &mut Actions) -> Option<Ending> {
        let own = self.lines.is_on_its_own();
        if self.media.is_gone() || !self.lines.any_open() {
            self.leave(closing.clean, actions);
            actions.push_back(Action::Close(closing));
            return None;
        }
        actions.push_back(Action::Leave);
        if !own && closing != Closing::DISCONNECT {
            // It ends its own side when it has heard: before that, channels that close would look like a failure to it.
            actions.push_back(Action::Close(closing));
            return Some(Ending::new(now, self.peer, closing.clean, self.lines));
        }
        if closing != Closing::DISCONNECT {
            let close = Control::Close { code: closing.code, reason: closing.reason.0 };
            actions.extend(self.lines.say(Line::Signaling, &Notice::from(close.to_text())));
        }
        actions.push_back(Action::Sfu(Command::CloseChannels(self.peer)));
        actions.push_back(Action::Close(closing));
        Some(Ending::new(now, self.peer, closing.clean, self.lines))
    }
}

/// What the client is offered to send.
fn uplinks(connect: &Connect, admission: &Admission) -> Vec<UplinkWish> {
    let mut uplinks = Vec::new();
    if !connect.role.sends() {
        return uplinks;
    }
    if let Some(audio) = connect.audio {
        let bitrate_max = audio.bit_rate_kbps.map(|kbps| u64::from(kbps) * 1000);
        uplinks.push(uplink(admission.audio_track, Codec::Opus, opus_fmtp(&audio.opus), bitrate_max));
    }
    if let Some(video) = &connect.video {
        let codec = video.codec.unwrap_or(VIDEO_CODEC_DEFAULT);
        if admission.has_hls && !goes_to_hls(codec) {
            tracing::info!(?codec, connection = %admission.connection, "video of this codec is forwarded but does not go to HLS");
        }
        let wished = video.bit_rate_kbps.map(|kbps| u64::from(kbps) * 1000);
        let bitrate_max = [wished, admission.video_bps_max.map(u64::from)].into_iter().flatten().min();
        let layers = layers::of_uplink(&connect.forwarding);
        uplinks.push(UplinkWish { layers, ..uplink(admission.video_track, codec, video_fmtp(codec, video), bitrate_max) });
    }
    uplinks
}

/// As it comes, or transcoded where the gateway has room.
fn goes_to_hls(codec: Codec) -> bool {
    matches!(codec, Codec::Opus | Codec::H264 | Codec::Vp8 | Codec::Vp9)
}

fn uplink(track: TrackId, codec: Codec, fmtp: String, bitrate_max: Option<u64>) -> UplinkWish {
    UplinkWish { track, codec, fmtp, bitrate_max, layers: Vec::new() }
}
