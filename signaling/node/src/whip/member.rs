//! A member of a room whose negotiation is done: media comes up, the publisher's tracks come and go, it leaves.

use std::sync::Arc;
use std::time::Instant;

use minamo_media::TrackId;
use minamo_sfu_core::model::Command;

use crate::mailbox::{Letters, Mailbox};
use crate::place::{Place, remove_peer};
use crate::session::{Closing, Media, Published, Reason};
use crate::signaling::{Open, Shared};

/// Everything that a viewer was given has ended. Nothing else can be given to it, so it is let go and may come again.
const PUBLISHER_LEFT: Closing = Closing { code: 1000, reason: Reason("PUBLISHER-LEFT"), clean: true };

pub(super) struct Member {
    pub shared: Arc<Shared>,
    pub place: Place,
    pub mailbox: Arc<Mailbox>,
    pub media: Media,
    /// What it sends.
    pub published: Vec<Published>,
    /// What it is sent.
    pub received: Vec<TrackId>,
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
        for event in letters.peer_events {
            if self.media.handle_event(Instant::now(), event)? {
                self.shared.rooms.created(&self.place.channel, &self.place.connection);
                if !self.published.is_empty() {
                    self.shared.rooms.publish(&self.place.channel, &self.place.connection, self.published.clone());
                }
            }
        }
        if letters.room_changed { self.drop_ended() } else { Ok(()) }
    }

    fn drop_ended(&mut self) -> Result<(), Closing> {
        if self.received.is_empty() {
            return Ok(());
        }
        let wanted = self.shared.rooms.wanted(&self.place.channel, &self.place.connection);
        let is_there = |track: &TrackId| wanted.iter().any(|published| published.info.track == *track);
        for track in self.received.extract_if(.., |track| !is_there(track)) {
            // Too busy to hear it: the track is gone there too.
            let _ = self.shared.media.command(Command::RemoveDownlink(self.place.peer, track));
        }
        if self.received.is_empty() { Err(PUBLISHER_LEFT) } else { Ok(()) }
    }

    fn handle_timeout(&mut self) -> Result<(), Closing> {
        if let Some(minutes) = self.media.handle_timeout(Instant::now())? {
            self.shared.rooms.updated(&self.place.channel, &self.place.connection, minutes);
        }
        Ok(())
    }
}
