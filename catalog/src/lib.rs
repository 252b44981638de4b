//! What must be remembered: channels, in SQLite.
