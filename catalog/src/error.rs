//! What can go wrong, sorted by what the caller does about it.

use std::path::PathBuf;

use minamo_media::ChannelId;

/// An operation of the catalog failed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The URL's scheme names no storage that we have.
    #[error("unsupported catalog URL scheme \"{scheme}\": only sqlite:<path> is supported")]
    UnsupportedUrl {
        /// The scheme only: the rest may hold a password.
        scheme: String,
    },
    /// The folder of the file cannot be made.
    #[error("cannot create data folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be opened for writing, or is no catalog.
    #[error("cannot open catalog {}: {why}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why, in one line.
        why: String,
    },
    /// The id is in use, or was and is deleted.
    #[error("channel id {0} is taken or was deleted")]
    IdTaken(ChannelId),
    /// The system gave no randomness.
    #[error("no randomness from the system: {0}")]
    Randomness(String),
    /// A stored row cannot be understood: written by a newer version, or damaged.
    #[error("channel {id} in the catalog is damaged: {why}")]
    Damaged {
        /// The row's id.
        id: ChannelId,
        /// What is wrong with it.
        why: String,
    },
    /// The storage failed; trying again later may help.
    #[error("catalog storage failed: {0}")]
    Storage(#[from] sqlx::Error),
}
