//! One connection's protocol as a value: messages, events and time in, [`Action`]s out.
//!
//! The shell calls the `handle_…` functions, then takes actions with [`Session::poll_action`] until there are none, and calls
//! [`Session::handle_timeout`] when [`Session::poll_timeout`] says so. Whatever arrives, the worst that happens is that this
//! one connection is closed with a reason.

mod action;
mod joined;
mod media;
mod negotiation;
mod random;
mod slot;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use minamo_media::{ChannelId, ConnectionId, TrackId};
use minamo_sfu_core::model::{PeerEvent, PeerId};
use minamo_signaling_proto::sora::{ClientMessage, Connect};

pub use action::{Action, Closing, Endpoint, Reason};
use joined::Joined;
pub(crate) use media::Media;
pub use negotiation::Published;
pub(crate) use random::Names;

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
    /// The channel has HLS: what it sends is tapped.
    pub has_hls: bool,
    /// The channel's largest video bitrate, bits per second.
    pub video_bps_max: Option<u32>,
    /// Tracks sent to it at once.
    pub downlinks_max: usize,
    /// From the system's randomness: ICE passwords come out of it.
    pub seed: [u8; 32],
    /// The tracks in the room.
    pub wanted: Vec<Published>,
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

    /// A text frame came.
    pub fn handle_text(&mut self, now: Instant, text: &str) {
        if self.is_closed() {
            return;
        }
        match ClientMessage::parse(text) {
            Ok(message) => self.handle_message(now, message),
            Err(bad) => self.close(Reason::from(bad).into()),
        }
    }

    /// A binary frame came: nothing binary is ever right here.
    pub fn handle_binary(&mut self) {
        self.close(Closing::error("BINARY-FRAME"));
    }

    /// A frame came that the WebSocket layer could not take.
    pub fn handle_bad_frame(&mut self, reason: Reason) {
        self.close(reason.into());
    }

    /// The socket is gone without a goodbye.
    pub fn handle_socket_closed(&mut self) {
        self.leave(false);
    }

    fn handle_message(&mut self, now: Instant, message: ClientMessage) {
        if let ClientMessage::Disconnect { reason } = message {
            tracing::debug!(reason, "the client disconnects");
            return self.close(Closing::DISCONNECT);
        }
        let result = match &mut self.phase {
            Phase::Opening { .. } => self.handle_first(now, message),
            Phase::Joining { .. } => handle_early(&message),
            Phase::Joined(joined) => joined.handle_message(now, message, &mut self.actions),
            Phase::Closed => Ok(()),
        };
        if let Err(reason) = result {
            self.close(reason.into());
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

    /// The SFU says something of this peer.
    pub fn handle_peer_event(&mut self, now: Instant, event: PeerEvent) {
        let Phase::Joined(joined) = &mut self.phase else { return };
        if let Err(reason) = joined.handle_peer_event(now, event, &mut self.actions) {
            self.close(reason.into());
        }
    }

    /// The tracks in the room are now these.
    pub fn set_wanted(&mut self, now: Instant, wanted: Vec<Published>) {
        if let Phase::Joined(joined) = &mut self.phase {
            joined.set_wanted(now, wanted, &mut self.actions);
        }
    }

    /// When [`Session::handle_timeout`] wants to be called; `None` when closed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Opening { deadline } | Phase::Joining { deadline, .. } => Some(*deadline),
            Phase::Joined(joined) => Some(joined.poll_timeout()),
            Phase::Closed => None,
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let result = match &mut self.phase {
            Phase::Opening { deadline } if *deadline <= now => Err(Reason("CONNECT-TIMEOUT")),
            Phase::Joining { deadline, .. } if *deadline <= now => Err(Reason("INTERNAL-ERROR")),
            Phase::Joined(joined) => joined.handle_timeout(now, &mut self.actions),
            _ => Ok(()),
        };
        if let Err(reason) = result {
            self.close(reason.into());
        }
    }

    /// Ends the connection for a reason from outside or inside. Without effect when it is closed.
    pub fn close(&mut self, closing: Closing) {
        if !self.is_closed() {
            self.leave(closing.clean);
            self.actions.push_back(Action::Close(closing));
        }
    }

    fn leave(&mut self, clean: bool) {
        if let Phase::Joined(joined) = std::mem::replace(&mut self.phase, Phase::Closed) {
            joined.leave(clean, &mut self.actions);
        }
    }
}

/// The offer is not out yet.
fn handle_early(message: &ClientMessage) -> Result<(), Reason> {
    match message {
        ClientMessage::Connect(_) => Err(Reason("DUPLICATE-CONNECT")),
        ClientMessage::Answer { .. } | ClientMessage::ReAnswer { .. } => Err(Reason("ANSWER-BEFORE-OFFER")),
        _ => Ok(()),
    }
}
