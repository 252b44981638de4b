//! What others leave for a connection: notifications, messages, SFU events, changes of the room, orders to close.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use minamo_media::TrackId;
use minamo_sfu_core::model::PeerEvent;
use tokio::sync::Notify;

use crate::session::{Closing, Line, Notice, UserMessage};

/// Letters and events that may wait for one connection, each. Whoever does not take them is closed with `TOO-SLOW`: a gap in what it
/// knows of the room would be worse than to come again.
const WAITING_MAX: usize = 4096;
/// Bytes of letters, and bytes of messages from the peer itself, that may wait, each.
const BYTES_MAX: usize = 8 << 20;

/// Bounded, never blocks whoever writes: media threads do.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    letters: Mutex<Letters>,
    wake: Notify,
}

/// Something for the client.
#[derive(Clone, Debug)]
pub(crate) enum Letter {
    /// JSON, shared with all who get the same.
    Notice(Line, Notice),
    /// Another client's message.
    Message(Arc<UserMessage>),
}

impl Letter {
    fn bytes(&self) -> usize {
        match self {
            Self::Notice(_, notice) => notice.text().len(),
            Self::Message(message) => message.len(),
        }
    }
}

/// Everything that came since the last look.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    /// In order; at most [`WAITING_MAX`] and [`BYTES_MAX`].
    pub letters: VecDeque<Letter>,
    bytes: usize,
    /// The tracks in the room are others now. However often they change, this is said once.
    pub room_changed: bool,
    /// Somebody wants the SFU's numbers of the connection.
    pub report_wanted: bool,
    /// Somebody wants the client's own statistics.
    pub client_stats_wanted: bool,
    /// The first order counts.
    pub closing: Option<Closing>,
    /// Of the SFU, in order; what only the latest of matters is there once. At most [`WAITING_MAX`], and [`BYTES_MAX`] of data.
    pub peer_events: Vec<PeerEvent>,
    event_bytes: usize,
}

impl Mailbox {
    fn put(&self, write: impl FnOnce(&mut Letters)) {
        write(&mut self.letters.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_one();
    }

    pub(crate) fn letter(&self, letter: Letter) {
        self.put(|letters| {
            let bytes = letters.bytes + letter.bytes();
            if letters.letters.len() < WAITING_MAX && bytes <= BYTES_MAX {
                letters.bytes = bytes;
                letters.letters.push_back(letter);
            } else {
                letters.closing.get_or_insert(Closing::error("TOO-SLOW"));
            }
        });
    }

    pub(crate) fn notice(&self, notice: Notice) {
        self.letter(Letter::Notice(Line::Notify, notice));
    }

    pub(crate) fn room_changed(&self) {
        self.put(|letters| letters.room_changed = true);
    }

    /// `client`: the client's own statistics too.
    pub(crate) fn want_stats(&self, client: bool) {
        self.put(|letters| {
            letters.report_wanted = true;
            letters.client_stats_wanted |= client;
        });
    }

    pub(crate) fn close(&self, closing: Closing) {
        self.put(|letters| {
            letters.closing.get_or_insert(closing);
        });
    }

    /// Of the connection's own peer. A client that sends messages faster than they are passed on is closed with `TOO-SLOW` too.
    pub(crate) fn peer_event(&self, event: PeerEvent) {
        self.put(|letters| {
            if let Some(key) = latest_of(&event)
                && let Some(waiting) = letters.peer_events.iter_mut().find(|waiting| latest_of(waiting) == Some(key))
            {
                *waiting = event;
                return;
            }
            let bytes = letters.event_bytes + if let PeerEvent::Data(message) = &event { message.payload.len() } else { 0 };
            let last = matches!(event, PeerEvent::Closed(_));
            if last || (letters.peer_events.len() < WAITING_MAX && bytes <= BYTES_MAX) {
                letters.event_bytes = bytes;
                letters.peer_events.push(event);
            } else {
                letters.closing.get_or_insert(Closing::error("TOO-SLOW"));
            }
        });
    }

    /// Waits until something was put, then takes everything.
    pub(crate) async fn take(&self) -> Letters {
        self.wake.notified().await;
        std::mem::take(&mut self.letters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Of which thing an event tells the present state: a later one replaces it.
fn latest_of(event: &PeerEvent) -> Option<(u8, TrackId)> {
    match event {
        PeerEvent::AudioLevel(track, _) => Some((0, *track)),
        PeerEvent::LayersWatched(track, _) => Some((1, *track)),
        PeerEvent::Network(_) => Some((2, TrackId(0))),
        PeerEvent::Report(_) => Some((3, TrackId(0))),
        PeerEvent::Path(_) => Some((4, TrackId(0))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use minamo_sfu_core::model::{CloseReason, DataMessage};

    use super::*;

    fn notice() -> Notice {
        String::from("x").into()
    }

    #[tokio::test]
    async fn a_reader_that_never_reads_is_closed_and_memory_stays_bounded() {
        let mailbox = Mailbox::default();
        for _ in 0..WAITING_MAX {
            mailbox.notice(notice());
        }
        let letters = mailbox.take().await;
        assert_eq!((letters.letters.len(), letters.closing), (WAITING_MAX, None));
        for _ in 0..WAITING_MAX + 5 {
            mailbox.notice(notice());
        }
        mailbox.close(Closing::API);
        let letters = mailbox.take().await;
        assert_eq!((letters.letters.len(), letters.closing), (WAITING_MAX, Some(Closing::error("TOO-SLOW"))));
    }

    #[tokio::test]
    async fn long_letters_and_data_are_bounded_by_bytes() {
        let mailbox = Mailbox::default();
        let long = Notice::from("x".repeat(BYTES_MAX / 4));
        for _ in 0..6 {
            mailbox.letter(Letter::Notice(Line::Push, long.clone()));
        }
        let letters = mailbox.take().await;
        assert_eq!((letters.letters.len(), letters.closing), (4, Some(Closing::error("TOO-SLOW"))));
        let data = DataMessage { label: "#a".into(), binary: true, payload: Bytes::from(vec![0; BYTES_MAX / 2]) };
        for _ in 0..5 {
            mailbox.peer_event(PeerEvent::Data(data.clone()));
        }
        mailbox.peer_event(PeerEvent::Closed(CloseReason::IceTimeout));
        let letters = mailbox.take().await;
        assert_eq!((letters.peer_events.len(), letters.closing), (3, Some(Closing::error("TOO-SLOW"))));
    }

    #[tokio::test]
    async fn of_levels_only_the_latest_waits() {
        let mailbox = Mailbox::default();
        for level in 0..100 {
            mailbox.peer_event(PeerEvent::AudioLevel(TrackId(1), level));
            mailbox.peer_event(PeerEvent::AudioLevel(TrackId(2), level));
            mailbox.peer_event(PeerEvent::Network(level % 4));
        }
        let expected = [PeerEvent::AudioLevel(TrackId(1), 99), PeerEvent::AudioLevel(TrackId(2), 99), PeerEvent::Network(99 % 4)];
        assert_eq!(mailbox.take().await.peer_events, expected);
    }
}
