//! What Minamo must remember: channels, in an embedded SQLite file.
//!
//! The seam is one URL (`sqlite:…`), so that a shared database can join later. Everything acknowledged is on disk
//! (write-ahead log, `synchronous=FULL`). Media never waits for the catalog.

mod channel;
mod error;
mod id;
mod secret;
mod sqlite;

pub use channel::{Channel, ChannelKind};
pub use error::CatalogError;
pub use secret::ChannelSecret;

use std::path::Path;

use minamo_media::ChannelId;

/// The most channels that one [`Catalog::list_channels`] call returns, whatever was asked for.
pub const PAGE_MAX: u32 = 1000;

/// The channels of this installation. Cheap to clone; all clones share one connection pool.
#[derive(Clone, Debug)]
pub struct Catalog {
    store: sqlite::Store,
}

impl Catalog {
    /// Opens the catalog that a URL names, creates and migrates it as needed. `sqlite:<path>` or `sqlite::memory:`.
    ///
    /// # Errors
    /// [`CatalogError::UnsupportedUrl`] for another scheme, [`CatalogError::Folder`] or [`CatalogError::Open`] when it
    /// cannot be written to.
    pub async fn open(url: &str) -> Result<Self, CatalogError> {
        Ok(Self { store: sqlite::Store::open_url(url).await? })
    }

    /// Opens `catalog.db` in a data folder; the folder is made when missing.
    ///
    /// # Errors
    /// As for [`Catalog::open`].
    pub async fn open_in(folder: &Path) -> Result<Self, CatalogError> {
        Ok(Self { store: sqlite::Store::open_file(&folder.join("catalog.db")).await? })
    }

    /// Creates a channel under a fresh id of 72 hex characters (288 bits of the system's randomness).
    ///
    /// # Errors
    /// [`CatalogError::Storage`] when it could not be written; then there is no such channel.
    pub async fn create_channel(&self, kind: ChannelKind, settings: serde_json::Value) -> Result<Channel, CatalogError> {
        self.store.insert(id::generate()?, kind, settings).await
    }

    /// Creates a channel under an id that the caller chose (1–255 bytes).
    ///
    /// # Errors
    /// [`CatalogError::IdTaken`] when the id is in use or was ever deleted.
    pub async fn create_channel_with_id(
        &self,
        id: ChannelId,
        kind: ChannelKind,
        settings: serde_json::Value,
    ) -> Result<Channel, CatalogError> {
        self.store.insert(id, kind, settings).await
    }

    /// The channel of that id, or `None` when it never was or is deleted.
    ///
    /// # Errors
    /// [`CatalogError::Storage`] when it could not be read.
    pub async fn channel(&self, id: &ChannelId) -> Result<Option<Channel>, CatalogError> {
        self.store.channel(id).await
    }

    /// The channel whose [`ChannelSecret::key_id`] that is, or `None` when there is none or it is deleted.
    ///
    /// # Errors
    /// [`CatalogError::Storage`] when it could not be read.
    pub async fn channel_of_key(&self, key_id: &str) -> Result<Option<Channel>, CatalogError> {
        self.store.channel_of_key(key_id).await
    }

    /// Deletes a channel for good; its id can never be used again. `false` when there was none.
    ///
    /// # Errors
    /// [`CatalogError::Storage`] when it could not be written; then the channel is still there.
    pub async fn delete_channel(&self, id: &ChannelId) -> Result<bool, CatalogError> {
        self.store.delete(id).await
    }

    /// The next channels in order of creation, at most `limit` and at most [`PAGE_MAX`]. `after` is the last id of the
    /// page before; it may have been deleted meanwhile.
    ///
    /// # Errors
    /// [`CatalogError::Storage`] when they could not be read.
    pub async fn list_channels(&self, after: Option<&ChannelId>, limit: u32) -> Result<Vec<Channel>, CatalogError> {
        self.store.list(after, limit.min(PAGE_MAX)).await
    }

    /// The ids of all channels, in order of creation.
    ///
    /// # Errors
    /// [`CatalogError::Storage`] when they could not be read.
    pub async fn channel_ids(&self) -> Result<Vec<ChannelId>, CatalogError> {
        self.store.ids().await
    }

    /// Whether the catalog answers, for readiness.
    ///
    /// # Errors
    /// [`CatalogError::Storage`] when it does not.
    pub async fn check(&self) -> Result<(), CatalogError> {
        self.store.check().await
    }

    /// Closes all connections; later calls on any clone fail.
    pub async fn close(&self) {
        self.store.close().await;
    }
}
