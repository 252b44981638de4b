//! Data channels as signaling names them.

use std::sync::Arc;

use bytes::Bytes;

/// How often and how long a data channel tries to bring a message over (RFC 8832 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliability {
    /// Until it is there.
    #[default]
    Full,
    /// For so many milliseconds.
    Lifetime(u16),
    /// So many times after the first.
    Retransmits(u16),
}

/// A data channel that we open toward a peer. Peers open none: theirs are closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataChannelSpec {
    /// Unique in the peer; names the channel from here on.
    pub label: String,
    /// Sub-protocol; usually empty.
    pub protocol: String,
    /// Messages arrive in the order in which they were sent.
    pub ordered: bool,
    /// Whether they may get lost.
    pub reliability: Reliability,
}

/// One message of a data channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataMessage {
    /// The channel's label. Shared: it is the same for thousands of messages.
    pub label: Arc<str>,
    /// Text is UTF-8 and marked as such on the wire (RFC 8831 §8).
    pub binary: bool,
    /// Whole messages, may be empty.
    pub payload: Bytes,
}
