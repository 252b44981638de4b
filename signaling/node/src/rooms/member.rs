//! Who is in a room, and who wants in.

use std::sync::Arc;
use std::time::Instant;

use minamo_media::{ChannelId, ConnectionId};
use minamo_sfu_core::model::PathKind;
use minamo_signaling_proto::sora::{Connect, ForwardingWishes, Present, Role};
use time::OffsetDateTime;

use crate::figures::Figures;
use crate::mailbox::Mailbox;
use crate::session::{Grants, Notice};
use crate::{ConnectionSummary, clock};

/// Somebody at the door.
pub(crate) struct Newcomer {
    pub connection: ConnectionId,
    pub role: Role,
    pub client_id: Option<String>,
    pub bundle_id: Option<String>,
    pub authn_metadata: Option<serde_json::Value>,
    pub audio: bool,
    pub video: bool,
    pub particulars: Particulars,
    pub mailbox: Arc<Mailbox>,
}

/// What else a member brings along.
#[derive(Clone, Default)]
pub(crate) struct Particulars {
    pub simulcast: bool,
    pub spotlight: bool,
    pub forwarding: ForwardingWishes,
    /// From the auth webhook, for notifications.
    pub authz_metadata: Option<serde_json::Value>,
    /// It is told nothing of what happens in the room (`signaling_notify: false`).
    pub silent: bool,
    /// The labels of which it is sent messages.
    pub labels: Vec<Arc<str>>,
    pub figures: Arc<Figures>,
}

impl Particulars {
    pub(crate) fn new(connect: &Connect, grants: &Grants, figures: Arc<Figures>) -> Self {
        let receives = connect.data.channels.iter().filter(|channel| channel.direction.receives());
        Self {
            simulcast: connect.forwarding.simulcast,
            spotlight: connect.forwarding.spotlight.is_some(),
            forwarding: connect.forwarding.clone(),
            authz_metadata: grants.authz_metadata.clone(),
            silent: grants.silent,
            labels: receives.map(|channel| channel.label.as_str().into()).collect(),
            figures,
        }
    }
}

impl Newcomer {
    pub(crate) fn new(connection: ConnectionId, connect: &Connect, particulars: Particulars, mailbox: Arc<Mailbox>) -> Self {
        Self {
            connection,
            role: connect.role,
            client_id: connect.client_id.clone(),
            bundle_id: connect.bundle_id.clone(),
            authn_metadata: connect.signaling_notify_metadata.clone(),
            audio: connect.audio.is_some(),
            video: connect.video.is_some(),
            particulars,
            mailbox,
        }
    }
}

/// Somebody who is in.
pub(super) struct Member {
    pub(super) role: Role,
    pub(super) present: Present,
    pub(super) audio: bool,
    pub(super) video: bool,
    pub(super) created: OffsetDateTime,
    /// Media is up: it counts, is told of others, and others know of it.
    pub(super) live: bool,
    pub(super) minutes: u64,
    pub(super) path: PathKind,
    /// Since when it is live.
    pub(super) live_since: Option<Instant>,
    pub(super) particulars: Particulars,
    pub(super) mailbox: Arc<Mailbox>,
}

impl Member {
    /// Tells it something about itself.
    pub(super) fn tell(&self, notice: Notice) {
        if !self.particulars.silent {
            self.mailbox.notice(notice);
        }
    }

    pub(super) fn summary(&self, channel_id: ChannelId, session_id: String, connection_id: ConnectionId) -> ConnectionSummary {
        ConnectionSummary {
            channel_id,
            connection_id,
            client_id: self.present.client_id.clone(),
            bundle_id: self.present.bundle_id.clone(),
            session_id,
            role: self.role,
            created_time: self.created.unix_timestamp(),
            created_timestamp: clock::timestamp(self.created),
            audio: self.audio,
            video: self.video,
            multistream: true,
            simulcast: self.particulars.simulcast,
            spotlight: self.particulars.spotlight,
            connected: self.live,
        }
    }
}
