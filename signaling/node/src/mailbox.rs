//! What others leave for a connection: notifications, SFU events, changes of the room, orders to close.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::extract::ws::Utf8Bytes;
use minamo_sfu_core::model::PeerEvent;
use tokio::sync::Notify;

use crate::session::Closing;

/// Notifications that may wait for one connection. Whoever does not take them is closed with `TOO-SLOW`: a gap in what it
/// knows of the room would be worse than to come again.
const NOTICES_MAX: usize = 4096;

/// Bounded, never blocks whoever writes: media threads do.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    letters: Mutex<Letters>,
    wake: Notify,
}

/// Everything that came since the last look.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    /// Text frames, shared with all who get the same; at most [`NOTICES_MAX`].
    pub notices: VecDeque<Utf8Bytes>,
    /// The tracks in the room are others now. However often they change, this is said once.
    pub room_changed: bool,
    /// The first order counts.
    pub closing: Option<Closing>,
    /// The SFU says at most two things of a peer.
    pub peer_events: Vec<PeerEvent>,
}

impl Mailbox {
    fn put(&self, write: impl FnOnce(&mut Letters)) {
        write(&mut self.letters.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_one();
    }

    pub(crate) fn notice(&self, text: Utf8Bytes) {
        self.put(|letters| {
            if letters.notices.len() < NOTICES_MAX {
                letters.notices.push_back(text);
            } else {
                letters.closing.get_or_insert(Closing::error("TOO-SLOW"));
            }
        });
    }

    pub(crate) fn room_changed(&self) {
        self.put(|letters| letters.room_changed = true);
    }

    pub(crate) fn close(&self, closing: Closing) {
        self.put(|letters| {
            letters.closing.get_or_insert(closing);
        });
    }

    pub(crate) fn peer_event(&self, event: PeerEvent) {
        self.put(|letters| letters.peer_events.push(event));
    }

    /// Waits until something was put, then takes everything.
    pub(crate) async fn take(&self) -> Letters {
        self.wake.notified().await;
        std::mem::take(&mut self.letters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_never_reads_is_closed_and_memory_stays_bounded() {
        let mailbox = Mailbox::default();
        for _ in 0..NOTICES_MAX {
            mailbox.notice("x".into());
        }
        let letters = mailbox.take().await;
        assert_eq!((letters.notices.len(), letters.closing), (NOTICES_MAX, None));
        for _ in 0..NOTICES_MAX + 5 {
            mailbox.notice("x".into());
        }
        mailbox.close(Closing::API);
        let letters = mailbox.take().await;
        assert_eq!((letters.notices.len(), letters.closing), (NOTICES_MAX, Some(Closing::error("TOO-SLOW"))));
    }
}
