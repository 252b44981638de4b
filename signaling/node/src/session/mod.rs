//! One connection's protocol as a value: messages, events and time in, [`Action`]s out.
//!
//! The shell calls the `handle_…` functions, then takes actions with [`Session::poll_action`] until there are none, and calls
//! [`Session::handle_timeout`] when [`Session::poll_timeout`] says so. Whatever arrives, the worst that happens is that this
//! one connection is closed with a reason.

mod action;
mod ending;
mod joined;
pub(crate) mod layers;
mod lines;
mod media;
mod message;
mod negotiation;
mod notice;
mod pulse;
mod random;
mod rate;
mod slot;
mod zlib;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use minamo_media::{ChannelId, ConnectionId, TrackId};
use minamo_sfu_core::model::{DataMessage, PeerEvent, PeerId};
use minamo_signaling_proto::sora::{ClientMessage, Connect, Control, IceConfig, truncate};

pub use action::{Action, Closing, Endpoint, Reason};
use ending::Ending;
use joined::Joined;
pub use layers::Wanted;
use lines::Heard;
pub use lines::{AgreedChannel, DataPlan, Line, Purpose};
pub(crate) use media::Media;
pub use message::UserMessage;
pub use negotiation::Published;
pub use notice::Notice;
pub(crate) use random::Names;

/// What a WebSocket's close frame has room for (RFC 6455 §5.5).
const CLOSE_REASON_BYTES_MAX: usize = 123;

/// Times of one session.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From the socket's opening to `connect`, and from there to the offer.
    pub connect: Duration,
    /// From an offer or re-offer to its answer.
    pub answer: Duration,
    /// From the offer until media is up.
    pub media: Duration,
    /// Between pings.
    pub ping_every: Duration,
    /// From the last message of the client until it counts as gone.
    pub pong: Duration,
    /// Between `connection.updated` notifications.
    pub updated_every: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            media: Duration::from_secs(60),
            ping_every: Duration::from_secs(5),
            pong: Duration::from_secs(60),
            updated_every: Duration::from_secs(60),
        }
    }
}

/// What the shell tells a session that was let in.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The channel.
    pub channel: ChannelId,
    /// This connection.
    pub connection: ConnectionId,
    /// Its name in the SFU.
    pub peer: PeerId,
    /// The room's present life.
    pub session_id: String,
    /// Its audio track, should it send one.
    pub audio_track: TrackId,
    /// Its video track, should it send one.
    pub video_track: TrackId,
    /// Our side of the transport.
    pub endpoint: Arc<Endpoint>,
    /// `offer.config`.
    pub ice_config: IceConfig,
    /// The channel has HLS: what it sends is tapped.
    pub has_hls: bool,
    /// All layers of its video are tapped, for a ladder.
    pub taps_layers: bool,
    /// The most bits per second that the channel has use for, over all layers.
    pub video_bps_max: Option<u32>,
    /// Tracks sent to it at once.
    pub downlinks_max: usize,
    /// From the system's randomness: ICE passwords come out of it.
    pub seed: [u8; 32],
    /// The tracks in the room.
    pub wanted: Vec<Wanted>,
    /// The data channels; none where only the WebSocket is used.
    pub data: Option<DataPlan>,
    /// What only the auth webhook can say.
    pub grants: Grants,
}

/// What the auth webhook gives a connection beyond what its `connect` can ask for.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// `offer.metadata`
    pub metadata: Option<serde_json::Value>,
    /// `authz_metadata` in notifications about it.
    pub authz_metadata: Option<serde_json::Value>,
    /// It is told nothing of what happens in the room.
    pub silent: bool,
    /// `offer.rpc_methods`
    pub rpc_methods: Vec<String>,
    /// From here to 1000 `LIFETIME-EXPIRED`.
    pub lifetime: Option<Duration>,
}

enum Phase {
    /// Nothing was said yet.
    Opening {
        deadline: Instant,
    },
    /// The shell looks the channel up.
    Joining {
        deadline: Instant,
        connect: Box<Connect>,
    },
    /// In the room.
    Joined(Box<Joined>),
    /// Out of the room; its data channels are closing.
    Ending(Box<Ending>),
    Closed,
}

/// One connection.
pub struct Session {
    timing: Timing,
    phase: Phase,
    /// Bounded by what one call can produce: the shell takes all actions after each.
    actions: VecDeque<Action>,
}

impl Session {
    /// A socket was opened.
    #[must_use]
    pub fn new(now: Instant, timing: Timing) -> Self {
        Self { timing, phase: Phase::Opening { deadline: now + timing.connect }, actions: VecDeque::new() }
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Nothing more will come of this session.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Nothing but the end is left to do.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ending(_) | Phase::Closed)
    }

    /// A text frame came.
    pub fn handle_text(&mut self, now: Instant, text: &str) {
        if self.is_over() {
            return;
        }
        match ClientMessage::parse(text) {
            Ok(message) => self.handle_message(now, message),
            Err(bad) => self.close(now, Reason::from(bad).into()),
        }
    }

    /// A binary frame came: nothing binary is ever right here.
    pub fn handle_binary(&mut self, now: Instant) {
        self.close(now, Closing::error("BINARY-FRAME"));
    }

    /// A frame came that the WebSocket layer could not take.
    pub fn handle_bad_frame(&mut self, now: Instant, reason: Reason) {
        self.close(now, reason.into());
    }

    /// The socket is gone without a goodbye. Who has agreed to do without it lives on.
    pub fn handle_socket_closed(&mut self) {
        match &mut self.phase {
            Phase::Ending(ending) => ending.lines.socket_lost(),
            Phase::Joined(joined) if joined.survives_socket() => joined.lines.socket_lost(),
            _ => self.leave(false),
        }
    }

    /// The same message over the WebSocket and over a data channel: clients change from one to the other at different moments.
    fn handle_message(&mut self, now: Instant, message: ClientMessage) {
        if let ClientMessage::Disconnect { reason } = message {
            tracing::debug!(reason, "the client disconnects");
            return self.close(now, Closing::DISCONNECT);
        }
        let result = match &mut self.phase {
            Phase::Opening { .. } => self.handle_first(now, message),
            Phase::Joining { .. } => handle_early(&message),
            Phase::Joined(joined) => joined.handle_message(now, message, &mut self.actions),
            Phase::Ending(_) | Phase::Closed => Ok(()),
        };
        if let Err(reason) = result {
            self.close(now, reason.into());
        }
    }

    fn handle_first(&mut self, now: Instant, message: ClientMessage) -> Result<(), Reason> {
        match message {
            ClientMessage::Connect(connect) => {
                self.actions.push_back(Action::Join(connect.clone()));
                self.phase = Phase::Joining { deadline: now + self.timing.connect, connect };
                Ok(())
            }
            ClientMessage::Answer { .. } | ClientMessage::ReAnswer { .. } => Err(Reason("ANSWER-BEFORE-OFFER")),
            _ => Err(Reason("CONNECT-EXPECTED")),
        }
    }

    /// The channel exists and the room has taken the connection in. The offer goes out. Without effect unless
    /// [`Action::Join`] was the last word: the caller takes it out of the room again when [`Session::is_closed`].
    pub fn admit(&mut self, now: Instant, admission: &Admission) {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Joining { connect, .. } => {
                let joined = Joined::new(now, self.timing, *connect, admission, &mut self.actions);
                self.phase = Phase::Joined(Box::new(joined));
            }
            other => self.phase = other,
        }
    }

    /// The auth webhook has changed what the client asked for. To be called before [`Session::admit`].
    pub fn overrule(&mut self, overruled: Box<Connect>) {
        if let Phase::Joining { connect, .. } = &mut self.phase {
            *connect = overruled;
        }
    }

    /// The auth webhook lets nobody in. The reason is cut to the 123 bytes that a close frame has room for.
    pub fn refuse(&mut self, reason: &str) {
        if let Phase::Joining { .. } = &self.phase {
            self.phase = Phase::Closed;
            self.actions.push_back(Action::Refuse(truncate(reason, CLOSE_REASON_BYTES_MAX).to_owned()));
        }
    }

    /// The client shall connect somewhere else. Clients wait for the close after it.
    pub fn redirect(&mut self, now: Instant, location: String) {
        if let Phase::Joining { .. } = &self.phase {
            self.actions.push_back(Action::Send(Control::Redirect { location }.to_text().into()));
            self.close(now, Closing::REDIRECTED);
        }
    }

    /// The SFU says something of this peer.
    pub fn handle_peer_event(&mut self, now: Instant, event: PeerEvent) {
        if let Phase::Ending(ending) = &mut self.phase
            && ending.handle_peer_event(&event, &mut self.actions)
        {
            self.phase = Phase::Closed;
        }
        if let Phase::Joined(joined) = &mut self.phase {
            let result = match event {
                PeerEvent::Data(message) => return self.handle_data(now, &message),
                event => joined.handle_peer_event(now, event, &mut self.actions),
            };
            if let Err(reason) = result {
                self.close(now, reason.into());
            }
        }
    }

    /// A message came over a data channel.
    fn handle_data(&mut self, now: Instant, message: &DataMessage) {
        let Phase::Joined(joined) = &mut self.phase else { return };
        match joined.lines.hear(now, message) {
            Ok(Heard::Text(Line::Signaling, text)) => self.handle_text(now, &text),
            Ok(Heard::Text(Line::Stats, text)) => match client_stats(&text) {
                Some(stats) => self.actions.push_back(Action::ClientStats(stats)),
                None => self.close(now, Closing::error("INVALID-STATS")),
            },
            Ok(Heard::Text(Line::Rpc, text)) => self.actions.push_back(Action::Rpc(text)),
            Ok(Heard::Message(label, payload)) => self.actions.push_back(Action::Message(label, payload)),
            // Nothing is expected on `notify` and `push`.
            Ok(Heard::Text(Line::Notify | Line::Push, _) | Heard::Nothing) => {}
            Err(reason) => self.close(now, reason.into()),
        }
    }

    /// Says something to the client, where such things are said now.
    pub fn say(&mut self, line: Line, notice: &Notice) {
        if let Phase::Joined(joined) = &self.phase {
            self.actions.extend(joined.lines.say(line, notice));
        }
    }

    /// Passes another client's message on.
    pub fn tell(&mut self, message: &UserMessage) {
        if let Phase::Joined(joined) = &self.phase {
            self.actions.extend(joined.lines.tell(message));
        }
    }

    /// Somebody wants the client's statistics.
    pub fn ask_for_stats(&mut self) {
        if let Phase::Joined(joined) = &self.phase {
            self.actions.extend(joined.ask_for_stats());
        }
    }

    /// The tracks in the room are now these.
    pub fn set_wanted(&mut self, now: Instant, wanted: Vec<Wanted>) {
        if let Phase::Joined(joined) = &mut self.phase {
            joined.set_wanted(now, wanted, &mut self.actions);
        }
    }

    /// When [`Session::handle_timeout`] wants to be called; `None` when closed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Opening { deadline } | Phase::Joining { deadline, .. } => Some(*deadline),
            Phase::Joined(joined) => joined.poll_timeout(),
            Phase::Ending(ending) => Some(ending.deadline),
            Phase::Closed => None,
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let result = match &mut self.phase {
            Phase::Opening { deadline } if *deadline <= now => Err(Closing::error("CONNECT-TIMEOUT")),
            Phase::Joining { deadline, .. } if *deadline <= now => Err(Closing::error("INTERNAL-ERROR")),
            Phase::Joined(joined) => joined.handle_timeout(now, &mut self.actions),
            Phase::Ending(ending) if ending.deadline <= now => {
                ending.remove(&mut self.actions);
                self.phase = Phase::Closed;
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(closing) = result {
            self.close(now, closing);
        }
    }

    /// Ends the connection for a reason from outside or inside. Without effect when it is over.
    pub fn close(&mut self, now: Instant, closing: Closing) {
        if self.is_over() {
            return;
        }
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Joined(joined) => {
                if let Some(ending) = joined.end(now, closing, &mut self.actions) {
                    self.phase = Phase::Ending(Box::new(ending));
                }
            }
            _ => self.actions.push_back(Action::Close(closing)),
        }
    }

    fn leave(&mut self, clean: bool) {
        if let Phase::Joined(joined) = std::mem::replace(&mut self.phase, Phase::Closed) {
            joined.leave(clean, &mut self.actions);
        }
    }
}

/// The reports of a `stats` message.
fn client_stats(text: &str) -> Option<serde_json::Value> {
    let mut message: serde_json::Value = serde_json::from_str(text).ok()?;
    message.get_mut("reports").map(serde_json::Value::take)
}

/// The offer is not out yet.
fn handle_early(message: &ClientMessage) -> Result<(), Reason> {
    match message {
        ClientMessage::Connect(_) => Err(Reason("DUPLICATE-CONNECT")),
        ClientMessage::Answer { .. } | ClientMessage::ReAnswer { .. } => Err(Reason("ANSWER-BEFORE-OFFER")),
        _ => Ok(()),
    }
}
