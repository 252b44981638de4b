//! A session that has said goodbye over its data channels and waits until they are closed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use minamo_sfu_core::model::{Command, PeerEvent, PeerId};

use super::Action;
use super::lines::Lines;

/// How long the closing of data channels may take. Clients wait 3 s (JavaScript) to 5 s (C++) for it.
const CHANNELS_TIMEOUT: Duration = Duration::from_secs(2);

/// The room has forgotten the connection; the SFU has not.
pub(super) struct Ending {
    pub peer: PeerId,
    pub clean: bool,
    pub lines: Lines,
    pub deadline: Instant,
}

impl Ending {
    pub(super) fn new(now: Instant, peer: PeerId, clean: bool, lines: Lines) -> Self {
        Self { peer, clean, lines, deadline: now + CHANNELS_TIMEOUT }
    }

    /// Whether it is over.
    pub(super) fn handle_peer_event(&mut self, event: &PeerEvent, actions: &mut VecDeque<Action>) -> bool {
        match event {
            PeerEvent::Closed(_) => return true,
            PeerEvent::ChannelClosed(label) => self.lines.closed(label),
            _ => {}
        }
        if self.lines.any_open() {
            return false;
        }
        self.remove(actions);
        true
    }

    /// Takes the peer out of the SFU.
    pub(super) fn remove(&self, actions: &mut VecDeque<Action>) {
        actions.push_back(Action::Sfu(Command::RemovePeer { peer: self.peer, clean: self.clean }));
    }
}
