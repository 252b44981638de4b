//! The words between signaling and the SFU: what was negotiated, as plain values.
//!
//! Signaling makes these out of SDP; the SFU never sees SDP.

mod data;
mod layer;
mod report;

use std::sync::Arc;

use minamo_media::{ChannelId, Codec, ConnectionId, TrackId};

pub use self::data::{DataChannelSpec, DataMessage, Reliability};
pub use self::layer::{Layer, LayerCause, LayerWish};
pub use self::report::{DownlinkReport, PathKind, PeerReport, UplinkReport};

/// One remote endpoint of the SFU. Unique in the process, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

/// Our side's ICE credentials for one peer (RFC 8445 §5.3). The ufrag is unique in the process.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// At least 4 characters.
    pub ufrag: String,
    /// At least 22 characters.
    pub pwd: String,
}

/// SHA-256 of a DER certificate, as in `a=fingerprint` (RFC 8122).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// Negotiated one-byte header extension ids (RFC 8285), 1–14; `None` where not negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid`
    pub mid: Option<u8>,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id`
    pub rid: Option<u8>,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id`
    pub repaired_rid: Option<u8>,
    /// `http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`
    pub transport_cc: Option<u8>,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`
    pub abs_send_time: Option<u8>,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level`
    pub audio_level: Option<u8>,
    /// `urn:3gpp:video-orientation`
    pub video_orientation: Option<u8>,
    /// `https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension`
    pub dependency_descriptor: Option<u8>,
}

/// Payload types of one codec in one m-section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The codec.
    pub codec: Codec,
    /// Its payload type.
    pub pt: u8,
    /// The payload type of its retransmissions (RFC 4588), where negotiated.
    pub rtx_pt: Option<u8>,
    /// The payload type of RED around it (RFC 2198), where negotiated: only audio has it.
    pub red_pt: Option<u8>,
}

/// A track that a peer sends to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// The track's name in the process.
    pub track: TrackId,
    /// `a=mid` of its m-section: binds SSRCs by the mid extension.
    pub mid: String,
    /// Payload types; packets with others are dropped and counted.
    pub payload: Payload,
    /// Extension ids.
    pub extensions: Extensions,
    /// From `a=ssrc` of the answer, where it was there.
    pub ssrc: Option<u32>,
    /// From `a=ssrc-group:FID` of the answer, where it was there.
    pub rtx_ssrc: Option<u32>,
    /// The `a=rid`s of a simulcast publisher, lowest layer first, at most [`LAYERS_MAX`]; empty without simulcast.
    pub rids: Vec<String>,
    /// `Some` when the track's access units go to the tap, under these names.
    pub tap: Option<Tap>,
}

/// Under which names a publisher's access units go to the tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Where it is heard.
    pub channel: ChannelId,
    /// Who sends it.
    pub publisher: ConnectionId,
    /// All layers of a simulcast track, each by itself. Else one that is best at the time, as a subscriber is sent it.
    pub layers: bool,
}

impl Tap {
    /// For a track of this codec: layers apart from each other are of use only where they are shown as they come.
    #[must_use]
    pub fn of(&self, codec: Codec) -> Self {
        Self { layers: self.layers && codec == Codec::H264, ..self.clone() }
    }
}

/// Simulcast layers of one track.
pub const LAYERS_MAX: usize = 4;

/// A track that we send to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downlink {
    /// The forwarded track.
    pub track: TrackId,
    /// `a=mid` of its m-section in the subscriber's session.
    pub mid: String,
    /// Payload types as offered to the subscriber.
    pub payload: Payload,
    /// Extension ids as offered to the subscriber.
    pub extensions: Extensions,
    /// Our SSRC toward this subscriber.
    pub ssrc: u32,
    /// Our SSRC for retransmissions.
    pub rtx_ssrc: Option<u32>,
    /// Which layer to begin with.
    pub layer: LayerWish,
}

/// What signaling tells the SFU. Unknown peers and tracks are ignored: the peer may have gone meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A peer will come with these credentials of ours.
    AddPeer {
        /// The peer.
        peer: PeerId,
        /// Our credentials toward it.
        ice: IceCredentials,
    },
    /// The answer came: this is the certificate that the peer must show. Media waits for both.
    SetRemote {
        /// The peer.
        peer: PeerId,
        /// From `a=fingerprint` of the answer.
        fingerprint: Fingerprint,
    },
    /// The peer may send this track.
    AddUplink(PeerId, Uplink),
    /// The peer's track is over.
    RemoveUplink(PeerId, TrackId),
    /// Send this track to the peer. Where it has a downlink of the same SSRC, this one takes its place: the subscriber sees one
    /// stream that goes on, under other payload types maybe.
    AddDownlink(PeerId, Downlink),
    /// Stop sending this track to the peer.
    RemoveDownlink(PeerId, TrackId),
    /// Send another layer of this track to the peer.
    SetLayer(PeerId, TrackId, LayerWish),
    /// ICE restart (RFC 8445 §2.4): the peer will check with these credentials of ours; the ones before stay good until it does.
    RestartIce {
        /// The peer.
        peer: PeerId,
        /// Our new credentials toward it.
        ice: IceCredentials,
    },
    /// Open a data channel toward the peer, as soon as SCTP is up.
    OpenChannel(PeerId, DataChannelSpec),
    /// Send a message on an open channel. On one that is not open it is dropped and counted.
    SendData(PeerId, DataMessage),
    /// Close all data channels that were opened toward the peer, after what was sent on them.
    CloseChannels(PeerId),
    /// Answer with [`PeerEvent::Report`].
    Report(PeerId),
    /// Forget the peer, its uplinks and downlinks; a DTLS close_notify is sent.
    RemovePeer {
        /// The peer.
        peer: PeerId,
        /// Goes into the tap's `PublisherGone`: whether the peer left on purpose.
        clean: bool,
    },
    /// A key-frame wish, merged with others and capped.
    RequestKeyFrame(TrackId),
    /// A bitrate wish for a track, sent to its publisher as REMB or by policy.
    RequestBitrate(TrackId, u64),
    /// Panic in this peer's processing.
    #[cfg(feature = "faults")]
    Fault(PeerId, Fault),
}

impl Command {
    /// Whose command it is; `None` where it names a track only.
    #[must_use]
    pub fn peer(&self) -> Option<PeerId> {
        match self {
            Self::AddPeer { peer, .. }
            | Self::SetRemote { peer, .. }
            | Self::RestartIce { peer, .. }
            | Self::RemovePeer { peer, .. }
            | Self::AddUplink(peer, _)
            | Self::RemoveUplink(peer, _)
            | Self::AddDownlink(peer, _)
            | Self::RemoveDownlink(peer, _)
            | Self::SetLayer(peer, ..)
            | Self::OpenChannel(peer, _)
            | Self::SendData(peer, _)
            | Self::CloseChannels(peer)
            | Self::Report(peer) => Some(*peer),
            #[cfg(feature = "faults")]
            Self::Fault(peer, _) => Some(*peer),
            Self::RequestKeyFrame(_) | Self::RequestBitrate(..) => None,
        }
    }

    /// The track that it is about.
    #[must_use]
    pub fn track(&self) -> Option<TrackId> {
        match self {
            Self::AddUplink(_, Uplink { track, .. })
            | Self::AddDownlink(_, Downlink { track, .. })
            | Self::RemoveUplink(_, track)
            | Self::RemoveDownlink(_, track)
            | Self::SetLayer(_, track, _)
            | Self::RequestKeyFrame(track)
            | Self::RequestBitrate(track, _) => Some(*track),
            _ => None,
        }
    }
}

/// A place in a peer's processing that panics on purpose, once, so that it can be seen that only this peer ends.
#[cfg(feature = "faults")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next packet that it publishes.
    Uplink,
    /// The next packet that it is sent.
    Downlink,
    /// Its next deadline.
    Timer,
    /// The next RTCP from it.
    Control,
    /// This command.
    Command,
}

/// What the SFU tells signaling of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    /// ICE and DTLS are up: media can flow. Once per peer.
    Connected,
    /// The peer is gone; its state is already freed. Last event of a peer. Not sent after `RemovePeer`.
    Closed(CloseReason),
    /// A data channel of [`Command::OpenChannel`] is open on both sides.
    ChannelOpen(Arc<str>),
    /// A message came on an open channel.
    Data(DataMessage),
    /// This channel is closed: the peer did it, SCTP ended, [`Command::CloseChannels`] is through with it, or it could not be opened.
    ChannelClosed(Arc<str>),
    /// The peer is now sent another layer of a simulcast track.
    LayerSwitched {
        /// The track.
        track: TrackId,
        /// What it was sent before; `None` for nothing.
        from: Option<Layer>,
        /// What it is sent now.
        to: Option<Layer>,
        /// Why.
        cause: LayerCause,
    },
    /// How the peer's datagrams travel. Said before `Connected` when that is not plain UDP, and when it changes.
    Path(PathKind),
    /// Of a publisher: how loud its track is, smoothed over some hundreds of milliseconds. Said when it changes noticeably, at most a few
    /// times a second; 0 is silence, 127 as loud as can be (127 minus the level of RFC 6464).
    AudioLevel(TrackId, u8),
    /// How unstable the way to this peer is: 0 not at all, 3 very (Sora's `network.status`). Said when it changes.
    Network(u8),
    /// Of a publisher: which layers of its track somebody watches, lowest first. Said some seconds after it changed.
    LayersWatched(TrackId, Vec<bool>),
    /// Answer to [`Command::Report`].
    Report(Box<PeerReport>),
}

/// Why a peer ended without being removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// No authenticated STUN check for too long.
    IceTimeout,
    /// DTLS failed or its certificate was not the one of the answer.
    DtlsFailed,
    /// The peer closed DTLS.
    DtlsClosed,
    /// The shard already holds as many peers as it may.
    Refused,
    /// The peer does not take what is sent on its data channels.
    DataOverflow,
    /// A defect of ours in this peer's state; it alone is given up.
    Internal,
}

impl std::fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IceCredentials({}, …)", self.ufrag)
    }
}
