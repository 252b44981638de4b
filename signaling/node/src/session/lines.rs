//! Where a connection's messages go: the WebSocket first, data channels once all of them are open.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use minamo_sfu_core::model::{Command, DataChannelSpec, DataMessage, PeerId};
use minamo_signaling_proto::sora::{
    DataDirection, HeaderField, OfferedChannel, OfferedData, OfferedHeader, SENDER_CONNECTION_ID_BYTES,
};

use super::message::{PAYLOAD_BYTES_MAX, UserMessage};
use super::notice::Notice;
use super::rate::Rate;
use super::{Action, Reason, zlib};

/// What a data channel's JSON may inflate to: as much as a WebSocket message may have. Clients' answers are far smaller.
const INFLATED_BYTES_MAX: usize = 1 << 20;

/// The kinds of messages. Each has a data channel of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Line {
    /// Re-offers, answers, candidates, the end.
    Signaling,
    /// What happened in the room.
    Notify,
    /// What the API pushes.
    Push,
    /// The client's statistics.
    Stats,
    /// JSON-RPC.
    Rpc,
}

impl Line {
    /// The label of its data channel.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Signaling => "signaling",
            Self::Notify => "notify",
            Self::Push => "push",
            Self::Stats => "stats",
            Self::Rpc => "rpc",
        }
    }
}

/// What a data channel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Ours.
    Line(Line),
    /// Messages between clients.
    Messages {
        /// The client may send.
        sends: bool,
        /// The client is sent what others send.
        receives: bool,
        /// The sender's connection id stands before each payload.
        header: bool,
    },
}

/// A data channel as it was agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreedChannel {
    /// How it is opened.
    pub spec: DataChannelSpec,
    /// Payloads are in zlib format, both ways.
    pub compress: bool,
    /// What it is for.
    pub purpose: Purpose,
}

/// All data channels of a connection that signals over them. The SFU's bound on channels holds: there are at most 5 of ours and
/// those of the client's `connect`, which is bounded where it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataPlan {
    /// The connection survives its WebSocket.
    pub ignore_disconnect_websocket: bool,
    /// In the order of `offer.data_channels`.
    pub channels: Vec<AgreedChannel>,
}

impl DataPlan {
    /// As the offer tells of it.
    #[must_use]
    pub fn offered(&self) -> OfferedData {
        OfferedData {
            data_channels: self.channels.iter().map(AgreedChannel::offered).collect(),
            data_channel_signaling: Some(true),
            ignore_disconnect_websocket: Some(self.ignore_disconnect_websocket),
            rpc_methods: Vec::new(),
        }
    }
}

impl AgreedChannel {
    fn offered(&self) -> OfferedChannel {
        let id = OfferedHeader { field: HeaderField::SenderConnectionId, length: SENDER_CONNECTION_ID_BYTES };
        let (direction, header) = match self.purpose {
            Purpose::Line(Line::Notify | Line::Push) => (DataDirection::RecvOnly, false),
            Purpose::Line(_) => (DataDirection::SendRecv, false),
            Purpose::Messages { sends: true, receives: true, header } => (DataDirection::SendRecv, header),
            Purpose::Messages { sends: true, header, .. } => (DataDirection::SendOnly, header),
            Purpose::Messages { header, .. } => (DataDirection::RecvOnly, header),
        };
        let header = if header { vec![id] } else { Vec::new() };
        OfferedChannel { label: self.spec.label.clone(), direction, compress: self.compress, header }
    }
}

struct Channel {
    label: Arc<str>,
    agreed: AgreedChannel,
    open: bool,
}

/// What came over a data channel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// JSON text on one of our own.
    Text(Line, String),
    /// A user message, inflated.
    Message(Arc<str>, Bytes),
    /// Nothing that we take; counted.
    Nothing,
}

pub(super) struct Lines {
    peer: PeerId,
    socket: bool,
    /// Everything was open once: messages go over data channels.
    switched: bool,
    ignore_disconnect_websocket: bool,
    channels: Vec<Channel>,
    rate: Rate,
}

impl Lines {
    pub(super) fn new(now: Instant, peer: PeerId, plan: &DataPlan) -> Self {
        let channel =
            |agreed: &AgreedChannel| Channel { label: agreed.spec.label.as_str().into(), agreed: agreed.clone(), open: false };
        Self {
            peer,
            socket: true,
            switched: false,
            ignore_disconnect_websocket: plan.ignore_disconnect_websocket,
            channels: plan.channels.iter().map(channel).collect(),
            rate: Rate::new(now),
        }
    }

    /// To be told to the SFU when the client has answered.
    pub(super) fn openings(&self) -> impl Iterator<Item = Command> {
        self.channels.iter().map(|channel| Command::OpenChannel(self.peer, channel.agreed.spec.clone()))
    }

    fn channel(&mut self, label: &str) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| &*channel.label == label)
    }

    /// A channel has opened. `Some` when it was the last of all: the value of `switched.ignore_disconnect_websocket`.
    pub(super) fn opened(&mut self, label: &str) -> Option<bool> {
        self.channel(label)?.open = true;
        if self.switched || self.channels.iter().any(|channel| !channel.open) {
            return None;
        }
        self.switched = true;
        Some(self.ignore_disconnect_websocket)
    }

    /// A channel has closed.
    pub(super) fn closed(&mut self, label: &str) {
        if let Some(channel) = self.channel(label) {
            channel.open = false;
        }
    }

    pub(super) fn any_open(&self) -> bool {
        self.channels.iter().any(|channel| channel.open)
    }

    pub(super) fn socket_is_open(&self) -> bool {
        self.socket
    }

    pub(super) fn socket_lost(&mut self) {
        self.socket = false;
    }

    /// The client does without its WebSocket: it ignores how that ends, so ends have to be said over data channels.
    pub(super) fn is_on_its_own(&self) -> bool {
        self.switched && (self.ignore_disconnect_websocket || !self.socket)
    }

    /// The connection lives as long as its data channels do, whatever becomes of the WebSocket.
    pub(super) fn survives_socket(&self) -> bool {
        self.switched && self.ignore_disconnect_websocket
    }

    pub(super) fn has_switched(&self) -> bool {
        self.switched
    }

    /// Says it where such things are said now; `None` where there is no way.
    pub(super) fn say(&self, line: Line, notice: &Notice) -> Option<Action> {
        if self.switched
            && let Some(channel) = self.channels.iter().find(|channel| channel.agreed.purpose == Purpose::Line(line))
            && channel.open
        {
            return Some(self.data(channel, notice));
        }
        let on_socket = matches!(line, Line::Signaling | Line::Notify | Line::Push);
        (on_socket && self.socket).then(|| Action::Send(notice.text().clone()))
    }

    fn data(&self, channel: &Channel, notice: &Notice) -> Action {
        // Uncompressed JSON must be text: sora-js-sdk parses what comes without looking.
        let (binary, payload) =
            if channel.agreed.compress { (true, notice.deflated()) } else { (false, notice.text().clone().into()) };
        Action::Sfu(Command::SendData(self.peer, DataMessage { label: channel.label.clone(), binary, payload }))
    }

    /// A user message for this client; `None` when it does not get it.
    pub(super) fn tell(&self, message: &UserMessage) -> Option<Action> {
        let channel = self.channels.iter().find(|channel| channel.label == *message.label())?;
        let Purpose::Messages { receives: true, header, .. } = channel.agreed.purpose else { return None };
        if !channel.open {
            metrics::counter!("minamo_signaling_messages_dropped_total", "why" => "not open").increment(1);
            return None;
        }
        let payload = message.form(header, channel.agreed.compress);
        let data = DataMessage { label: channel.label.clone(), binary: true, payload };
        Some(Action::Sfu(Command::SendData(self.peer, data)))
    }

    /// Reads what came. Text and binary are both taken: C++ clients send binary even when it is not compressed.
    ///
    /// # Errors
    /// Something on one of our own channels that is not the JSON text that was agreed.
    pub(super) fn hear(&mut self, now: Instant, message: &DataMessage) -> Result<Heard, Reason> {
        let Some(channel) = self.channels.iter().find(|channel| channel.label == message.label) else {
            return Ok(dropped("unknown label"));
        };
        let compress = channel.agreed.compress;
        match channel.agreed.purpose {
            Purpose::Line(line) => {
                let text = inflated(compress, &message.payload, INFLATED_BYTES_MAX).ok_or(Reason("INVALID-DATA"))?;
                let text = String::from_utf8(text.into()).map_err(|_| Reason("INVALID-DATA"))?;
                Ok(Heard::Text(line, text))
            }
            Purpose::Messages { sends: false, .. } => Ok(dropped("direction")),
            Purpose::Messages { .. } if !self.rate.take(now) => Ok(dropped("rate")),
            Purpose::Messages { sends: true, .. } => match inflated(compress, &message.payload, PAYLOAD_BYTES_MAX) {
                Some(payload) => Ok(Heard::Message(channel.label.clone(), payload)),
                None => Ok(dropped("payload")),
            },
        }
    }
}

fn inflated(compress: bool, payload: &Bytes, bytes_max: usize) -> Option<Bytes> {
    if compress {
        return zlib::inflate(payload, bytes_max).map(Bytes::from);
    }
    (payload.len() <= bytes_max).then(|| payload.clone())
}

fn dropped(why: &'static str) -> Heard {
    metrics::counter!("minamo_signaling_messages_dropped_total", "why" => why).increment(1);
    Heard::Nothing
}
