//! A session that is in the room: offer, media, re-offers, pings.

use std::collections::VecDeque;
use std::time::Instant;

use minamo_media::{ChannelId, Codec, ConnectionId, Kind, TrackId, TrackInfo};
use minamo_sfu_core::model::{Command, PeerEvent, PeerId};
use minamo_signaling_proto::sdp::{opus_fmtp, video_fmtp};
use minamo_signaling_proto::sora::{
    ClientMessage, Connect, IceConfig, Mids, Offer, OfferedData, OfferedIds, OfferedKinds, OfferedLayers, Role, SORA_VERSION,
    ServerMessage,
};

use super::media::Media;
use super::negotiation::{Agreed, Negotiation, UplinkWish};
use super::{Action, Admission, Published, Reason, Timing};

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
    tap: Option<(ChannelId, ConnectionId)>,
    negotiation: Negotiation,
    /// Of the offer in flight.
    answer_deadline: Option<Instant>,
    published: Vec<Published>,
    media: Media,
    next_ping: Instant,
    heard: Instant,
}

impl Joined {
    pub(super) fn new(now: Instant, timing: Timing, connect: Connect, admission: &Admission, actions: &mut Actions) -> Self {
        let uplinks = uplinks(&connect, admission);
        let tap = admission.has_hls.then(|| (admission.channel.clone(), admission.connection.clone()));
        let mut joined = Self {
            timing,
            peer: admission.peer,
            role: connect.role,
            wants_audio: connect.role.sends() || connect.audio.is_some(),
            wants_video: connect.role.sends() || connect.video.is_some(),
            connection: admission.connection.clone(),
            tap,
            negotiation: Negotiation::new(admission.seed, admission.endpoint.clone(), &uplinks, admission.downlinks_max),
            answer_deadline: Some(now + timing.answer),
            published: Vec::new(),
            media: Media::new(now, timing),
            next_ping: now + timing.ping_every,
            heard: now,
        };
        let wanted = joined.receivable(admission.wanted.clone());
        joined.negotiation.include(wanted);
        let ice = joined.negotiation.ice().clone();
        actions.push_back(Action::Sfu(Command::AddPeer { peer: joined.peer, ice }));
        let offer = joined.offer(connect, admission, &uplinks);
        actions.push_back(Action::Send(ServerMessage::Offer(Box::new(offer)).to_text()));
        joined
    }

    fn offer(&self, connect: Connect, admission: &Admission, uplinks: &[UplinkWish]) -> Offer {
        let connection_id = admission.connection.to_string();
        let video = uplinks.iter().find(|uplink| uplink.codec.kind() == Kind::Video);
        Offer {
            sdp: self.negotiation.description(),
            config: IceConfig::default(),
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
            layers: OfferedLayers::default(),
            data: OfferedData::default(),
            kinds: OfferedKinds {
                audio: connect.audio.is_some(),
                audio_codec_type: connect.audio.is_some().then_some("OPUS"),
                audio_bit_rate: connect.audio.and_then(|audio| audio.bit_rate_kbps),
                video: connect.video.is_some(),
                video_codec_type: video.map(|uplink| uplink.codec.rtpmap_name()),
                video_bit_rate: connect.video.and_then(|video| video.bit_rate_kbps),
            },
            metadata: None,
        }
    }

    pub(super) fn handle_message(&mut self, now: Instant, message: ClientMessage, actions: &mut Actions) -> Result<(), Reason> {
        self.heard = now;
        match message {
            ClientMessage::Connect(_) => Err(Reason("DUPLICATE-CONNECT")),
            ClientMessage::Answer { sdp } if self.negotiation.is_waiting(true) => self.handle_answer(now, &sdp, actions),
            ClientMessage::Answer { .. } => Err(Reason("UNEXPECTED-ANSWER")),
            ClientMessage::ReAnswer { sdp } if self.negotiation.is_waiting(false) => self.handle_answer(now, &sdp, actions),
            ClientMessage::ReAnswer { .. } => Err(Reason("UNEXPECTED-RE-ANSWER")),
            // Candidates: an ICE-lite agent learns the client's addresses from its checks.
            ClientMessage::Candidate | ClientMessage::Pong | ClientMessage::Disconnect { .. } => Ok(()),
        }
    }

    fn handle_answer(&mut self, now: Instant, sdp: &str, actions: &mut Actions) -> Result<(), Reason> {
        let Agreed { fingerprint, uplinks, downlinks, downlinks_removed } = self.negotiation.answer(sdp, self.tap.as_ref())?;
        self.answer_deadline = None;
        let peer = self.peer;
        let mut tell = |command| actions.push_back(Action::Sfu(command));
        // Tracks first: the SFU knows every SSRC before the first packet can be decrypted.
        let published_before = self.published.len();
        for uplink in uplinks {
            let info = TrackInfo { track: uplink.track, publisher: self.connection.clone(), codec: uplink.payload.codec };
            self.published.push(Published { fmtp: self.negotiation.fmtp(info.track), info });
            tell(Command::AddUplink(peer, uplink));
        }
        downlinks_removed.into_iter().for_each(|track| tell(Command::RemoveDownlink(peer, track)));
        downlinks.into_iter().for_each(|downlink| tell(Command::AddDownlink(peer, downlink)));
        if let Some(fingerprint) = fingerprint {
            tell(Command::SetRemote { peer, fingerprint });
        }
        if self.media.is_up() && self.published.len() > published_before {
            actions.push_back(Action::Publish(self.published.clone()));
        }
        self.re_offer(now, actions);
        Ok(())
    }

    pub(super) fn handle_peer_event(&mut self, now: Instant, event: PeerEvent, actions: &mut Actions) -> Result<(), Reason> {
        if self.media.handle_event(now, event)? {
            actions.push_back(Action::Created);
            if !self.published.is_empty() {
                actions.push_back(Action::Publish(self.published.clone()));
            }
        }
        Ok(())
    }

    pub(super) fn set_wanted(&mut self, now: Instant, wanted: Vec<Published>, actions: &mut Actions) {
        let wanted = self.receivable(wanted);
        for track in self.negotiation.set_wanted(wanted) {
            actions.push_back(Action::Sfu(Command::RemoveDownlink(self.peer, track)));
        }
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
            actions.push_back(Action::Send(ServerMessage::ReOffer { sdp }.to_text()));
        }
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        let silent = self.heard + self.timing.pong;
        let earliest = self.next_ping.min(silent);
        [self.media.poll_timeout(), self.answer_deadline].into_iter().flatten().fold(earliest, Instant::min)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, actions: &mut Actions) -> Result<(), Reason> {
        if self.answer_deadline.is_some_and(|deadline| deadline <= now) {
            return Err(Reason("ANSWER-TIMEOUT"));
        }
        if self.heard + self.timing.pong <= now {
            return Err(Reason("PONG-TIMEOUT"));
        }
        if let Some(minutes) = self.media.handle_timeout(now)? {
            actions.push_back(Action::Updated { minutes });
        }
        if self.next_ping <= now {
            self.next_ping = now + self.timing.ping_every;
            actions.push_back(Action::Send(ServerMessage::Ping { stats: false }.to_text()));
        }
        Ok(())
    }

    pub(super) fn leave(self, clean: bool, actions: &mut Actions) {
        if !self.media.is_gone() {
            actions.push_back(Action::Sfu(Command::RemovePeer { peer: self.peer, clean }));
        }
        actions.push_back(Action::Leave);
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
        if admission.has_hls && codec != Codec::H264 {
            tracing::info!(?codec, connection = %admission.connection, "video of this codec is forwarded but does not go to HLS");
        }
        let wished = video.bit_rate_kbps.map(|kbps| u64::from(kbps) * 1000);
        let bitrate_max = [wished, admission.video_bps_max.map(u64::from)].into_iter().flatten().min();
        uplinks.push(uplink(admission.video_track, codec, video_fmtp(codec, video), bitrate_max));
    }
    uplinks
}

fn uplink(track: TrackId, codec: Codec, fmtp: String, bitrate_max: Option<u64>) -> UplinkWish {
    UplinkWish { track, codec, fmtp, bitrate_max }
}
