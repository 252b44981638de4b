//! A member of a room whose negotiation is done: media comes up, the publisher's tracks come and go, it leaves.

use std::sync::Arc;
use std::time::Instant;

use minamo_sfu_core::model::{Command, Downlink, PeerEvent};

use super::viewing::Viewing;
use crate::Busy;
use crate::figures::Figures;
use crate::mailbox::{Letters, Mailbox};
use crate::place::{Place, remove_peer};
use crate::session::{Closing, Media, Published, Reason};
use crate::signaling::{Open, Shared};

/// Everything that a viewer was given has ended and nobody came back: it is let go and may come again.
const PUBLISHER_LEFT: Closing = Closing { code: 1000, reason: Reason("PUBLISHER-LEFT"), clean: true };

pub(super) struct Member {
    pub shared: Arc<Shared>,
    pub place: Place,
    pub mailbox: Arc<Mailbox>,
    pub figures: Arc<Figures>,
    pub media: Media,
    /// What it sends.
    pub published: Vec<Published>,
    /// What it is sent, where it is a viewer.
    pub viewing: Option<Viewing>,
    /// Whose tracks it wants to see.
    pub publisher: Option<String>,
    /// Its place among all connections of the server.
    pub open: Open,
}

impl Member {
    /// Until it ends, by whatever cause.
    pub(super) async fn run(mut self) {
        let Closing { reason: Reason(reason), clean, .. } = self.closing().await;
        tracing::info!(channel = %self.place.channel, connection = %self.place.connection, reason, "leaves");
        metrics::counter!("minamo_signaling_closes_total", "reason" => reason).increment(1);
        let Self { shared, place, media, open, .. } = self;
        if !media.is_gone() {
            remove_peer(&shared, place.peer, clean);
        }
        place.leave();
        drop(open);
    }

    async fn closing(&mut self) -> Closing {
        loop {
            // A peer that is gone has ended the loop already.
            let deadline = self.media.poll_timeout().unwrap_or_else(Instant::now);
            let gives_up_at = self.viewing.as_ref().and_then(Viewing::gives_up_at);
            let deadline = gives_up_at.map_or(deadline, |at| at.min(deadline));
            let result = tokio::select! {
                () = self.shared.stopping.cancelled() => Err(Closing::SHUTDOWN),
                letters = self.mailbox.take() => self.take_letters(letters),
                () = tokio::time::sleep_until(deadline.into()) => self.handle_timeout(),
            };
            if let Err(closing) = result {
                return closing;
            }
        }
    }

    /// Notifications are for those who have a channel to hear them.
    fn take_letters(&mut self, letters: Letters) -> Result<(), Closing> {
        if let Some(closing) = letters.closing {
            return Err(closing);
        }
        if letters.report_wanted {
            // Too busy to tell: then there are no fresh numbers.
            let _ = self.shared.media.command(Command::Report(self.place.peer));
        }
        for event in letters.peer_events {
            if let PeerEvent::Report(report) = event {
                self.figures.put_report(*report);
                continue;
            }
            if let PeerEvent::Path(path) = event {
                self.shared.rooms.path(&self.place.channel, &self.place.connection, path);
            }
            if self.media.handle_event(Instant::now(), event)? {
                self.shared.rooms.created(&self.place.channel, &self.place.connection);
                if !self.published.is_empty() {
                    self.shared.rooms.publish(&self.place.channel, &self.place.connection, self.published.clone());
                }
            }
        }
        if letters.room_changed { self.look_again() } else { Ok(()) }
    }

    fn look_again(&mut self) -> Result<(), Closing> {
        let Some(viewing) = &mut self.viewing else { return Ok(()) };
        let (rooms, place) = (&self.shared.rooms, &self.place);
        let wanted = rooms.wanted_of(&place.channel, &place.connection, self.publisher.as_deref());
        let changes: Vec<Downlink> = viewing.set_wanted(Instant::now(), wanted);
        // What has ended is not removed: it keeps the numbers of its stream until something takes its place.
        for downlink in changes {
            let added = self.shared.media.command(Command::AddDownlink(place.peer, downlink));
            added.map_err(|Busy| Closing::error("SERVER-OVERLOADED"))?;
        }
        Ok(())
    }

    fn handle_timeout(&mut self) -> Result<(), Closing> {
        let now = Instant::now();
        if self.viewing.as_ref().and_then(Viewing::gives_up_at).is_some_and(|at| at <= now) {
            return Err(PUBLISHER_LEFT);
        }
        if let Some(minutes) = self.media.handle_timeout(now)? {
            self.shared.rooms.updated(&self.place.channel, &self.place.connection, minutes);
        }
        Ok(())
    }
}
