//! What the server says of the connection itself.

use serde::Serialize;
use serde_json::Value;

/// A message tagged by `type`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Control {
    /// From now on messages go over data channels. Said over the WebSocket.
    Switched {
        /// The connection outlives the WebSocket. Mandatory for iOS.
        ignore_disconnect_websocket: bool,
    },
    /// Connect there instead. The server then closes the WebSocket: C++ clients wait for that.
    Redirect {
        /// `ws(s)://…`, taken verbatim.
        location: String,
    },
    /// Something from the application's own server.
    Push {
        /// As it came.
        data: Value,
    },
    /// Asks for [`super::ClientMessage`]-like `stats` over the channel of that name.
    ReqStats,
    /// The end, over the `signaling` channel.
    Close {
        /// As of a WebSocket's close frame.
        code: u16,
        /// As of a WebSocket's close frame.
        reason: &'static str,
    },
}

impl Control {
    /// The JSON text.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Strings, numbers and a `Value` that came out of JSON cannot fail to serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}
