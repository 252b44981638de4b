//! The sessions that have a URL now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minamo_media::ChannelId;
use minamo_sfu_core::model::PeerId;
use tokio_util::sync::CancellationToken;

use super::Way;
use crate::api::ApiToken;
use crate::ids;
use crate::mailbox::Mailbox;

/// What a request to a session's URL needs to know.
#[derive(Clone)]
pub(super) struct Session {
    pub way: Way,
    pub channel: ChannelId,
    pub peer: PeerId,
    /// What it came with, where that was not the API token: good for this session too.
    pub bearer: Option<ApiToken>,
    pub ice: Arc<Mutex<IceSession>>,
    pub mailbox: Arc<Mailbox>,
    /// Cancelled when it has left the room.
    pub ended: CancellationToken,
}

/// The ICE session that a session is in now.
pub(super) struct IceSession {
    /// Its entity tag, in its quotes: another one after each restart (RFC 9725 §4.3.1).
    pub etag: String,
    /// The client's: another one in a `PATCH` is a restart.
    pub remote_ufrag: String,
    /// The m-line's words and the mid of the section that stands for the bundle.
    pub tagged: ([String; 3], String),
}

/// Strong, and never the same twice.
pub(super) fn fresh_etag() -> String {
    format!("\"{}\"", ids::fresh())
}

/// By the random last part of their URLs. As many as there are members, which the rooms and the server bound.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Session>>);

impl Sessions {
    fn map(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn insert(&self, id: String, session: Session) {
        self.map().insert(id, session);
    }

    pub(super) fn find(&self, way: Way, channel: &str, id: &str) -> Option<Session> {
        self.map().get(id).filter(|session| session.way == way && session.channel.as_str() == channel).cloned()
    }

    pub(super) fn remove(&self, id: &str) {
        self.map().remove(id);
    }
}
